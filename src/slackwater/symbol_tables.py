"""Tables of many symbols on disk, written and read one symbol at a time.

A table is a directory with one file per symbol, such as ``fine_bars.parquet/BTCUSDT.parquet``, so that whoever works by
symbol holds one of them, however many there are, and several can write at the same time.
`slackwater.storage.read_tables` reads it as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, SchemaError
from slackwater.storage import parquet_files, parquet_tables, part_name, part_symbol, read_parquet, write_parquet

__all__ = ["SymbolTables", "files_of_symbol", "rows_of_symbol", "split_by_symbol", "write_symbol"]


class SymbolTables:
    """The tables of a directory, read by symbol: those with a file per symbol, and those in one file.

    Parameters
    ----------
    directory
        Directory of tables.
    names
        The tables that are read, as far as they are there; None: all.

    Attributes
    ----------
    names : tuple of str
        The tables, in order of their names.
    symbols : list of str
        The symbols of all of them, in order.
    rows : int
        Number of rows of all of them.

    Raises
    ------
    MissingDataError
        If the directory is not there.
    SchemaError
        If a file cannot be read, or lacks a symbol in a row.
    """

    def __init__(self, directory: str | Path, names: Iterable[str] | None = None) -> None:
        root = Path(directory).resolve()
        if not root.is_dir():
            raise MissingDataError(f"there is no directory {root}")
        wanted = None if names is None else set(names)
        self._paths = {path.stem: path for path in parquet_tables(root) if wanted is None or path.stem in wanted}
        self.names = tuple(self._paths)
        self.symbols = sorted(set().union(*(_symbols(path) for path in self._paths.values())))
        self.rows = sum(_rows(path) for path in self._paths.values())

    def of(self, symbol: str) -> dict[str, pd.DataFrame]:
        """Return the rows of a symbol in each table; a table without any is empty, not absent."""
        return {name: rows_of_symbol(path, symbol) for name, path in self._paths.items()}

    def files_of(self, symbol: str) -> Iterator[tuple[str, Path]]:
        """Yield the files with the rows of a symbol, one per table (`files_of_symbol`)."""
        return files_of_symbol(self._paths.values(), symbol)

    def with_rows(self, name: str) -> list[str]:
        """Return the symbols that have rows in a table, in order."""
        path = self._paths[name]
        parts = parquet_files(path) if path.is_dir() else []
        return [part_symbol(part) for part in parts if _rows_of_file(part)] if parts else sorted(_symbols(path))


def rows_of_symbol(
    table: Path, symbol: str, columns: list[str] | None = None, conditions: Sequence[tuple[str, str, Any]] = ()
) -> pd.DataFrame:
    """Return the rows of a symbol of a table, numbered from 0.

    Parameters
    ----------
    table
        Directory with one file per symbol, or one file, of which only the parts with the symbol are read.
    symbol
        Symbol of the rows.
    columns
        Columns that are read; None: all.
    conditions
        What holds of the rows that are wanted, such as ``("open_time", ">=", start)``; of the file only the parts in
        which it may hold are read.

    Raises
    ------
    MissingDataError, SchemaError
        If the table is not there or cannot be read.
    """
    part = table / part_name(symbol) if table.is_dir() else table
    if table.is_dir() and not part.is_file():
        return read_parquet(parquet_files(table)[0], columns)[:0]
    if part is not table and not conditions:
        return read_parquet(part, columns)
    if not part.is_file():
        raise MissingDataError(f"there is no file {table}")
    filters: list[Any] = [*conditions] if part is not table else [("symbol", "==", symbol), *conditions]
    try:
        return pd.read_parquet(part, columns=columns, filters=filters, pre_buffer=False)
    except (OSError, ValueError) as error:
        raise SchemaError(f"{part} is not a readable parquet file: {error}") from error


def files_of_symbol(tables: Iterable[Path], symbol: str) -> Iterator[tuple[str, Path]]:
    """Yield a file with the rows of a symbol per table, and its name below a directory of such tables.

    A file that is made for that is removed when the next one is asked for.

    Parameters
    ----------
    tables, symbol
        As for `rows_of_symbol`.

    Raises
    ------
    MissingDataError, SchemaError
        If a table is not there or cannot be read.
    """
    for table in tables:
        name = part_name(symbol)
        if (table / name).is_file():
            yield f"{table.name}/{name}", table / name
            continue
        with TemporaryDirectory(prefix="slackwater-rows-") as temporary:
            write_parquet(rows_of_symbol(table, symbol), Path(temporary, name))
            yield f"{table.name}/{name}", Path(temporary, name)


def split_by_symbol(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Yield each symbol with its rows of each table, in order of symbols; rows keep their order."""
    groups = {name: dict(list(table.groupby("symbol", sort=False))) for name, table in tables.items()}
    for symbol in sorted(set().union(*groups.values())):
        yield (
            symbol,
            {name: groups[name].get(symbol, table.iloc[:0]).reset_index(drop=True) for name, table in tables.items()},
        )


def write_symbol(symbol: str, tables: Mapping[str, pd.DataFrame], directory: str | Path) -> None:
    """Write the rows of a symbol into the tables of a directory; a table without any gets a file of no rows.

    Raises
    ------
    MissingDataError
        If the directory is not there: a task that goes on after its run has ended must not bring it back.
    """
    if not Path(directory).is_dir():
        raise MissingDataError(f"there is no directory {directory}")
    for name, table in tables.items():
        write_parquet(table, Path(directory) / f"{name}.parquet" / part_name(symbol))


def _symbols(path: Path) -> set[str]:
    if path.is_dir():
        return {part_symbol(part) for part in parquet_files(path)}
    symbols = read_parquet(path, columns=["symbol"])["symbol"]
    nameless = np.flatnonzero(symbols.isna())
    if len(nameless):
        raise SchemaError(f"{path} lacks a symbol in {len(nameless)} rows, first in row {nameless[0]}")
    return set(symbols.unique())


def _rows(path: Path) -> int:
    return sum(_rows_of_file(part) for part in parquet_files(path))


def _rows_of_file(path: Path) -> int:
    from pyarrow import parquet  # scoring does not need it

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} is not a readable parquet file: {error}") from error
