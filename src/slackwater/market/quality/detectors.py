"""Detectors: what is wrong with a table that has the right shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.quality.known_defects import KNOWN_DEFECTS
from slackwater.market.quality.ledger import DefectLedger, Finding
from slackwater.market.schemas import describe_rows, refuse_both_kinds_of_liquidations, validate

__all__ = ["clean_tables"]

MASK_LIMIT: Final = 0.01
"""Share of a symbol's rows above which a defect is no accident, and the table is refused instead of masked."""


def clean_tables(
    tables: Mapping[str, pd.DataFrame], *, venue: str, spacing: Mapping[str, timedelta]
) -> tuple[dict[str, pd.DataFrame], DefectLedger]:
    """Return the tables without the rows that cannot be trusted, and the ledger of what was found.

    Parameters
    ----------
    tables
        Tables by canonical name.
    venue
        Where they come from, for the known defects.
    spacing
        The regular spacing of the tables that have one; gaps are recorded against it.

    Raises
    ------
    SchemaError, OrderError
        If a table does not fit its schema (`slackwater.market.schemas.validate`), more than 1 % of the rows of a
        symbol would have to be masked (a known defect is masked whatever its length), or liquidations come both as
        events and as totals.
    """
    refuse_both_kinds_of_liquidations(tables)
    ledger = DefectLedger()
    cleaned: dict[str, pd.DataFrame] = {}
    for name, raw in tables.items():
        table = validate(raw, name)
        if name in ("path", "bars"):
            broken = (table["high"] < table[["open", "close", "low"]].max(axis=1)) | (
                table["low"] > table[["open", "close"]].min(axis=1)
            )
            table = _mask(table, broken, name, "ohlc_violation", ledger, "high and low do not enclose open and close")
        if name == "open_interest":
            table = _mask(table, table["open_interest"] <= 0.0, name, "zero_open_interest", ledger)
        for known in KNOWN_DEFECTS:
            if (known.venue, known.table) == (venue, name):
                inside = table["event_time"].between(known.start, known.end) & (table["symbol"] == known.symbol)
                table = _mask(table, inside, name, "known_defect", ledger, known.reason)
        if name in spacing:
            _record_gaps(table, name, spacing[name], ledger)
        cleaned[name] = table
    return cleaned, ledger


def _mask(
    table: pd.DataFrame, bad: pd.Series, name: str, rule: str, ledger: DefectLedger, note: str = ""
) -> pd.DataFrame:
    if not bad.any():
        return table
    share = float(bad.groupby(table["symbol"]).mean().max())
    if share > MASK_LIMIT and rule != "known_defect":
        rows = table.index[bad]
        raise SchemaError(
            f"table {name}: {rule} in {len(rows)} of {len(table)} rows, too many to mask; the first:\n"
            f"{describe_rows(table, rows, [c for c in table if c not in ('available_time', 'open_time')])}"
        )
    for symbol, rows in table[bad].groupby("symbol"):
        ledger.add(
            Finding(
                table=name,
                symbol=str(symbol),
                rule=rule,
                start=rows["event_time"].min(),
                end=rows["event_time"].max(),
                rows=len(rows),
                action="masked",
                note=note,
            )
        )
    return table[~bad].reset_index(drop=True)


def _record_gaps(table: pd.DataFrame, name: str, spacing: timedelta, ledger: DefectLedger) -> None:
    previous = table.groupby("symbol")["event_time"].shift()
    step = table["event_time"] - previous
    for row in table.index[step > spacing]:
        ledger.add(
            Finding(
                table=name,
                symbol=str(table.at[row, "symbol"]),
                rule="gap",
                start=previous[row],
                end=table.at[row, "event_time"],
                rows=round(step[row] / spacing) - 1,
                action="recorded",
            )
        )
