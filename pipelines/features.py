"""Stage `features`: one row per (symbol, bar close), with what was known at the decision."""

from __future__ import annotations

from pipelines._families import engine_of, silent_triggers
from pipelines._stage import Stage, run
from slackwater.run.feature_table import write_feature_table
from slackwater.storage import write_json


def main(stage: Stage) -> None:
    """Write ``data/features``, one file per symbol, and ``data/feature_manifest.json``."""
    spec = stage.market.spec
    engine = engine_of(stage.features, spec.bar_interval, spec.inputs)
    made = write_feature_table(engine, spec, tables="data/tables", progress=stage.progress("symbols"))
    engine.require_fed(made.available)
    for sentence in silent_triggers(stage.for_checks, engine, made.available):
        stage.say(sentence)
    manifest = engine.manifest(made.available)
    stage.say(
        f"{made.rows:,} rows, {len(manifest['model_features'])} model features; "
        f"unavailable: {', '.join(manifest['unavailable_families']) or 'none'}"
    )
    write_json(manifest, "data/feature_manifest.json")


if __name__ == "__main__":
    run("features", main)
