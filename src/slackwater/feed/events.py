"""Trades and liquidations of a feed: each counts once, and of trades only the large ones are rows."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final

import numpy as np

from slackwater.feed.items import Quality
from slackwater.sources.large_trades import LargeTradeRule, LargeTradeSelector, TradeSizes
from slackwater.times import HOUR_US, MINUTE_US

__all__ = ["MEMORY_US", "LargeTrades", "Seen"]

MEMORY_US: Final = 10 * MINUTE_US
"""How far back repetitions are recognised; older events are dropped, since they may be repetitions."""


class Seen:
    """Memory of the events of one symbol and stream."""

    def __init__(self) -> None:
        self._times: dict[Hashable, int] = {}
        self.newest = -(2**62)

    def judge(self, key: Hashable, time: int) -> Quality | None:
        """Return why an event is to be dropped; None, and remember it, if it is new. `time` is in microseconds."""
        if time < self.newest - MEMORY_US:
            return Quality.STALE
        if key in self._times:
            return Quality.DUPLICATE
        self._times[key] = time
        self.newest = max(self.newest, time)
        while self._times:
            first = next(iter(self._times))
            if self._times[first] >= self.newest - MEMORY_US:
                break
            del self._times[first]
        return None

    def __contains__(self, key: Hashable) -> bool:
        return key in self._times


class LargeTrades:
    """Selector of the large trades of one symbol, one by one.

    Parameters
    ----------
    rule
        What counts as large.
    sizes
        Counts of the trades of earlier hours; None: there are none.
    """

    def __init__(self, rule: LargeTradeRule, sizes: TradeSizes | None) -> None:
        self._selector = LargeTradeSelector(rule)
        if sizes is not None:
            self._selector.observe(sizes)
        self._hour = -1
        self._threshold = math.inf
        self._times: list[int] = []
        self._notionals: list[float] = []

    @property
    def warming(self) -> bool:
        """Whether there is too little history for any trade to be large."""
        return math.isinf(self._threshold)

    def add(self, time: int, notional: float) -> bool:
        """Take a trade (microseconds, USD), and return whether it is large.

        One that comes after the first of a later hour is judged by the threshold of that hour, and not counted.
        """
        hour = time // HOUR_US
        if hour > self._hour:
            if self._times:
                self._selector.observe(TradeSizes.of(np.array(self._times), np.array(self._notionals)))
            self._times, self._notionals, self._hour = [], [], hour
            self._threshold = self._selector.threshold(hour)
        if hour == self._hour:
            self._times.append(time)
            self._notionals.append(notional)
        return notional >= self._threshold
