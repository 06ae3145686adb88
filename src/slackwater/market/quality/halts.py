"""Detection of contracts that no longer trade: settled, delisted, not yet listed, or halted for a while.

Archives continue with bars without a trade, flat or along the index, and with funding at rest. Coins that trade little
have such bars too, so that a run of them counts by what is usual for the symbol.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.quality.traded import Traded
from slackwater.times import DAY_US, epochs_us, microseconds
from slackwater.types import Bools, Ints

__all__ = ["after_settlement", "moved_without_trades", "settlement", "without_trades"]

SHORTEST: Final = timedelta(hours=1)
FACTOR: Final = 5.0
"""A run of bars without a trade counts if it takes an hour or more, and five times as long as a bar and as the
next shorter run of the symbol."""
PER_WEEK: Final = 1.0
PER_TRADED_BAR: Final = 0.02
"""Runs that are more frequent than either, such as every night, are a habit of the symbol and do not count; one is
allowed."""


def without_trades(rows: pd.DataFrame) -> Bools:
    """Flag bars without a trade in runs far longer than is usual for the symbol."""
    still = _still(rows)
    out = np.zeros(len(rows), dtype=bool)
    if not still.any():
        return out
    opens, closes = epochs_us(rows["open_time"]), epochs_us(rows["event_time"])
    edges = np.diff(np.concatenate([[0], still.astype(np.int8), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    lengths = closes[last] - opens[first]
    rare = 1.0 + min(PER_WEEK * (closes[-1] - opens[0]) / (7 * DAY_US), PER_TRADED_BAR * (~still).sum())
    for place in np.flatnonzero(lengths >= _unusual_from(lengths, closes - opens, rare)):
        out[first[place] : last[place] + 1] = True
    return out


def moved_without_trades(rows: pd.DataFrame) -> Bools:
    """Flag bars without a trade whose price moved: no last price moves without one."""
    return _still(rows) & (rows["high"] > rows["low"]).to_numpy()


def settlement(rows: pd.DataFrame) -> int | None:
    """Return the close of the last bar before a symbol stopped to trade for good, in us; None if it still trades."""
    halted = without_trades(rows)
    if not len(rows) or not halted[-1]:
        return None
    traded = np.flatnonzero(~halted)
    return int(epochs_us(rows["event_time"])[traded[-1]]) if len(traded) else None


def after_settlement(rows: pd.DataFrame, traded: Traded | None) -> Bools:
    """Flag rows later than the last trade of a symbol that was settled or delisted."""
    if traded is None or traded.settled is None:
        return np.zeros(len(rows), dtype=bool)
    return np.asarray(epochs_us(rows["event_time"]) > traded.settled)


def _still(rows: pd.DataFrame) -> Bools:
    still = rows["volume"].to_numpy() == 0.0
    if "trade_count" in rows:
        still &= ~(rows["trade_count"].to_numpy() > 0.0)
    return np.asarray(still)


def _unusual_from(lengths: Ints, bars: Ints, rare: float) -> float:
    """Return the length from which a run is unusual, in us; infinite where none is."""
    usual = float(np.median(bars))
    ordered = np.sort(lengths)
    for place, length in enumerate(ordered.tolist()):
        if len(ordered) - place <= rare and length >= max(FACTOR * usual, microseconds(SHORTEST)):
            return float(length)
        usual = max(usual, float(length))
    return float("inf")
