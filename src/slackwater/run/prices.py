"""Recorded prices of a run, read from its tables one symbol at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from slackwater.errors import MissingDataError
from slackwater.storage import finest_bars
from slackwater.symbol_tables import SymbolTables, rows_of_symbol
from slackwater.times import DAY_US, epochs_us, timestamp
from slackwater.trading.correlations import HourlyPrices
from slackwater.trading.price_path import (
    BAR_COLUMNS,
    FUNDING_COLUMNS,
    MARK_COLUMNS,
    PricePath,
    price_paths,
)
from slackwater.trading.read_paths import PathsThatAreRead
from slackwater.types import Floats, Ints

__all__ = ["BarCloses", "PathsOnDisk", "hourly_prices"]


class PathsOnDisk(PathsThatAreRead):
    """The price path of each symbol that has bars, read when it is asked for, and kept as `PathsThatAreRead` says.

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

    def between(self, symbol: str, start_us: int, end_us: int) -> PricePath:
        """Return what `PricePath.between` does of a symbol, from the parts of its files that have those bars."""
        if symbol not in self._recent and symbol in self:
            opens = [("open_time", ">=", timestamp(start_us)), ("open_time", "<=", timestamp(end_us + DAY_US))]
            path = self._path(symbol, opens)
            if path is not None and path.open_time[-1] >= end_us:  # no halt of a day at the end
                return path.between(start_us, end_us)
        return super().between(symbol, start_us, end_us)

    def _read(self, symbol: str) -> PricePath:
        path = self._path(symbol, [])
        if path is None:
            raise MissingDataError(f"{self._bars} has no bars of {symbol}")
        return path

    def _path(self, symbol: str, opens: Sequence[tuple[str, str, datetime]]) -> PricePath | None:
        """Return the path of a symbol from the bars that meet conditions, None if there are none."""
        bars = rows_of_symbol(self._bars, symbol, list(BAR_COLUMNS), opens)
        if bars.empty:
            return None
        funding, mark = self._directory / "funding.parquet", self._directory / "mark_price.parquet"
        return price_paths(
            bars,
            rows_of_symbol(funding, symbol, list(FUNDING_COLUMNS)) if funding.exists() else None,
            mark=rows_of_symbol(mark, symbol, list(MARK_COLUMNS), opens) if mark.exists() else None,
        )[symbol]

    def only(self, symbol: str) -> PathsOnDisk:
        """Return the path of one symbol alone, for a task."""
        return PathsOnDisk(self._directory, [symbol])

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


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
