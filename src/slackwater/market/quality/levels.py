"""Switches of the unit: a level that jumps by a factor, such as contracts for coins, and stays or jumps back.

A market may jump too, so that each level is held against what the market would have had to do for it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.open_interest import MOST_OF_VOLUME
from slackwater.market.quality.traded import Traded

__all__ = ["depth_in_other_unit", "interest_in_other_unit", "price_in_other_unit", "volume_in_other_unit"]

STEP_FACTOR: Final = 5.0
"""Between two rows. No price moves so far at once, and open interest by no more than what is traded; units differ by
10 or more."""
DAILY_FACTOR: Final = 30.0
"""Between the medians of two days, for what is noisy from row to row: volume and depth."""
RANGE_FACTOR: Final = 3.0
"""A day that truly trades 30 times as much ranges about 10 times as far: over the largest jumps of volume between two
days of Bybit and Binance the range went with the power .65 to .77 of it. A unit moves no price."""
LEAST_ROWS: Final = 12
"""A day is judged by no fewer, and not if most of its rows are 0: its median would be luck."""
DAY: Final = 86_400_000_000


def price_in_other_unit(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which bars close at a level that a jump by a factor of 5 or more parts from that of most bars."""
    close = rows["close"].to_numpy()
    return _apart_from_most(close, _jumps(close, STEP_FACTOR), np.ones(len(rows)), STEP_FACTOR)


def interest_in_other_unit(rows: pd.DataFrame, traded: Traded | None) -> NDArray[np.bool_]:
    """Return which open interest a jump by a factor of 5 or more parts from most of it, where no trades explain it.

    Parameters
    ----------
    rows
        Open interest of one symbol, above 0, in order.
    traded
        Its bars; without them, and where they leave out a part, every such jump counts.
    """
    level = rows["open_interest"].to_numpy()
    jumps = _jumps(level, STEP_FACTOR)
    after = 1 + np.flatnonzero(jumps)
    if traded is not None and len(after):
        stamps = rows["event_time"].astype("int64").to_numpy()
        most = MOST_OF_VOLUME * traded.volume_between(stamps[after - 1], stamps[after])
        # A small market may well have traded all of it.
        jumps[after - 1] = ~(np.abs(level[after] - level[after - 1]) <= most)
    return _apart_from_most(level, jumps, np.ones(len(rows)), STEP_FACTOR)


def volume_in_other_unit(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which bars belong to days whose volume a jump by a factor of 30 or more parts from that of most days.

    Where the bars count their trades, it is the volume of a trade that must jump; elsewhere the range of the bars must
    stay within a factor of 3, as it does not when a market comes to life.
    """
    volume = rows["volume"]
    if "trade_count" in rows:
        days = _Days.of(rows, volume / rows["trade_count"].where(rows["trade_count"] > 0.0))
        return days.rows_apart(_jumps(days.medians, DAILY_FACTOR))
    days = _Days.of(rows, volume)
    span = days.medians_of(rows["high"] / rows["low"] - 1.0)
    steady = np.maximum(span[1:], span[:-1]) <= RANGE_FACTOR * np.minimum(span[1:], span[:-1])
    return days.rows_apart(_jumps(days.medians, DAILY_FACTOR) & steady)


def depth_in_other_unit(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows belong to days whose depth a jump by a factor of 30 or more parts from that of most days."""
    days = _Days.of(rows, rows["bid_quantity_1pct"])
    return days.rows_apart(_jumps(days.medians, DAILY_FACTOR))


class _Days:
    """The days on which enough rows have a value, and the medians of these."""

    def __init__(self, day_of: NDArray[np.int64], alive: NDArray[np.bool_], values: pd.Series) -> None:
        rows = pd.Series(alive).groupby(day_of).agg(["sum", "size"])
        judged = rows[(rows["sum"] >= LEAST_ROWS) & (2 * rows["sum"] >= rows["size"])]
        self.days = judged.index.to_numpy()
        self.weight = judged["size"].to_numpy(dtype=np.float64)
        self._day_of, self._alive = day_of, alive
        self.medians = self.medians_of(values)

    @classmethod
    def of(cls, rows: pd.DataFrame, values: pd.Series) -> _Days:
        day_of = rows["event_time"].astype("int64").to_numpy() // DAY
        return cls(day_of, (values > 0.0).to_numpy(), values)

    def medians_of(self, values: pd.Series) -> NDArray[np.float64]:
        """Return the median of each day over the rows that have a value of the kind that is judged."""
        alive = pd.Series(values.to_numpy()[self._alive]).groupby(self._day_of[self._alive]).median()
        return alive.reindex(self.days).to_numpy()

    def rows_apart(self, jumps: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which rows belong to days that the jumps part from most days."""
        if len(self.days) < 3:
            return np.zeros(len(self._day_of), dtype=bool)
        return np.isin(self._day_of, self.days[_apart_from_most(self.medians, jumps, self.weight, DAILY_FACTOR)])


def _jumps(level: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    """Return for each value but the first whether it stands apart by the factor from the one before."""
    return np.asarray(np.abs(np.diff(np.log(level))) >= np.log(factor))


def _apart_from_most(
    level: NDArray[np.float64], jumps: NDArray[np.bool_], weight: NDArray[np.float64], factor: float
) -> NDArray[np.bool_]:
    """Return which values the jumps part from the level at which most of the weight stands."""
    if not jumps.any():
        return np.zeros(len(level), dtype=bool)
    # Only the jumps are summed: what the market does in between moves no level.
    steps = np.concatenate([[0.0], np.cumsum(np.where(jumps, np.diff(np.log(level)), 0.0))])
    # Two levels are one if a jump and its way back leave less than half a jump between them.
    levels = np.round(steps / np.log(factor))
    kinds, places = np.unique(levels, return_inverse=True)
    usual = kinds[np.argmax(np.bincount(places, weights=weight))]
    return np.asarray(levels != usual)
