"""Detectors of defects in tables that fit their schema."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.columns import typed_table
from slackwater.market.quality import funding as of_funding
from slackwater.market.quality.clocks import LaggedSpan, event_clock, off_grid, settlement_shift, table_clock
from slackwater.market.quality.dead_feed import DEAD, dead_spans, inside_spans, without_spans
from slackwater.market.quality.halts import settlement
from slackwater.market.quality.known_defects import KNOWN_DEFECTS, KnownDefect
from slackwater.market.quality.ledger import Action, DefectLedger, Finding
from slackwater.market.quality.order import gaps, in_order, usual_spacing
from slackwater.market.quality.rules import FINEST, RULES, SPAN_LIMIT, Rule
from slackwater.market.quality.traded import Traded
from slackwater.market.quality.units import volume_in_doubt
from slackwater.market.schemas import (
    describe_rows,
    known_table,
    refuse_both_kinds_of_liquidations,
    validate,
    where_of,
)
from slackwater.market.tables import TABLES, Table
from slackwater.times import HOUR_US, epochs_us, timestamp

__all__ = ["absent_tables", "clean_tables", "examine_tables"]

APART: Final = pd.Timedelta(days=1)
"""Masked rows of one rule that are less than this apart make one finding."""


def clean_tables(
    tables: Mapping[str, pd.DataFrame],
    *,
    venue: str,
    spacing: Mapping[str, timedelta],
    schemas: Sequence[Table] = TABLES,
) -> tuple[dict[str, pd.DataFrame], DefectLedger]:
    """Return the tables without the rows that cannot be trusted, and the ledger of what was found.

    Parameters
    ----------
    tables
        Tables by canonical name.
    venue
        Venue of the data, for the known defects.
    spacing
        Regular spacing of the tables that have one, for gaps. For other tables with one row per time it is estimated.
    schemas
        Descriptions of the tables: the canonical ones, then those from outside.

    Raises
    ------
    SchemaError, OrderError
        If a table does not fit its schema (`slackwater.market.schemas.validate`), liquidations come both as events
        and as totals, or a table is refused: more rows of a symbol would have to be masked than its rule allows
        (`RULES`; a known defect is masked whatever its length), rows contradict each other, or a clock is wrong.
    """
    cleaned, ledger = examine_tables(tables, venue=venue, spacing=spacing, schemas=schemas)
    ledger.raise_if_refused()
    return cleaned, ledger


def examine_tables(
    tables: Mapping[str, pd.DataFrame],
    *,
    venue: str,
    spacing: Mapping[str, timedelta],
    schemas: Sequence[Table] = TABLES,
    known: Sequence[KnownDefect] = KNOWN_DEFECTS,
) -> tuple[dict[str, pd.DataFrame], DefectLedger]:
    """Return what `clean_tables` returns, with the refused tables left out and on the ledger instead of raised.

    Parameters
    ----------
    tables, venue, spacing, schemas
        See `clean_tables`.
    known
        The known defects that count, such as those of the venue without those of its archive.

    Raises
    ------
    SchemaError, OrderError
        As `clean_tables`, but for refused tables.
    """
    refuse_both_kinds_of_liquidations(tables)
    described = {schema.name: schema for schema in schemas}
    ledger = DefectLedger()
    usable: dict[str, dict[str, pd.DataFrame]] = {}
    # The finest bars first: other tables are compared with them.
    names = sorted(tables, key=lambda name: FINEST.index(name) if name in FINEST else len(FINEST))
    whole: dict[str, pd.DataFrame] = {}
    traded: dict[str, Traded] = {}
    for name in names:
        schema = known_table(name, described)
        ordered, findings = in_order(typed_table(tables[name], schema, where_of(schema)), schema)
        ledger.findings += findings
        if any(finding.action == "refused" for finding in findings):
            continue
        whole[name] = validate(ordered, schema)
        usable[name] = {}
        for symbol, rows in _symbols(whole[name]):
            listed = [defect for defect in known if defect.concerns(venue, name, symbol)]
            kept, findings = _masked(schema, symbol, rows, traded.get(symbol), listed, spacing.get(name))
            ledger.findings += findings
            usable[name][symbol] = kept
        if name in FINEST and not traded:
            ends = {symbol: settlement(rows) for symbol, rows in _symbols(whole[name])}
            traded = {symbol: Traded.of(rows, settled=ends[symbol]) for symbol, rows in usable[name].items()}
    refused = {finding.table for finding in ledger.refused}
    _hold_clocks({name: symbols for name, symbols in usable.items() if name not in refused}, ledger)
    _doubt_units(usable, ledger)
    refused = {finding.table for finding in ledger.refused}
    cleaned = {name: _joined(whole[name], usable[name]) for name in tables if name in usable and name not in refused}
    bars = next((cleaned[name] for name in FINEST if name in cleaned), None)
    for name in ("liquidations", "liquidation_totals"):
        if name in cleaned and bars is not None:
            cleaned[name] = _without_dead_feed(name, cleaned[name], dict(_symbols(bars)), ledger)
    return cleaned, ledger


def _symbols(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each symbol; their index is their place in the table."""
    codes, symbols = pd.factorize(table["symbol"])
    if (np.diff(codes) >= 0).all():  # slices copy nothing
        edges = np.searchsorted(codes, np.arange(len(symbols) + 1))
        for code, symbol in enumerate(symbols):
            yield str(symbol), table.iloc[edges[code] : edges[code + 1]]
    else:
        for code, symbol in enumerate(symbols):
            yield str(symbol), table.iloc[np.flatnonzero(codes == code)]


