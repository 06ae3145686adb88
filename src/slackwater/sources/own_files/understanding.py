"""A page with what was understood of a directory of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pandas as pd

from slackwater.market.quality.clocks import table_clock
from slackwater.market.quality.funding import steep_rate
from slackwater.market.quality.ledger import Finding
from slackwater.market.quality.order import usual_spacing
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.coverage import coverage, coverage_page
from slackwater.sources.own_files.directory import Reading
from slackwater.sources.own_files.source import ReadFile

__all__ = ["clock_against", "understanding"]

LONGEST: Final = 3
"""Findings of one rule, table and symbol that are listed one by one; `defects.json` has all of them."""


def understanding(reading: Reading, findings: Sequence[Finding], cleaned: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Yield the lines that describe what was made of every file, and what is wrong with its content.

    Parameters
    ----------
    reading
        What `read_directory` returned.
    findings
        What was found in the content.
    cleaned
        The tables without the rows that were taken out.
    """
    for name, files in reading.files.items():
        table = reading.tables.get(name, files[0].table)
        yield f"{name}: {len(table):,} rows of {', '.join(sorted(set(table['symbol'])))}"
        first, last = table["event_time"].min(), table["event_time"].max()
        yield f"  span     {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, {_spacing(table)}"
        alike: dict[object, list[ReadFile]] = {}
        for file in files:
            alike.setdefault((tuple(file.columns.items()), file.unread), []).append(file)
        for group in alike.values():
            yield f"  files    {', '.join(file.origin for file in group)}"
            yield f"  clock    {', '.join(sorted({file.clock for file in group}))}; known {_lag(group)} after the stamp"
            for column in SCHEMAS[name].columns:
                made = group[0].columns.get(column.name, "not there")
                unit = f", {column.unit}" if column.unit and column.kind == "number" and made != "not there" else ""
                yield f"  column   {column.name} {'' if made.startswith('from ') else 'is '}{made}{unit}"
            if group[0].unread:
                yield f"  unread   {', '.join(group[0].unread)}"
    if reading.unread:
        yield f"not read: {', '.join(reading.unread)}"
    yield f"findings: {len(findings)}" if findings else "findings: none"
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.table, finding.symbol, finding.rule, finding.action), []).append(finding)
    for (table, symbol, rule, action), found in groups.items():
        shown = len(found) if len(found) == LONGEST + 1 else LONGEST  # "1 more" would take a line too
        for finding in found[:shown]:
            yield f"  {finding}"
        if len(found) > shown:
            rows, last = sum(each.rows for each in found[shown:]), max(each.end for each in found)
            rest = f"{len(found) - shown:,} more of these in {rows:,} rows, the last on {last:%Y-%m-%d}"
            yield f"  table {table}: {symbol} {rule}, {action}: {rest}"
    yield from _steep_rates(cleaned.get("funding"))
    grid = reading.tables.get("bars", reading.tables.get("fine_bars"))
    symbols = [] if grid is None else sorted(grid["symbol"].unique())
    yield "coverage:"
    yield from coverage_page(coverage(cleaned, findings, symbols))


def clock_against(bars: pd.DataFrame, others: pd.DataFrame) -> list[Finding]:
    """Return where bars run on another clock than those of another source, symbol by symbol.

    Parameters
    ----------
    bars, others
        Canonical bars, in order; symbols that one of them lacks, and times that one of them lacks, are passed over.
    """
    return [
        Finding(
            table="bars",
            symbol=str(symbol),
            rule="clock_shift",
            start=pd.Timestamp(span.start, unit="us", tz="UTC"),
            end=pd.Timestamp(span.end, unit="us", tz="UTC"),
            rows=int(rows["event_time"].astype("int64").between(span.start, span.end).sum()),
            action="recorded",
            note=f"against the other data set, {span}",
        )
        for symbol, rows in bars.groupby("symbol")
        if len(theirs := others[others["symbol"] == symbol])
        for span in table_clock("mark_price", rows, theirs)
    ]


def _steep_rates(funding: pd.DataFrame | None) -> Iterator[str]:
    """Yield how many rates of each symbol stand out of their neighbours: right ones look like wrong ones."""
    if funding is None:
        return
    for symbol, rows in funding.groupby("symbol"):
        steep = rows[steep_rate(rows)]
        if steep.empty:
            continue
        first = steep.loc[steep["funding_rate"].abs().nlargest(LONGEST).index]
        listed = ", ".join(f"{row.event_time:%Y-%m-%d %H:%M} ({row.funding_rate:g})" for row in first.itertuples())
        yield f"flagged: table funding: {symbol} {len(steep):,} of {len(rows):,} rates are three times their neighbours"
        yield f"  or more, which markets make and wrong numbers too; the largest: {listed}"


def _spacing(table: pd.DataFrame) -> str:
    steps = {usual_spacing(rows["event_time"]) for _, rows in table.groupby("symbol")}
    if steps == {None}:
        return "at no regular spacing"
    return "every " + " or ".join(sorted(str(step) for step in steps if step is not None))


def _lag(files: Sequence[ReadFile]) -> str:
    lags = pd.concat([file.table["available_time"] - file.table["event_time"] for file in files])
    shortest, longest = (str(lag.to_pytimedelta()) for lag in (lags.min(), lags.max()))
    return shortest if shortest == longest else f"{shortest} to {longest}"
