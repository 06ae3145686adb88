"""Correlations of recent hourly returns, which put positions into one cluster."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from slackwater.times import HOUR_US
from slackwater.types import Floats, Ints

__all__ = ["Closes", "HourlyCorrelations", "HourlyPrices", "PairCorrelations"]

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
        self._known = _Known(self._returns, None, slice(0))

    @classmethod
    def of(cls, paths: Mapping[str, Closes]) -> HourlyCorrelations:
        """Return the correlations of closes by symbol."""
        return cls({symbol: HourlyPrices.of(path) for symbol, path in paths.items()})

    def at(self, time_us: int, symbols: Iterable[str]) -> PairCorrelations:
        """Return the correlations that were known at a time, of the pairs of some symbols.

        Parameters
        ----------
        time_us
            The time, microseconds since 1970.
        symbols
            Such as that of a decision and those of the open positions; one without a price is left out.
        """
        hour = time_us // HOUR_US
        if hour != self._known.hour:
            end = hour - self._first + 1
            self._known = _Known(self._returns, hour, slice(max(end - _WINDOW, 0), max(end, 0)))
        return PairCorrelations(self._known, self._returns.keys() & set(symbols))

    def mean(self) -> float:
        """Return the mean over all pairs of symbols of the correlation over all hours; NaN without a pair."""
        known = _Known(self._returns, None, slice(None))
        found = list(PairCorrelations(known, self._returns.keys()).values())
        return float(np.mean(found)) if found else float("nan")


class PairCorrelations(Mapping[tuple[str, str], float]):
    """Correlations of the pairs of some symbols, each pair in the order of the names, as known at one time.

    A market has many more pairs than symbols, and most decisions ask for none: each is computed when it is asked for.
    """

    def __init__(self, known: _Known, symbols: Iterable[str]) -> None:
        self._known, self._symbols = known, frozenset(symbols)

    def __getitem__(self, pair: tuple[str, str]) -> float:
        """Return the correlation of a pair; raise KeyError where it is not known."""
        if isinstance(pair, tuple) and len(pair) == 2 and self._symbols.issuperset(pair) and pair[0] < pair[1]:
            found = self._known.of(pair)
            if found is not None:
                return found
        raise KeyError(pair)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for pair in itertools.combinations(sorted(self._symbols), 2):
            if self._known.of(pair) is not None:
                yield pair

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Known:
    """The correlations of an hour that were asked for; None where a pair has too few common returns."""

    def __init__(self, returns: Mapping[str, Floats], hour: int | None, window: slice) -> None:
        self.hour = hour
        self._returns, self._window = returns, window
        self._found: dict[tuple[str, str], float | None] = {}

    def of(self, pair: tuple[str, str]) -> float | None:
        if pair not in self._found:
            self._found[pair] = self._correlation(pair)
        return self._found[pair]

    def _correlation(self, pair: tuple[str, str]) -> float | None:
        x, y = (self._returns[symbol][self._window] for symbol in pair)
        both = ~np.isnan(x) & ~np.isnan(y)
        common = np.stack((x[both], y[both]))
        return _pearson(common) if common.shape[1] >= _LEAST else None


def _pearson(values: Floats) -> float | None:
    """Return the correlation of two rows, None where one is constant.

    It is that of `numpy.corrcoef` to the last digit, in a third of the time: a backtest asks for it at most decisions.
    """
    values -= values.mean(axis=1, keepdims=True)
    covariance = np.dot(values, values.T) * (1.0 / (values.shape[1] - 1))
    deviation_x, deviation_y = np.sqrt(covariance.diagonal())
    if deviation_x == 0.0 or deviation_y == 0.0:
        return None
    return float(np.clip(covariance[0, 1] / deviation_x / deviation_y, -1.0, 1.0))


def _returns(prices: Floats, start: int, hours: int) -> Floats:
    """Return the log return of each of `hours` hours, of prices that begin at the hour `start` of them."""
    held = np.full(hours, np.nan)
    inside = prices[: hours - start]
    held[start : start + len(inside)] = inside
    return np.append(np.nan, np.diff(held))
