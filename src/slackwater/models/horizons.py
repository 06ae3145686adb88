"""Direction at the reported horizons: the procedure of the headline with labels of another length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from slackwater.durations import parse_duration
from slackwater.errors import DataError
from slackwater.models.targets import Target
from slackwater.models.training import Trainer, TrainingSet

__all__ = ["TEST_BLOCKS_PER_FIT", "at_horizon", "horizon_target", "predict_horizons", "reported_horizons"]

TEST_BLOCKS_PER_FIT: Final = 3
"""Reported horizons are fitted anew only so often: each is one number in a table, and none of them is traded."""

_COLUMN: Final = re.compile(r"y_direction_(\d+[smhd])")


def reported_horizons(columns: Iterable[str]) -> list[str]:
    """Return the names of the horizons whose direction is a column of the labels table, in order of length.

    Examples
    --------
    >>> reported_horizons(["y_direction", "y_direction_48h", "y_direction_4h", "y_hit"])
    ['4h', '48h']
    """
    found = (_COLUMN.fullmatch(column) for column in columns)
    return sorted((match[1] for match in found if match), key=parse_duration)


def horizon_target(horizon: str) -> Target:
    """Return the direction at a reported horizon as a target.

    Examples
    --------
    >>> horizon_target("4h").columns
    ('p_direction_4h',)
    """
    return Target(name=f"direction_{horizon}", column=f"y_direction_{horizon}")


def at_horizon(training: TrainingSet, horizon: str) -> TrainingSet:
    """Return the same events with the weights of a reported horizon, and its own time at which labels were known.

    An event without an outcome there keeps the time of its headline: it trains nothing, but it is still predicted.
    """
    labels = training.labels
    weights = {name: labels[f"{name}_{horizon}"] for name in ("weight", "train_weight") if name in labels}
    known = labels[f"label_end_time_{horizon}"].fillna(labels["label_known_time"])
    return replace(training, labels=labels.assign(**weights, label_known_time=known))


def predict_horizons(
    training: TrainingSet, trainer: Trainer, progress: Callable[[str], None] | None = None
) -> pd.DataFrame:
    """Predict direction at every reported horizon out of sample, purged by the labels of that horizon.

    Parameters
    ----------
    training
        All events, with the columns of the reported horizons.
    trainer
        The trainer of the headline. The models here are fitted anew only once in `TEST_BLOCKS_PER_FIT` of its blocks.
    progress
        Called with a line per fold.

    Returns
    -------
    DataFrame
        One row per event in order of time, NaN outside of the test blocks and at a horizon that cannot be learned:
        ``p_direction_4h``, ``p_direction_4h_raw`` (not calibrated) and ``base_direction_4h`` (share of ones in the
        training rows) of each horizon.
    """
    rare = replace(trainer.validation, test=TEST_BLOCKS_PER_FIT * trainer.validation.test)
    say = progress or (lambda line: None)
    out = pd.DataFrame(index=range(len(training)))
    for horizon in reported_horizons(training.labels.columns):
        target = horizon_target(horizon)
        columns = [*target.columns, f"p_{target.name}_raw", f"base_{target.name}"]
        own = replace(trainer, validation=rare, targets=(target,))
        try:
            found = own.predict_out_of_fold(at_horizon(training, horizon), _named(say, horizon)).set_index("row")
        except DataError as error:
            # One number less in a table of reports; the headline has its own check.
            say(f"horizon {horizon} is left out: {error}")
            found = pd.DataFrame(index=pd.Index([], dtype=np.int64))
        out = out.join(found.reindex(columns=columns).astype(np.float64))
    return out


def _named(progress: Callable[[str], None], horizon: str) -> Callable[[str], None]:
    return lambda line: progress(f"horizon {horizon}, {line}")