def _joined(table: pd.DataFrame, symbols: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    kept = np.zeros(len(table), dtype=bool)
    for rows in symbols.values():
        kept[rows.index] = True
    return table if kept.all() else table[kept].reset_index(drop=True)


def _masked(
    schema: Table,
    symbol: str,
    rows: pd.DataFrame,
    traded: Traded | None,
    known: Sequence[KnownDefect],
    spacing: timedelta | None,
) -> tuple[pd.DataFrame, list[Finding]]:
    """Return the rows of one symbol that can be trusted, and what was found on the way."""
    name = schema.name
    findings: list[Finding] = []
    spans = [(defect, rows["event_time"].between(defect.start, defect.end).to_numpy()) for defect in known]
    excused = np.zeros(len(rows), dtype=bool)
    for _, inside in spans:
        excused |= inside
    findings += _gaps(schema, rows, spacing, known)
    if name in FINEST and spacing is not None and (off := off_grid(rows, spacing)).any():
        note = (
            f"closes that are not whole multiples of {spacing} since 1970 UTC: another clock, or days of another zone?"
        )
        findings.append(Finding.of_rows(rows[off], name, symbol, "clock_shift", "recorded", note))
    left = np.ones(len(rows), dtype=bool)
    for rule in RULES:
        if name not in rule.tables:
            continue
        bad = np.zeros(len(rows), dtype=bool)
        bad[left] = rule.find(rows if left.all() else rows[left], traded)
        if not bad.any():
            continue
        if rule.action == "recorded":
            findings += _spans_of(name, symbol, rule, rows[bad])
            continue
        accidents = bad & ~excused
        if accidents.sum() > max(rule.limit * len(rows), 1):  # a single row is an accident in a short table too
            note = (
                f"{accidents.sum()} of {len(rows)} rows, too many to mask ({rule.limit:.0%}): {rule.note}; the first:\n"
                + describe_rows(rows, rows.index[accidents], _numbers(rows))
            )
            findings.append(Finding.of_rows(rows[accidents], name, symbol, rule.name, "refused", note))
            return rows, findings
        findings += _spans_of(name, symbol, rule, rows[bad])
        left &= ~bad
    for defect, inside in spans:
        chosen = inside & left
        if chosen.any():
            findings.append(Finding.of_rows(rows[chosen], name, symbol, "known_defect", defect.action, defect.reason))
        elif defect.action == "recorded" and _spans(rows, defect.start, defect.end):
            findings.append(
                Finding(
                    table=name,
                    symbol=symbol,
                    rule="known_defect",
                    start=defect.start,
                    end=defect.end,
                    rows=0,
                    action="recorded",
                    note=defect.reason,
                )
            )
        if defect.action == "masked":
            left &= ~inside
    return (rows if left.all() else rows[left]), findings


def _numbers(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows if pd.api.types.is_numeric_dtype(rows[name].dtype)]


def _spans(rows: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> bool:
    return bool(len(rows) and rows["event_time"].iloc[0] <= end and rows["event_time"].iloc[-1] >= start)


def _gaps(schema: Table, rows: pd.DataFrame, spacing: timedelta | None, known: Sequence[KnownDefect]) -> list[Finding]:
    """Return where rows are missing, with the reason where that is known."""
    if schema.name == "funding":
        found = of_funding.missing_settlements(rows)
    else:
        one_per_time = schema.key == ("symbol", "event_time") and schema.name not in FINEST
        step = usual_spacing(rows["event_time"]) if spacing is None and one_per_time else spacing
        found = [] if step is None else gaps(rows, schema.name, step)
    return [replace(gap, note=_reason(gap, known) or gap.note) for gap in found]


def _reason(gap: Finding, known: Sequence[KnownDefect]) -> str:
    return next((each.reason for each in known if each.start <= gap.end and gap.start <= each.end), "")


def _spans_of(name: str, symbol: str, rule: Rule, rows: pd.DataFrame) -> Iterator[Finding]:
    span = (rows["event_time"].diff() >= APART).cumsum()
    for _, part in rows.groupby(span, sort=False):
        yield Finding.of_rows(part, name, symbol, rule.name, rule.action, rule.note)


# -- clocks --------------------------------------------------------------------------------------------------


def _hold_clocks(usable: dict[str, dict[str, pd.DataFrame]], ledger: DefectLedger) -> None:
    """Compare the clock of every table with the finest bars; mask rows that are off, or refuse the table."""
    reference = next((usable[name] for name in FINEST if name in usable), {})
    for name, symbols in usable.items():
        for symbol, rows in symbols.items():
            if name == "funding":
                _hold_settlements(symbol, rows, ledger)
            bars = reference.get(symbol)
            if bars is None or rows is bars or rows.empty or bars.empty:
                continue
            if name in ("liquidations", "large_trades"):
                spans = event_clock(rows, bars)
            elif name == "bars":
                spans = table_clock("mark_price", rows, bars)
            else:
                spans = table_clock(name, rows, bars, usable.get("mark_price", {}).get(symbol))
            if spans:
                symbols[symbol] = _without_lagged(name, symbol, rows, spans, ledger)


def _hold_settlements(symbol: str, rows: pd.DataFrame, ledger: DefectLedger) -> None:
    shift = settlement_shift(rows)
    if shift is not None:
        note = f"settlements {shift} after 00:00, 08:00 and 16:00 UTC, when most venues settle: another clock?"
        ledger.add(Finding.of_rows(rows, "funding", symbol, "clock_shift", "recorded", note))


def _without_lagged(
    name: str, symbol: str, rows: pd.DataFrame, spans: list[LaggedSpan], ledger: DefectLedger
) -> pd.DataFrame:
    stamps = epochs_us(rows["event_time"])
    inside = [(stamps >= span.start) & (stamps <= span.end) for span in spans]
    off = np.any(inside, axis=0)
    action: Action = "masked" if off.sum() <= SPAN_LIMIT * len(rows) else "refused"
    for span, chosen in zip(spans, inside, strict=True):
        if chosen.any():
            ledger.add(Finding.of_rows(rows[chosen], name, symbol, "clock_shift", action, str(span)))
    return rows[~off] if action == "masked" else rows


# -- units ---------------------------------------------------------------------------------------------------


def _doubt_units(usable: Mapping[str, Mapping[str, pd.DataFrame]], ledger: DefectLedger) -> None:
    """Record bars whose volume is in another unit than coins as a whole, as far as anything contradicts it."""
    name = next((each for each in FINEST if each in usable), "")
    for symbol, bars in usable.get(name, {}).items():
        why = volume_in_doubt(bars, usable.get("open_interest", {}).get(symbol))
        if why:
            ledger.add(Finding.of_rows(bars, name, symbol, "volume_unit", "recorded", why))


# -- feeds of liquidations -----------------------------------------------------------------------------------


def _without_dead_feed(
    name: str, table: pd.DataFrame, bars: Mapping[str, pd.DataFrame], ledger: DefectLedger
) -> pd.DataFrame:
    """Return a feed of liquidations that is unknown where it was dead."""
    parts, found = [], False
    for symbol, rows in _symbols(table):
        spans = dead_spans(rows, bars[symbol]) if symbol in bars else []
        stamps = epochs_us(rows["event_time"])
        for start, end in spans:
            found = True
            note = (
                f"{(end - start) / HOUR_US:,.0f} h in which less than {DEAD:.0%} of the usual share of the volume was "
                "liquidated while the market traded and moved: unknown, not zero"
            )
            ledger.add(
                Finding(
                    table=name,
                    symbol=symbol,
                    rule="dead_feed",
                    start=timestamp(start),
                    end=timestamp(end),
                    rows=int(inside_spans(stamps, [(start, end)]).sum()),
                    action="masked",
                    note=note,
                )
            )
        parts.append(without_spans(rows, bars[symbol], spans) if spans else rows)
    return pd.concat(parts, ignore_index=True) if found else table


def absent_tables(tables: Container[str]) -> list[str]:
    """Return the names of the tables that features lack in a data set; one kind of liquidations is enough."""
    other = {"liquidations": "liquidation_totals", "liquidation_totals": "liquidations"}
    joined = [table.name for table in TABLES if table.join is not None]
    return [name for name in joined if name not in tables and other.get(name) not in tables]
