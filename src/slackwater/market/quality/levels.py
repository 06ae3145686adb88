"""Switches of the unit: a level that jumps by a factor, such as contracts for coins, and stays or jumps back.

A market may jump too. So a level is apart only if one of its jumps at least is none that a market makes: a price beyond
the bar that leads to it, more open interest than was traded, larger trades, more volume on a range that stays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.open_interest import MOST_OF_VOLUME
from slackwater.market.quality.traded import Traded, counts_trades

__all__ = ["depth_in_other_unit", "interest_in_other_unit", "price_in_other_unit", "volume_in_other_unit"]

STEP_FACTOR: Final = 5.0
"""Between two rows; units differ by 10 or more."""
LONGEST_STEP: Final = timedelta(days=1)
"""Between neighbours, unless most are further apart. What happened in a longer gap nobody saw."""
DAILY_FACTOR: Final = 30.0
"""Between the medians of two days, for what is noisy from row to row: volume and depth."""
RANGE_FACTOR: Final = 3.0
"""A day that truly trades 30 times as much ranges about 10 times as far: over the largest jumps of volume between two
days of Bybit and Binance the range went with the power .65 to .77 of it. A unit moves no price."""
LEAST_ROWS: Final = 4
"""A day is judged by no fewer, and by no less than half of the rows of a usual day: its median would be luck."""
MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = LONGEST_STEP // MICROSECOND


def price_in_other_unit(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which bars close at a level that a jump by a factor of 5 or more parts from that of most bars.

    A crash leaves its trace in the bar, a switch does not: all prices of the bar are beyond a factor of 5.
    """
    before = rows["close"].to_numpy()[:-1]
    low, high = rows["low"].to_numpy()[1:], rows["high"].to_numpy()[1:]
    beyond = (low >= STEP_FACTOR * before) | (high <= before / STEP_FACTOR)
    return _apart_from_most(rows["close"].to_numpy(), _neighbours(rows), beyond, np.ones(len(rows)), STEP_FACTOR)


def interest_in_other_unit(rows: pd.DataFrame, traded: Traded | None) -> NDArray[np.bool_]:
    """Return which open interest a jump by a factor of 5 or more parts from most of it, where no trades explain it.

    Parameters
    ----------
    rows
        Open interest of one symbol, above 0, in order.
    traded
        Its bars. Without them every such jump counts; where they leave out a part, none does.
    """
    level = rows["open_interest"].to_numpy()
    if traded is None:
        unexplained = np.ones(max(len(level) - 1, 0), dtype=bool)
    else:
        stamps = rows["event_time"].astype("int64").to_numpy()
        most = MOST_OF_VOLUME * traded.volume_between(stamps[:-1], stamps[1:])
        unexplained = np.abs(np.diff(level)) > most  # a small market may well have traded all of it
    return _apart_from_most(level, _neighbours(rows), unexplained, np.ones(len(rows)), STEP_FACTOR)


def volume_in_other_unit(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which bars belong to days whose volume a jump by a factor of 30 or more parts from that of most days.

    It is the volume at its price: of a coin that loses all of its worth ever more pieces are traded. Where the bars
    count their trades, it is that of a trade that must jump; elsewhere the range of the bars must stay within a factor
    of 3, as it does not when a market comes to life.
    """
    worth = rows["volume"] * rows["close"]
    if counts_trades(rows):
        days = _daily_medians(rows, worth / rows["trade_count"].where(rows["trade_count"] > 0.0))
        steady = np.ones(max(len(days) - 1, 0), dtype=bool)
    else:
        days = _daily_medians(rows, worth, rows["high"] / rows["low"] - 1.0)
        span = days["beside"].to_numpy()
        steady = np.maximum(span[1:], span[:-1]) <= RANGE_FACTOR * np.minimum(span[1:], span[:-1])
    return _on_days_apart(rows, days, steady)


def depth_in_other_unit(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows belong to days whose depth a jump by a factor of 30 or more parts from that of most days."""
    days = _daily_medians(rows, rows["bid_quantity_1pct"])
    return _on_days_apart(rows, days, np.ones(max(len(days) - 1, 0), dtype=bool))


def _day_of(rows: pd.DataFrame) -> NDArray[np.int64]:
    return np.asarray(rows["event_time"].astype("int64").to_numpy() // DAY)


def _daily_medians(rows: pd.DataFrame, values: pd.Series, beside: pd.Series | None = None) -> pd.DataFrame:
    """Return, by day since 1970, medians over the rows whose value is above 0; of the days that have enough of them.

    Columns are ``level``, ``beside`` (that of the other values over the same rows) and ``weight``, the rows of the day.
    """
    table = pd.DataFrame({"level": values, "beside": values if beside is None else beside})
    table["day"] = _day_of(rows)
    sizes = table.groupby("day").size()
    alive = table[table["level"] > 0.0].groupby("day")
    counts = alive.size()
    judged = counts.index[counts >= max(LEAST_ROWS, sizes.median() / 2.0)]
    return alive.median().assign(weight=sizes).loc[judged]


def _on_days_apart(rows: pd.DataFrame, days: pd.DataFrame, foreign: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if len(days) < 3:
        return np.zeros(len(rows), dtype=bool)
    next_day = np.diff(days.index.to_numpy()) == 1
    level, weight = days["level"].to_numpy(), days["weight"].to_numpy(dtype=np.float64)
    apart = _apart_from_most(level, next_day, foreign, weight, DAILY_FACTOR)
    return np.isin(_day_of(rows), days.index.to_numpy()[apart])


def _neighbours(rows: pd.DataFrame) -> NDArray[np.bool_]:
    steps = np.diff(rows["event_time"].astype("int64").to_numpy())
    return np.asarray(steps <= max(DAY, 1.5 * np.median(steps)) if len(steps) else steps > 0)


def _apart_from_most(
    level: NDArray[np.float64],
    near: NDArray[np.bool_],
    foreign: NDArray[np.bool_],
    weight: NDArray[np.float64],
    factor: float,
) -> NDArray[np.bool_]:
    """Return which values jumps part from the level at which most of the weight stands.

    Parameters
    ----------
    level, weight : float64 arrays of shape (values,)
        Above 0; how much each value counts.
    near, foreign : bool arrays of shape (values - 1,)
        Whether a step is one between neighbours, and whether it is none that a market makes.
    factor
        Least jump.
    """
    steps = np.diff(np.log(level))
    jumps = near & (np.abs(steps) >= np.log(factor))
    if not (jumps & foreign).any():
        return np.zeros(len(level), dtype=bool)
    # Only the jumps are summed: what the market does in between moves no level.
    path = np.concatenate([[0.0], np.cumsum(np.where(jumps, steps, 0.0))])
    # Two levels are one if a jump and its way back leave less than half a jump between them.
    levels = np.round(path / np.log(factor))
    kinds, places = np.unique(levels, return_inverse=True)
    usual = kinds[np.argmax(np.bincount(places, weights=weight))]
    return np.asarray(levels != usual)
