"""The events with their features: what `train` fits and what the controls of `evaluate` are fitted on."""

from __future__ import annotations

from slackwater.features.family import Feature
from slackwater.models.training import TrainingSet
from slackwater.storage import read_json, read_parquet


def read_training_set() -> TrainingSet:
    """Join ``data/labels.parquet`` to the model features of ``data/features.parquet``."""
    manifest = read_json("data/feature_manifest.json")
    wanted = set(manifest["model_features"])
    described = [Feature.from_manifest(entry) for entry in manifest["features"] if entry["name"] in wanted]
    keys = ["symbol", "event_time", "available_time"]
    features = read_parquet("data/features.parquet", columns=[*keys, *(f.name for f in described)])
    return TrainingSet.join(read_parquet("data/labels.parquet"), features, described)
