"""Faults of each venue while an account trades on paper: what came, when a fault was named, what was filled again.

A part of ``python -m campaigns.paper_trading``. Sockets, ccxt's client, log, journal and reconciliation are the real
ones; the venue is the mock, and a clock waits for all of them. SYNTHETIC.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Quality
from slackwater.feed.record import CONNECTED, LOST, read_raw
from slackwater.journal.chain import verify_chain
from slackwater.journal.event import Kind
from slackwater.journal.store import reading
from slackwater.market.venues import EXCHANGES
from slackwater.paper.input_log import LoggedInput, read_inputs
from slackwater.paper.reconcile.differences import Reconciliation
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.paper.stored_account import LOG
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epoch_us, microseconds
from tests.paper_run import AFTER, trade_on_paper

__all__ = ["fault_names", "fault_run", "journal_counts", "reconciled", "shortfalls_of"]

Result = dict[str, Any]

HOURS: Final = 1.0
AT: Final = timedelta(minutes=21, seconds=1)
"""Just after a message of every stream."""
AT_CLOSE: Final = timedelta(minutes=20, seconds=59)
"""So that a bar closes while there is no connection."""
_LASTS: Final = {"silence": "5m", "acknowledge_only": "5m", "forming_then_silence": "5m", "too_many_requests": "30s"}
_MORE: Final = {"acknowledge_only": "stream=bars", "clock_skew": "by=48h"}
_NAMED: Final[Mapping[str, FaultKind]] = {
    "acknowledge_only": FaultKind.SILENT,
    "silence": FaultKind.SILENT,
    "forming_then_silence": FaultKind.SILENT,
    "abnormal_close": FaultKind.DISCONNECTED,
    "clock_skew": FaultKind.CLOCK,
    "crossed_book": FaultKind.CROSSED_BOOK,
    "too_many_requests": FaultKind.REFUSED,
}
"""How a fault is named; the others change nothing of what follows, and have no name."""
_KINDS: Final = (
    "none",
    "burst",
    "one_message",
    "acknowledge_only",
    "silence",
    "abnormal_close",
    "duplicates",
    "reorder",
    "clock_skew",
    "crossed_book",
    "too_many_requests",
    "forming_then_silence",
    "old_ids",
)
_UNTIL_FORMING: Final = 15.0
"""Seconds from the beginning of such a fault to the last candle: a quarter of a minute."""
_COUNTS: Final = {"burst": 1500, "one_message": 40}
"""Liquidations that a fault sends, 2 coins each; Gate has no stream of them."""
_UNSTAMPED: Final = "okx"
"""Its messages do not state when they were sent, so that no clock contradicts them."""
_BARS: Final = ("bars", "fine_bars")
LONGEST_SILENCE: Final = 70.0
"""Seconds after which a stream of bars is silent."""


def fault_names() -> Iterator[str]:
    """Yield venue and fault of each run."""
    for kind in _KINDS:
        for venue in EXCHANGES:
            if not (kind in _COUNTS and venue == "gate"):
                yield f"{venue} {kind}"


def fault_run(name: str, scorer: ReversalScorer, tables: Mapping[str, pd.DataFrame]) -> Result:
    """Trade an hour with a fault in it, reconcile it, and return what was found."""
    venue, kind = name.split()
    at = AT_CLOSE if kind == "abnormal_close" else AT
    parts = [kind, f"at={at.seconds}s", _MORE.get(kind, "")]
    parts += [f"lasts={_LASTS[kind]}"] if kind in _LASTS else []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        script = [] if kind == "none" else [" ".join(part for part in parts if part)]
        run = trade_on_paper(place, scorer, dict(tables), HOURS, script, venue=venue, raw_path=place / "raw.jsonl")
        taken = list(read_inputs(place / "paper" / LOG))
        connections = [(raw.receive_ns // 1000, raw.stream) for raw in read_raw(place / "raw.jsonl")]
        answer = reconcile(place / "paper", place / "journal.db", scorer, tables)
        found = reconciled(answer) | journal_counts(place / "journal.db")
    start_us = epoch_us(tables["bars"]["event_time"].max() - AFTER - timedelta(hours=HOURS))
    at_us = start_us + microseconds(at)
    found["liquidations_sent"] = run.sent.get("liquidations", 0)
    if kind in _COUNTS:
        found["counted"] = counted(taken)
    if kind in _NAMED and not (venue == _UNSTAMPED and kind == "clock_skew"):
        found["seconds_to_name"] = _seconds_to(taken, _NAMED[kind], at_us)
    found["seconds_from_close_to_last_bar"] = _longest_wait(taken)
    found["seconds_to_last_backfill"] = _seconds_to_backfill(taken, connections)
    found["seconds_of_wall"] = round(time.monotonic() - begin, 1)
    return found


def reconciled(answer: Reconciliation) -> Result:
    """Return the numbers of a reconciliation."""
    numbers = ("inputs", "events", "scores", "equal_scores", "decisions", "equal_decisions", "trades", "open")
    return {name: getattr(answer, name) for name in numbers} | {
        "differences": {cause: number for cause, number in answer.counts().items() if number},
        "unexplained": [f"{each.what} {each.symbol} {each.event_time}: {each.text}" for each in answer.unexplained],
    }


def journal_counts(journal: Path) -> Result:
    """Walk along the chain, and return the numbers of rows that are there twice."""
    with reading(journal) as held:
        events = verify_chain(held).events
        keys = [key for (key,) in held.rows("SELECT key FROM event WHERE kind != ?", Kind.WATCH)]
        payloads = held.rows("SELECT payload_json FROM event WHERE kind = ?", Kind.PLAN)
        plans = [json.loads(payload)["trade"] for (payload,) in payloads]
    return {
        "journal_rows": events,
        "doubled_rows": len(keys) - len(set(keys)),
        "plans": len(plans),
        "doubled_plans": len(plans) - len(set(plans)),
    }


def counted(taken: list[LoggedInput]) -> int:
    """Return how many liquidations of a script came: nothing on the tape has their quantity."""
    rows = (each.what for each in taken)
    return sum(
        isinstance(row, FeedRow)
        and (row.table, row.quality) == ("liquidations", Quality.LIVE)
        and row.row["quantity"] == 2.0
        for row in rows
    )


def _seconds_to(taken: list[LoggedInput], kind: FaultKind, at_us: int) -> float | None:
    """Return the time from the beginning of a fault to its name; None if it was not named."""
    times = [each.now_us for each in taken if isinstance(each.what, FeedFault) and each.what.kind is kind]
    return next((round((time - at_us) / 1e6, 1) for time in times if time >= at_us), None)


def _longest_wait(taken: list[LoggedInput]) -> float:
    """Return the longest time from the close of a bar to its row."""
    bars = [each for each in taken if isinstance(each.what, FeedRow) and each.what.table in _BARS]
    return round(max(each.now_us - epoch_us(_row(each)["event_time"]) for each in bars) / 1e6, 1)


def _row(each: LoggedInput) -> Mapping[str, Any]:
    return each.what.row if isinstance(each.what, FeedRow) else {}


def _seconds_to_backfill(taken: list[LoggedInput], connections: list[tuple[int, str]]) -> float | None:
    """Return the longest time from a new connection to the last bar that closed before it; None: there was none."""
    found = []
    changes = [(time, stream) for time, stream in connections if stream in (CONNECTED, LOST)]
    for (lost_us, before), (made_us, stream) in pairwise(changes):
        if (before, stream) != (LOST, CONNECTED):
            continue
        until_us = next((time for time, _ in changes if time > made_us), 2**62)
        waits = [each.now_us - made_us for each in taken if _is_of_before(each, lost_us, made_us, until_us)]
        found += [max(waits)] if waits else []
    return round(max(found) / 1e6, 1) if found else None


def _is_of_before(each: LoggedInput, lost_us: int, made_us: int, until_us: int) -> bool:
    """Return whether an input is a bar that closed while there was no connection, or before, and came with this one."""
    row = each.what
    if not isinstance(row, FeedRow) or row.table not in _BARS:
        return False
    return made_us <= each.now_us < until_us and epoch_us(row.row["event_time"]) <= made_us


def shortfalls_of(name: str, found: Result) -> list[str]:
    """Return what of the goals a run has missed."""
    kind = name.split()[1]
    limit = {FaultKind.SILENT: LONGEST_SILENCE + 5.0}.get(_NAMED.get(kind, FaultKind.GAP))
    if limit is not None and kind == "forming_then_silence":
        limit += _UNTIL_FORMING  # the silence begins with the candle that is not closed
    named = found.get("seconds_to_name", 0.0)
    wrong = {
        "unexplained differences": bool(found["unexplained"]),
        "doubled rows or plans": bool(found["doubled_rows"] or found["doubled_plans"]),
        "not every liquidation counted": found.get("counted", 0) != (_COUNTS.get(kind, 0)),
        "not named": named is None,
        "named late": limit is not None and named is not None and named > limit,
        "filled late": (found["seconds_to_last_backfill"] or 0.0) > 60.0,
    }
    return [what for what, missed in wrong.items() if missed]
