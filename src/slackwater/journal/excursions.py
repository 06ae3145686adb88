"""Largest loss and largest gain of a trade while it was open, from fine bars."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.times import epochs_us
from slackwater.types import Floats

__all__ = ["excursions"]

_GAP = 1.5  # bars; a longer hole leaves the extremes unknown


def excursions(trades: pd.DataFrame, fine_bars: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the adverse and the favourable excursion of each trade, before costs, in R.

    Parameters
    ----------
    trades
        As from `slackwater.trading.ledger.Ledger.trades`.
    fine_bars
        `symbol`, `open_time`, `event_time`, `high`, `low`.

    Returns
    -------
    mae_r, mfe_r : ndarray of float, shape (n,)
        >= 0; NaN where bars are missing between entry and exit. The bar of the exit counts with the price of the exit
        alone, because the order of the prices within it is not known.
    """
    out = np.full((2, len(trades)), np.nan)
    bars = {symbol: _Bars(table) for symbol, table in fine_bars.groupby("symbol", observed=True)}
    entries, exits = epochs_us(trades["entry_time"]), epochs_us(trades["exit_time"])
    for at, row in enumerate(trades.itertuples(index=False)):
        if row.symbol not in bars:
            continue
        low, high = bars[row.symbol].extremes(int(entries[at]), int(exits[at]))
        moves = row.side * (np.array([low, high, row.exit, row.entry]) - row.entry) * row.quantity / row.risk_usd
        out[:, at] = -moves.min(), moves.max()  # NaN where an extreme is
    return out[0], out[1]


class _Bars:
    """Bars of one symbol as arrays, in the order of time."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = table.sort_values("event_time")
        self._open, self._close = epochs_us(table["open_time"]), epochs_us(table["event_time"])
        self._low, self._high = table["low"].to_numpy(), table["high"].to_numpy()
        self._longest = _GAP * float(np.median(self._close - self._open))

    def extremes(self, entry_us: int, exit_us: int) -> tuple[float, float]:
        """Return the low and the high of the bars from the entry to the bar before the exit; NaN if one is missing."""
        inside = slice(np.searchsorted(self._open, entry_us), np.searchsorted(self._close, exit_us))
        ends = np.concatenate([[entry_us], self._close[inside], [exit_us]])
        if np.diff(ends).max() > self._longest:
            return np.nan, np.nan
        # Without a whole bar, the exit is in the bar of the entry.
        low, high = self._low[inside], self._high[inside]
        return (float(low.min()), float(high.max())) if low.size else (np.inf, -np.inf)
