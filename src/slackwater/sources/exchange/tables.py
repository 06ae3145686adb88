"""From the rows of a venue to canonical tables: when a row could be known, and which rows cannot be used."""

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

__all__ = ["LAGS", "Notes", "canonical", "stamped"]

LAGS: Final[Mapping[str, timedelta]] = {
    **DEFAULT_LAGS,
    "open_interest": timedelta(seconds=30),
    "long_short_ratio": timedelta(seconds=30),
    "liquidation_totals": timedelta(seconds=30),
}
"""From the end of a row's period to when a live client would have had it; listed where it is not the default."""

_PRICES: Final = ("open", "high", "low", "close")


class Notes:
    """Findings about one table of one symbol."""

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
    """Return rows with `event_time`, and `known_from`: the end of what a row may tell of.

    Notes
    -----
    A bar happens at its close. A statistic of a period that is stamped by a moment may still be a snapshot of the end
    of the period that begins then (one venue switched from the one to the other without a word), so that it counts as
    known only after it.
    """
    time = _times(rows["time"])
    end = time + pd.Timedelta(milliseconds=period)
    event = end if endpoint.stamp == "start" else time
    return rows.assign(event_time=event, known_from=end, open_time=time).drop(columns="time")


def canonical(rows: pd.DataFrame, name: str, symbol: str, *, now: datetime, notes: Notes) -> pd.DataFrame:
    """Return a canonical table of what came of one symbol, and note every row that is not in it.

    Parameters
    ----------
    rows
        From `stamped`, ascending.
    name
        Canonical table.
    symbol
        Canonical symbol.
    now
        What would be known only later is not finished, and left out.
    notes
        Where findings go.
    """
    schema = SCHEMAS[name]
    if name == "funding":
        rows = _settlements(rows, notes)
    table = rows.assign(symbol=symbol, available_time=rows["known_from"] + LAGS[name])
    if "event_time" in schema.key:
        table = _once(table, notes)
    unfinished = table["available_time"] > pd.Timestamp(now)
    notes.add("unfinished", table["event_time"][unfinished], "masked", "not over, or not yet published for sure")
    table = table[~unfinished]
    table = _usable(table, name, notes)
    known = [column.name for column in schema.columns if column.name in table]
    return table[known].reset_index(drop=True)


def _usable(table: pd.DataFrame, name: str, notes: Notes) -> pd.DataFrame:
    numbers = [column for column in SCHEMAS[name].columns if column.kind == "number" and column.name in table]
    required = [column.name for column in numbers if not column.nullable]
    for column in numbers:
        # A number that is none, where a venue need not give one, is unknown.
        if column.nullable:
            low = table[column.name] < (column.minimum if column.minimum is not None else -np.inf)
            table = table.assign(**{column.name: table[column.name].mask(low | np.isinf(table[column.name]))})
    unreadable = ~np.isfinite(table[required]).all(axis=1)
    notes.add("unreadable", table["event_time"][unreadable], "masked", "a number is missing, or none")
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
    """Return one row a time: the second copy of a row is taken out, rows that contradict each other are masked."""
    copies = table.duplicated()
    notes.add("doubled_rows", table["event_time"][copies], "repaired", "the same row twice")
    table = table[~copies]
    unlike = table.duplicated("event_time", keep=False)
    notes.add("conflicting_rows", table["event_time"][unlike], "masked", "several rows of one time that differ")
    return table[~unlike]


def _settlements(rows: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Return funding with the hours that each rate is for, and stamps without their milliseconds of delay."""
    minute = pd.Timedelta(minutes=1)
    settled = rows["event_time"].dt.round(minute)
    near = (rows["event_time"] - settled).abs() <= pd.Timedelta(seconds=1)
    event = settled.where(near, rows["event_time"])
    hours, missing = settlement_hours(event)
    notes.add("gap", event[missing], "recorded", "settlements before these are missing")
    return rows.assign(
        event_time=event, known_from=event.where(event > rows["known_from"], rows["known_from"]), interval_hours=hours
    )


def _times(milliseconds: pd.Series) -> pd.Series:
    stamps = milliseconds.to_numpy(np.int64) * 1000
    return pd.Series(pd.DatetimeIndex(stamps.astype("datetime64[us]")).tz_localize("UTC"), index=milliseconds.index)
