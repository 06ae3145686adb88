"""The columns of one parquet or CSV file, exactly as they are."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow.parquet as pq

from slackwater.errors import SchemaError

__all__ = ["RawFile", "open_raw"]

SUFFIXES: Final = (".parquet", ".csv")

Name = str | int


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A file before anything of it is interpreted.

    Parameters
    ----------
    path
        Where it is.
    names
        Its columns; their positions, from 0, where a CSV file has no header.
    first_row
        The first row of a CSV file without a header, for messages; empty otherwise.
    """

    path: Path
    names: tuple[Name, ...]
    first_row: tuple[str, ...] = ()

    @property
    def headless(self) -> bool:
        """True if the columns have no names."""
        return bool(self.first_row)

    def read(self, wanted: Collection[Name]) -> pd.DataFrame:
        """Return some columns of the file.

        Raises
        ------
        SchemaError
            If the file is damaged, or its rows differ in length.
        """
        chosen = sorted(set(wanted), key=self.names.index)
        try:
            if self.path.suffix == ".parquet":
                # What pandas noted of an index would make columns of it disappear.
                return pq.ParquetFile(self.path).read(columns=chosen).to_pandas(ignore_metadata=True)
            with warnings.catch_warnings():
                # A first row with a field too many, such as one with decimal commas, would only be warned of.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                whole = pd.read_csv(
                    self.path,
                    header=None if self.headless else 0,
                    encoding="utf-8-sig",
                    compression=None,
                    low_memory=False,
                    index_col=False,
                    on_bad_lines="error",
                )
        except pd.errors.ParserWarning:
            raise SchemaError(
                f"{self.path}: its first row has more fields than the {len(self.names)} of the header"
            ) from None
        except (OSError, ValueError) as error:
            raise SchemaError(f"{self.path} is not a readable {self.path.suffix[1:]} file: {error}") from error
        whole.columns = pd.Index(self.names)
        return whole[chosen]

    def position(self, name: Name) -> Name | None:
        """Return the column that a name or a position stands for; None if there is none."""
        if isinstance(name, int) and not self.headless:
            return self.names[name] if 0 <= name < len(self.names) else None
        return name if name in self.names else None


def open_raw(path: Path) -> RawFile:
    """Return the columns of a file, unread.

    Raises
    ------
    SchemaError
        If it is neither parquet nor CSV, is damaged or empty, or its header names a column twice.
    """
    if path.suffix not in SUFFIXES:
        raise SchemaError(f"{path} must end in {' or '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        try:
            names = tuple(pq.ParquetFile(path).schema_arrow.names)
        except (OSError, ValueError) as error:
            raise SchemaError(f"{path} is not a readable parquet file: {error}") from error
        if len(set(names)) != len(names):
            raise SchemaError(f"{path} names a column twice: {', '.join(names)}")
        return RawFile(path=path, names=names)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = tuple(cell.strip() for cell in next(csv.reader(file), []))
    except (OSError, ValueError, csv.Error) as error:
        raise SchemaError(f"{path} is not a readable csv file: {error}") from error
    if not any(first):
        raise SchemaError(f"{path} is empty")
    if any(_is_value(cell) for cell in first):
        return RawFile(path=path, names=tuple(range(len(first))), first_row=first)
    if len(set(first)) != len(first):
        raise SchemaError(f"{path}: the header names a column twice: {', '.join(first)}")
    return RawFile(path=path, names=first)


def _is_value(cell: str) -> bool:
    """Return whether a cell of the first row is a number or a time, which no header holds."""
    for parse in (float, datetime.fromisoformat):
        try:
            parse(cell)
        except ValueError:
            continue
        return True
    return False
