"""Selection of large trades by the trades before them, in one pass and little memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from slackwater.errors import OrderError, ParameterError
from slackwater.times import HOUR, HOUR_US, epochs_us

__all__ = ["LargeTradeRule", "LargeTradeSelector", "TradeSizes", "select_large_trades"]

#: Sizes are counted in bins of 2 %, from one USD to a billion: some hours of them are small beside their trades.
BINS_PER_E: Final = 50
SMALLEST_USD: Final = 1.0
BINS: Final = math.ceil(BINS_PER_E * math.log(1e9 / SMALLEST_USD)) + 1


@dataclass(frozen=True, kw_only=True)
class LargeTradeRule:
    """Rule by which a trade is large.

    Parameters
    ----------
    quantile
        A trade is large if it is above this quantile of the trades of the hours before its own, in (0, 1); known to
        2 % of the size.
    floor_usd
        And at least as large as this.
    window
        How far back the quantile looks, in whole hours; the hour of the trade itself does not count.
    warm_up
        Nothing is selected in so many first hours, because there is too little to compare with.
    """

    quantile: float = 0.999
    floor_usd: float = 100_000.0
    window: timedelta = timedelta(days=7)
    warm_up: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        if not 0.0 < self.quantile < 1.0:
            raise ParameterError(f"`quantile` must be in (0, 1), was {self.quantile}")
        if not self.floor_usd >= 0.0:
            raise ParameterError(f"`floor_usd` must be at least 0, was {self.floor_usd}")
        if any(each < HOUR or each % HOUR for each in (self.window, self.warm_up)):
            raise ParameterError("`window` and `warm_up` must be whole hours, at least one")


@dataclass(frozen=True)
class TradeSizes:
    """Number of trades of each size, hour by hour.

    Parameters
    ----------
    hours : ndarray of int64, shape (n_hours,)
        Hours since 1970, ascending.
    counts : ndarray of int32, shape (n_hours, BINS)
        Trades by size.
    """

    hours: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int32]

    @classmethod
    def of(cls, time: npt.NDArray[np.int64], notional: npt.NDArray[np.float64]) -> TradeSizes:
        """Count trades, in any order.

        Parameters
        ----------
        time : ndarray of int64, shape (n,)
            Microseconds since 1970.
        notional : ndarray of float64, shape (n,)
            Positive, USD.
        """
        hour = time // HOUR_US
        first = int(hour.min()) if len(hour) else 0
        many = int(hour.max()) - first + 1 if len(hour) else 0
        flat = np.bincount((hour - first) * BINS + _bin(notional), minlength=many * BINS)
        counts = flat.astype(np.int32).reshape(many, BINS)
        there = counts.any(axis=1)
        return cls(np.flatnonzero(there) + first, counts[there])

    @classmethod
    def largest(cls, counts: Sequence[TradeSizes]) -> TradeSizes:
        """Return for each hour the counts of whichever has most trades in it: each may lack some of an hour."""
        hours = np.unique(np.concatenate([each.hours for each in counts]))
        out = np.zeros((len(hours), BINS), dtype=np.int32)
        for each in counts:
            place = np.searchsorted(hours, each.hours)
            more = each.counts.sum(axis=1) > out[place].sum(axis=1)
            out[place[more]] = each.counts[more]
        return cls(hours, out)

    def __add__(self, other: TradeSizes) -> TradeSizes:
        hours = np.union1d(self.hours, other.hours)
        counts = np.zeros((len(hours), BINS), dtype=np.int32)
        for each in (self, other):
            counts[np.searchsorted(hours, each.hours)] += each.counts
        return TradeSizes(hours, counts)


class LargeTradeSelector:
    """Selector of large trades in the order of time; its memory of the past is a count by size and hour.

    Parameters
    ----------
    rule
        What counts as large.

    Examples
    --------
    >>> import numpy as np
    >>> rule = LargeTradeRule(quantile=0.9, floor_usd=10.0, warm_up=timedelta(hours=1))
    >>> selector = LargeTradeSelector(rule)
    >>> selector.observe(TradeSizes.of(np.zeros(10, dtype=np.int64), np.arange(1.0, 11.0)))
    >>> selector.select(np.array([HOUR_US, HOUR_US]), np.array([9.0, 50.0])).tolist()
    [False, True]
    """

    def __init__(self, rule: LargeTradeRule) -> None:
        self.rule = rule
        self._hours: deque[tuple[int, npt.NDArray[np.int32]]] = deque()
        self._total = np.zeros(BINS, dtype=np.int64)
        self._first: int | None = None
        self._last = -(2**62)
        self._window = rule.window // HOUR
        self._warm_up = rule.warm_up // HOUR

    def observe(self, sizes: TradeSizes) -> None:
        """Take in the trades of some hours, not earlier than those before.

        Raises
        ------
        OrderError
            If an hour lies before one that was taken in already.
        """
        for hour, counts in zip(sizes.hours.tolist(), sizes.counts, strict=True):
            if hour < self._last:
                raise OrderError("trades must be counted in the order of time, hour by hour")
            self._first = hour if self._first is None else self._first
            if self._hours and hour == self._last:
                self._hours[-1] = (hour, self._hours[-1][1] + counts)
            else:
                self._hours.append((hour, counts.copy()))  # not a view that keeps a month alive
            self._total += counts
            self._last = hour

    def threshold(self, hour: int) -> float:
        """Return the size in USD from which a trade of an hour is large, by what `observe` took in of earlier hours.

        Infinite while warming up. Hours must be asked for in the order of time.
        """
        while self._hours and self._hours[0][0] < hour - self._window:
            self._total -= self._hours.popleft()[1]
        past = self._total.copy()
        for later, counts in reversed(self._hours):
            if later < hour:
                break
            past -= counts
        trades = int(past.sum())
        if self._first is None or hour < self._first + self._warm_up or not trades:
            return math.inf
        # The upper edge of the bin that holds the quantile.
        place = int(np.searchsorted(np.cumsum(past), math.ceil(self.rule.quantile * trades)))
        return max(SMALLEST_USD * math.exp((place + 1) / BINS_PER_E), self.rule.floor_usd)

    def select(self, time: npt.NDArray[np.int64], notional: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which trades are large.

        Parameters
        ----------
        time : ndarray of int64, shape (n,)
            Microseconds since 1970, ascending. The hours before must have been taken in by `observe`.
        notional : ndarray of float64, shape (n,)
            USD.
        """
        hours, place = np.unique(time // HOUR_US, return_inverse=True)
        thresholds = np.array([self.threshold(hour) for hour in hours.tolist()], dtype=np.float64)
        return notional >= thresholds[place] if len(hours) else np.zeros(0, dtype=bool)


def select_large_trades(trades: pd.DataFrame, rule: LargeTradeRule | None = None) -> pd.DataFrame:
    """Return the large ones of a table of trades: of each symbol, by the trades of the hours before.

    Parameters
    ----------
    trades
        Columns `symbol`, `event_time` (ascending within a symbol), `price`, `quantity` (coin), and any others.
    rule
        What counts as large.

    Raises
    ------
    OrderError
        If the trades of a symbol run backwards in time.
    """
    rule = rule or LargeTradeRule()
    large = np.zeros(len(trades), dtype=bool)
    for symbol, places in trades.groupby("symbol", sort=False, observed=True).indices.items():
        rows = trades.iloc[places]
        time = epochs_us(rows["event_time"])
        if (np.diff(time) < 0).any():
            raise OrderError(f"trades of {symbol} run backwards in `event_time`; sort them first")
        notional = (rows["price"] * rows["quantity"]).to_numpy()
        selector = LargeTradeSelector(rule)
        selected = np.zeros(len(time), dtype=bool)
        edges = np.flatnonzero(np.diff(time // HOUR_US)) + 1
        for hour in np.split(np.arange(len(time)), edges):
            selected[hour] = selector.select(time[hour], notional[hour])
            selector.observe(TradeSizes.of(time[hour], notional[hour]))
        large[places] = selected
    return trades[large].reset_index(drop=True)


def _bin(notional: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bin of each size; sizes beyond the ends are in the first or the last one."""
    place = np.log(np.maximum(notional, SMALLEST_USD) / SMALLEST_USD) * BINS_PER_E
    return np.minimum(place, BINS - 1).astype(np.int64)
