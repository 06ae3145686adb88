"""Checks of tables and rows against the canonical tables: columns, types, ranges and order."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, SchemaError
from slackwater.market.tables import TABLES, Column, Table
from slackwater.times import epoch_us

__all__ = [
    "SCHEMAS",
    "describe_rows",
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
        What was read. It is not changed. Columns that the schema does not know are dropped.
    name
        Which of `SCHEMAS` it should be, or a table from outside.
    origin
        Where it came from, such as a file, for messages.

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
    schema = _table(name)
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
        Column name to value; times as timezone-aware `datetime` or `Timestamp`. Columns that the schema does not
        know are dropped.
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
    schema = _table(name)
    out: dict[str, Any] = {}
    for column in schema.columns:
        if column.name in row:
            out[column.name] = _ROW_VALUES[column.kind](row[column.name], column, schema.name, row)
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


def _table(name: str | Table) -> Table:
    if isinstance(name, Table):
        return name
    if name not in SCHEMAS:
        raise SchemaError(f"there is no canonical table `{name}`; there are {', '.join(SCHEMAS)}")
    return SCHEMAS[name]


def _of_row(name: str, row: Mapping[str, Any]) -> str:
    return f"row of table {name} ({row.get('symbol')}, {row.get('event_time')})"


def _row_time(value: Any, column: Column, name: str, row: Mapping[str, Any]) -> int:
    try:
        return row_time(value)
    except SchemaError as error:
        raise SchemaError(f"{_of_row(name, row)}: column `{column.name}` {error}") from None


def _row_number(value: Any, column: Column, name: str, row: Mapping[str, Any]) -> float:
    if column.nullable and (value is None or value is pd.NA or value != value):
        return math.nan
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise SchemaError(f"{_of_row(name, row)}: column `{column.name}` must hold a number, was {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise SchemaError(f"{_of_row(name, row)}: column `{column.name}` must be finite, was {value!r}")
    least = column.minimum
    if least is not None and (number < least or (column.positive and number == least)):
        bound = f"above {least:g}" if column.positive else f"at least {least:g}"
        raise SchemaError(f"{_of_row(name, row)}: column `{column.name}` must be {bound}, was {value!r}")
    return number


def _row_text(value: Any, column: Column, name: str, row: Mapping[str, Any]) -> str | None:
    if isinstance(value, str):
        if column.values and value not in column.values:
            known = ", ".join(column.values)
            raise SchemaError(f"{_of_row(name, row)}: column `{column.name}` must be one of {known}, was {value!r}")
        return str(value)
    if column.nullable and (value is None or value is pd.NA or value != value):
        return None
    raise SchemaError(f"{_of_row(name, row)}: column `{column.name}` must hold text, was {value!r}")


_ROW_VALUES: Final[dict[str, Callable[[Any, Column, str, Mapping[str, Any]], Any]]] = {
    "time": _row_time,
    "number": _row_number,
    "text": _row_text,
}


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
    import pandera.pandas as pa  # slow to import, and only needed where tables come in

    def checks(column: Column) -> list[pa.Check]:
        out = []
        if column.kind == "number":
            out.append(pa.Check(np.isfinite, error="must be finite", ignore_na=column.nullable))
        if column.minimum is not None:
            least = column.minimum
            out.append(
                pa.Check.gt(least, error=f"must be above {least:g}")
                if column.positive
                else pa.Check.ge(least, error=f"must be at least {least:g}")
            )
        if column.values:
            out.append(pa.Check.isin(column.values, error=f"must be one of {', '.join(column.values)}"))
        return out

    columns = {
        c.name: pa.Column(checks=checks(c), nullable=c.nullable, required=not c.optional) for c in schema.columns
    }
    try:
        pa.DataFrameSchema(columns).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        first = cases.iloc[0]
        bad = cases[(cases["column"] == first["column"]) & cases["index"].notna()]
        rows = pd.Index(bad["index"].astype("int64").unique()).sort_values()
        reason = "must not be missing" if first["check"] == "not_nullable" else str(first["check"])
        raise SchemaError(
            f"{where}: column `{first['column']}` {reason}; {len(rows)} rows, the first:\n"
            f"{describe_rows(table, rows, [str(first['column'])])}"
        ) from None


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
