"""The features of a run that its models read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from slackwater.features.family import Feature
from slackwater.storage import read_json

__all__ = ["read_features"]


def read_features(data: str | Path = "data", families: Collection[str] | None = None) -> list[Feature]:
    """Return the features that models read, in the order of their columns.

    Parameters
    ----------
    data
        Directory of the run, with ``feature_manifest.json``.
    families
        As `slackwater.models.parameters.ModelParameters`: None means all that the data feed.
    """
    manifest = read_json(Path(data) / "feature_manifest.json")
    wanted = set(manifest["model_features"])
    described = [Feature.from_manifest(entry) for entry in manifest["features"] if entry["name"] in wanted]
    return [each for each in described if families is None or each.family in families]
