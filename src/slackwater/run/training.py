"""The training set of a run, and its out-of-sample predictions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.models.targets import TARGETS
from slackwater.models.training import Trainer, TrainingSet
from slackwater.models.training_range import TrainingRange
from slackwater.models.training_shares import TrainingShares
from slackwater.run.features import read_features
from slackwater.storage import read_parquet, read_parquet_parts

__all__ = ["end_of_training", "predict_test_blocks", "read_training_set", "training_range", "training_shares"]


def read_training_set(data: str | Path = "data") -> TrainingSet:
    """Join ``labels.parquet`` to the model features of ``event_features.parquet`` in the directory of a run.

    Raises
    ------
    MissingDataError, SchemaError
        If a file is missing or damaged.
    DataError
        If an event has no row of features.
    """
    root = Path(data)
    described = read_features(root)
    keys = ["symbol", "event_time", "available_time"]
    features = read_parquet_parts(root / "event_features.parquet", [*keys, *(f.name for f in described)])
    return TrainingSet.join(read_parquet(root / "labels.parquet"), features, described)


def predict_test_blocks(
    training: TrainingSet, trainer: Trainer, progress: Callable[[str], None] | None = None
) -> pd.DataFrame:
    """Return the predictions of every event of every test block, with what else the gate reads about their models.

    Returns
    -------
    DataFrame
        The columns of `Trainer.predict_out_of_fold` and of `Trainer.training_facts`.
    """
    return trainer.predict_out_of_fold(training, progress=progress).join(trainer.training_facts(training))


def training_range(training: TrainingSet, trainer: Trainer) -> TrainingRange:
    """Return the range of each column among the events that train."""
    rows = trainer.read_by_models(training, np.flatnonzero(training.trains))
    return TrainingRange().fit_columns(rows.by_column())


def training_shares(training: TrainingSet, trainer: Trainer) -> TrainingShares:
    """Return the shares of the events that trade: against those that only train, the choice of events is a drift."""
    rows = trainer.read_by_models(training, np.flatnonzero(training.trades))
    families = [training.families.get(name, name) for name in rows.columns]  # `direction` is a family of its own
    return TrainingShares.of_columns(rows.by_column(), training.labels["event_time"][training.trades], families)


def end_of_training(labels: pd.DataFrame, embargo: timedelta) -> dict[str, Any]:
    """Return what a test on later data has to know of a training, for the manifest of its bundle.

    Parameters
    ----------
    labels
        The labels table.
    embargo
        Time after the last label in which events are not tested.

    Returns
    -------
    dict
        ``until``, when the last label was known; ``embargo``; and ``base_rates``, the share of ones in the rows that
        train, by name of the target.
    """
    rows = labels[labels["trains"]]
    probabilities = [target for target in TARGETS if target.offset is None]
    return {
        # Calibrators are fitted to predictions of all events.
        "until": labels["label_known_time"].max().isoformat(),
        "embargo": embargo,
        "base_rates": {target.name: float(rows[target.column].mean()) for target in probabilities},
    }
