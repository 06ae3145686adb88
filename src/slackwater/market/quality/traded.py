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
    """

    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    volume: NDArray[np.float64]

    @classmethod
    def of(cls, bars: pd.DataFrame) -> Traded:
        """Return what was traded in the bars of one symbol."""
        return cls(
            bars["open_time"].astype("int64").to_numpy(),
            bars["event_time"].astype("int64").to_numpy(),
            np.concatenate([[0.0], np.cumsum(bars["volume"].to_numpy())]),
        )

    def between(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
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
