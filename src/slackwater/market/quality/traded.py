"""How much was traded between two moments, as far as the bars tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Traded"]


@dataclass(frozen=True)
class Traded:
    """The bars of one symbol, for questions about the time between two stamps.

    Parameters
    ----------
    opens, closes : int64 array of shape (bars,)
        Times, microseconds since 1970, increasing.
    volume : float64 array of shape (bars + 1,)
        Coins traded before each bar, and in all.
    trades : float64 array of shape (bars + 1,)
        Trades before each bar, and in all; where the bars do not count them, bars in which there was one.
    counted
        Whether they do.
    """

    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    volume: NDArray[np.float64]
    trades: NDArray[np.float64]
    counted: bool

    @classmethod
    def of(cls, bars: pd.DataFrame) -> Traded:
        """Return what was traded in the bars of one symbol."""
        counted = "trade_count" in bars
        trades = bars["trade_count"] if counted else bars["volume"] > 0.0
        return cls(
            opens=bars["open_time"].astype("int64").to_numpy(),
            closes=bars["event_time"].astype("int64").to_numpy(),
            volume=_before(bars["volume"]),
            trades=_before(trades),
            counted=counted,
        )

    def volume_between(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the coins traded in every bar that overlaps (start, end]; NaN where the bars leave out a part of it.

        The bars at both ends count in full, so that the answer is never too little.
        """
        return self._between(self.volume, start, end)

    def trades_between(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the same of the trades."""
        return self._between(self.trades, start, end)

    def bars_between(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how many bars these are."""
        return self._between(np.arange(len(self.closes) + 1, dtype=np.float64), start, end)

    def _between(
        self, total: NDArray[np.float64], start: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        if not len(self.closes):
            return np.full(len(start), np.nan)
        first = np.searchsorted(self.closes, start, side="right")
        last = np.searchsorted(self.closes, end, side="left")
        inside = np.clip(last, 0, len(self.closes) - 1)
        begun = np.clip(first, 0, len(self.closes) - 1)
        spacing = self.closes[begun] - self.opens[begun]
        covered = (last < len(self.closes)) & (first <= last) & (self.opens[begun] <= start)
        covered &= self.closes[inside] - self.opens[begun] <= (last - first + 1) * spacing
        return np.where(covered, total[inside + 1] - total[begun], np.nan)


def _before(values: pd.Series) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values.to_numpy(dtype=np.float64))])
