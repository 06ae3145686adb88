"""The columns of one file, exactly as they are."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slackwater.errors import SchemaError
from slackwater.sources.own_files.json_file import json_rows
from slackwater.sources.own_files.wrapping import FORMS, content, form_of, parts_of, reading

__all__ = ["Name", "RawFile", "open_raw"]

Name = str | int

_SEPARATORS: Final = ",;\t|"
_NO_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A file before anything of it is interpreted.

    Parameters
    ----------
    path
        Where it is: a file, or a directory with a parquet table in parts.
    names
        Its columns; their positions, from 0, where a CSV file has no header.
    first_row
        The first row of a CSV file without a header, for messages; empty otherwise.
    separator
        What stands between the cells of a CSV file.
    """

    path: Path
    names: tuple[Name, ...]
    first_row: tuple[str, ...] = ()
    separator: str = ","

    @property
    def headless(self) -> bool:
        """True if the columns have no names."""
        return bool(self.first_row)

    @property
    def form(self) -> str | None:
        """Form of the file: parquet, csv, feather or json."""
        return form_of(self.path)

    def read(self, wanted: Collection[Name], *, as_text: Collection[Name] = ()) -> pd.DataFrame:
        """Return some columns of the file.

        Parameters
        ----------
        wanted
            The columns.
        as_text
            Those of them that are returned as they are written, if the file is CSV.

        Raises
        ------
        SchemaError
            If the file is damaged, its rows differ in length, or a wanted column holds lists, or bytes that are not
            text.
        """
        chosen = sorted(set(wanted), key=self.names.index)
        if self.form == "csv":
            return self._csv([self.names.index(name) for name in as_text])[chosen]
        if self.form == "json":
            return pd.DataFrame(_records(self.path), columns=pd.Index(self.names))[chosen]
        try:
            parts = [_arrow(part, self.path, [str(name) for name in chosen]) for part in parts_of(self.path)]
            table = pa.concat_tables(parts, promote_options="permissive")
            columns = {name: _plain(table[name], f"{self.path}: column `{name}`") for name in table.column_names}
            # What pandas noted of an index would make columns of it disappear.
            return pa.table(columns).to_pandas(ignore_metadata=True)[chosen]
        except SchemaError:
            raise
        except (OSError, ValueError, TypeError, NotImplementedError, KeyError) as error:
            raise SchemaError(f"{self.path} is not a readable {self.form} file: {error}") from error

    def _csv(self, as_text: Collection[int]) -> pd.DataFrame:
        data = content(self.path)
        if data.count(b'"') % 2:
            raise SchemaError(f"{self.path} is not a readable csv file: a quotation mark is not closed")
        try:
            with warnings.catch_warnings():
                # A first row with a field too many, such as one with decimal commas, would only be warned of.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                whole = pd.read_csv(
                    io.BytesIO(data),
                    sep=self.separator,
                    header=None if self.headless else 0,
                    names=range(len(self.names)),
                    dtype=dict.fromkeys(as_text, str),
                    low_memory=False,
                    index_col=False,
                    on_bad_lines="error",
                )
        except pd.errors.ParserWarning:
            raise SchemaError(
                f"{self.path}: its first row has more fields than the {len(self.names)} of the header"
            ) from None
        except pd.errors.EmptyDataError:
            whole = pd.DataFrame(columns=range(len(self.names)))
        except SchemaError:
            raise
        except (OSError, ValueError, OverflowError) as error:
            raise SchemaError(f"{self.path} is not a readable csv file: {error}") from error
        whole.columns = pd.Index(self.names)
        return whole

    def may_be_cut(self) -> bool:
        """Return whether a CSV file does not end with a line break, as one does whose end was lost."""
        if self.form != "csv" or self.path.suffix.lower() not in FORMS:
            return False
        with reading(self.path) as file:
            file.seek(-1, 2)
            return file.read() not in b"\r\n"

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
        If it is of no form that is read, is damaged or empty, or its header names a column twice.
    """
    form = form_of(path)
    if form is None:
        raise SchemaError(f"{path} must end in {', '.join(FORMS)}; csv and json also in .gz, .bz2, .xz, .zst or .zip")
    if form == "csv":
        return _open_csv(path)
    if form == "json":
        named = dict.fromkeys(str(name) for record in _records(path) for name in record)
        return RawFile(path=path, names=tuple(named))
    parts = parts_of(path)
    if not parts:
        raise SchemaError(f"{path} is a directory without a parquet file")
    try:
        each = [tuple(_schema(part, form).names) + tuple(_partition(part, path)) for part in parts]
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} is not a readable {form} file: {error}") from error
    for names in each:
        if len(set(names)) != len(names):
            raise SchemaError(f"{path} names a column twice: {', '.join(names)}")
    return RawFile(path=path, names=tuple(dict.fromkeys(name for names in each for name in names)))


def _open_csv(path: Path) -> RawFile:
    try:
        with reading(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            line = text.readline()
            rows = {each: next(csv.reader([line], delimiter=each), []) for each in _SEPARATORS}
            separator = max(rows, key=lambda each: len(rows[each]))
            # The first row may break lines within quotes.
            lines = csv.reader([line, *text.readlines(65_536)], delimiter=separator)
            first = tuple(cell.strip() for cell in next(lines, []))
    except (ValueError, csv.Error) as error:
        if isinstance(error, SchemaError):
            raise
        raise SchemaError(f"{path} is not a readable csv file: {error}") from error
    if not any(first):
        raise SchemaError(f"{path} is empty")
    if any(_is_value(cell) for cell in first):
        return RawFile(path=path, names=tuple(range(len(first))), first_row=first, separator=separator)
    if len(set(first)) != len(first):
        raise SchemaError(f"{path}: the header names a column twice: {', '.join(first)}")
    return RawFile(path=path, names=first, separator=separator)


def _is_value(cell: str) -> bool:
    """Return whether a cell of the first row is a number or a time, which no header holds."""
    for parse in (float, datetime.fromisoformat):
        try:
            parse(cell)
        except ValueError:
            continue
        return True
    return False


def _records(path: Path) -> list[Any]:
    rows = json_rows(path)
    for place, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise SchemaError(f"{path}: row {place} must map names to values, was {row!r:.60}")
    if not rows:
        raise SchemaError(f"{path} holds no rows")
    return rows


def _schema(part: Path, form: str) -> pa.Schema:
    if form == "parquet":
        return pq.ParquetFile(part).schema_arrow
    with pa.memory_map(str(part)) as file:
        return pa.ipc.open_file(file).schema


def _partition(part: Path, base: Path) -> dict[str, str]:
    """Return the columns that the names of directories give, such as ``symbol=BTCUSDT``."""
    if part == base:
        return {}
    pairs = [each.split("=", 1) for each in part.relative_to(base).parts[:-1] if "=" in each]
    return {name: unquote(value) for name, value in pairs}


def _arrow(part: Path, base: Path, wanted: Collection[str]) -> pa.Table:
    if form_of(base) == "feather":
        with pa.memory_map(str(part)) as file:
            return pa.ipc.open_file(file).read_all().select(list(wanted))
    file = pq.ParquetFile(part)
    table = file.read(columns=[name for name in wanted if name in file.schema_arrow.names])
    for name, value in _partition(part, base).items():
        if name in wanted:
            cell = None if value == _NO_PARTITION else value
            table = table.append_column(name, pa.array([cell] * file.metadata.num_rows, pa.string()))
    return table


def _plain(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return a column of numbers, times or text: bytes become text, dictionaries and decimals their values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_nested(kind):
        raise SchemaError(f"{where} must hold one value per row, holds `{kind}`")
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        texts = [None if each is None else _decoded(each, where) for each in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.large_string())])
    return column


def _decoded(value: bytes, where: str) -> str:
    try:
        return value.rstrip(b"\0").decode("utf-8")  # a text of fixed length is filled up
    except UnicodeDecodeError:
        raise SchemaError(f"{where} holds bytes that are not text, such as {value[:20]!r}") from None
