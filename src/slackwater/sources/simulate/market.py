"""The simulated market as tables: the one public entrance to this room."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.sources.simulate.minute_step import SNAPSHOT_MINUTES, run_market
from slackwater.sources.simulate.parameters import parameters_of
from slackwater.sources.simulate.shocks import random_streams
from slackwater.sources.simulate.tables import DEFAULT_LAGS, columns_of_run, stack_tables

__all__ = ["simulate_market"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST_SEED = 2**63 - 1


def simulate_market(
    symbols: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    seed: int,
    signal: float = 0.4,
    whale_signal: float = 0.5,
    lags: Mapping[str, timedelta] | None = None,
    progress: Callable[[str], None] | None = None,
    **options: float,
) -> dict[str, pd.DataFrame]:
    """Simulate perpetual futures on a synthetic market.

    Parameters
    ----------
    symbols : sequence of str
        Names of the perpetuals; their order does not matter, and each symbol's market is the same with or without
        the others. BTCUSDT, ETHUSDT, SOLUSDT and XRPUSDT have a volatility, price and size of their own.
    start, end : datetime
        Timezone-aware; the first open and the last close. Both on whole five minutes, `start` not before 1970.
    seed : int
        In [0, 2**63). The same seed gives the same bytes, and a longer run begins with the shorter one.
    signal : float, default 0.4
        In [0, 1]. How much of the pressure of crowd and forced trades moves the price. At 0 the log price is a
        martingale: nothing predicts its direction, although every other table is as alive as ever.
    whale_signal : float, default 0.5
        In [0, 1]. How much whales lean against the pressure, rather than follow their own taste.
    lags : Mapping of str to timedelta, optional
        Table name to the lag of `available_time` behind `event_time`; replaces the defaults of the tables it names.
    progress : callable, optional
        Called with one line a symbol.
    **options : float
        Any other field of `MarketParameters`, for all symbols alike.

    Returns
    -------
    dict of str to DataFrame
        Canonical tables, sorted by symbol and event time: `path` (1-minute bars), `open_interest`, `premium_index`
        and `depth` (every 5 minutes), `funding` (settled every 8 hours), `liquidations` and `whale_transfers`
        (events). Prices are quote currency per coin, quantities coin, rates fractions.

    Raises
    ------
    ParameterError
        If a symbol is missing, repeated or not a name; a time is naive, off the five minutes, or `end` is not after
        `start`; a seed, signal, lag or option is outside of its range; or an option is unknown.

    Notes
    -----
    The numbers say nothing about real markets: whatever predictability there is was put in by `signal`.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> new_year = datetime(2024, 1, 1, tzinfo=UTC)
    >>> simulate_market(["BTCUSDT"], start=new_year, end=new_year, seed=1)
    Traceback (most recent call last):
    slackwater.errors.ParameterError: `end` must be after `start` (2024-01-01T00:00:00+00:00), was ...
    """
    names = _checked_symbols(symbols)
    first_minute, last_minute = _whole_minutes("start", start), _whole_minutes("end", end)
    if first_minute < 0:
        raise ParameterError(f"`start` must not be before 1970, was {start.isoformat()}")
    if last_minute <= first_minute:
        raise ParameterError(f"`end` must be after `start` ({start.isoformat()}), was {end.isoformat()}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise ParameterError(f"`seed` must be an integer in [0, {LARGEST_SEED}], was {seed!r}")
    table_lags = {**DEFAULT_LAGS, **_checked_lags(lags or {})}
    options = {"signal": signal, "whale_signal": whale_signal, **options}
    parameters = {symbol: parameters_of(symbol, options) for symbol in names}

    parts = {}
    minutes = last_minute - first_minute
    for symbol, its_parameters in parameters.items():
        run = run_market(its_parameters, random_streams(symbol, seed), first_minute=first_minute, minutes=minutes)
        parts[symbol] = columns_of_run(symbol, run, its_parameters, first_minute=first_minute)
        if progress is not None:
            progress(f"{symbol}: simulated {minutes:,} minutes")
    return stack_tables(parts, lags=table_lags)


def _checked_symbols(symbols: Sequence[str]) -> list[str]:
    if isinstance(symbols, str) or not symbols:
        raise ParameterError(f"`symbols` must be a non-empty sequence of names, was {symbols!r}")
    for symbol in symbols:
        if not isinstance(symbol, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*", symbol):
            raise ParameterError(f"`symbols` must hold names such as 'BTCUSDT', one was {symbol!r}")
    repeated = sorted({symbol for symbol in symbols if list(symbols).count(symbol) > 1})
    if repeated:
        raise ParameterError(f"`symbols` must not repeat a name, {', '.join(repeated)} came twice")
    return list(symbols)


def _whole_minutes(name: str, time: datetime) -> int:
    if not isinstance(time, datetime):
        raise ParameterError(f"`{name}` must be a datetime, was {time!r}")
    if time.tzinfo is None:
        raise ParameterError(f"`{name}` must carry a time zone, was {time.isoformat()}")
    minutes, rest = divmod(time - EPOCH, timedelta(minutes=1))
    if rest or minutes % SNAPSHOT_MINUTES:
        raise ParameterError(f"`{name}` must be on whole {SNAPSHOT_MINUTES} minutes, was {time.isoformat()}")
    return minutes


def _checked_lags(lags: Mapping[str, timedelta]) -> Mapping[str, timedelta]:
    for table, lag in lags.items():
        if table not in DEFAULT_LAGS:
            raise ParameterError(f"`lags` must name tables among {', '.join(DEFAULT_LAGS)}; one was `{table}`")
        if not isinstance(lag, timedelta) or lag < timedelta(0):
            raise ParameterError(f"`lags[{table}]` must be a timedelta of at least 0, was {lag!r}")
    return lags
