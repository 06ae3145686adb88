"""Bars that cannot be, and bars that repeat the one before."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["ohlc_violation", "repeated_bar"]


def ohlc_violation(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which bars have a high or a low that does not enclose their other prices."""
    open_, high, low, close = (rows[name].to_numpy() for name in ("open", "high", "low", "close"))
    enclosed = (high >= np.maximum(open_, close)) & (low <= np.minimum(open_, close)) & (high >= low)
    return ~enclosed


def repeated_bar(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which bars have all prices and the volume of the bar before, although the price moved within.

    Whoever fills gaps by repetition makes such bars; a market does not.
    """
    bad = np.zeros(len(rows), dtype=bool)
    high, low = rows["high"].to_numpy(), rows["low"].to_numpy()
    volume = rows["volume"].to_numpy()
    bad[1:] = (high[1:] > low[1:]) & (volume[1:] > 0.0)
    for name in ("open", "high", "low", "close", "volume"):
        values = rows[name].to_numpy()
        bad[1:] &= values[1:] == values[:-1]
    return bad
