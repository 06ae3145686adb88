"""Correlations of recent hourly returns, which put positions into one cluster."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from slackwater.times import HOUR_US
from slackwater.types import Floats, Ints

__all__ = ["Closes", "HourlyCorrelations", "HourlyPrices"]

_WINDOW = 30 * 24
_LEAST = 7 * 24


class Closes(Protocol):
    """Closes of bars (USDT) and their times (microseconds since 1970, rising), such as those of a price path."""

    @property
    def close_time(self) -> Ints: ...  # noqa: D102
    @property
    def close(self) -> Floats: ...  # noqa: D102


class HourlyPrices(NamedTuple):
    """Log prices of one symbol at full hours: what correlations need of its bars.

    Parameters
    ----------
    first
        Hour of the first price, in hours since 1970.
    log_price
        Logarithm of the close of the last bar that had closed by each hour, up to the hour after the last close,
        float64, shape (n,); NaN where no bar closed in the hour before.
    """

    first: int
    log_price: Floats

    @classmethod
    def of(cls, path: Closes) -> HourlyPrices:
        """Return the prices of a symbol from the closes of its bars."""
        first, last = int(path.close_time[0]) // HOUR_US, int(path.close_time[-1]) // HOUR_US
        hours = np.arange(first, last + 2) * HOUR_US
        at = np.searchsorted(path.close_time, hours, side="right") - 1
        fresh = (at >= 0) & (hours - path.close_time[np.maximum(at, 0)] < HOUR_US)
        return cls(first, np.where(fresh, np.log(path.close[np.maximum(at, 0)]), np.nan))


class HourlyCorrelations:
    """Correlations of hourly log returns over the last 30 days, as known at any time.

    Parameters
    ----------
    prices
        Hourly prices by symbol; `of` makes them of closes.

    Notes
    -----
    The price of an hour is the close of the last bar that had closed by then; an hour in which none closed has
    no return. A pair with fewer than seven days of common returns is left out.
    """

    def __init__(self, prices: Mapping[str, HourlyPrices]) -> None:
        self._first = min((first for first, _ in prices.values()), default=0)
        hours = max((first + len(values) for first, values in prices.values()), default=1) - 1 - self._first
        self._returns = {
            symbol: _returns(values, first - self._first, hours) for symbol, (first, values) in prices.items()
        }
        self._hour: int | None = None
        self._known: dict[tuple[str, str], float | None] = {}

    @classmethod
    def of(cls, paths: Mapping[str, Closes]) -> HourlyCorrelations:
        """Return the correlations of closes by symbol."""
        return cls({symbol: HourlyPrices.of(path) for symbol, path in paths.items()})

    def at(self, time_us: int, symbols: Iterable[str]) -> Mapping[tuple[str, str], float]:
        """Return the correlations that were known at a time, of all pairs of some symbols.

        A market has many more pairs than symbols, so those of an hour are computed when they are first asked for.

        Parameters
        ----------
        time_us
            The time, microseconds since 1970.
        symbols
            Such as that of a decision and those of the open positions; one without a price is left out.
        """
        hour = time_us // HOUR_US
        if hour != self._hour:
            self._hour, self._known = hour, {}
        end = hour - self._first + 1
        window = slice(max(end - _WINDOW, 0), max(end, 0))
        found = {}
        for pair in itertools.combinations(sorted(self._returns.keys() & set(symbols)), 2):
            if pair not in self._known:
                self._known[pair] = self._correlation(pair, window)
            if (known := self._known[pair]) is not None:
                found[pair] = known
        return found

    def mean(self) -> float:
        """Return the mean over all pairs of symbols of the correlation over all hours; NaN without a pair."""
        pairs = itertools.combinations(sorted(self._returns), 2)
        found = [each for pair in pairs if (each := self._correlation(pair, slice(None))) is not None]
        return float(np.mean(found)) if found else float("nan")

    def _correlation(self, pair: tuple[str, str], window: slice) -> float | None:
        x, y = (self._returns[symbol][window] for symbol in pair)
        both = ~np.isnan(x) & ~np.isnan(y)
        x, y = x[both], y[both]
        if len(x) < _LEAST or x.std() == 0.0 or y.std() == 0.0:
            return None
        return float(np.corrcoef(x, y)[0, 1])


def _returns(prices: Floats, start: int, hours: int) -> Floats:
    """Return the log return of each of `hours` hours, of prices that begin at the hour `start` of them."""
    held = np.full(hours, np.nan)
    inside = prices[: hours - start]
    held[start : start + len(inside)] = inside
    return np.append(np.nan, np.diff(held))
