"""Canonical tables from the rows of a venue: availability of rows, and rows that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import SCHEMAS
from slackwater.market.tables import LAGS as DEFAULT_LAGS
from slackwater.market.tables import Column
from slackwater.sources.exchange.endpoint import Endpoint
from slackwater.sources.exchange.settlements import settlement_hours
from slackwater.times import SECOND, epoch_us, epochs_us, microseconds, timestamps
from slackwater.types import Bools, Floats

__all__ = ["LAGS", "Notes", "canonical", "stamped"]

LAGS: Final[Mapping[str, timedelta]] = {
    **DEFAULT_LAGS,
    **dict.fromkeys(("open_interest", "long_short_ratio", "liquidation_totals"), 30 * SECOND),
}
"""Time from the end of a row's period to its arrival at a live client; entries here differ from the default."""

_PRICES: Final = ("open", "high", "low", "close")


class Notes:
    """Collector of the findings about one table of one symbol."""

    def __init__(self, table: str, symbol: str) -> None:
        self.table, self.symbol = table, symbol
        self.findings: list[Finding] = []

    def add(self, rule: str, times: pd.Series, action: Any, note: str) -> None:
        """Record a finding about rows at some times; nothing where there are none."""
        if len(times):
            self.span(rule, times.min(), times.max(), len(times), action, note)

    def span(self, rule: str, start: Any, end: Any, rows: int, action: Any, note: str) -> None:
        """Record a finding about a span of time."""
        self.findings.append(
            Finding(
                table=self.table,
                symbol=self.symbol,
                rule=rule,
                start=pd.Timestamp(start),
                end=pd.Timestamp(end),
                rows=rows,
                action=action,
                note=note,
            )
        )


class _Rows:
    """The rows of a table that are left, and a finding for every one that is not.

    A rule is an array over all rows; rows that are out already are not counted again. Arrays, and one table at the end:
    a feed asks for a few rows at a time, and a table per rule would take longer than everything else.
    """

    def __init__(self, times: pd.Series, notes: Notes) -> None:
        self.times, self.notes = times, notes
        self.left = np.ones(len(times), dtype=np.bool_)

    def note(self, rule: str, rows: Bools, note: str, action: str = "recorded") -> None:
        """Record a finding about those of some rows that are left."""
        if rows.any() and (found := rows & self.left).any():
            self.notes.add(rule, self.times[found], action, note)

    def leave_out(self, rule: str, rows: Bools, note: str, action: str = "masked") -> None:
        """Leave some rows out."""
        self.note(rule, rows, note, action)
        self.left &= ~rows


def stamped(rows: pd.DataFrame, endpoint: Endpoint, period: int) -> pd.DataFrame:
    """Return rows with `event_time`, and `known_from`: the end of the span that a row may describe.

    Notes
    -----
    A bar is stamped by its close. A statistic of a period may be a snapshot of the end of the period that begins at its
    stamp (one venue switched from one to the other without notice), so that it counts as known only after that period.
    """
    stamps = rows["time"].to_numpy(np.int64) * 1000
    time, end = timestamps(stamps), timestamps(stamps + period * 1000)
    values: dict[str, Any] = {str(name): rows[name] for name in rows.columns if name != "time"}
    event = end if endpoint.stamp == "start" else time
    return pd.DataFrame(values | {"event_time": event, "known_from": end, "open_time": time}, index=rows.index)


def canonical(rows: pd.DataFrame, name: str, symbol: str, *, now: datetime, notes: Notes) -> pd.DataFrame:
    """Return the canonical table of one symbol, with a finding for every row that is left out.

    Parameters
    ----------
    rows
        From `stamped`, ascending.
    name
        Canonical table.
    symbol
        Canonical symbol.
    now
        The time; rows that become known later are left out.
    notes
        Receiver of the findings.
    """
    schema = SCHEMAS[name]
    if name == "funding":
        rows = _settlements(rows, notes)
    read = _Rows(rows["event_time"], notes)
    available = timestamps(epochs_us(rows["known_from"]) + microseconds(LAGS[name]))
    if "event_time" in schema.key:
        _once(rows, read)
    read.leave_out("unfinished", available.asi8 > epoch_us(now), "not over, or perhaps not yet published")
    numbers = _usable(rows, name, read)
    values = {str(each): rows[each] for each in rows.columns} | numbers
    values |= {"symbol": symbol, "available_time": available}
    known = {column.name: values[column.name] for column in schema.columns if column.name in values}
    return pd.DataFrame(known, index=rows.index)[read.left].reset_index(drop=True)


def _usable(rows: pd.DataFrame, name: str, read: _Rows) -> dict[str, Floats]:
    """Leave out rows that cannot be used, and return the numbers with unknown ones as NaN."""
    columns = [column for column in SCHEMAS[name].columns if column.kind == "number" and column.name in rows]
    numbers: dict[str, Floats] = {column.name: rows[column.name].to_numpy(np.float64) for column in columns}
    for column in columns:
        # An impossible value in a column that may be missing is unknown.
        if column.nullable:
            values = numbers[column.name]
            impossible = _below(values, column) | np.isinf(values)
            for found, what in ((impossible, "impossible"), (np.isnan(values), "blank")):
                read.note("blank_value", found, f"`{column.name}` is {what}: unknown in these rows")
            numbers[column.name] = np.where(impossible, np.nan, values)
    required = [column for column in columns if not column.nullable]
    unreadable, out = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
    for column in required:
        unreadable |= ~np.isfinite(numbers[column.name])
        out |= _below(numbers[column.name], column)
    read.leave_out("unreadable", unreadable, "a number is missing or unreadable")
    if name == "long_short_ratio" and "top_trader_ratio" in numbers:
        read.leave_out("not_published", numbers["top_trader_ratio"] == 0.0, "no ratio of the top traders")
    read.leave_out("out_of_range", out, "a price, an amount or a ratio below its range")
    if all(price in numbers for price in _PRICES):
        prices = np.array([numbers[price] for price in _PRICES])
        broken = (numbers["high"] < prices.max(axis=0)) | (numbers["low"] > prices.min(axis=0))
        read.leave_out("ohlc_violation", broken, "high and low do not enclose the bar")
    return numbers


def _below(values: Floats, column: Column) -> Bools:
    """Return where values are below the range of their column; NaN is not."""
    least = -np.inf if column.minimum is None else column.minimum
    return values <= least if column.positive else values < least


def _once(rows: pd.DataFrame, read: _Rows) -> None:
    """Leave out all but one row per time: copies are taken out, rows that contradict each other are masked."""
    if (np.diff(epochs_us(rows["event_time"])) > 0).all():
        return
    read.leave_out("doubled_rows", rows.duplicated().to_numpy(), "the same row twice", "repaired")
    unlike = rows["event_time"].where(read.left).duplicated(keep=False).to_numpy()
    read.leave_out("conflicting_rows", unlike & read.left, "rows of one time that differ")


def _settlements(rows: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return funding with the interval of each rate in hours, and stamps without their milliseconds of delay."""
    due = rows["event_time"].dt.round("1min")
    near = (rows["event_time"] - due).abs() <= SECOND
    event = due.where(near, rows["event_time"])
    hours, missing = settlement_hours(event)
    notes.add("gap", event[missing], "recorded", "settlements before these are missing")
    return rows.assign(
        event_time=event, known_from=event.where(event > rows["known_from"], rows["known_from"]), interval_hours=hours
    )
