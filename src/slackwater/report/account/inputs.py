"""Section 6: what an account saw: faults of its data, and the quality of its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from slackwater.report.account.record import AccountRecord, moment
from slackwater.report.page.content import Picture, Section, Table, percent, words
from slackwater.report.page.drawing import Axis, rows_plot

__all__ = ["inputs"]

_FLAGS: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "not warm": lambda quality: not quality.get("warm", True),
    "bars missing": lambda quality: bool(quality.get("missing_bars")),
    "a table silent": lambda quality: bool(quality.get("silent_tables")),
    "rows back-filled": lambda quality: bool(quality.get("backfilled")),
    "rows refused": lambda quality: bool(quality.get("refused_rows")),
    "other notes": lambda quality: bool(quality.get("notes")),
}
_LAST: Final = 200


def inputs(record: AccountRecord) -> Section:
    """Return the section: faults of the data, quality of the scores, coverage of the features, alarms."""
    scored = len(record.scores)
    answer = f"{scored:,} events were scored; {len(record.faults):,} faults of the data were reported."
    if not scored:
        answer += " An imported backtest records no scores: the report of its run shows what it saw."
    pictures = [_faults(record), _quality(record), _coverage(record), _alarms(record)]
    return Section(name="inputs", question="What did it see?", answer=answer, pictures=pictures)


def _faults(record: AccountRecord) -> Picture:
    title, head = "Faults of the data", ["rule", "table", "reports", "first (UTC)", "last (UTC)", "last sentence"]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in record.faults:
        groups.setdefault((str(row.get("rule")), str(row.get("table"))), []).append(row)
    rows = [
        [
            *key, len(found), f"{moment(found[0]['ts_ns']):%Y-%m-%d %H:%M}",
            f"{moment(found[-1]['ts_ns']):%Y-%m-%d %H:%M}", str(found[-1].get("message"))[:300],
        ]
        for key, found in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]  # fmt: skip
    finding = (
        f"{len(record.faults):,} reports, most often {rows[0][0]} of {rows[0][1]} ({rows[0][2]:,})."
        if rows
        else "No fault of the data was reported."
    )
    return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True)


def _quality(record: AccountRecord) -> Picture:
    title, head = "Quality of the scores", ["what", "scores", "share of all scores"]
    qualities = [row.get("quality") or {} for row in record.scores]
    counts = {name: sum(flag(quality) for quality in qualities) for name, flag in _FLAGS.items()}
    counts["features missing"] = sum(bool(row.get("missing_features")) for row in record.scores)
    counts["features out of range"] = sum(bool(row.get("out_of_range_features")) for row in record.scores)
    if not qualities:
        return Picture(title=title, finding="No event was scored.", drawing="", table=Table(head=head, rows=[]))
    rows: list[list[Any]] = [[name, count, count / len(qualities)] for name, count in counts.items()]
    x = Axis(title="Share of the scores (%)", low=0.0, high=100.0)
    plot = rows_plot(list(counts), x, label=title, synthetic=record.synthetic)
    for place, row in enumerate(rows):
        plot.bar(0.0, 100.0 * row[2], -place - 0.32, -place + 0.32, kind="plain")
    silent = sorted({table for quality in qualities for table in quality.get("silent_tables") or []})
    finding = f"{percent(counts['features missing'] / len(qualities))} of the scores lacked a feature of the models."
    if silent:
        finding += f" Silent at a score at least once: {', '.join(map(words, silent))}."
    return Picture(title=title, finding=finding, drawing=plot.svg(), table=Table(head=head, rows=rows))


def _coverage(record: AccountRecord) -> Picture:
    title, head = "Features at the scores", ["feature", "share known", "lowest", "median", "highest"]
    names = sorted({name for row in record.scores for name in row.get("features") or {}})
    rows = []
    for name in names:
        found = [(row.get("features") or {}).get(name) for row in record.scores]
        known = np.array([value for value in found if value is not None], dtype=np.float64)
        ends = (float(known.min()), float(np.median(known)), float(known.max())) if known.size else (None, None, None)
        rows.append([name, known.size / len(found), *ends])
    never = [row[0] for row in rows if row[1] == 0.0]
    finding = f"{len(rows):,} features; {len(never):,} were never known." if rows else "No event was scored."
    return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows), wide=True)


def _alarms(record: AccountRecord) -> Picture:
    head = ["time (UTC)", "symbol", "alarm", "state", "sentence"]
    rows = [
        [
            f"{moment(row['ts_ns']):%Y-%m-%d %H:%M}",
            row["symbol"],
            row.get("alarm"),
            row.get("state"),
            row.get("message"),
        ]
        for row in record.alarms
    ]
    begun: dict[str, int] = {}
    for row in record.alarms:
        if row.get("state") == "begins":
            begun[str(row.get("alarm"))] = begun.get(str(row.get("alarm")), 0) + 1
    said = ", ".join(f"{name} {count:,}" for name, count in sorted(begun.items()))
    finding = f"Alarms that began: {said or 'none'}."
    if len(rows) > _LAST:
        finding += f" The table has the last {_LAST} of {len(rows):,} events."
    return Picture(title="Alarms", finding=finding, drawing="", table=Table(head=head, rows=rows[-_LAST:]), wide=True)
