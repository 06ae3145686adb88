"""Recorded prices of a run, read from its tables one symbol at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import pandas as pd

from slackwater.storage import finest_bars
from slackwater.symbol_tables import SymbolTables, rows_of_symbol
from slackwater.times import epochs_us
from slackwater.trading.price_path import BAR_COLUMNS, FUNDING_COLUMNS, MARK_COLUMNS, PricePath, price_paths
from slackwater.types import Floats, Ints

__all__ = ["BarCloses", "ClosesOnDisk", "PathsOnDisk"]

Value = TypeVar("Value")


class _OnDisk(Mapping[str, Value]):
    """A value of each symbol that has bars, read when it is asked for."""

    def __init__(self, tables: str | Path) -> None:
        self._directory, self._bars = Path(tables).resolve(), finest_bars(tables)
        self._symbols = SymbolTables(tables, [self._bars.stem]).with_rows(self._bars.stem)

    @abstractmethod
    def _read(self, symbol: str) -> Value: ...

    def __getitem__(self, symbol: str) -> Value:
        if symbol not in self._symbols:
            raise KeyError(symbol)
        return self._read(symbol)

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


class PathsOnDisk(_OnDisk[PricePath]):
    """The price path of each symbol that has bars, read when it is asked for; the last one is kept.

    Parameters
    ----------
    tables
        Directory of canonical tables.

    Raises
    ------
    MissingDataError, SchemaError, OrderError
        As `slackwater.trading.price_path.price_paths`, or if a file is missing or damaged; most of them when the path
        of a symbol is read.
    """

    def __init__(self, tables: str | Path) -> None:
        super().__init__(tables)
        self._last: PricePath | None = None

    def __reduce__(self) -> tuple[type[PathsOnDisk], tuple[Path]]:
        """Send the directory, and no prices."""
        return PathsOnDisk, (self._directory,)

    def _read(self, symbol: str) -> PricePath:
        if self._last is None or self._last.symbol != symbol:
            self._last = None
            bars = rows_of_symbol(self._bars, symbol, list(BAR_COLUMNS))
            funding = self._rows("funding", symbol, FUNDING_COLUMNS)
            mark = self._rows("mark_price", symbol, MARK_COLUMNS)
            self._last = price_paths(bars, funding, mark=mark)[symbol]
        return self._last

    def _rows(self, name: str, symbol: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
        table = self._directory / f"{name}.parquet"
        return rows_of_symbol(table, symbol, list(columns)) if table.exists() else None


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


class ClosesOnDisk(_OnDisk[BarCloses]):
    """The closes of the finest bars of each symbol that has any, as `PathsOnDisk` the paths."""

    def _read(self, symbol: str) -> BarCloses:
        bars = rows_of_symbol(self._bars, symbol, ["event_time", "close"])
        return BarCloses(epochs_us(bars["event_time"]), bars["close"].to_numpy(dtype="float64"))
