"""How much was traded between two moments, as far as the bars tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Traded", "counts_trades"]

COUNTED_SHARE: Final = 0.9
"""Of the bars with a volume, this share has a count of trades where they are counted."""


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
        counted = counts_trades(bars)
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
        if not len(self.closes):
            return np.full(len(start), np.nan)
        first = np.searchsorted(self.closes, start, side="right")
        last = np.searchsorted(self.closes, end, side="left")
        inside = np.clip(last, 0, len(self.closes) - 1)
        begun = np.clip(first, 0, len(self.closes) - 1)
        spacing = self.closes[begun] - self.opens[begun]
        covered = (last < len(self.closes)) & (first <= last) & (self.opens[begun] <= start)
        covered &= self.closes[inside] - self.opens[begun] <= (last - first + 1) * spacing
        return np.where(covered, self.volume[inside + 1] - self.volume[begun], np.nan)

    def within(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> Within:
        """Return what was traded in the bars that are inside of [start, end]: never too much, bars left out or not."""
        first = np.searchsorted(self.opens, start, side="left")
        last = np.maximum(np.searchsorted(self.closes, end, side="right"), first)
        return Within(
            bars=last - first,
            trades=self.trades[last] - self.trades[first],
            volume=self.volume[last] - self.volume[first],
        )


class Within(NamedTuple):
    """What was traded between two moments: bars, trades (or bars in which there was one), coins."""

    bars: NDArray[np.intp]
    trades: NDArray[np.float64]
    volume: NDArray[np.float64]


def counts_trades(bars: pd.DataFrame) -> bool:
    """Return whether bars count their trades: the column is there, and is no filling of zeros."""
    if "trade_count" not in bars:
        return False
    traded = bars["volume"] > 0.0
    return bool((bars["trade_count"][traded] > 0.0).mean() >= COUNTED_SHARE) if traded.any() else True


def _before(values: pd.Series) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values.to_numpy(dtype=np.float64))])
