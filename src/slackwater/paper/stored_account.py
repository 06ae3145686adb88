"""An account of paper trading on the disk: settings, log of inputs, desk, journal and checkpoints.

An input is written to the log before anything is made of it, and what follows is in the journal before anybody is told.
So a process that is killed at any moment continues from its last checkpoint: it reads the inputs since then again, and
finds in the journal what it had decided already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.errors import MissingDataError, ParameterError
from slackwater.feed.polled import polls_of
from slackwater.feed.readers import READERS
from slackwater.file_lock import held_alone
from slackwater.journal.chain import verify_chain
from slackwater.journal.errors import OtherContentError
from slackwater.journal.event import Event, Origin
from slackwater.journal.kinds import watch_event
from slackwater.journal.store import reading
from slackwater.journal.turns import JournalTurns
from slackwater.paper.checkpoint import load_checkpoint, save_checkpoint
from slackwater.paper.code_version import code_version
from slackwater.paper.desk import Desk, DeskSettings
from slackwater.paper.errors import PaperError
from slackwater.paper.input_log import Input, InputLog, LoggedInput, Place, Tick, read_inputs
from slackwater.paper.live_rule import LiveDataRule
from slackwater.paper.rehearsal import rehearse
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.sources.intervals import INTERVALS
from slackwater.storage import atomic_directory, read_json, remove_leftovers, write_json, write_tables
from slackwater.times import HOUR_US, epoch_us, timestamp

__all__ = [
    "CHECKPOINT",
    "HISTORY",
    "LOG",
    "SETTINGS",
    "START",
    "PaperSettings",
    "StoredAccount",
    "account_facts",
    "desk_of",
    "require_bundle",
]

SETTINGS: Final = "watch.json"
"""File of the settings in the directory of an account; then its checkpoint, the log of its inputs, and what it began
with: tables, and the state of the desk that was made of them."""
CHECKPOINT: Final = "checkpoint.npz"
LOG: Final = "inputs"
HISTORY: Final = "history"
START: Final = "start.npz"

_NAME: Final = "slackwater watch"


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
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


def account_facts(directory: Path) -> dict[str, Any]:
    """Return the settings of the account in a directory, as `PaperSettings.facts` made them.

    Raises
    ------
    MissingDataError
        If there is none.
    """
    if not (directory / SETTINGS).is_file():
        raise MissingDataError(f"there is no account of paper trading in {directory}: it has no {SETTINGS}")
    return dict(read_json(directory / SETTINGS))


def require_bundle(directory: Path, facts: Mapping[str, Any], scorer: ReversalScorer) -> None:
    """Refuse a scorer of another bundle than that of the account in a directory (`ParameterError`)."""
    if facts["bundle"] != scorer.digest:
        raise ParameterError(
            f"{directory} was traded with the bundle {facts['bundle'][:12]}…, and this one is {scorer.digest[:12]}…"
        )


def desk_of(facts: Mapping[str, Any], scorer: ReversalScorer, session: Session | None = None) -> Desk:
    """Return a new desk of an account.

    Parameters
    ----------
    facts
        As `PaperSettings.facts` returns them.
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


