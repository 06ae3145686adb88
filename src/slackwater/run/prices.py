"""Recorded prices of a run, read from its tables one symbol at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from slackwater.storage import finest_bars
from slackwater.symbol_tables import SymbolTables, rows_of_symbol
from slackwater.times import epochs_us
from slackwater.trading.correlations import HourlyPrices
from slackwater.trading.price_path import (
    BAR_COLUMNS,
    FUNDING_COLUMNS,
    MARK_COLUMNS,
    PathsThatAreRead,
    PricePath,
    price_paths,
)
from slackwater.types import Floats, Ints

__all__ = ["BarCloses", "PathsOnDisk", "hourly_prices"]


class PathsOnDisk(PathsThatAreRead):
    """The price path of each symbol that has bars, read when it is asked for; the ones used last are kept.

    Parameters
    ----------
    tables
        Directory of canonical tables.
    symbols
        The symbols that have bars and are wanted; None: all that have bars.

    Raises
    ------
    MissingDataError, SchemaError, OrderError
        As `slackwater.trading.price_path.price_paths`, or if a file is missing or damaged; most of them when the path
        of a symbol is read.
    """

    def __init__(self, tables: str | Path, symbols: Sequence[str] | None = None) -> None:
        super().__init__()
        self._directory, self._bars = Path(tables).resolve(), finest_bars(tables)
        self._symbols = symbols_with_bars(tables) if symbols is None else list(symbols)

    def __reduce__(self) -> tuple[type[PathsOnDisk], tuple[Path, list[str]]]:
        """Send the directory and the symbols, and no prices."""
        return PathsOnDisk, (self._directory, self._symbols)

    def _read(self, symbol: str) -> PricePath:
        bars = rows_of_symbol(self._bars, symbol, list(BAR_COLUMNS))
        funding = self._rows("funding", symbol, FUNDING_COLUMNS)
        mark = self._rows("mark_price", symbol, MARK_COLUMNS)
        return price_paths(bars, funding, mark=mark)[symbol]

    def only(self, symbol: str) -> PathsOnDisk:
        """Return the path of one symbol alone, for a task."""
        return PathsOnDisk(self._directory, [symbol])

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)

    def _rows(self, name: str, symbol: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
        table = self._directory / f"{name}.parquet"
        return rows_of_symbol(table, symbol, list(columns)) if table.exists() else None


def symbols_with_bars(tables: str | Path) -> list[str]:
    """Return the symbols that have rows in the finest bars of a directory of tables, in order."""
    name = finest_bars(tables).stem
    return SymbolTables(tables, [name]).with_rows(name)


class BarCloses(NamedTuple):
    """Closes of the bars of one symbol.

    Parameters
    ----------
    close_time
        Microseconds since 1970, rising.
    close
        USDT.
    """

    close_time: Ints
    close: Floats


def hourly_prices(tables: str | Path) -> dict[str, HourlyPrices]:
    """Return the prices at full hours of each symbol that has bars, whose bars are read one symbol after the other."""
    found = {}
    for symbol in symbols_with_bars(tables):
        bars = rows_of_symbol(finest_bars(tables), symbol, ["event_time", "close"])
        closes = BarCloses(epochs_us(bars["event_time"]), bars["close"].to_numpy(dtype="float64"))
        found[symbol] = HourlyPrices.of(closes)
    return found
