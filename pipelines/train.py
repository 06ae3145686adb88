"""Stage `train`: purged walk-forward predictions, and the models to export."""

from __future__ import annotations

from pathlib import Path

from pipelines._closure import code_digest
from pipelines._stage import Stage, run
from pipelines._training import build_trainer
from slackwater.models.horizons import predict_horizons
from slackwater.run.training import predict_test_blocks, read_training_set, training_range, training_shares
from slackwater.storage import atomic_directory, digest_of, write_json, write_parquet


def main(stage: Stage) -> None:
    """Write ``data/predictions.parquet``, ``models/fitted`` and ``data/reports/trials.json``."""
    training, trainer = read_training_set(), build_trainer(stage)
    n_columns, n_train = len(trainer.columns(training)), int(training.trains.sum())
    stage.say(f"{len(training):,} events, {n_train:,} of them train; {n_columns} columns")
    if trainer.model.calibration == "none":
        stage.say("warning: `model.calibration` is none, so no probability has a lower bound and no trade is taken")
    predictions = predict_test_blocks(training, trainer, stage.say)
    predictions = predictions.join(predict_horizons(training, trainer, stage.say), on="row")
    with atomic_directory("models/fitted") as root:
        exported = trainer.export(training, predictions)
        for fitted in exported:
            (root / fitted.file).write_text(fitted.model.to_text(), encoding="utf-8")
        write_json({fitted.target.name: fitted.entry() for fitted in exported}, root / "models.json")
        known = training_range(training, trainer)
        write_json(known.to_dict(), root / "training_range.json")
        write_json(training_shares(training, trainer).to_dict(), root / "training_shares.json")
    write_parquet(predictions, "data/predictions.parquet")
    settings = [stage.validation, stage.model]
    trial = {
        "params_sha256": digest_of([section.model_dump(mode="json") for section in settings]),
        "data_sha256": training.digest,
        "code_sha256": code_digest(Path(__file__)),
    }
    write_json({"trials": [trial]}, "data/reports/trials.json")


if __name__ == "__main__":
    run("train", main)
