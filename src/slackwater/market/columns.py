"""Columns and values in canonical types, whatever type a user's table or a venue's answer holds them in.

One value and a column are read by the same rules: numbers may be floats, integers, `Decimal` or text of a number, texts
may be categories, times must have a zone. A value that could be read in two ways is refused, with its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.tables import Column, Table
from slackwater.numbers import brief, exact_number
from slackwater.times import EARLIEST, LATEST, epoch_us, timestamps
from slackwater.types import Bools, Floats

__all__ = ["broken_rules", "is_name", "mapping_of", "reader", "row_time", "row_value", "shown", "typed_table"]

_EARLIEST_US: Final = epoch_us(EARLIEST)
_LATEST_US: Final = epoch_us(LATEST)
_NAME: Final = "must be a name of printable characters"


# -- tables ------------------------------------------------------------------------------------------------------


def typed_table(table: Any, schema: Table, where: str) -> pd.DataFrame:
    """Return a table whose canonical columns have canonical types; columns of other names stay as they are.

    Parameters
    ----------
    table
        Rows of any index; not changed.
    schema
        What it should be.
    where
        Origin and name of the table, for messages.

    Raises
    ------
    SchemaError
        If it is not a DataFrame, repeats or lacks a column, or a value is of another type; with column and row.
    """
    if not isinstance(table, pd.DataFrame):
        advice = "leave out a table that you do not have" if table is None else "give it as a pandas DataFrame"
        raise SchemaError(f"{where}: must be a DataFrame, was a {type(table).__name__}; {advice}")
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise SchemaError(f"{where}: the columns {', '.join(map(shown, doubled.unique()))} are there more than once")
    missing = [name for name in schema.required if name not in table.columns]
    if missing:
        has = ", ".join(map(shown, table.columns))
        raise SchemaError(f"{where}: missing column {', '.join(missing)}; it has {has}")
    out = table.reset_index(drop=True)
    for column in schema.columns:
        if column.name in out.columns:
            out[column.name] = _TYPED[column.kind](out[column.name], f"{where}: column `{column.name}`")
    return out


def _times(values: pd.Series, here: str) -> pd.Series:
    dtype = values.dtype
    if isinstance(dtype, pd.ArrowDtype) and getattr(dtype.pyarrow_dtype, "tz", None) is not None:
        return values.astype("datetime64[us, UTC]")
    if isinstance(dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").dt.as_unit("us")
    if not pd.api.types.is_object_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        kind = "naive times" if pd.api.types.is_datetime64_any_dtype(values) else f"`{dtype}`"
        raise SchemaError(
            f"{here} must hold timezone-aware times (UTC), holds {kind}, first {brief(values.head(3).tolist())}"
        )
    missing = np.iinfo(np.int64).min  # what NaT is made of
    made = _each(values, here, "timezone-aware times (UTC)", lambda value: row_time(value, None), missing)
    return pd.Series(timestamps(np.array(made, dtype=np.int64)), index=values.index)


def _numbers(values: pd.Series, here: str) -> pd.Series:
    dtype = values.dtype
    plain = pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "iuf"
    if plain and isinstance(dtype, np.dtype):
        return values.astype("float64")
    if plain:
        return pd.Series(values.to_numpy(np.float64, na_value=np.nan), index=values.index)
    if dtype.kind in "bcmM" or not (dtype.kind in "OiufU" or pd.api.types.is_string_dtype(dtype)):
        raise SchemaError(f"{here} must hold numbers, holds `{dtype}`, first {brief(values.head(3).tolist())}")
    return pd.Series(_each(values, here, "numbers", exact_number, math.nan), index=values.index, dtype=np.float64)


def _texts(values: pd.Series, here: str) -> pd.Series:
    if pd.api.types.is_string_dtype(values.dtype) and not pd.api.types.is_object_dtype(values.dtype):
        return values.astype("str")
    return pd.Series(_each(values, here, "text", _text, None), index=values.index, dtype="str")


_TYPED: Final[dict[str, Callable[[pd.Series, str], pd.Series]]] = {
    "time": _times,
    "number": _numbers,
    "text": _texts,
}


def _each(values: pd.Series, here: str, what: str, read: Callable[[Any], Any], missing: Any) -> list[Any]:
    """Read value by value; a missing one becomes `missing`, and whether it may be is for the schema to say."""
    out = []
    for row, value in enumerate(values.astype(object)):
        try:
            out.append(missing if _is_missing(value) else read(value))
        except ValueError as error:
            raise SchemaError(f"{here} must hold {what}, holds `{values.dtype}`; row {row} {error}") from None
    return out


# -- single values -------------------------------------------------------------------------------------------------


def row_value(value: Any, column: Column) -> Any:
    """Return a value of a live row: text as str (None: missing), a number as float, a time in microseconds.

    Raises
    ------
    SchemaError
        If it does not fit the column; the message continues "column `x` …".
    """
    if column.kind == "time":
        return row_time(value)
    if column.kind == "number":
        if type(value) is not float:
            if column.nullable and _is_missing(value):
                return math.nan
            try:
                value = exact_number(value)
            except ValueError as error:
                raise SchemaError(str(error)) from None
        least = column.minimum
        if math.isfinite(value) and (least is None or value > least or (value == least and not column.positive)):
            return value
        if column.nullable and math.isnan(value):
            return value
        rule = next(rule for broken, rule in broken_rules(np.array([value]), column) if broken.any())
        raise SchemaError(f"{rule}, was {value!r}")
    if column.nullable and _is_missing(value):
        return None
    try:
        text = _text(value)
    except ValueError as error:
        raise SchemaError(str(error)) from None
    if column.values and text not in column.values:
        raise SchemaError(f"must be one of {', '.join(column.values)}, was {brief(text)}")
    if column.name == "symbol" and not is_name(text):
        raise SchemaError(f"{_NAME}, was {brief(text)}")
    return text


def reader(column: Column) -> Callable[[Any], Any]:
    """Return `row_value` of a column, with a short way for what is nearly always given: floats and plain texts."""
    if column.kind == "time":
        return row_time
    least = -math.inf if column.minimum is None else column.minimum

    def number(value: Any) -> Any:
        return value if type(value) is float and least < value < math.inf else row_value(value, column)

    def text(value: Any) -> Any:
        plain = type(value) is str and value.isascii()
        if plain and (value in column.values if column.values else value.isalnum() or column.name != "symbol"):
            return value
        return row_value(value, column)

    return number if column.kind == "number" else text


def row_time(time: Any, _: Any = None) -> int:
    """Return a timezone-aware time in microseconds since 1970.

    Raises
    ------
    SchemaError
        If it is not a time, missing, naive, or outside of 2009 to 2099.
    """
    if not isinstance(time, datetime) or time is pd.NaT:
        raise SchemaError(f"must be a timezone-aware time (UTC), was {brief(time)}")
    if time.tzinfo is None:
        raise SchemaError(f"must be a timezone-aware time (UTC), was naive, {time}")
    if 2008 < time.year < 2101:  # a zone may move it by a day
        time_us = epoch_us(time)
        if _EARLIEST_US <= time_us < _LATEST_US:
            return time_us
    raise SchemaError(f"must be a time between {EARLIEST.year} and {LATEST.year}, was {time}: a wrong unit of time?")


def broken_rules(numbers: Floats, column: Column) -> Iterator[tuple[Bools, str]]:
    """Yield which numbers break a rule of their column, and the rule; a missing one breaks only finiteness."""
    yield ~np.isfinite(numbers), "must be finite"
    least = column.minimum
    if least is not None and column.positive:
        yield numbers <= least, f"must be above {least:g}"
    elif least is not None:
        yield numbers < least, f"must be at least {least:g}"


def mapping_of(row: Any, what: str) -> Mapping[str, Any]:
    """Return a row of names and values: a mapping as it is, a Series as one.

    Raises
    ------
    SchemaError
        If it is neither.
    """
    if isinstance(row, Mapping):
        return row
    if isinstance(row, pd.Series) and row.index.is_unique:
        return {str(name): value for name, value in row.items()}
    raise SchemaError(f"{what} must map column names to values, was a {type(row).__name__}")


def is_name(text: str) -> bool:
    """Return whether a text can name a symbol: not empty, and nothing that a terminal or a file would not show."""
    return text.isprintable() and bool(text.strip())


def shown(value: Any) -> str:
    """Return a name or a time as it is, and anything else escaped and cut, for a message."""
    plain = isinstance(value, datetime) or (isinstance(value, str) and len(value) <= 60 and value.isprintable())
    return str(value) if plain else brief(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must hold text, was {brief(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"must hold text that can be encoded, was {brief(value)}") from None
    return str.__str__(value)  # the text of a member of an enumeration, not its name


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)
