"""Coverage of a request: which spans of a table were asked for and did not come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from slackwater.market.quality.ledger import Finding
from slackwater.times import HOUR_US, MINUTE_US, epoch_us, microseconds, timestamp
from slackwater.types import Floats, Ints

__all__ = [
    "NOT_DELIVERED",
    "Hole",
    "coverage_entry",
    "coverage_lines",
    "holes_between_runs",
    "holes_of_funding",
    "holes_of_grid",
    "not_delivered",
    "whole_span",
]

NOT_DELIVERED: Final = "not_delivered"
"""Rule of the findings about spans that were asked for and did not come."""
_LONGEST_REASON: Final = 100


@dataclass(frozen=True)
class Hole:
    """A span without rows: after `start`, up to `end` (microseconds since 1970); 0 rows where they are irregular."""

    start: int
    end: int
    rows: int


def whole_span(start: datetime, end: datetime) -> list[Hole]:
    """Return the span as one hole, for a table without any row."""
    return [Hole(epoch_us(start), epoch_us(end), 0)]


def holes_of_grid(
    times: Ints, start: datetime, end: datetime, spacing: timedelta, *, longest: timedelta | None = None
) -> list[Hole]:
    """Return the holes of a table with one row per spacing.

    Parameters
    ----------
    times
        Stamps, microseconds since 1970, ascending.
    start, end
        The span; rows are due after its start and up to its end.
    spacing
        Time between rows.
    longest
        Longest time without a row that is not a hole; by default one and a half times the spacing.
    """
    step = microseconds(spacing)
    limit = 3 * step // 2 if longest is None else microseconds(longest)
    first, last = (epoch_us(each) // step * step for each in (start, end))
    stamps = np.concatenate([[first], times, [last + step]])
    return [
        Hole(int(stamps[place]), int(stamps[place + 1]) - step, round((stamps[place + 1] - stamps[place]) / step) - 1)
        for place in np.flatnonzero(np.diff(stamps) > limit)
    ]


def holes_of_funding(times: Ints, hours: Floats, start: datetime, end: datetime) -> list[Hole]:
    """Return the holes of settlements, which follow each other by the intervals that they state.

    Parameters
    ----------
    times, hours
        Settlements, microseconds since 1970, ascending, and the interval of each in hours.
    start, end
        The span; a settlement at its start is due, one at its end is not.
    """
    if not len(times):
        return whole_span(start, end)
    steps = np.round(hours * HOUR_US).astype(np.int64)
    first, last = epoch_us(start), epoch_us(end)
    holes = []
    early = int((times[0] - first) // steps[0])
    if early > 0:
        holes.append(Hole(first, int(times[0] - steps[0]), early))
    due = np.maximum(steps[1:], steps[:-1])
    for place in np.flatnonzero(np.diff(times) > 1.5 * due):
        rows = max(round((times[place + 1] - times[place]) / due[place]) - 1, 1)
        holes.append(Hole(int(times[place]), int(times[place + 1] - steps[place + 1]), rows))
    late = int((last - times[-1] - MINUTE_US) // steps[-1])
    if late > 0:
        holes.append(Hole(int(times[-1]), last, late))
    return holes


def holes_between_runs(runs: Ints, start: datetime, end: datetime, shortest: timedelta) -> list[Hole]:
    """Return the holes between runs of trades: ids are missing between them, or the span begins or ends with one.

    Parameters
    ----------
    runs
        Shape (runs, 4), ascending: time of the first and of the last trade of each run, first and last id.
    start, end
        The span.
    shortest
        Shortest time without a trade that is a hole.
    """
    first, last = epoch_us(start), epoch_us(end)
    holes, newest, newest_id = [], first, -1
    for run_start, run_end, first_id, last_id in runs.tolist():
        if run_end < first or run_start > last:
            newest_id = last_id
            continue
        if run_start - newest >= microseconds(shortest) and (newest_id < 0 or first_id > newest_id + 1):
            holes.append(Hole(newest, run_start, 0))
        newest, newest_id = max(newest, run_end), last_id
    if last - newest >= microseconds(shortest):
        holes.append(Hole(newest, last, 0))
    return holes


def not_delivered(table: str, symbol: str, holes: Sequence[Hole], reasons: Sequence[Finding]) -> list[Finding]:
    """Return a finding per hole, with the notes of the `reasons` that touch it."""
    found = []
    for hole in holes:
        start, end = timestamp(hole.start), timestamp(hole.end)
        notes = [each.note or each.rule for each in reasons if each.start <= end and each.end > start]
        note = "; ".join(list(dict.fromkeys(notes))[:3]) or "these rows are not in the files, and nothing says why"
        found.append(
            Finding(
                table=table,
                symbol=symbol,
                rule=NOT_DELIVERED,
                start=start,
                end=end,
                rows=hole.rows,
                action="recorded",
                note=note,
            )
        )
    return found


def coverage_entry(
    table: str, symbol: str, start: datetime, end: datetime, rows: int, found: Sequence[Finding]
) -> dict[str, Any]:
    """Return the coverage of one table of one symbol, fit for JSON; `found` is what `not_delivered` returned."""
    hours = sum((each.end - each.start).total_seconds() for each in found) / 3600.0
    return {
        "table": table,
        "symbol": symbol,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "rows": rows,
        "missing_rows": sum(each.rows for each in found),
        "missing_hours": round(hours, 3),
        "missing_spans": [
            {"start": each.start.isoformat(), "end": each.end.isoformat(), "rows": each.rows} for each in found
        ],
        "why": list(dict.fromkeys(each.note for each in found)),
    }


def coverage_lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the coverage as a table, line by line: table, symbol, asked, delivered, missing, why."""
    rows = [("table", "symbol", "asked", "delivered", "missing", "why")]
    for each in entries:
        spans = each["missing_spans"]
        missing, why = "none", ""
        if spans:
            counted = f"{each['missing_rows']:,} rows, " if each["missing_rows"] else ""
            where = f"{len(spans)} spans, the first " if len(spans) > 1 else ""
            first, last = (spans[0][end][:16].replace("T", " ") for end in ("start", "end"))
            missing = f"{counted}{each['missing_hours']:,.1f} h: {where}{first} to {last}"
            why = "; ".join(each["why"])[:_LONGEST_REASON]
        asked = f"{each['start'][:10]} to {each['end'][:10]}"
        rows.append((each["table"], each["symbol"], asked, f"{each['rows']:,} rows", missing, why))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
