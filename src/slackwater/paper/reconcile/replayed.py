"""The inputs of an account once more, through a desk that remembers what it was asked and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Quality
from slackwater.journal.event import Event
from slackwater.paper.checkpoint import load_checkpoint
from slackwater.paper.desk import Desk
from slackwater.paper.input_log import read_inputs
from slackwater.paper.stored_account import HISTORY, LOG, START, desk_of
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.scoring.stream import EventScore
from slackwater.storage import read_tables
from slackwater.times import epoch_us, microseconds, timestamp
from slackwater.trading.account import Account
from slackwater.trading.decision import Refusal, TradePlan

__all__ = ["Asked", "Entered", "Key", "Replayed", "SeenRow", "replayed"]

Key = tuple[str, int]
"""Symbol, and bar close in microseconds since 1970."""


class Asked(NamedTuple):
    """A decision: the score, the account and the market price at a time (microseconds since 1970), and the answer."""

    score: EventScore
    account: Account
    price: float | None
    now_us: int
    decision: TradePlan | Refusal


class Entered(NamedTuple):
    """The fill of an order: its plan, the market price (USDT), and its time (microseconds since 1970)."""

    plan: TradePlan
    price: float
    filled_us: int


class SeenRow(NamedTuple):
    """Row as the account had it: when it counted, how it came, and its columns."""

    known_us: int
    quality: Quality
    row: Mapping[str, Any]


@dataclass
class Replayed:
    """What follows from the inputs of an account.

    Parameters
    ----------
    history
        Tables that it began with, cleaned as the session cleaned them.
    finest
        Name of the table of the finest bars, which orders meet.
    rows
        Rows that it took, by table.
    events
        Events by key, with the content that a journal has.
    asked
        Decisions.
    open
        Positions that are open at the end.
    clock_faults
        Times at which clocks contradicted each other, microseconds since 1970.
    inputs
        Their number.
    start_us, end_us
        Beginning of the account, and its last input, microseconds since 1970.
    scored
        The last close before the first one that it has scored, and the last that it has, microseconds since 1970.
    """

    history: dict[str, pd.DataFrame]
    finest: str = "fine_bars"
    rows: dict[str, list[SeenRow]] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    asked: dict[Key, Asked] = field(default_factory=dict)
    open: dict[Key, Entered] = field(default_factory=dict)
    clock_faults: list[int] = field(default_factory=list)
    inputs: int = 0
    start_us: int = 0
    end_us: int = 0
    scored: tuple[int, int] = (0, 0)

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows of a table, with the times from which they counted."""
        rows = [{**each.row, "available_time": timestamp(each.known_us)} for each in self.rows.get(name, [])]
        return pd.DataFrame(rows)

    def tables(self, names: tuple[str, ...]) -> dict[str, pd.DataFrame]:
        """Return history and what was taken since, of these tables where there are rows."""
        out = {}
        for name in names:
            parts = [part for part in (self.history.get(name), self.table(name)) if part is not None and len(part)]
            if parts:
                out[name] = pd.concat(parts, ignore_index=True).sort_values(["symbol", "event_time"], kind="stable")
        return {name: table.reset_index(drop=True) for name, table in out.items()}


class _Recorder(Desk):
    """Desk that remembers its decisions."""

    def __init__(self, desk: Desk, found: Replayed) -> None:
        super().__init__(desk.session, desk.gate, desk.settings)
        self._found = found

    def decide(self, score: EventScore, account: Account, price: float | None) -> TradePlan | Refusal:
        decision = super().decide(score, account, price)
        key = (score.symbol, epoch_us(score.event_time))
        self._found.asked[key] = Asked(score, account, price, self.now_us, decision)
        return decision


class _RecordingSession(Session):
    """Session that remembers the rows that it took."""

    taken: list[tuple[str, Mapping[str, Any]]]

    def push(self, table: str, row: Any) -> None:
        super().push(table, row)
        self.taken.append((table, row))


def replayed(directory: Path, facts: Mapping[str, Any], scorer: ReversalScorer) -> Replayed:
    """Read the inputs of an account again from its beginning.

    Parameters
    ----------
    directory
        Directory of the account.
    facts
        Its settings (`slackwater.paper.stored_account.SETTINGS`).
    scorer
        Scorer of its bundle.

    Raises
    ------
    PaperError, MissingDataError, SchemaError, BundleError
        If a file is missing, damaged, or of another bundle.
    """
    place = directory / HISTORY
    history = scorer.frame(read_tables(place))[1] if place.is_dir() else {}
    session = _RecordingSession(scorer, facts["symbols"])
    session.taken = []
    new = desk_of(facts, scorer, session)
    found = Replayed(history=history, finest=new.settings.finest[0], start_us=int(facts["start_us"]))
    desk = _Recorder(new, found)
    begin = load_checkpoint(directory / START, desk)
    before = microseconds(scorer.spec.decision_lag + scorer.spec.bar_interval)
    first = desk.next_decision_us - before
    for taken in read_inputs(directory / LOG, begin):
        found.inputs += 1
        found.end_us = taken.now_us
        session.taken.clear()
        for event in desk.take(taken):
            found.events[event.key] = event
        what = taken.what
        if isinstance(what, FeedRow):
            _remember(found, what, session.taken)
        elif isinstance(what, FeedFault) and what.kind is FaultKind.CLOCK:
            found.clock_faults.append(taken.now_us)
    for each in desk.broker.positions.values():
        if each.filled is not None:
            key = (each.plan.symbol, epoch_us(each.plan.event_time))
            found.open[key] = Entered(each.plan, each.filled, each.filled_us)
    found.scored = (first, desk.next_decision_us - before)
    return found


def _remember(found: Replayed, what: FeedRow, pushed: list[tuple[str, Mapping[str, Any]]]) -> None:
    """Keep a row that the session took, or one of a table that it does not read."""
    if pushed:
        table, row = pushed[0]
        found.rows.setdefault(table, []).append(SeenRow(epoch_us(row["available_time"]), what.quality, row))
    elif what.table in ("fine_bars", "mark_price") and what.quality.usable:
        known = epoch_us(what.row["available_time"])
        found.rows.setdefault(what.table, []).append(SeenRow(known, what.quality, what.row))
