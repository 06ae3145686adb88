"""Stage `export`: the scoring bundle that the Python API loads."""

from __future__ import annotations

from pathlib import Path

from pipelines._closure import code_digest, stage_files
from pipelines._families import settings_of
from pipelines._stage import Stage, run
from slackwater.run.features import feature_files, files_by_symbol, read_features
from slackwater.run.training import end_of_training
from slackwater.scoring.bundle import write_bundle
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import digest_of, read_json, read_parquet, sha256_of


def main(stage: Stage) -> None:
    """Write ``models/scorer``."""
    params = stage.params()
    effective = params.model_dump(mode="json")
    features, fitted = read_json("data/feature_manifest.json"), Path("models/fitted")
    models = read_json(fitted / "models.json")
    verdict = read_json("data/reports/verdict.json")
    manifest = {
        "dataset": params.dataset.name,
        "symbols": sorted(files_by_symbol()),
        "synthetic": params.dataset.synthetic,
        "verdict": verdict,
        "market": params.market.spec.to_dict(),
        "features": {
            "families": settings_of(params.features),
            "fingerprint": features["fingerprint"],
            "sources": features["sources"],
            "model_features": [each.name for each in read_features(families=params.model.families)],
            "unavailable_families": features["unavailable_families"],
        },
        "training": end_of_training(read_parquet("data/labels.parquet"), params.validation.embargo),
        "labels": {"horizon": params.labels.horizon, "triggers": params.labels.triggers},
        "models": models,
        "training_range": read_json(fitted / "training_range.json"),
        "training_shares": read_json(fitted / "training_shares.json"),
        "trading": {
            "venue": params.dataset.venue,
            "entry": params.trading.entry.model_dump(),
            "bracket": params.bracket.model_dump(),
            "rules": params.trading.rules.model_dump(),
            "drawdown_control": params.trading.drawdown_control.model_dump(),
            "costs": params.costs.model_dump(),
            "contract_facts": params.dataset.contract_facts,
        },
        "params": effective,
        "hashes": {
            "params_sha256": digest_of(effective),
            "data_sha256": digest_of([*map(sha256_of, feature_files()), sha256_of("data/labels.parquet")]),
            "defects_sha256": sha256_of("reports/defects.json"),
            "code_sha256": code_digest(*stage_files()),
        },
    }
    texts = {name: (fitted / model["file"]).read_text(encoding="utf-8") for name, model in models.items()}
    write_bundle("models/scorer", manifest, texts)
    scorer = ReversalScorer.load("models/scorer")
    stage.say(f"bundle {scorer.digest[:16]} loads; {verdict['sentence']}")


if __name__ == "__main__":
    run("export", main)
