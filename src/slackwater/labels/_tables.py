"""Checks of the tables that the labelling modules are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, SchemaError
from slackwater.times import epochs_us
from slackwater.types import Bools, Ints

_ROWS_SHOWN = 5


def require_columns(table: pd.DataFrame, columns: Sequence[str], *, name: str) -> None:
    """Raise SchemaError if a column is missing."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise SchemaError(f"`{name}` lacks the columns {missing}; it has {list(table.columns)}")


def times_us(table: pd.DataFrame, column: str, *, name: str) -> Ints:
    """Return the times of a column in microseconds since 1970-01-01 UTC; raise SchemaError on naive or missing ones."""
    times = table[column]
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        raise SchemaError(f"`{name}.{column}` must hold timezone-aware times (UTC), was {times.dtype}")
    refuse_rows(table, times.isna().to_numpy(), name=name, problem=f"no `{column}`")
    return epochs_us(times)


def refuse_rows(table: pd.DataFrame, wrong: Bools, *, name: str, problem: str) -> None:
    """Raise SchemaError that shows the first rows in which `wrong` is true, if there is one."""
    if wrong.any():
        raise SchemaError(f"`{name}` has {problem} in {int(wrong.sum())} rows, first:\n{first_rows(table, wrong)}")


def symbol_rows(table: pd.DataFrame, times: Ints, *, name: str) -> dict[Any, slice]:
    """Return the rows of each symbol; raise OrderError unless symbols are contiguous and times rise within each."""
    if len(table) == 0:
        return {}
    codes, symbols = pd.factorize(table["symbol"])
    changes = np.flatnonzero(np.diff(codes)) + 1
    if changes.size + 1 != len(symbols):
        raise OrderError(f"`{name}` must be sorted by symbol and time; the rows of a symbol are not together")
    backwards = np.concatenate(([False], (np.diff(times) <= 0) & (np.diff(codes) == 0)))
    if backwards.any():
        raise OrderError(
            f"`{name}` has times that repeat or run backwards within a symbol in {int(backwards.sum())} "
            f"rows, first:\n{first_rows(table, backwards)}"
        )
    edges = [0, *changes.tolist(), len(table)]
    return {symbol: slice(start, stop) for symbol, start, stop in zip(symbols, edges[:-1], edges[1:], strict=True)}


def first_rows(table: pd.DataFrame, chosen: Bools) -> str:
    """Return the first few chosen rows as text, for an error message."""
    return str(table.iloc[np.flatnonzero(chosen)[:_ROWS_SHOWN]].to_string())
