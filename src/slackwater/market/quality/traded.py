"""Volume and trades between two times, as far as the bars contain them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.times import epochs_us
from slackwater.types import Floats, Ints

__all__ = ["Traded", "counts_trades"]

COUNTED_SHARE: Final = 0.9
"""Least share of the bars with volume that have a count of trades where trades are counted."""


@dataclass(frozen=True)
class Traded:
    """The bars of one symbol, for questions about the time between two stamps.

    `opens` and `closes` are microseconds since 1970, increasing, shape (bars,). `volume` and `trades` hold the coins
    and the trades before each bar, and in total, shape (bars + 1,); bars that do not count trades (`counted`) give bars
    with volume. `settled` is the close of the last bar of a symbol that no longer trades, None for others.
    """

    opens: Ints
    closes: Ints
    volume: Floats
    trades: Floats
    counted: bool
    settled: int | None = None

    @classmethod
    def of(cls, bars: pd.DataFrame, *, settled: int | None = None) -> Traded:
        """Return what was traded in the bars of one symbol."""
        counted = counts_trades(bars)
        trades = bars["trade_count"] if counted else bars["volume"] > 0.0
        return cls(
            opens=epochs_us(bars["open_time"]),
            closes=epochs_us(bars["event_time"]),
            volume=_before(bars["volume"]),
            trades=_before(trades),
            counted=counted,
            settled=settled,
        )

    def volume_between(self, start: Ints, end: Ints) -> Floats:
        """Return the coins traded in every bar that overlaps (start, end]; NaN where bars are missing in it.

        The bars at both ends count in full, so that the result is never too small.
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

    def within(self, start: Ints, end: Ints) -> Within:
        """Return what was traded in the bars inside [start, end]; never too much, even where bars are missing."""
        first = np.searchsorted(self.opens, start, side="left")
        last = np.maximum(np.searchsorted(self.closes, end, side="right"), first)
        return Within(
            bars=last - first,
            trades=self.trades[last] - self.trades[first],
            volume=self.volume[last] - self.volume[first],
        )


class Within(NamedTuple):
    """What was traded between two times: bars, trades (or bars with volume), coins."""

    bars: NDArray[np.intp]
    trades: Floats
    volume: Floats


def counts_trades(bars: pd.DataFrame) -> bool:
    """Return whether bars count their trades: the column exists and is not filled with zeros."""
    if "trade_count" not in bars:
        return False
    traded = bars["volume"] > 0.0
    return bool((bars["trade_count"][traded] > 0.0).mean() >= COUNTED_SHARE) if traded.any() else True


def _before(values: pd.Series) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values.fillna(0.0).to_numpy(dtype=np.float64))])
