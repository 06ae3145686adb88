"""Section 1: whether the record of an account can be believed: chain, code, processes, outages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

from slackwater.report.account.record import AccountRecord, moment
from slackwater.report.page.content import UNKNOWN, Picture, Section, Table
from slackwater.report.page.drawing import Axis, moments, rows_plot

__all__ = ["trust"]

_MARKS: Final = {True: "✓ holds", False: "✗ does not", None: "? not known"}
_EPISODE: Final = 10 * 60 * 10**9  # nanoseconds; reports that are closer belong to one outage
_CUT_OFF: Final = ("disconnected", "silent")
"""Faults of the feed while which an account is blind."""


def trust(record: AccountRecord) -> Section:
    """Return the section: scorecard of the record, its processes, and outages in time."""
    rows = list(_scorecard(record))
    failed = [row[2] for row in rows if row[0] == _MARKS[False]]
    if record.chain is None:
        answer = f"No. {record.fault}. Nothing on this page can be believed."
    elif failed:
        answer = f"With care: the chain of the journal holds, but look at this first: {'; '.join(failed)}."
    else:
        answer = "The chain of the journal holds, and nothing in the record speaks against it."
    answer += " What the market was is another question, which the command `reconcile` answers."
    pictures = [_card(rows), _outages(record), _processes(record)]
    return Section(name="trust", question="Can I trust this record?", answer=answer, pictures=pictures)


def _card(rows: list[list[str]]) -> Picture:
    counts = {mark: sum(row[0] == mark for row in rows) for mark in _MARKS.values()}
    finding = (
        f"{counts[_MARKS[True]]} of {len(rows)} statements hold, {counts[_MARKS[False]]} do not; "
        f"not known: {counts[_MARKS[None]]}."
    )
    return Picture(
        title="Scorecard of the record",
        finding=finding,
        drawing="",
        table=Table(head=["outcome", "statement", "what was found"], rows=rows),
        note="An end that was cut off leaves a chain that holds: compare the head with one that was noted elsewhere.",
        wide=True,
    )


def _scorecard(record: AccountRecord) -> Iterator[list[str]]:
    """Yield the rows of the scorecard: outcome, statement, what was found."""
    chain, trades = record.chain, record.trades
    held = f"{chain.events:,} events, head {chain.head[:12]}" if chain is not None else record.fault
    yield [_MARKS[chain is not None], "every event of the journal is the one that was written", held]
    codes = sorted({str(row.get("code", UNKNOWN)) for row in record.watches})
    yield [_one(codes), "one version of the code has decided", ", ".join(codes) or "no process is recorded"]
    bundles = [sha[:12] for sha in record.bundles]
    yield [_one(bundles), "one bundle has scored", ", ".join(bundles) or UNKNOWN]
    broken = _not_ended(record)
    ended = f"{broken:,} processes did not say their end" if record.watches else "no process is recorded"
    yield [_MARKS[None if not record.watches else not broken], "every process has ended well, or is running", ended]
    cut = sum(row.get("rule") in _CUT_OFF for row in record.faults)
    blind = f"{cut:,} reports of silence or a lost connection" if record.watches else "no live data are recorded"
    yield [_MARKS[None if not record.watches else not cut], "the feed was never silent or cut off", blind]
    unfunded = int((~trades["funding_known"].eq(True)).sum())
    said = f"the funding of {unfunded:,} of {len(trades):,} trades is not known"
    if record.watches and not unfunded:
        said += "; live, a settlement that was never told of is found by the command `reconcile` alone"
    live = record.watches and not unfunded
    yield [_MARKS[None] if live else _all(trades, unfunded), "funding is known for every closed trade", said]
    blank = int(trades["mae_r"].isna().sum())
    yield [
        _all(trades, blank),
        "the extremes of every trade are known",
        f"the extremes of {blank:,} of {len(trades):,} trades are not known",
    ]
    known = sum(row.get("net_r") is not None for row in record.forgone)
    lacking = len(record.refusals) - known
    said = f"{lacking:,} of {len(record.refusals):,} refused trades have no known result, or not yet"
    yield [
        _MARKS[None if not record.refusals else not lacking],
        "what every refused trade would have earned is known",
        said,
    ]
    noted = trades["noted_late"].notna()
    late = int((trades["noted_late"] == True).sum())  # noqa: E712  (None where there is no note)
    yield [
        _MARKS[None if not noted.any() else not late],
        "notes were written before the result was known",
        f"{int(noted.sum()):,} of {len(trades):,} trades have a note, {late:,} of them written after the exit",
    ]


def _one(found: list[str]) -> str:
    return _MARKS[None if not found else len(found) == 1]


def _all(trades: Any, lacking: int) -> str:
    return _MARKS[None if not len(trades) else not lacking]


def _not_ended(record: AccountRecord) -> int:
    """Return how often a process continued although the one before it had not said its end."""
    states = [row.get("state") for row in record.watches]
    return sum(before != "ends" for before, state in itertools.pairwise(states) if state == "continues")


def _processes(record: AccountRecord) -> Picture:
    rows = [
        [f"{moment(row['ts_ns']):%Y-%m-%d %H:%M:%S}", row.get("state", UNKNOWN), row.get("code", UNKNOWN)]
        for row in record.watches
    ]
    settings = (record.watches[-1].get("settings") or {}) if record.watches else {}
    named = ", ".join(
        f"{name} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in settings.items()
        if name in ("venue", "symbols", "equity", "fine_interval")
    )
    finding = f"Begun, continued or ended: {len(rows)} in all; {named}." if rows else "No process is recorded."
    return Picture(
        title="Processes",
        finding=finding,
        drawing="",
        table=Table(head=["time (UTC)", "what", "version of the code"], rows=rows),
        note="A process that continues takes its last input as the time: how long it was stopped is not recorded.",
    )


def _outages(record: AccountRecord) -> Picture:
    title, head = "Outages", ["first report (UTC)", "last report (UTC)", "minutes", "reports", "rules", "tables"]
    span, episodes = record.span, _episodes(record)
    if not episodes or span is None:
        finding = "No silence and no lost connection was reported." if record.watches else "No live data are recorded."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    rows = []
    for found in episodes:
        first, last = moment(found[0]["ts_ns"]), moment(found[-1]["ts_ns"])
        rules, tables = (", ".join(sorted({str(row.get(key)) for row in found})) for key in ("rule", "table"))
        minutes = (last - first).total_seconds() / 60.0
        rows.append([f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}", minutes, len(found), rules, tables])
    names = sorted({str(row.get("rule")) for found in episodes for row in found})
    low, high = span[0].timestamp(), max(span[1].timestamp(), span[0].timestamp() + 1.0)
    x = Axis(title="Time (UTC)", low=low, high=high, ticks=moments([low, high]))
    plot = rows_plot(names, x, label=title, synthetic=record.synthetic, left=110.0)
    for found in episodes:
        for row in found:
            at = row["ts_ns"] / 1e9
            half = 0.002 * (high - low)
            place = names.index(str(row.get("rule")))
            plot.bar(max(at - half, low), min(at + half, high), -place - 0.32, -place + 0.32, kind="loss")
    longest = max(rows, key=lambda row: row[2])
    finding = (
        f"Times that the account was blind: {len(rows)}; the longest stretch of reports lasted {longest[2]:.0f} "
        f"minutes from {longest[0]} on."
    )
    return Picture(
        title=title,
        finding=finding,
        drawing=plot.svg(),
        table=Table(head=head, rows=rows),
        note="Reports less than ten minutes apart are one outage; when data came back is not an event of the journal.",
    )


def _episodes(record: AccountRecord) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    for row in sorted((row for row in record.faults if row.get("rule") in _CUT_OFF), key=lambda row: row["ts_ns"]):
        if not found or row["ts_ns"] - found[-1][-1]["ts_ns"] > _EPISODE:
            found.append([])
        found[-1].append(row)
    return found
