"""Checks of tables and rows against the canonical tables: columns, types, ranges and order."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, SchemaError
from slackwater.market.tables import TABLES, Column, Table
from slackwater.times import epoch_us
from slackwater.types import Bools, Floats

__all__ = [
    "SCHEMAS",
    "describe_rows",
    "known_table",
    "refuse_both_kinds_of_liquidations",
    "row_time",
    "validate",
    "validate_row",
]

SCHEMAS: Final[dict[str, Table]] = {table.name: table for table in TABLES}
"""The canonical tables by name."""


def describe_rows(table: pd.DataFrame, rows: Sequence[int] | pd.Index, columns: Sequence[str] = ()) -> str:
    """Return the first three of the given rows as text, for an error message."""
    wanted = [c for c in ("symbol", "event_time", *columns) if c in table]
    return table.loc[list(rows[:3]), list(dict.fromkeys(wanted))].to_string()


def validate(table: pd.DataFrame, name: str | Table, *, origin: str | None = None) -> pd.DataFrame:
    """Return a table with the canonical types and column order, or raise an error that explains what is wrong.

    Parameters
    ----------
    table
        Rows as they were read; not changed. Columns that the schema lacks are dropped.
    name
        Which of `SCHEMAS` it should be, or a table from outside.
    origin
        Origin of the rows, such as a file, for messages.

    Returns
    -------
    DataFrame
        Sorted as given, with a fresh index.

    Raises
    ------
    SchemaError
        If a column is missing or of a wrong type, a time is naive or missing, a number is missing, infinite or out
        of range, or a text has an unknown value.
    OrderError
        If rows of a symbol repeat a key or run backwards in time.
    """
    schema = known_table(name)
    where = f"{origin} (table {schema.name})" if origin else f"table {schema.name}"
    missing = [c for c in schema.required if c not in table]
    if missing:
        raise SchemaError(f"{where}: missing column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    table = table[[c.name for c in schema.columns if c.name in table]].reset_index(drop=True)
    for column in schema.columns:
        if column.name in table:
            table[column.name] = _typed(table[column.name], column, where)
    _check_values(table, schema, where)
    _check_order(table, schema, where)
    return table


def validate_row(row: Mapping[str, Any], name: str | Table) -> dict[str, Any]:
    """Return one live row with canonical values: `validate` without a DataFrame.

    Parameters
    ----------
    row
        Column name to value; times as timezone-aware `datetime` or `Timestamp`. Columns that the schema lacks
        are dropped.
    name
        Which of `SCHEMAS` it belongs to, or a table from outside.

    Returns
    -------
    dict
        Texts as str (None where missing), numbers as float, times as int, microseconds since 1970.

    Raises
    ------
    SchemaError
        If a column is missing, a time is naive, a number is missing, infinite or out of range, or a text has an
        unknown value.
    OrderError
        If the row is available before it happened.
    """
    schema = known_table(name)
    out: dict[str, Any] = {}
    for column in schema.columns:
        if column.name in row:
            try:
                out[column.name] = _ROW_VALUES[column.kind](row[column.name], column)
            except SchemaError as error:
                raise SchemaError(f"{_of_row(schema.name, row)}: column `{column.name}` {error}") from None
        elif not column.optional:
            raise SchemaError(
                f"{_of_row(schema.name, row)}: missing column {column.name}; it has {', '.join(map(str, row))}"
            )
    if out["available_time"] < out["event_time"]:
        raise OrderError(f"{_of_row(schema.name, row)}: is available before it happened, at {row['available_time']}")
    return out


def row_time(time: Any) -> int:
    """Return a timezone-aware time in microseconds since 1970.

    Raises
    ------
    SchemaError
        If it is not a time, missing, naive, or beyond what `Timestamp` holds.
    """
    if not isinstance(time, datetime) or time is pd.NaT:
        raise SchemaError(f"must be a timezone-aware time (UTC), was {time!r}")
    if time.tzinfo is None:
        raise SchemaError(f"must be a timezone-aware time (UTC), was naive, {time}")
    try:
        return epoch_us(pd.Timestamp(time))
    except (OverflowError, ValueError):
        raise SchemaError(f"must be a time between 1678 and 2262, was {time}") from None


def refuse_both_kinds_of_liquidations(tables: Container[str]) -> None:
    """Raise SchemaError if a data set has both single liquidations and totals: they would count twice."""
    if "liquidations" in tables and "liquidation_totals" in tables:
        raise SchemaError(
            "a data set has `liquidations` or `liquidation_totals`, and not both: they contain the same events; "
            "leave one of them out"
        )


def known_table(name: str | Table, known: Mapping[str, Table] = SCHEMAS) -> Table:
    """Return the table of a name; a table is returned as it is.

    Raises
    ------
    SchemaError
        If there is no table of this name.
    """
    if isinstance(name, Table):
        return name
    if name not in known:
        raise SchemaError(f"there is no canonical table `{name}`; there are {', '.join(known)}")
    return known[name]


def _of_row(name: str, row: Mapping[str, Any]) -> str:
    return f"row of table {name} ({row.get('symbol')}, {row.get('event_time')})"


def _row_number(value: Any, column: Column) -> float:
    if _is_missing(value, column):
        return math.nan
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise SchemaError(f"must hold a number, was {value!r}")
    number = float(value)
    for broken, rule in _broken_rules(np.array([number]), column):
        if broken.any():
            raise SchemaError(f"{rule}, was {value!r}")
    return number


def _row_text(value: Any, column: Column) -> str | None:
    if isinstance(value, str):
        if column.values and value not in column.values:
            raise SchemaError(f"must be one of {', '.join(column.values)}, was {value!r}")
        return str(value)
    if _is_missing(value, column):
        return None
    raise SchemaError(f"must hold text, was {value!r}")


def _is_missing(value: Any, column: Column) -> bool:
    return column.nullable and bool(value is None or value is pd.NA or value != value)


_ROW_VALUES: Final[dict[str, Callable[[Any, Column], Any]]] = {
    "time": lambda value, _: row_time(value),
    "number": _row_number,
    "text": _row_text,
}


def _broken_rules(numbers: Floats, column: Column) -> Iterator[tuple[Bools, str]]:
    """Yield which numbers break a rule of their column, and the rule; a missing one breaks only finiteness."""
    yield ~np.isfinite(numbers), "must be finite"
    least = column.minimum
    if least is not None:
        yield (
            numbers <= least if column.positive else numbers < least,
            (f"must be above {least:g}" if column.positive else f"must be at least {least:g}"),
        )


def _typed(values: pd.Series, column: Column, where: str) -> pd.Series:
    if column.kind == "time":
        if not isinstance(values.dtype, pd.DatetimeTZDtype):
            kind = "naive times" if pd.api.types.is_datetime64_any_dtype(values) else f"`{values.dtype}`"
            raise SchemaError(
                f"{where}: column `{column.name}` must hold timezone-aware times (UTC), holds {kind}, "
                f"first {values.head(3).tolist()}"
            )
        return values.dt.tz_convert("UTC").dt.as_unit("us")
    if column.kind == "number":
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            raise SchemaError(
                f"{where}: column `{column.name}` must hold numbers, holds `{values.dtype}`, "
                f"first {values.head(3).tolist()}"
            )
        return values.astype("float64")
    if not (pd.api.types.is_string_dtype(values) or isinstance(values.dtype, pd.CategoricalDtype)):
        raise SchemaError(f"{where}: column `{column.name}` must hold text, holds `{values.dtype}`")
    return values.astype("str")


def _check_values(table: pd.DataFrame, schema: Table, where: str) -> None:
    for column in schema.columns:
        if column.name not in table:
            continue
        values = table[column.name]
        missing = values.isna().to_numpy()
        rules = [] if column.nullable else [(missing, "must not be missing")]
        if column.kind == "number":
            rules += [(bad & ~missing, rule) for bad, rule in _broken_rules(values.to_numpy(np.float64), column)]
        elif column.values:
            unknown = ~values.isin(column.values).to_numpy() & ~missing
            rules.append((unknown, f"must be one of {', '.join(column.values)}"))
        for bad, rule in rules:
            if bad.any():
                rows = table.index[bad]
                raise SchemaError(
                    f"{where}: column `{column.name}` {rule}; {len(rows)} rows, the first:\n"
                    f"{describe_rows(table, rows, [column.name])}"
                )


def _check_order(table: pd.DataFrame, schema: Table, where: str) -> None:
    early = table.index[table["available_time"] < table["event_time"]]
    if len(early):
        raise OrderError(
            f"{where}: {len(early)} rows are available before they happened, the first:\n"
            f"{describe_rows(table, early, ['available_time'])}"
        )
    backwards = table.index[table.groupby("symbol")["event_time"].diff() < pd.Timedelta(0)]
    if len(backwards):
        raise OrderError(
            f"{where}: {len(backwards)} rows run backwards in `event_time`, the first:\n"
            f"{describe_rows(table, backwards)}"
        )
    if schema.key:
        repeated = table.index[table.duplicated(list(schema.key), keep="first")]
        if len(repeated):
            raise OrderError(
                f"{where}: {len(repeated)} rows repeat ({', '.join(schema.key)}) of an earlier row, the first:\n"
                f"{describe_rows(table, repeated, schema.key)}"
            )
