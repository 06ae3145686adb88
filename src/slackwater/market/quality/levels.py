"""Detection of unit changes: a level that jumps by a factor, such as contracts for coins, and stays or jumps back.

Markets jump too. So a level counts as another unit only if at least one of its jumps cannot come from the market: a
price beyond the bar that leads to it, more open interest than was traded, larger trades, more volume at an unchanged
range.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.quality.open_interest import MOST_OF_VOLUME
from slackwater.market.quality.traded import Traded, counts_trades
from slackwater.times import DAY_US, epochs_us
from slackwater.types import Bools, Floats, Ints

__all__ = ["depth_in_other_unit", "interest_in_other_unit", "price_in_other_unit", "volume_in_other_unit"]

STEP_FACTOR: Final = 5.0
"""Least jump between two rows; units differ by 10 or more."""
LONGEST_STEP: Final = DAY_US
"""Longest step between neighbours (microseconds), unless most are further apart; a longer gap is not judged."""
DAILY_FACTOR: Final = 30.0
"""Least jump between the medians of two days, for noisy values: volume and depth."""
RANGE_FACTOR: Final = 3.0
"""A day that truly trades 30 times as much has about 10 times the range: over the largest jumps of volume between two
days at Bybit and Binance, the range grew with the power .65 to .77 of the volume. A change of unit moves no price."""
LEAST_ROWS: Final = 4
"""Least rows of a day; it also needs half the rows of a usual day, since the median of fewer would be noise."""


def price_in_other_unit(rows: pd.DataFrame) -> Bools:
    """Flag bars whose close is separated from the main price level by a jump of 5x or more (a unit change).

    A crash shows inside the bar; after a unit change all prices of the bar are beyond a factor of 5.
    """
    before = rows["close"].to_numpy()[:-1]
    low, high = rows["low"].to_numpy()[1:], rows["high"].to_numpy()[1:]
    beyond = (low >= STEP_FACTOR * before) | (high <= before / STEP_FACTOR)
    return _apart_from_most(rows["close"].to_numpy(), _neighbours(rows), beyond, np.ones(len(rows)), STEP_FACTOR)


def interest_in_other_unit(rows: pd.DataFrame, traded: Traded | None) -> Bools:
    """Flag open interest separated from its main level by a jump of 5x or more that no trades explain.

    Parameters
    ----------
    rows
        Open interest of one symbol, above 0, in order.
    traded
        Bars of the symbol. Without them every such jump counts; where part of them is missing, none does.
    """
    level = rows["open_interest"].to_numpy()
    if traded is None:
        unexplained = np.ones(max(len(level) - 1, 0), dtype=bool)
    else:
        stamps = epochs_us(rows["event_time"])
        most = MOST_OF_VOLUME * traded.volume_between(stamps[:-1], stamps[1:])
        unexplained = np.abs(np.diff(level)) > most  # a small market may well have traded all of it
    return _apart_from_most(level, _neighbours(rows), unexplained, np.ones(len(rows)), STEP_FACTOR)


def volume_in_other_unit(rows: pd.DataFrame) -> Bools:
    """Flag bars on days whose volume is separated from the main level by a jump of 30x or more.

    Volume is in quote currency, because the coins traded grow without bound as a price collapses. Where bars count
    their trades, the volume per trade must jump; elsewhere the range of the bars must stay within a factor of 3, which
    it does not when a market becomes active.
    """
    turnover = rows["volume"] * rows["close"]
    if counts_trades(rows):
        days = _daily_medians(rows, turnover / rows["trade_count"].where(rows["trade_count"] > 0.0))
        steady = np.ones(max(len(days) - 1, 0), dtype=bool)
    else:
        days = _daily_medians(rows, turnover, rows["high"] / rows["low"] - 1.0)
        span = days["beside"].to_numpy()
        steady = np.maximum(span[1:], span[:-1]) <= RANGE_FACTOR * np.minimum(span[1:], span[:-1])
    return _on_days_apart(rows, days, steady)


def depth_in_other_unit(rows: pd.DataFrame) -> Bools:
    """Flag rows on days whose depth is separated from the main level by a jump of 30x or more."""
    days = _daily_medians(rows, rows["bid_quantity_1pct"])
    return _on_days_apart(rows, days, np.ones(max(len(days) - 1, 0), dtype=bool))


def _day_of(rows: pd.DataFrame) -> Ints:
    return np.asarray(epochs_us(rows["event_time"]) // DAY_US)


def _daily_medians(rows: pd.DataFrame, values: pd.Series, beside: pd.Series | None = None) -> pd.DataFrame:
    """Return medians of both values over the rows with a value above 0, and the rows per day, for days with enough."""
    table = pd.DataFrame({"level": values, "beside": values if beside is None else beside})
    table["day"] = _day_of(rows)
    sizes = table.groupby("day").size()
    alive = table[table["level"] > 0.0].groupby("day")
    counts = alive.size()
    judged = counts.index[counts >= max(LEAST_ROWS, sizes.median() / 2.0)]
    return alive.median().assign(weight=sizes).loc[judged]


def _on_days_apart(rows: pd.DataFrame, days: pd.DataFrame, unexplained: Bools) -> Bools:
    if len(days) < 3:
        return np.zeros(len(rows), dtype=bool)
    next_day = np.diff(days.index.to_numpy()) == 1
    level, weight = days["level"].to_numpy(), days["weight"].to_numpy(dtype=np.float64)
    apart = _apart_from_most(level, next_day, unexplained, weight, DAILY_FACTOR)
    return np.isin(_day_of(rows), days.index.to_numpy()[apart])


def _neighbours(rows: pd.DataFrame) -> Bools:
    steps = np.diff(epochs_us(rows["event_time"]))
    return np.asarray(steps <= max(LONGEST_STEP, 1.5 * np.median(steps)) if len(steps) else steps > 0)


def _apart_from_most(level: Floats, near: Bools, unexplained: Bools, weight: Floats, factor: float) -> Bools:
    """Flag values (above 0) that jumps by `factor` separate from the level that holds most of the weight.

    Whether a step is between neighbours (`near`), and whether the market cannot have made it (`unexplained`).
    """
    steps = np.diff(np.log(level))
    jumps = near & (np.abs(steps) >= np.log(factor))
    if not (jumps & unexplained).any():
        return np.zeros(len(level), dtype=bool)
    # Only jumps are summed: market moves in between do not change the level.
    path = np.concatenate([[0.0], np.cumsum(np.where(jumps, steps, 0.0))])
    # Two levels are equal if a jump and its reversal leave less than half a jump between them.
    levels = np.round(path / np.log(factor))
    kinds, places = np.unique(levels, return_inverse=True)
    usual = kinds[np.argmax(np.bincount(places, weights=weight))]
    return np.asarray(levels != usual)
