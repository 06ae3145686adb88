"""Checks of tables and rows against the canonical tables: columns, types, ranges and order."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, SchemaError
from slackwater.market.columns import broken_rules, is_name, mapping_of, reader, shown, typed_table
from slackwater.market.tables import TABLES, Table

__all__ = [
    "SCHEMAS",
    "RowReader",
    "describe_rows",
    "known_table",
    "refuse_both_kinds_of_liquidations",
    "validate",
    "where_of",
]

SCHEMAS: Final[dict[str, Table]] = {table.name: table for table in TABLES}
"""The canonical tables by name."""


def describe_rows(table: pd.DataFrame, rows: Sequence[int] | pd.Index, columns: Sequence[str] = ()) -> str:
    """Return the first three of the given rows as text, for an error message."""
    wanted = [c for c in ("symbol", "event_time", *columns) if c in table]
    text = table.loc[list(rows[:3]), list(dict.fromkeys(wanted))].to_string()
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def validate(table: pd.DataFrame, name: str | Table, *, origin: str | None = None) -> pd.DataFrame:
    """Return a table with the canonical types and column order, or raise an error that explains what is wrong.

    Parameters
    ----------
    table
        Rows as they were read; not changed. Their order is kept, columns that the schema lacks are dropped.
    name
        Which of `SCHEMAS` it should be, or a table from outside.
    origin
        Origin of the rows, such as a file, for messages.

    Raises
    ------
    SchemaError
        If a column is missing or of a wrong type, a time is naive or missing, a number is missing, infinite or out
        of range, or a text has an unknown value.
    OrderError
        If rows of a symbol repeat a key or run backwards in time.
    """
    schema = known_table(name)
    where = where_of(schema, origin)
    table = typed_table(table, schema, where)
    table = table[[c.name for c in schema.columns if c.name in table]]
    _check_values(table, schema, where)
    _check_order(table, schema, where)
    return table


def where_of(schema: Table, origin: str | None = None) -> str:
    """Return how messages name a table, with the origin of its rows where that is known."""
    return f"{origin} (table {schema.name})" if origin else f"table {schema.name}"


class RowReader:
    """Reads single live rows of a table with canonical values: `validate` without a DataFrame.

    Parameters
    ----------
    name
        As in `validate`.
    """

    def __init__(self, name: str | Table) -> None:
        self.table = known_table(name)
        self._columns = [(column.name, column.optional, reader(column)) for column in self.table.columns]

    def __call__(self, row: Mapping[str, Any] | pd.Series) -> dict[str, Any]:
        """Return the values of one row.

        Parameters
        ----------
        row
            Column name to value; times as timezone-aware `datetime` or `Timestamp`.

        Returns
        -------
        dict
            Texts as str (None where missing), numbers as float, times as int, microseconds since 1970.

        Raises
        ------
        SchemaError
            As in `validate`.
        OrderError
            If the row is available before it happened.
        """
        table = self.table.name
        row = row if type(row) is dict else mapping_of(row, f"a row of table {table}")
        out: dict[str, Any] = {}
        for name, optional, read in self._columns:
            if name in row:
                try:
                    out[name] = read(row[name])
                except SchemaError as error:
                    raise SchemaError(f"{_of_row(table, row)}: column `{name}` {error}") from None
            elif not optional:
                has = ", ".join(map(shown, row))
                raise SchemaError(f"{_of_row(table, row)}: missing column {name}; it has {has}")
        if out["available_time"] < out["event_time"]:
            raise OrderError(f"{_of_row(table, row)}: is available before it happened, at {row['available_time']}")
        return out


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
    return f"row of table {name} ({shown(row.get('symbol'))}, {shown(row.get('event_time'))})"


def _check_values(table: pd.DataFrame, schema: Table, where: str) -> None:
    for column in schema.columns:
        if column.name not in table:
            continue
        values = table[column.name]
        missing = values.isna().to_numpy()
        rules = [] if column.nullable else [(missing, "must not be missing")]
        if column.kind == "number":
            rules += [(bad & ~missing, rule) for bad, rule in broken_rules(values.to_numpy(np.float64), column)]
        elif column.name == "symbol":
            names = [name for name in values.dropna().unique() if is_name(name)]
            rules.append((~values.isin(names).to_numpy() & ~missing, "must be a name of printable characters"))
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
    def refuse(bad: pd.Series, what: str, columns: Sequence[str] = ()) -> None:
        rows = table.index[bad]
        if len(rows):
            shown = describe_rows(table, rows, columns)
            raise OrderError(f"{where}: {len(rows)} rows {what}, the first:\n{shown}")

    early = table["available_time"] < table["event_time"]
    refuse(early, "are available before they happened", ["available_time"])
    backwards = table.groupby("symbol")["event_time"].diff() < pd.Timedelta(0)
    refuse(backwards, "run backwards in `event_time`")
    if schema.key:
        repeated = table.duplicated(list(schema.key), keep="first")
        refuse(repeated, f"repeat ({', '.join(schema.key)}) of an earlier row", schema.key)
