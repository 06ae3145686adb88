"""Detection of a volume that is in another unit than coins in every row, such as USDT or contracts.

A single level contradicts nothing within itself. What it contradicts is the size of markets: the notional of a trade,
the turnover of a day, and how often the open interest is turned over.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.quality.traded import counts_trades
from slackwater.times import DAY_US, epochs_us

__all__ = ["volume_in_doubt"]

SMALLEST_TRADE, LARGEST_TRADE = 0.5, 1e6
"""Usual notional of a trade, in quote currency, that no market falls below or reaches: in 323 perpetuals the median
trade has 51 to 12,200 USD."""
LARGEST_DAY: Final = 3e11
"""Usual turnover of a day that no market reaches: that of the largest perpetual is 1.4e10 USD."""
LEAST_TURNS, MOST_TURNS = 0.02, 100.0
"""Usual volume of a day over the open interest: 1.8 to 6.1 in 123 perpetuals."""
LEAST_DAYS: Final = 5


def volume_in_doubt(bars: pd.DataFrame, interest: pd.DataFrame | None) -> str:
    """Return why the volume of a symbol's bars cannot be in coins; empty if nothing contradicts it.

    Parameters
    ----------
    bars, interest
        Bars and open interest of one symbol, in order; without open interest the other two signs remain.

    Notes
    -----
    A volume in USDT is wrong by the price, so that nothing shows for a coin of about 1 USDT.
    """
    turnover = bars["volume"] * bars["close"]
    days = pd.Series(epochs_us(bars["event_time"]) // DAY_US, index=bars.index)
    if days.nunique() < LEAST_DAYS:
        return ""
    per_day = float(turnover.groupby(days).sum().median())
    signs = []
    if per_day > LARGEST_DAY:
        signs.append(f"{per_day:.2g} of the quote currency are turned over per day, and at most some 1e10 in markets")
    if "trade_count" in bars and counts_trades(bars):
        per_trade = float((turnover / bars["trade_count"].where(bars["trade_count"] > 0.0)).median())
        if not SMALLEST_TRADE <= per_trade <= LARGEST_TRADE:
            signs.append(f"a trade has {per_trade:.2g} of the quote currency, and 50 to 12,000 in most markets")
    turns = _turns_per_day(bars["volume"].groupby(days).sum(), interest)
    if turns < LEAST_TURNS or turns > MOST_TURNS:  # not if unknown
        signs.append(f"the volume of a day is {turns:.2g} of the open interest, and 2 to 6 of it in most markets")
    return "; ".join([*signs, "is volume or open interest in USDT or contracts, not coins?"]) if signs else ""


def _turns_per_day(volume: pd.Series, interest: pd.DataFrame | None) -> float:
    """Return the median of volume over open interest on the days that have both; NaN if those are too few."""
    if interest is None or interest.empty:
        return np.nan
    level = interest["open_interest"].groupby(epochs_us(interest["event_time"]) // DAY_US).median()
    turns = (volume / level).dropna()
    return float(turns.median()) if len(turns) >= LEAST_DAYS else np.nan
