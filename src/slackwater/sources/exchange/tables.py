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
from slackwater.sources.exchange.endpoint import Endpoint
from slackwater.sources.exchange.settlements import settlement_hours
from slackwater.times import SECOND, timestamps

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


def stamped(rows: pd.DataFrame, endpoint: Endpoint, period: int) -> pd.DataFrame:
    """Return rows with `event_time`, and `known_from`: the end of the span that a row may describe.

    Notes
    -----
    A bar is stamped by its close. A statistic of a period may be a snapshot of the end of the period that begins at its
    stamp (one venue switched from one to the other without notice), so that it counts as known only after that period.
    """
    time = pd.Series(timestamps(rows["time"].to_numpy(np.int64) * 1000), index=rows.index)
    end = time + pd.Timedelta(milliseconds=period)
    event = end if endpoint.stamp == "start" else time
    return rows.assign(event_time=event, known_from=end, open_time=time).drop(columns="time")


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
    table = rows.assign(symbol=symbol, available_time=rows["known_from"] + LAGS[name])
    if "event_time" in schema.key:
        table = _once(table, notes)
    unfinished = table["available_time"] > pd.Timestamp(now)
    notes.add("unfinished", table["event_time"][unfinished], "masked", "not over, or perhaps not yet published")
    table = table[~unfinished]
    table = _usable(table, name, notes)
    known = [column.name for column in schema.columns if column.name in table]
    return table[known].reset_index(drop=True)


def _usable(table: pd.DataFrame, name: str, notes: Notes) -> pd.DataFrame:
    numbers = [column for column in SCHEMAS[name].columns if column.kind == "number" and column.name in table]
    required = [column.name for column in numbers if not column.nullable]
    for column in numbers:
        # An impossible value in a column that may be missing is unknown.
        if column.nullable:
            least = column.minimum if column.minimum is not None else -np.inf
            low = table[column.name] <= least if column.positive else table[column.name] < least
            impossible = low | np.isinf(table[column.name])
            for rows, what in ((impossible, "impossible"), (table[column.name].isna(), "blank")):
                note = f"`{column.name}` is {what}: unknown in these rows"
                notes.add("blank_value", table["event_time"][rows], "recorded", note)
            table = table.assign(**{column.name: table[column.name].mask(impossible)})
    unreadable = ~np.isfinite(table[required]).all(axis=1)
    notes.add("unreadable", table["event_time"][unreadable], "masked", "a number is missing or unreadable")
    table = table[~unreadable]
    if name == "long_short_ratio" and "top_trader_ratio" in table:
        silent = table["top_trader_ratio"] == 0.0
        notes.add("not_published", table["event_time"][silent], "masked", "no ratio of the top traders")
        table = table[~silent]
    out = pd.Series(False, index=table.index)
    for column in numbers:
        if column.minimum is not None and not column.nullable:
            values = table[column.name]
            out |= (values <= column.minimum) if column.positive else (values < column.minimum)
    notes.add("out_of_range", table["event_time"][out], "masked", "a price, an amount or a ratio below its range")
    table = table[~out]
    if all(price in table for price in _PRICES):
        broken = (table["high"] < table[list(_PRICES)].max(axis=1)) | (table["low"] > table[list(_PRICES)].min(axis=1))
        notes.add("ohlc_violation", table["event_time"][broken], "masked", "high and low do not enclose the bar")
        table = table[~broken]
    return table


def _once(table: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return one row per time: copies are taken out, rows that contradict each other are masked."""
    copies = table.duplicated()
    notes.add("doubled_rows", table["event_time"][copies], "repaired", "the same row twice")
    table = table[~copies]
    unlike = table.duplicated("event_time", keep=False)
    notes.add("conflicting_rows", table["event_time"][unlike], "masked", "rows of one time that differ")
    return table[~unlike]


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
