"""Stage `train`: purged walk-forward predictions, and the models that are exported."""

from __future__ import annotations

from pathlib import Path

from pipelines._closure import code_digest
from pipelines._stage import Stage, run
from pipelines._training import read_training_set
from slackwater.models.training import Trainer
from slackwater.models.training_range import TrainingRange
from slackwater.storage import atomic_file, digest_of, values_digest, write_json, write_parquet


def main(stage: Stage) -> None:
    """Write ``data/predictions.parquet``, ``models/*`` and ``reports/trials.json``."""
    training = read_training_set()
    trainer = Trainer(**stage.validation.model_dump(), model=stage.model.model_dump())
    targets = {name: training.labels[f"y_{name}"].to_numpy() for name in ("direction", "hit")}
    stage.say(f"{len(training):,} events, {training.features.shape[1]} columns")
    predictions = trainer.predict_out_of_fold(training, targets, progress=stage.say)
    trades = trainer.trades_out_of_fold(training, progress=stage.say)
    keys = ["row", "symbol", "event_time", "fold"]
    predictions = predictions.merge(trades, on=keys, validate="1:1")
    models = {name: trainer.fit(training, y) for name, y in targets.items()}
    models["trade"] = trainer.fit_trade(training)
    calibrators = {}
    for name, model in models.items():
        calibrators[name] = model.calibrator_.to_dict()
        with atomic_file(f"models/{name}.txt") as path:
            path.write_text(model.booster_.model_to_string(), encoding="utf-8")
    write_json(calibrators, "models/calibrators.json")
    write_json(TrainingRange().fit(training.features).to_dict(), "models/training_range.json")
    write_parquet(predictions, "data/predictions.parquet")
    settings = [stage.dataset, stage.validation, stage.model]
    trial = {
        "params_sha256": digest_of([section.model_dump(mode="json") for section in settings]),
        "data_sha256": digest_of([values_digest(table) for table in (training.features, training.labels)]),
        "code_sha256": code_digest(Path(__file__)),
    }
    write_json({"trials": [trial]}, "reports/trials.json")


if __name__ == "__main__":
    run("train", main)
