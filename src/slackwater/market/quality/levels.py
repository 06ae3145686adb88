"""Switches of the unit: a level that jumps by a factor, such as contracts for coins, and stays or jumps back."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["daily_level_in_other_unit", "level_in_other_unit"]

STEP_FACTOR: Final = 5.0
"""Between two rows. No price and no open interest moves so far at once; units differ by 10 or more."""
DAILY_FACTOR: Final = 30.0
"""Between the medians of two days, for what is noisy from row to row: volume and depth."""
DAY: Final = 86_400_000_000


def level_in_other_unit(rows: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Return which rows have a level that a jump by a factor of 5 or more parts from that of most rows."""
    return _apart_from_most(rows[column].to_numpy(), np.ones(len(rows)), STEP_FACTOR)


def daily_level_in_other_unit(rows: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Return which rows belong to days whose median a jump by a factor of 30 or more parts from that of most days."""
    days = rows["event_time"].astype("int64").to_numpy() // DAY
    values = pd.Series(rows[column].to_numpy())
    medians = values[values > 0.0].groupby(days[(values > 0.0).to_numpy()]).median()
    if len(medians) < 3:
        return np.zeros(len(rows), dtype=bool)
    counts = pd.Series(days).value_counts().reindex(medians.index)
    apart = _apart_from_most(medians.to_numpy(), counts.to_numpy(dtype=np.float64), DAILY_FACTOR)
    return np.isin(days, medians.index.to_numpy()[apart])


def _apart_from_most(level: NDArray[np.float64], weight: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    """Return which values stand apart from the level at which most of the weight stands."""
    if len(level) < 2:
        return np.zeros(len(level), dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        jumps = np.diff(np.log(level))
    far = np.abs(jumps) >= np.log(factor)
    if not far.any():
        return np.zeros(len(level), dtype=bool)
    # Only the jumps are summed: what the market does in between moves no level.
    steps = np.concatenate([[0.0], np.cumsum(np.where(far, jumps, 0.0))])
    # Two levels are one if a jump and its way back leave less than half a jump between them.
    levels = np.round(steps / np.log(factor))
    kinds, places = np.unique(levels, return_inverse=True)
    usual = kinds[np.argmax(np.bincount(places, weights=weight))]
    return np.asarray(levels != usual)
