"""Values that stand still: a feed that repeats its last word is silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.traded import Traded

__all__ = ["frozen_depth", "frozen_open_interest"]

REPEATS: Final = 6
OPEN_INTEREST_SPAN: Final = timedelta(hours=3)
DEPTH_SPAN: Final = timedelta(hours=1)
"""How long a value must have stood still, and in how many further rows, before it counts as frozen. Open interest in
coins and depth change with nearly every trade; in 140,000 hours of Bybit no open interest came three times."""
LEAST_TRADES: Final = 30
LEAST_TURNOVER: Final = 0.01
"""What must have been traded meanwhile. A trade that passes a position on leaves the interest as it is, thirty in a row
do not. Bars that do not count their trades must have turned over 1 % of it; BTC, ETH, SOL and XRP at Bybit turned over
3 % or more in 999 of 1,000 spans of six hours."""


def frozen_open_interest(rows: pd.DataFrame, traded: Traded | None) -> NDArray[np.bool_]:
    """Return which rows repeat an open interest that has stood still for 3 hours and 6 rows while the market traded.

    It did with 30 trades or more. Where its bars do not count them, 30 bars with a volume will do, or all that there
    are and 6 at least, if 1 % of the open interest was turned over.
    """
    if traded is None:
        return np.zeros(len(rows), dtype=bool)
    stamps = rows["event_time"].astype("int64").to_numpy()
    level = rows["open_interest"].to_numpy()
    start = _run_starts(level)
    bad = _frozen(stamps, start, OPEN_INTEREST_SPAN)
    if bad.any():
        bad[bad] = _busy(traded, stamps[start[bad]], stamps[bad], level[bad])
    return bad


def _busy(
    traded: Traded, start: NDArray[np.int64], end: NDArray[np.int64], level: NDArray[np.float64]
) -> NDArray[np.bool_]:
    seen = traded.within(start, end)
    if traded.counted:
        return np.asarray(seen.trades >= LEAST_TRADES)
    everywhere = seen.trades >= np.clip(seen.bars, REPEATS, LEAST_TRADES)
    return np.asarray(everywhere & (seen.volume >= LEAST_TURNOVER * level))


def frozen_depth(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows have a band of the book, any of them, that has stood still for an hour and 6 rows."""
    stamps = rows["event_time"].astype("int64").to_numpy()
    bad = np.zeros(len(rows), dtype=bool)
    for name in rows.columns:
        if "_quantity_" in name:
            bad |= _frozen(stamps, _run_starts(rows[name].to_numpy()), DEPTH_SPAN)
    return bad


def _run_starts(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return for each row the place of the first row of its run of equal values."""
    places = np.arange(len(values))
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = values[1:] != values[:-1]
    return np.maximum.accumulate(np.where(fresh, places, 0))


def _frozen(stamps: NDArray[np.int64], start: NDArray[np.intp], span: timedelta) -> NDArray[np.bool_]:
    repeats = np.arange(len(stamps)) - start
    elapsed = stamps - stamps[start]
    return np.asarray((repeats >= REPEATS) & (elapsed >= span // timedelta(microseconds=1)))