class StoredAccount:
    """Account of paper trading in a directory: `open` it, then `take` inputs; the same again continues after any stop.

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
    _log: InputLog
    _journal: JournalTurns

    def __init__(
        self,
        settings: PaperSettings,
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
            If another process trades the account; if the directory is of other settings or another bundle, holds other
            files, or cannot be written; if the code has changed and decides otherwise what was decided before.
        JournalError, BrokenChainError, JournalBusyError
            If the journal is foreign, broken, cannot be written, or is being written.
        ParameterError
            As `desk_of`.
        SchemaError, OrderError, DataError
            As `slackwater.scoring.session.Session.warm`.
        """
        with ExitStack() as opening:
            # Beside the directory, which may be new: two processes would write one log.
            opening.enter_context(held_alone(self._beside(".lock"), _NAME, busy=self._busy))
            state = self._open(now, history, opening)
            self._held = opening.pop_all()
        return state

    def _beside(self, suffix: str) -> Path:
        return self.settings.directory.with_name(f"{self.settings.directory.name}{suffix}")

    def _busy(self, holder: str) -> PaperError:
        return PaperError(f"{self.settings.directory} is being traded by {holder}: stop it, or name another directory")

    def _open(self, now: datetime, history: Mapping[str, pd.DataFrame] | None, opening: ExitStack) -> str:
        place, journal = self.settings.directory, self.settings.journal
        self._journal = JournalTurns(journal, by=_NAME)
        opening.callback(self._journal.close)
        with reading(journal) as held:
            verify_chain(held)
        known = (place / SETTINGS).is_file()
        if not known:
            if place.is_dir() and any(place.iterdir()):
                raise PaperError(f"{place} holds other files: name a directory that is empty, or one of paper trading")
            self._begin(self.settings.facts(self.scorer, epoch_us(now)), history)
        begin = self._continued(read_json(place / SETTINGS))
        self._log = InputLog(place / LOG)
        opening.callback(self._log.close)
        rehearse(self.desk)
        self._take_again(begin)
        return self._say("continues" if known else "begins")

    def _begin(self, facts: dict[str, Any], history: Mapping[str, pd.DataFrame] | None) -> None:
        session = Session(self.scorer, self.settings.symbols)
        if history is not None:
            session.warm(history)
        desk = desk_of(facts, self.scorer, session)
        remove_leftovers(self.settings.directory)
        with atomic_directory(self.settings.directory) as place:
            if history is not None:
                desk.closes.warm(history["bars"])
                write_tables(dict(history), place / HISTORY)
            for name in (START, CHECKPOINT):  # the first one stays: a reconciliation begins there
                save_checkpoint(place / name, desk, Place("", 0))
            write_json(facts, place / SETTINGS)

    def _continued(self, facts: dict[str, Any]) -> Place:
        """Make the desk of the last checkpoint, and return the place in the log from which it continues."""
        place = self.settings.directory
        ours = self.settings.facts(self.scorer, facts["start_us"])
        if differing := [f"{name} {facts.get(name)!r}" for name in ours if ours[name] != facts.get(name)]:
            raise PaperError(
                f"{place} is the account of {', '.join(differing)}: give the same settings, or begin another account "
                "in another directory"
            )
        self.desk = desk_of(facts, self.scorer)
        return load_checkpoint(place / CHECKPOINT, self.desk)

    def _take_again(self, begin: Place) -> None:
        """Take the inputs since the last checkpoint."""
        try:
            for taken in read_inputs(self.settings.directory / LOG, begin):
                self._journalled(self.desk.take(taken))
        except OtherContentError as error:
            raise PaperError(
                f"{error}; this code ({code_version()}) decides otherwise what was decided since the last checkpoint: "
                "start the code that traded once more and end it well, then continue with this one"
            ) from error

    def _say(self, state: str) -> str:
        """Journal that the process begins, continues or ends, and with which code."""
        facts = self.settings.facts(self.scorer, self.desk.settings.start_us)
        now = timestamp(max(self.desk.now_us, self.desk.settings.start_us))
        event = watch_event(
            time=now, state=state, code=code_version(), settings=facts, origin=self.desk.settings.origin
        )
        self._journalled([event])
        return state

    # -- while it trades -------------------------------------------------------------------------------------

    def take(self, now_us: int, what: Input) -> list[Event]:
        """Log an input, let the desk take it, and journal what follows; return the events.

        Parameters
        ----------
        now_us
            When it came, in microseconds since 1970.
        what
            The input. A tick at which the desk has nothing to do is passed over, and not logged.

        Raises
        ------
        PaperError, JournalError
            If the log or the journal can no longer be written; whatever was decided before is in both.
        """
        taken = LoggedInput(max(now_us, self.desk.now_us), what)
        if isinstance(what, Tick) and not self._matters(taken.now_us):
            self._journal.tidy()
            return []
        self._log.write(taken)
        events = self.desk.take(taken)
        if events:
            self._log.sync()
            self._journalled(events)
        if taken.now_us - self._saved_us >= HOUR_US:
            self._saved_us = taken.now_us
            self._save()
        return events

    def end(self) -> None:
        """Write a checkpoint and the end into the journal, and let another process continue."""
        try:
            self._save()
            self._say("ends")
        finally:
            self.close()

    def close(self) -> None:
        """Let another process continue, without another word; for whoever has opened the account and does not trade."""
        self._held.close()

    def _save(self) -> None:
        self._log.sync()
        save_checkpoint(self.settings.directory / CHECKPOINT, self.desk, self._log.place)

    def _matters(self, now_us: int) -> bool:
        """Return whether the desk has something to do at a time: it decides, or an hour begins."""
        return self.desk.decides_at(now_us) or now_us // HOUR_US != self.desk.now_us // HOUR_US

    def _journalled(self, events: list[Event]) -> None:
        """Write events into the journal, and then tell others."""
        if events:
            self._journal.append_all(events)
            self.on_events(events)
