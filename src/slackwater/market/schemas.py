"""The canonical tables: their columns, types, units and ranges, and what makes a table unusable.

Every row of every table says when it happened (`event_time`: what the venue stamps; for a bar its close) and from
when it could have been known (`available_time`). Joins, sorts and cuts use `available_time` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, SchemaError

__all__ = [
    "SCHEMAS",
    "Column",
    "TableSchema",
    "describe_rows",
    "microseconds",
    "refuse_both_kinds_of_liquidations",
    "validate",
    "validate_row",
]

Kind = Literal["text", "time", "number"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a canonical table.

    Parameters
    ----------
    name, unit
        Name, and unit or meaning.
    kind
        ``"text"``, ``"time"`` (``datetime64[us, UTC]``) or ``"number"`` (``float64``).
    minimum
        Least value; excluded if `positive`.
    positive
        Whether zero is refused.
    values
        The only values that a text may take; empty: any.
    optional
        Whether the column may be absent.
    nullable
        Whether a value may be missing.
    """

    name: str
    kind: Kind
    unit: str = ""
    minimum: float | None = None
    positive: bool = False
    values: tuple[str, ...] = ()
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """A canonical table: its columns, and the columns that identify a row (no two rows share them)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def required(self) -> list[str]:
        """Names of the columns that must be there."""
        return [c.name for c in self.columns if not c.optional]


def _price(name: str) -> Column:
    return Column(name=name, kind="number", unit="quote currency", minimum=0.0, positive=True)


def _amount(
    name: str, unit: str = "coin", *, optional: bool = False, positive: bool = False, nullable: bool = False
) -> Column:
    return Column(
        name=name, kind="number", unit=unit, minimum=0.0, optional=optional, positive=positive, nullable=nullable
    )


def _text(name: str, *values: str, optional: bool = False, nullable: bool = False) -> Column:
    return Column(name=name, kind="text", values=values, optional=optional, nullable=nullable)


_STAMP: Final = (
    Column(name="symbol", kind="text", unit="perpetual"),
    Column(name="event_time", kind="time", unit="UTC, what the venue stamps"),
    Column(name="available_time", kind="time", unit="UTC, the earliest moment at which it could be known"),
)
_BARS: Final = (
    *_STAMP,
    Column(name="open_time", kind="time", unit="UTC"),
    _price("open"),
    _price("high"),
    _price("low"),
    _price("close"),
    _amount("volume"),
    _amount("taker_buy_volume", optional=True),
    _amount("trade_count", "trades", optional=True),
)
_OWNERS: Final = ("exchange", "wallet", "defi", "miner", "issuer", "unknown")

SCHEMAS: Final[dict[str, TableSchema]] = {
    schema.name: schema
    for schema in (
        TableSchema(name="fine_bars", columns=_BARS, key=("symbol", "event_time")),
        TableSchema(name="bars", columns=_BARS, key=("symbol", "event_time")),
        TableSchema(
            name="mark_price",
            columns=(
                *_STAMP,
                Column(name="open_time", kind="time", unit="UTC"),
                _price("open"),
                _price("high"),
                _price("low"),
                _price("close"),
            ),
            key=("symbol", "event_time"),
        ),
        TableSchema(
            name="open_interest",
            columns=(*_STAMP, _amount("open_interest")),
            key=("symbol", "event_time"),
        ),
        TableSchema(
            name="funding",
            columns=(
                *_STAMP,
                Column(
                    name="funding_rate",
                    kind="number",
                    unit="fraction of notional an interval; positive: longs pay",
                ),
                _amount("interval_hours", "hours", positive=True),
            ),
            key=("symbol", "event_time"),
        ),
        TableSchema(
            name="premium_index",
            columns=(*_STAMP, Column(name="premium_index", kind="number", unit="fraction")),
            key=("symbol", "event_time"),
        ),
        TableSchema(
            name="liquidations",
            columns=(
                *_STAMP,
                _text("side", "long", "short"),
                _price("price"),
                _amount("quantity", positive=True),
            ),
            key=(),
        ),
        TableSchema(
            name="liquidation_totals",
            columns=(*_STAMP, _amount("long_quantity"), _amount("short_quantity")),
            key=("symbol", "event_time"),
        ),
        TableSchema(
            name="large_trades",
            columns=(
                *_STAMP,
                _text("side", "buy", "sell"),
                _price("price"),
                _amount("quantity", positive=True),
            ),
            key=(),
        ),
        TableSchema(
            name="long_short_ratio",
            columns=(
                *_STAMP,
                # Some venues publish the ratio of all accounts alone.
                _amount("top_trader_ratio", "positions, longs over shorts", positive=True, optional=True),
                _amount("top_trader_account_ratio", "accounts, longs over shorts", optional=True, nullable=True),
                _amount("account_ratio", "all accounts, longs over shorts", optional=True, nullable=True),
                _amount("taker_volume_ratio", "bought over sold by takers", optional=True, nullable=True),
            ),
            key=("symbol", "event_time"),
        ),
        TableSchema(
            name="whale_transfers",
            columns=(
                *_STAMP,
                _text("chain"),
                _text("asset"),
                _amount("amount"),
                _amount("amount_usd", "USD"),
                _text("from_owner", nullable=True),
                _text("from_owner_type", *_OWNERS),
                _text("to_owner", nullable=True),
                _text("to_owner_type", *_OWNERS),
                _text("tx_hash"),
                Column(name="log_index", kind="number", minimum=0.0),
                _text("source"),
            ),
            key=("symbol", "chain", "tx_hash", "log_index", "source"),
        ),
        TableSchema(
            name="exchange_flows",
            columns=(
                *_STAMP,
                Column(name="bucket_start", kind="time", unit="UTC; the bucket ends at event_time"),
                _text("asset"),
                _amount("inflow_usd", "USD", optional=True, nullable=True),
                _amount("outflow_usd", "USD", optional=True, nullable=True),
                Column(name="netflow_usd", kind="number", unit="USD, positive: onto exchanges"),
                _text("source"),
            ),
            key=("symbol", "event_time", "asset", "source"),
        ),
        TableSchema(
            name="depth",
            columns=(
                *_STAMP,
                _amount("bid_quantity_1pct"),
                _amount("ask_quantity_1pct"),
                _amount("bid_quantity_5pct", optional=True),
                _amount("ask_quantity_5pct", optional=True),
            ),
            key=("symbol", "event_time"),
        ),
    )
}
"""The canonical tables by name. Prices in quote currency, quantities in coin, rates as fractions, times UTC.

