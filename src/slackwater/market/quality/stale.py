"""Detection of stale values: a feed that repeats its last value is silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.traded import Traded
from slackwater.times import epochs_us, microseconds
from slackwater.types import Bools, Floats, Ints

__all__ = ["frozen_depth", "frozen_open_interest", "repeated_bar"]

REPEATS: Final = 6
OPEN_INTEREST_SPAN: Final = timedelta(hours=3)
DEPTH_SPAN: Final = timedelta(hours=1)
"""Rows and time for which a value must be unchanged before it counts as frozen. Open interest in coins and depth change
with nearly every trade; in 140,000 hours at Bybit no open interest occurred three times in a row."""
LEAST_TRADES: Final = 30
LEAST_TURNOVER: Final = 0.01
"""What must have been traded meanwhile. A trade that transfers a position leaves the interest unchanged; thirty in a
row do not. Where bars do not count trades, 1 % of the interest must have been turned over; BTC, ETH, SOL and XRP at
Bybit turned over 3 % or more in 999 of 1,000 spans of six hours."""


def repeated_bar(rows: pd.DataFrame) -> Bools:
    """Flag bars with all prices and the volume of the bar before, although the price moved within.

    Such bars come from gaps that were filled by repetition.
    """
    bad = np.zeros(len(rows), dtype=bool)
    high, low = rows["high"].to_numpy(), rows["low"].to_numpy()
    volume = rows["volume"].to_numpy()
    bad[1:] = (high[1:] > low[1:]) & (volume[1:] > 0.0)
    for name in ("open", "high", "low", "close", "volume"):
        values = rows[name].to_numpy()
        bad[1:] &= values[1:] == values[:-1]
    return bad


def frozen_open_interest(rows: pd.DataFrame, traded: Traded | None) -> Bools:
    """Flag rows that repeat an open interest unchanged for 3 hours and 6 rows while the market traded.

    The market traded if there were 30 trades. Where bars do not count trades, 30 bars with volume are enough, or all
    bars and at least 6, if 1 % of the open interest was turned over.
    """
    if traded is None:
        return np.zeros(len(rows), dtype=bool)
    stamps = epochs_us(rows["event_time"])
    level = rows["open_interest"].to_numpy()
    start = _run_starts(level)
    bad = _frozen(stamps, start, OPEN_INTEREST_SPAN)
    if bad.any():
        bad[bad] = _busy(traded, stamps[start[bad]], stamps[bad], level[bad])
    return bad


def _busy(traded: Traded, start: Ints, end: Ints, level: Floats) -> Bools:
    seen = traded.within(start, end)
    if traded.counted:
        return np.asarray(seen.trades >= LEAST_TRADES)
    everywhere = seen.trades >= np.clip(seen.bars, REPEATS, LEAST_TRADES)
    return np.asarray(everywhere & (seen.volume >= LEAST_TURNOVER * level))


def frozen_depth(rows: pd.DataFrame) -> Bools:
    """Flag rows with any band of the book unchanged for an hour and 6 rows."""
    stamps = epochs_us(rows["event_time"])
    bad = np.zeros(len(rows), dtype=bool)
    for name in rows.columns:
        if "_quantity_" in name:
            bad |= _frozen(stamps, _run_starts(rows[name].to_numpy()), DEPTH_SPAN)
    return bad


def _run_starts(values: Floats) -> NDArray[np.intp]:
    """Return for each row the place of the first row of its run of equal values."""
    places = np.arange(len(values))
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = values[1:] != values[:-1]
    return np.maximum.accumulate(np.where(fresh, places, 0))


def _frozen(stamps: Ints, start: NDArray[np.intp], span: timedelta) -> Bools:
    repeats = np.arange(len(stamps)) - start
    elapsed = stamps - stamps[start]
    return np.asarray((repeats >= REPEATS) & (elapsed >= microseconds(span)))
