"""Request for a simulated market, with checks of every field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slackwater.errors import ParameterError
from slackwater.simulation.minute_step import SNAPSHOT_MINUTES
from slackwater.simulation.parameters import MarketParameters, parameters_of
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.times import MINUTE_US, epoch_us

__all__ = ["MarketRequest"]

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class MarketRequest:
    """Request for simulated perpetual futures over a span of time.

    Parameters
    ----------
    symbols : sequence of str
        Names of the perpetuals; their order does not matter, and each symbol's market is the same with or without
        the others. BTCUSDT, ETHUSDT, SOLUSDT and XRPUSDT have their own volatility, price and size, and XRPUSDT
        settles funding every four hours from October 2023.
    start, end : datetime
        First open and last close, with a time zone; multiples of five minutes, `start` not before 1970.
    seed : int
        In [0, 2**63). The same seed gives the same bytes, and a longer run begins with the shorter one.
    signal : float, default 0.4
        Share of the pressure of crowd, whales and forced trades that moves the price, in [0, 1].
    whale_signal : float, default 0.5
        Weight of the pressure against which whales trade, rather than for reasons of their own, in [0, 1].
    listings : Mapping of str to datetime, optional
        First open by symbol, a multiple of five minutes within the span; by default `start`. The market afterwards is
        the same as without the listing.
    liquidation_cap : timedelta, optional
        Length of the slots of which the venue publishes only the last liquidation per symbol (Binance: one second).
        None: it publishes every one.
    lags : Mapping of str to timedelta, optional
        Lag of `available_time` behind `event_time` by table; replaces the defaults of these tables.
    options : Mapping of str to float, optional
        Any other field of `MarketParameters`, for all symbols alike.

    Raises
    ------
    ParameterError
        If a symbol is missing, repeated or not a name; a time is naive, off the five minutes, or `end` is not after
        `start`; a listing is outside of the span or of another symbol; a seed, signal, cap, lag or
        option is outside of its range; or an option is unknown.
    """

    symbols: Sequence[str]
    start: datetime
    end: datetime
    seed: int
    signal: float = 0.4
    whale_signal: float = 0.5
    listings: Mapping[str, datetime] = field(default_factory=dict)
    liquidation_cap: timedelta | None = None
    lags: Mapping[str, timedelta] = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_symbols(self.symbols)
        if _whole_minutes("start", self.start) < 0:
            raise ParameterError(f"`start` must not be before 1970, was {self.start.isoformat()}")
        if _whole_minutes("end", self.end) <= self.first_minute:
            raise ParameterError(f"`end` must be after `start` ({self.start.isoformat()}), was {self.end.isoformat()}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed <= _LARGEST_SEED:
            raise ParameterError(f"`seed` must be an integer in [0, {_LARGEST_SEED}], was {self.seed!r}")
        for symbol, listing in self.listings.items():
            if symbol not in self.symbols:
                raise ParameterError(f"`listings` must name symbols of the request; one was `{symbol}`")
            if not self.first_minute <= _whole_minutes(f"listings[{symbol}]", listing) < self.last_minute:
                raise ParameterError(
                    f"`listings[{symbol}]` must lie between `start` and `end`, was {listing.isoformat()}"
                )
        cap = self.liquidation_cap
        if cap is not None and not (isinstance(cap, timedelta) and cap > timedelta(0)):
            raise ParameterError(f"`liquidation_cap` must be a positive timedelta, or None, was {cap!r}")
        _check_lags(self.lags)
        for symbol in self.symbols:
            self.parameters(symbol)

    @property
    def first_minute(self) -> int:
        """Minutes from 1970 to `start`."""
        return _whole_minutes("start", self.start)

    @property
    def last_minute(self) -> int:
        """Minutes from 1970 to `end`."""
        return _whole_minutes("end", self.end)

    def listed_minute(self, symbol: str) -> int:
        """Return the minutes from 1970 to the first open of a symbol."""
        return _whole_minutes(f"listings[{symbol}]", self.listings.get(symbol, self.start))

    def minutes(self, symbol: str) -> int:
        """Return the number of a symbol's minute bars."""
        return self.last_minute - self.listed_minute(symbol)

    def parameters(self, symbol: str) -> MarketParameters:
        """Return the market parameters of a symbol."""
        return parameters_of(symbol, {"signal": self.signal, "whale_signal": self.whale_signal, **self.options})


def _check_symbols(symbols: Sequence[str]) -> None:
    if isinstance(symbols, str) or not symbols:
        raise ParameterError(f"`symbols` must be a non-empty sequence of names, was {symbols!r}")
    for symbol in symbols:
        if not isinstance(symbol, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*", symbol):
            raise ParameterError(f"`symbols` must hold names such as 'BTCUSDT', one was {symbol!r}")
    repeated = sorted({symbol for symbol in symbols if list(symbols).count(symbol) > 1})
    if repeated:
        raise ParameterError(f"`symbols` must not repeat a name, {', '.join(repeated)} came twice")


def _whole_minutes(name: str, time: datetime) -> int:
    if not isinstance(time, datetime):
        raise ParameterError(f"`{name}` must be a datetime, was {time!r}")
    if time.tzinfo is None:
        raise ParameterError(f"`{name}` must carry a time zone, was {time.isoformat()}")
    minutes, rest = divmod(epoch_us(time), MINUTE_US)
    if rest or minutes % SNAPSHOT_MINUTES:
        raise ParameterError(f"`{name}` must be on whole {SNAPSHOT_MINUTES} minutes, was {time.isoformat()}")
    return minutes


def _check_lags(lags: Mapping[str, timedelta]) -> None:
    for table, lag in lags.items():
        if table not in DEFAULT_LAGS:
            raise ParameterError(f"`lags` must name tables among {', '.join(DEFAULT_LAGS)}; one was `{table}`")
        if not isinstance(lag, timedelta) or lag < timedelta(0):
            raise ParameterError(f"`lags[{table}]` must be a timedelta of at least 0, was {lag!r}")
