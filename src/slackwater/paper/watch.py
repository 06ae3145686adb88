"""The process that trades on paper: feed, log of inputs, desk and journal, in this order.

An input is written to the log before anything is made of it, and what follows is in the journal before anybody is told.
So a process that is killed at any moment continues from its last checkpoint: it reads the inputs since then again, and
finds in the journal what it had decided already. There is no way to place a real order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.clock import Clock
from slackwater.errors import ParameterError
from slackwater.feed.live import Feed
from slackwater.feed.polled import polls_of
from slackwater.feed.readers import READERS
from slackwater.feed.settings import FeedSettings
from slackwater.journal.chain import verify_chain
from slackwater.journal.errors import JournalBusyError
from slackwater.journal.event import Event, Origin
from slackwater.journal.kinds import watch_event
from slackwater.journal.store import one_writer, reading, writing
from slackwater.paper.checkpoint import load_checkpoint, save_checkpoint
from slackwater.paper.code_version import code_version
from slackwater.paper.desk import Desk, DeskSettings
from slackwater.paper.errors import PaperError
from slackwater.paper.live_rule import LiveDataRule
from slackwater.paper.taken import Input, Taken, TakenLog, Tick, read_taken
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.sources.intervals import INTERVALS
from slackwater.storage import read_json, write_json, write_tables
from slackwater.times import HOUR_US, MINUTE_US, epoch_us, timestamp

__all__ = ["CHECKPOINT", "HISTORY", "LOG", "SETTINGS", "START", "Watch", "WatchSettings", "desk_of"]

SETTINGS: Final = "watch.json"
"""File of the settings in the directory of an account; then its checkpoint, the log of its inputs, and what it began
with: tables, and the state of the desk that was made of them."""
CHECKPOINT: Final = "checkpoint.npz"
LOG: Final = "taken"
HISTORY: Final = "history"
START: Final = "start.npz"

_NAME: Final = "slackwater watch"
_TICK: Final = 0.5
_TURN: Final = 10.0
"""Seconds for which the journal is waited for, while somebody writes a note."""


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """What is traded on paper, and where it is kept.

    Parameters
    ----------
    directory
        Directory of the log of inputs, the checkpoint and these settings; one per account.
    journal
        File of the journal.
    venue, symbols
        Name of the venue, and canonical symbols.
    account
        Name of the account in the journal.
    equity
        Cash at the start, USDT.
    fine_interval
        Length of the finest bars, by which orders are checked: 1m, 5m, 15m or 1h, at most that of the bundle.
    server
        Root URL of a mock venue on the loopback interface.
    raw_path
        File for the raw messages; None: they are not kept.
    """

    directory: Path
    journal: Path
    venue: str
    symbols: tuple[str, ...]
    account: str = "paper"
    equity: float = 10_000.0
    fine_interval: str = "1m"
    server: str | None = None
    raw_path: Path | None = None

    def facts(self, scorer: ReversalScorer, start_us: int) -> dict[str, Any]:
        """Return what must stay the same over the life of an account, in types of JSON."""
        kept = ("venue", "account", "equity", "fine_interval")
        return {name: getattr(self, name) for name in kept} | {
            "symbols": list(self.symbols),
            "synthetic": self.server is not None or scorer.synthetic,
            "bundle": scorer.digest,
            "start_us": start_us,
        }


def desk_of(facts: Mapping[str, Any], scorer: ReversalScorer, session: Session | None = None) -> Desk:
    """Return a new desk of an account.

    Parameters
    ----------
    facts
        As `WatchSettings.facts` returns them.
    scorer
        Scorer of its bundle.
    session
        Session that was warmed; None: one without history.

    Raises
    ------
    ParameterError
        If a feed does not have the bars of the bundle, or there are no contract facts of a symbol.
    """
    venue, interval = facts["venue"], scorer.spec.bar_interval
    if interval not in INTERVALS.values():
        raise ParameterError(f"the bundle reads bars of {interval}; a feed has those of {', '.join(INTERVALS)}")
    finest = INTERVALS.get(facts["fine_interval"])
    if finest is None or finest > interval:
        raise ParameterError(
            f"`fine_interval` must be one of {', '.join(INTERVALS)} and at most {interval}, "
            f"was {facts['fine_interval']!r}"
        )
    fed = ("bars", *(poll.table for poll in polls_of(READERS[venue].venue, interval=interval, finest=finest)))
    gate = scorer.paper_gate(venue, (LiveDataRule(fed),))
    if lacking := [name for name in facts["symbols"] if name not in gate.contracts]:
        known = ", ".join(sorted(gate.contracts))
        raise ParameterError(f"no contract facts of {', '.join(lacking)} at {venue}; known are {known}")
    settings = DeskSettings(
        origin=Origin(account=facts["account"], synthetic=facts["synthetic"], bundle_sha=facts["bundle"]),
        equity=facts["equity"],
        start_us=facts["start_us"],
        finest=("bars" if finest == interval else "fine_bars", finest),
        fed=fed,
    )
    return Desk(Session(scorer, facts["symbols"]) if session is None else session, gate, settings)


class Watch:
    """Paper trading in a directory: `open` it, then `run` it; the same again continues after any stop.

    Parameters
    ----------
    settings
        What is traded, and where it is kept.
    scorer
        Scorer of the bundle.
    on_events
        Called with the events of each input, after they are in the journal.

    Attributes
    ----------
    desk : Desk
        The trader, from `open` on.
    """

    desk: Desk
    _log: TakenLog

    def __init__(
        self,
        settings: WatchSettings,
        scorer: ReversalScorer,
        on_events: Callable[[list[Event]], None] = lambda events: None,
    ) -> None:
        self.settings, self.scorer, self.on_events = settings, scorer, on_events
        self._held = ExitStack()
        self._saved_us = 0

    # -- before anything starts ------------------------------------------------------------------------------

    def open(self, now: datetime, history: Mapping[str, pd.DataFrame] | None = None) -> str:
        """Make the desk: a new one, or that of before with every input since its checkpoint.

        Parameters
        ----------
        now
            Time at which a new account begins.
        history
            Canonical tables with which a new one begins, at least the warm-up of the features; None: without, so that
            nothing is traded until the warm-up has passed. One that continues does not read them.

        Returns
        -------
        str
            ``begins`` or ``continues``.

        Raises
        ------
        PaperError
            If the directory is of other settings or another bundle, or holds other files, or cannot be written.
        JournalError, BrokenChainError, JournalBusyError
            If the journal is foreign, broken, cannot be written, or is being written; or if another process trades the
            account.
        ParameterError
            As `desk_of`.
        SchemaError, OrderError, DataError
            As `slackwater.scoring.session.Session.warm`.
        """
        with ExitStack() as opening:
            # Beside the directory, which may be new: two processes would write one log.
            opening.enter_context(one_writer(self.settings.directory, _NAME))
            state = self._open(now, history)
            self._held = opening.pop_all()
        return state

    def _open(self, now: datetime, history: Mapping[str, pd.DataFrame] | None) -> str:
        place, journal = self.settings.directory, self.settings.journal
        with writing(journal, by=_NAME):
            pass  # it can be written
        with reading(journal) as held:
            verify_chain(held)
        if (place / SETTINGS).is_file():
            self._continue(read_json(place / SETTINGS))
            return self._say("continues")
        if place.is_dir() and any(place.iterdir()):
            raise PaperError(f"{place} holds other files: name a directory that is empty, or one of paper trading")
        self._begin(self.settings.facts(self.scorer, epoch_us(now)), history)
        return self._say("begins")

    def _begin(self, facts: dict[str, Any], history: Mapping[str, pd.DataFrame] | None) -> None:
        place = self.settings.directory
        session = Session(self.scorer, self.settings.symbols)
        if history is not None:
            session.warm(history)
        self.desk = desk_of(facts, self.scorer, session)
        if history is not None:
            self.desk.closes.warm(history["bars"])
            write_tables(dict(history), place / HISTORY)
        self._log = TakenLog(place / LOG)
        for name in (START, CHECKPOINT):  # the first one stays: a reconciliation begins there
            save_checkpoint(place / name, self.desk, self._log.place)
        write_json(facts, place / SETTINGS)

    def _continue(self, facts: dict[str, Any]) -> None:
        place = self.settings.directory
        ours = self.settings.facts(self.scorer, facts["start_us"])
        if differing := [f"{name} {facts.get(name)!r}" for name in ours if ours[name] != facts.get(name)]:
            raise PaperError(
                f"{place} is the account of {', '.join(differing)}: give the same settings, or begin another account "
                "in another directory"
            )
        self.desk = desk_of(facts, self.scorer)
        begin = load_checkpoint(place / CHECKPOINT, self.desk)
        self._log = TakenLog(place / LOG)
        for taken in read_taken(place / LOG, begin):
            self._journalled(self.desk.take(taken))

    def _say(self, state: str) -> str:
        """Journal that the process begins, continues or ends, and with which code."""
        facts = self.settings.facts(self.scorer, self.desk.settings.start_us)
        now = timestamp(max(self.desk.now_us, self.desk.settings.start_us))
        event = watch_event(
            time=now, state=state, code=code_version(), settings=facts, origin=self.desk.settings.origin
        )
        self._journalled([event])
        return state

    # -- while it runs ---------------------------------------------------------------------------------------

    async def run(self, clock: Clock | None = None, *, on_feed: Callable[[Feed], None] = lambda feed: None) -> None:
        """Trade until the task is cancelled; then write a checkpoint, and the end into the journal.

        Parameters
        ----------
        clock
            Clock to wait by; None: that of the machine, or of the mock venue.
        on_feed
            Called with the feed once it is connected.

        Raises
        ------
        ParameterError, SourceError
            As `slackwater.feed.live.Feed`: a symbol that the venue lacks, a clock that is off, a venue out of reach.
        PaperError, JournalError
            If the log or the journal can no longer be written; whatever was decided before is in both.
        """
        try:
            async with Feed(self._feed_settings(), raw_path=self.settings.raw_path, clock=clock) as feed:
                on_feed(feed)
                feed.follow(self.desk.broker.working)
                ticking = asyncio.get_running_loop().create_task(self._ticks(feed))
                try:
                    async for item in feed:
                        self._take(feed, item)
                        if ticking.done():
                            ticking.result()
                finally:
                    ticking.cancel()
        finally:
            self._log.sync()
            save_checkpoint(self.settings.directory / CHECKPOINT, self.desk, self._log.place)
            self._say("ends")
            self.close()

    def close(self) -> None:
        """Close the log, and let another process continue; for whoever has opened the account and does not run it."""
        self._log.close()
        self._held.close()

    def _feed_settings(self) -> FeedSettings:
        spec, held = self.scorer.spec, self.desk.session.record()
        since = {(row.table, row.symbol): row.newest for row in held.itertuples()}
        for table, times in self.desk.newest.items():
            since |= {(table, symbol): timestamp(time) for symbol, time in times.items()}
        names = {length: name for name, length in INTERVALS.items()}
        table, length = self.desk.settings.finest
        return FeedSettings(
            venue=self.settings.venue,
            symbols=tuple(self.settings.symbols),
            interval=names[spec.bar_interval],
            fine_interval=None if table == "bars" else names[length],
            decision_lag=max(spec.decision_lag, timedelta(milliseconds=1)),
            since=since,
            server=self.settings.server,
        )

    async def _ticks(self, feed: Feed) -> None:
        """Tell the desk the time: regularly, and at the moment at which a decision is due."""
        while True:
            now_us = feed.clock.now_ns() // 1000
            due_us = min(self.desk.next_decision_us, now_us - now_us % MINUTE_US + MINUTE_US) - now_us
            await feed.clock.sleep(due_us / 1e6 if due_us > 0 else _TICK)
            prices = {name: feed.assembly.last_price(name) for name in self.settings.symbols}
            self._take(feed, Tick({name: price for name, price in prices.items() if price is not None}))

    def _take(self, feed: Feed, what: Input) -> None:
        """Log an input, let the desk take it, and journal what follows."""
        taken = Taken(max(feed.clock.now_ns() // 1000, self.desk.now_us), what)
        if isinstance(what, Tick) and not self._matters(taken.now_us):
            return
        self._log.write(taken)
        events = self.desk.take(taken)
        if events:
            self._log.sync()
            self._journalled(events)
            feed.follow(self.desk.broker.working)
        if taken.now_us - self._saved_us >= HOUR_US:
            self._saved_us = taken.now_us
            self._log.sync()
            save_checkpoint(self.settings.directory / CHECKPOINT, self.desk, self._log.place)

    def _matters(self, now_us: int) -> bool:
        """Return whether the desk has something to do at a time: the log need not hold every half second."""
        return now_us >= self.desk.next_decision_us or now_us // HOUR_US != self.desk.now_us // HOUR_US

    def _journalled(self, events: list[Event]) -> None:
        """Write events into the journal, and then tell others; wait for a turn while somebody writes a note."""
        if not events:
            return
        begin = time.monotonic()
        while True:
            try:
                with writing(self.settings.journal, by=_NAME) as writer:
                    writer.append_all(events)
                break
            except JournalBusyError:
                if time.monotonic() - begin > _TURN:
                    raise
                time.sleep(0.02)
        self.on_events(events)