The side of a liquidation is that of the position, the side of a large trade that of the aggressor. A row of
``liquidation_totals`` or ``exchange_flows`` sums a bucket of time that ends at its `event_time`; a data set has these
totals or the single ``liquidations``, not both.
"""


def describe_rows(table: pd.DataFrame, rows: Sequence[int] | pd.Index, columns: Sequence[str] = ()) -> str:
    """Return the first three of the given rows as text, for an error message."""
    wanted = [c for c in ("symbol", "event_time", *columns) if c in table]
    return table.loc[list(rows[:3]), list(dict.fromkeys(wanted))].to_string()


def validate(table: pd.DataFrame, name: str, *, origin: str | None = None) -> pd.DataFrame:
    """Return a table with the canonical types and column order, or say why it cannot be one.

    Parameters
    ----------
    table
        What was read. It is not changed. Columns that the schema does not know are dropped.
    name
        Which of `SCHEMAS` it should be.
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
    schema = SCHEMAS.get(name)
    if schema is None:
        raise SchemaError(f"there is no canonical table `{name}`; there are {', '.join(SCHEMAS)}")
    where = f"{origin} (table {name})" if origin else f"table {name}"
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


def validate_row(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one live row with canonical values, or say why it cannot be one: `validate` without a DataFrame.

    Parameters
    ----------
    row
        Column name to value; times as timezone-aware `datetime` or `Timestamp`. Columns that the schema does not
        know are dropped.
    name
        Which of `SCHEMAS` it belongs to.

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
    schema = SCHEMAS.get(name)
    if schema is None:
        raise SchemaError(f"there is no canonical table `{name}`; there are {', '.join(SCHEMAS)}")
    out: dict[str, Any] = {}
    for column in schema.columns:
        if column.name in row:
            out[column.name] = _ROW_VALUES[column.kind](row[column.name], column, name, row)
        elif not column.optional:
            raise SchemaError(f"{_of_row(name, row)}: missing column {column.name}; it has {', '.join(map(str, row))}")
    if out["available_time"] < out["event_time"]:
        raise OrderError(f"{_of_row(name, row)}: is available before it happened, at {row['available_time']}")
    return out


def microseconds(time: Any) -> int:
    """Return a timezone-aware time in microseconds since 1970.

    Raises
    ------
    SchemaError
        If it is no time, missing, naive, or beyond what `Timestamp` holds.
    """
    if not isinstance(time, datetime) or time is pd.NaT:
        raise SchemaError(f"must be a timezone-aware time (UTC), was {time!r}")
    if time.tzinfo is None:
        raise SchemaError(f"must be a timezone-aware time (UTC), was naive, {time}")
    try:
        return int(pd.Timestamp(time).value // 1_000)
    except (OverflowError, ValueError):
        raise SchemaError(f"must be a time between 1678 and 2262, was {time}") from None


def refuse_both_kinds_of_liquidations(tables: Container[str]) -> None:
    """Raise SchemaError if a data set has both single liquidations and totals: they would count twice."""
    if "liquidations" in tables and "liquidation_totals" in tables:
        raise SchemaError(
            "a data set has `liquidations` or `liquidation_totals`, and not both: they tell of the same events; "
            "leave one of them out"
        )


def _of_row(name: str, row: Mapping[str, Any]) -> str:
    return f"row of table {name} ({row.get('symbol')}, {row.get('event_time')})"


def _row_time(value: Any, column: Column, name: str, row: Mapping[str, Any]) -> int:
    try:
        return microseconds(value)
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


def _check_values(table: pd.DataFrame, schema: TableSchema, where: str) -> None:
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


def _check_order(table: pd.DataFrame, schema: TableSchema, where: str) -> None:
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


#: Bars are there in one form or the other; the rest no feature reads.
_UNMISSED: Final = ("bars", "fine_bars", "mark_price", "exchange_flows")


def absent_tables(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the canonical tables that features lack in a data set; one kind of liquidations is enough."""
    other = {"liquidations": "liquidation_totals", "liquidation_totals": "liquidations"}
    return [name for name in SCHEMAS if name not in tables and name not in _UNMISSED and other.get(name) not in tables]
