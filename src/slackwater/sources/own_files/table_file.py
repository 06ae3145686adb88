"""One table: where it is, and how the columns of its file become canonical ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import pandas as pd

from slackwater.errors import DataError, MissingDataError, SchemaError
from slackwater.market.schemas import SCHEMAS
from slackwater.market.tables import Table
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.raw_columns import Name, RawFile, open_raw
from slackwater.storage import sha256_of

__all__ = ["SYMBOL_MARK", "ReadFile", "TableFile", "read_file"]

SYMBOL_MARK: Final = "{symbol}"


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """Where a canonical table is, and how to read it.

    Parameters
    ----------
    file
        Name of a parquet or CSV file in the directory. With ``{symbol}`` in it there is one file a symbol.
    available_after
        How long after `event_time` a row can be known; unused where the file has `available_time`. None: the default
        lag of the table.
    columns
        The file's column for each canonical one whose name differs; a position from 0 where a CSV file has no header.
    constants
        Value of each canonical column that the file lacks because it never changes, such as `symbol`.
    values
        For a canonical column of text: what each of the file's values means, such as ``{"side": {"SELL": "long"}}``.
    scale
        Factor from the file's unit to the canonical one, such as 0.01 coin a contract.
    utc_offset
        How far the clock of the file is ahead of UTC. None: the stamps say their zone, or count from 1970.
    bar_length
        Where the file stamps a row at its opening only: how much later it closes. `columns` then names `open_time`.
    """

    file: str
    available_after: timedelta | None = None
    columns: Mapping[str, Name] = field(default_factory=dict)
    constants: Mapping[str, str | float] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    utc_offset: timedelta | None = None
    bar_length: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """A table as it was read, and what was understood on the way.

    Parameters
    ----------
    table
        With canonical names, not yet validated.
    path
        The file.
    mapped
        The file's name or position of each canonical column.
    headless
        Whether it is a CSV file without a header.
    clock
        The form of its stamps.
    lag
        How long after its stamp a row counts as known; None where the file says it itself.
    """

    table: pd.DataFrame
    path: Path
    mapped: Mapping[str, Name]
    headless: bool
    clock: str
    lag: timedelta | None


def read_file(
    root: Path, name: str, source: TableFile, *, lag: timedelta, symbol: str | None = None, sha256: str = ""
) -> ReadFile:
    """Return the rows of one file under canonical names.

    Parameters
    ----------
    root
        The directory; no file outside of it is read.
    name
        Canonical table.
    source
        Where and how.
    lag
        Default of `available_after`.
    symbol
        What ``{symbol}`` stands for.
    sha256
        Expected digest; empty: not checked.

    Raises
    ------
    MissingDataError
        If the file is not there.
    DataError
        If it leads out of the directory, or its digest differs.
    SchemaError
        If the file cannot be read, lacks a column, or holds stamps that are none; or the map names a column that the
        table does not have.
    """
    schema = SCHEMAS.get(name)
    if schema is None:
        raise SchemaError(f"there is no canonical table `{name}`; there are {', '.join(SCHEMAS)}")
    path = root / source.file.replace(SYMBOL_MARK, symbol or "")
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{path} leads out of {root}")
    if not path.is_file():
        raise MissingDataError(f"there is no file {path} (table {name})")
    if sha256 and sha256_of(path) != sha256:
        raise DataError(f"{path}: its sha256 is {sha256_of(path)}, the parameters expect {sha256}")
    _refuse_unknown(source, schema)
    raw = open_raw(path)
    mapped = _mapped(raw, source, schema, symbol)
    where = f"{path} (table {name})"
    read = raw.read(mapped.values())
    table = pd.DataFrame({column: read[theirs] for column, theirs in mapped.items()})
    for column, value in source.constants.items():
        table[column] = value
    if symbol:
        table["symbol"] = symbol
    clock = ""
    for column in ("open_time", "event_time", "available_time"):
        if column in table:
            table[column], clock = utc(
                table[column], f"{where}: column `{mapped.get(column, column)}`", source.utc_offset
            )
    _give_both_ends(table, schema, source.bar_length)
    # A map may serve several files: what an optional column of one of them means is no matter where it is absent.
    for column in set(source.scale) & set(table):
        table[column] = _numbers(table[column], column, where) * source.scale[column]
    for column in set(source.values) & set(table):
        table[column] = _translated(table[column], column, source.values[column], where)
    after: timedelta | None = lag if source.available_after is None else source.available_after
    if "available_time" in table:
        after = None
    else:
        table["available_time"] = table["event_time"] + after
    return ReadFile(table=table, path=path, mapped=mapped, headless=raw.headless, clock=str(clock), lag=after)


def _refuse_unknown(source: TableFile, schema: Table) -> None:
    have = {column.name for column in schema.columns} | ({"open_time"} if source.bar_length else set())
    for what in ("columns", "constants", "values", "scale"):
        unknown = sorted(set(getattr(source, what)) - have)
        if unknown:
            raise SchemaError(
                f"the column map of table {schema.name} names {unknown} under `{what}`, which the table does not have"
            )


def _mapped(raw: RawFile, source: TableFile, schema: Table, symbol: str | None) -> dict[str, Name]:
    """Return the file's column for each canonical one that it has."""
    given = set(source.constants) | ({"symbol"} if symbol else set())
    wanted = [column.name for column in schema.columns if column.name not in given]
    if source.bar_length and "open_time" not in wanted:
        wanted.append("open_time")
    theirs = {column: source.columns.get(column, column) for column in wanted}
    found = {column: raw.position(name) for column, name in theirs.items()}
    needed = set(schema.required) - given - {"available_time"}
    if source.bar_length:
        needed -= {"event_time", "open_time"} if found["open_time"] is not None else {"open_time"}
    lost = [column for column in wanted if found[column] is None and (column in needed or column in source.columns)]
    if lost:
        listed = ", ".join(c if c == theirs[c] else f"{theirs[c]} (for {c})" for c in lost)
        if raw.headless:
            raise SchemaError(
                f"{raw.path} (table {schema.name}) has no header and no position for {listed}: name positions under "
                f"`columns`, such as {{event_time: 0}}; its first row is {', '.join(raw.first_row)}"
            )
        have = ", ".join(sorted(map(str, raw.names)))
        raise SchemaError(f"{raw.path} (table {schema.name}): missing column {listed}; it has {have}")
    return {column: name for column, name in found.items() if name is not None}


def _give_both_ends(table: pd.DataFrame, schema: Table, length: timedelta | None) -> None:
    """Add the end or the beginning of bars that are stamped at one of them."""
    if length is None:
        return
    if "event_time" not in table:
        table["event_time"] = table["open_time"] + length
    elif "open_time" not in table:
        table["open_time"] = table["event_time"] - length
    if "open_time" not in {column.name for column in schema.columns}:
        del table["open_time"]


def _numbers(values: pd.Series, column: str, where: str) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise SchemaError(
            f"{where}: column `{column}` must hold numbers, holds `{values.dtype}`, first {values.head(3).tolist()}"
        )
    return values


def _translated(values: pd.Series, column: str, meanings: Mapping[str, str], where: str) -> pd.Series:
    unknown = sorted(set(values.astype("str")) - set(meanings))
    if unknown:
        raise SchemaError(f"{where}: column `{column}` holds {unknown[:3]}, which `values` does not explain")
    return values.astype("str").map(dict(meanings))
