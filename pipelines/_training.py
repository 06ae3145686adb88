"""The training set and the trainer, shared by the stages `train` and `evaluate`."""

from __future__ import annotations

from pipelines._stage import Stage
from slackwater.features.family import Feature
from slackwater.models.training import Trainer, TrainingSet
from slackwater.storage import read_json, read_parquet


def read_training_set() -> TrainingSet:
    """Join ``data/labels.parquet`` to the model features of ``data/event_features.parquet``."""
    manifest = read_json("data/feature_manifest.json")
    wanted = set(manifest["model_features"])
    described = [Feature.from_manifest(entry) for entry in manifest["features"] if entry["name"] in wanted]
    keys = ["symbol", "event_time", "available_time"]
    features = read_parquet("data/event_features.parquet", columns=[*keys, *(f.name for f in described)])
    return TrainingSet.join(read_parquet("data/labels.parquet"), features, described)


def build_trainer(stage: Stage) -> Trainer:
    """Return the trainer of the parameters."""
    return Trainer(validation=stage.validation.build(), model=stage.model.build())
