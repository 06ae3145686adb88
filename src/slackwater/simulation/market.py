"""The simulated market as tables; the public interface of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slackwater.parallel import run_tasks
from slackwater.simulation.footprint import (
    disk_needed,
    memory_needed,
    refuse_beyond_disk,
    refuse_beyond_memory,
    streaming_memory_needed,
)
from slackwater.simulation.minute_step import run_market
from slackwater.simulation.request import MarketRequest
from slackwater.simulation.shocks import random_streams
from slackwater.simulation.tables import (
    DEFAULT_LAGS,
    Columns,
    columns_of_run,
    stack_tables,
    truth_of_run,
    venue_feed,
)
from slackwater.storage import atomic_directory

__all__ = ["TRUTH", "MarketRequest", "SimulatedMarket", "simulate", "simulate_symbol", "stream_market"]

Progress = Callable[[str], None]

#: Directory of the truth, apart from the tables.
TRUTH = "truth"


class SimulatedMarket(NamedTuple):
    """Tables of a simulated market, and its truth.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Canonical tables, sorted by symbol and event time: `fine_bars` and `mark_price` (1-minute bars),
        `open_interest`, `premium_index` and `depth` (every 5 minutes), `funding` (every 8 or 4 hours),
        `liquidations`, `large_trades` and `whale_transfers` (events). Prices are quote currency per coin,
        quantities coin, rates fractions. The `event_time` of a transfer is its block's, a random while after the coins
        were sent.
    truth : dict of str to DataFrame
        Not canonical: these have no `available_time`, and nothing that makes features can read them. `latent` (every
        5 minutes): the martingale part of the log price, the pressures that would displace it at signal 1 (log
        price), the crowd's eagerness and net long share, phase (0 calm, 1 final push, 2 unwind) and its side, side of
        a sweep, volatility over its mean, and the coins of whales and of the hunter. `liquidations`: every one,
        whatever the venue publishes.
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, pd.DataFrame]


def simulate(request: MarketRequest, *, progress: Progress | None = None) -> SimulatedMarket:
    """Return the tables and the truth of perpetual futures on a SYNTHETIC market.

    At `signal` 0 the log price is a martingale, and a symmetric one at `skew` 0: nothing predicts its direction,
    although every other table is as active.

    Parameters
    ----------
    request : MarketRequest
        Symbols, span, seed and parameters of the market.
    progress : callable, optional
        Function that is called with one line per symbol.

    Raises
    ------
    ParameterError
        If the tables are larger than the machine's memory; the message has the estimate.

    Notes
    -----
    The numbers are not evidence about real markets: all predictability comes from `signal`.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> new_year = datetime(2024, 1, 1, tzinfo=UTC)
    >>> request = MarketRequest(symbols=["BTCUSDT"], start=new_year, end=datetime(2024, 1, 2, tzinfo=UTC), seed=1)
    >>> len(simulate(request).tables["fine_bars"])
    1440
    """
    refuse_beyond_memory(memory_needed(request))
    return _tables(request, request.symbols, progress)


def simulate_symbol(request: MarketRequest, symbol: str) -> SimulatedMarket:
    """Return what `simulate` returns of one symbol, without the others; as many at a time as there is memory for."""
    return _tables(request, [symbol], None)


def stream_market(directory: str | Path, request: MarketRequest, *, progress: Progress | None = None) -> None:
    """Write a simulated market to parquet files symbol by symbol, with one symbol in memory at a time.

    Parameters
    ----------
    directory : path
        Directory of one file per table, with row groups per symbol, as `slackwater.storage.read_tables` reads it; the
        truth is in its subdirectory `TRUTH`. It appears complete or not at all, and replaces an existing one.
    request : MarketRequest
        The request.
    progress : callable, optional
        Function that is called with one line per symbol.

    Raises
    ------
    ParameterError
        If one symbol is larger than the machine's memory, or all of them than the free disk; the message has the
        estimate.
    """
    refuse_beyond_memory(streaming_memory_needed(request))
    refuse_beyond_disk(disk_needed(request), Path(directory))
    with atomic_directory(directory) as temporary, ExitStack() as open_files:
        (temporary / TRUTH).mkdir()
        writers: dict[Path, pq.ParquetWriter] = {}
        for symbol in sorted(request.symbols):
            market = _tables(request, [symbol], progress)
            for folder, tables in ((temporary, market.tables), (temporary / TRUTH, market.truth)):
                for name in list(tables):
                    part = _arrow(tables.pop(name))
                    path = folder / f"{name}.parquet"
                    if path not in writers:
                        writer = pq.ParquetWriter(path, part.schema, compression="zstd", compression_level=1)
                        writers[path] = open_files.enter_context(writer)
                    writers[path].write_table(part)


def _arrow(table: pd.DataFrame) -> pa.Table:
    with warnings.catch_warnings():
        # pyarrow reads times in a way that pandas deprecates; DataFrame.to_parquet silences it, too.
        warnings.simplefilter("ignore")
        return pa.Table.from_pandas(table, preserve_index=False, nthreads=1)


def _tables(request: MarketRequest, symbols: Sequence[str], progress: Progress | None) -> SimulatedMarket:
    tables, truth = {}, {}
    made = run_tasks(partial(_one_symbol, request), {symbol: symbol for symbol in symbols})
    for symbol, (tables[symbol], truth[symbol]) in zip(symbols, made, strict=True):
        if progress is not None:
            progress(f"{symbol}: simulated {request.minutes(symbol):,} minutes")
    return SimulatedMarket(stack_tables(tables, lags={**DEFAULT_LAGS, **request.lags}), stack_tables(truth, lags=None))


def _one_symbol(request: MarketRequest, symbol: str) -> tuple[dict[str, Columns], dict[str, Columns]]:
    """Return the columns of the tables and of the truth of one symbol."""
    parameters, listed = request.parameters(symbol), request.listed_minute(symbol)
    run = run_market(
        parameters,
        random_streams(symbol, request.seed),
        first_minute=listed,
        minutes=request.minutes(symbol),
        unlisted_minutes=listed - request.first_minute,
    )
    columns = columns_of_run(symbol, run, parameters, first_minute=listed)
    if request.liquidation_cap is not None:
        columns["liquidations"] = venue_feed(columns["liquidations"], request.liquidation_cap)
    return columns, truth_of_run(run, parameters, first_minute=listed)
