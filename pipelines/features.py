"""Stage `features`: one row per (symbol, bar close), with what was known at the decision."""

from __future__ import annotations

from pipelines._families import engine_of, silent_triggers
from pipelines._stage import Stage, run
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES
from slackwater.storage import read_tables, write_json, write_parquet


def main(stage: Stage) -> None:
    """Write ``data/features.parquet`` and ``data/feature_manifest.json``."""
    spec = stage.market.spec
    engine = engine_of(stage.features, spec.bar_interval, spec.inputs)
    tables = read_tables("data/tables", INPUT_TABLES)
    stage.say(f"{sum(map(len, tables.values())):,} rows in {len(tables)} tables")
    frame = MarketFrame.from_tables(tables, spec)
    engine.require_fed(frame.available)
    stage.say(f"{len(frame.table):,} bars of {frame.table['symbol'].nunique()} symbols")
    for sentence in silent_triggers(stage.for_checks, engine, frame.available):
        stage.say(sentence)
    features = engine.transform(frame, progress=stage.progress("rows"))
    manifest = engine.manifest(frame.available)
    stage.say(
        f"{len(features):,} rows, {len(manifest['model_features'])} model features; "
        f"unavailable: {', '.join(manifest['unavailable_families']) or 'none'}"
    )
    write_parquet(features, "data/features.parquet")
    write_json(manifest, "data/feature_manifest.json")


if __name__ == "__main__":
    run("features", main)
