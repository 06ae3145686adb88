"""What was understood of a directory of files, as a page to read before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pandas as pd

from slackwater.market.quality.clocks import lags_between
from slackwater.market.quality.ledger import Finding
from slackwater.market.quality.order import usual_spacing
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.directory import Reading
from slackwater.sources.own_files.table_file import ReadFile, TableFile

__all__ = ["clock_against", "understanding"]

LONGEST: Final = 3
"""Findings of one rule, table and symbol that are listed one by one; `defects.json` has all of them."""


def understanding(reading: Reading, sources: Mapping[str, TableFile], findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines that say what was made of every file, and what is wrong with its content.

    Parameters
    ----------
    reading
        What `read_directory` returned.
    sources
        What it was told of each table; a table that is missing was recognised by the name of its file.
    findings
        What was found in the content.
    """
    for name, table in reading.tables.items():
        files = reading.files[name]
        yield f"{name}: {len(table):,} rows of {', '.join(sorted(set(table['symbol'])))}"
        yield f"  files    {', '.join(_described(file) for file in files)}"
        first, last = table["event_time"].min(), table["event_time"].max()
        yield f"  span     {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, {_spacing(table)}"
        yield f"  clock    {', '.join(sorted({file.clock for file in files}))}; {_lag(files[0])}"
        for line in _columns(name, files[0], sources.get(name)):
            yield f"  column   {line}"
    yield f"findings: {len(findings)}" if findings else "findings: none"
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.table, finding.symbol, finding.rule, finding.action), []).append(finding)
    for (table, symbol, rule, action), found in groups.items():
        for finding in found[:LONGEST]:
            yield f"  {finding}"
        if len(found) > LONGEST:
            rows, last = sum(each.rows for each in found[LONGEST:]), max(each.end for each in found)
            rest = f"{len(found) - LONGEST:,} more of these in {rows:,} rows, the last on {last:%Y-%m-%d}"
            yield f"  table {table}: {symbol} {rule}, {action}: {rest}"


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
        for span in lags_between(rows, theirs)
    ]


def _described(file: ReadFile) -> str:
    return f"{file.path.name}{' (no header)' if file.headless else ''}"


def _spacing(table: pd.DataFrame) -> str:
    steps = {usual_spacing(rows["event_time"]) for _, rows in table.groupby("symbol")}
    if steps == {None}:
        return "at no regular spacing"
    return "every " + " or ".join(sorted(str(step) for step in steps if step is not None))


def _lag(file: ReadFile) -> str:
    return "the file says when a row is known" if file.lag is None else f"known {file.lag} after the stamp"


def _columns(name: str, file: ReadFile, source: TableFile | None) -> Iterator[str]:
    for column in SCHEMAS[name].columns:
        if column.name in file.mapped:
            theirs = file.mapped[column.name]
            factor = source.scale.get(column.name) if source else None
            times = f" x {factor:g}" if factor else ""
            unit = f", {column.unit}" if column.unit else ""
            yield f"{column.name} from {f'position {theirs}' if isinstance(theirs, int) else theirs}{times}{unit}"
        elif column.name in file.table:
            yield f"{column.name} is {_made(column.name, source)}"
        else:
            yield f"{column.name} is not there"


def _made(column: str, source: TableFile | None) -> str:
    if source is not None and column in source.constants:
        return f"always {source.constants[column]}"
    return {"symbol": "in the name of the file", "available_time": "the stamp and its lag"}.get(
        column, "the other end of the bar"
    )
