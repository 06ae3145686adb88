"""Notes of the human on trades: at most three answers, and an edit is a new event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from slackwater.errors import ParameterError
from slackwater.journal.errors import JournalError
from slackwater.journal.event import Event, Kind, Origin, epoch_ns
from slackwater.journal.store import Journal, JournalWriter
from slackwater.journal.trades import latest_notes

__all__ = ["GRADES", "STATES", "Note", "NotedTrade", "add_note", "find_trade"]

STATES: Final = ("calm", "focused", "confident", "hesitant", "anxious", "impatient", "greedy", "angry", "tired")
"""States of mind, a closed list: groups of a review need the same word for the same thing."""

GRADES: Final = ("A", "B", "C", "D", "E", "F")
"""Grades of the execution of a trade, the best first."""

_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Answers of the human on one trade.

    Parameters
    ----------
    state_of_mind
        One of `STATES`.
    text
        A few words, at most 2,000 characters; may be empty.
    plan_followed
        Whether the trade was done as planned.
    grade
        One of `GRADES`.

    Raises
    ------
    ParameterError
        If an answer is not one of those.
    """

    state_of_mind: str
    plan_followed: bool
    grade: str
    text: str = ""

    def __post_init__(self) -> None:
        if self.state_of_mind not in STATES:
            raise ParameterError(
                f"the state of mind must be one of {', '.join(STATES)}, was {self.state_of_mind!r:.60}"
            )
        if self.grade not in GRADES:
            raise ParameterError(f"the grade must be one of {', '.join(GRADES)}, was {self.grade!r:.60}")
        if not isinstance(self.plan_followed, bool):
            raise ParameterError(f"`plan_followed` must be true or false, was {self.plan_followed!r:.60}")
        if len(self.text) > _LONGEST:
            raise ParameterError(f"the text must have at most {_LONGEST:,} characters, had {len(self.text):,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedTrade:
    """A planned trade of a journal, and its last note.

    Parameters
    ----------
    trade, symbol, origin
        Name, symbol, and account of the trade.
    notes
        Number of notes so far.
    last
        The last one; None where there is none.
    """

    trade: str
    symbol: str
    origin: Origin
    notes: int
    last: Note | None


def find_trade(journal: Journal, name: str) -> NotedTrade:
    """Return the planned trade of a name or of its beginning.

    Parameters
    ----------
    journal
        Open for reading.
    name
        Such as ``SOLUSDT-20240116T065500-99e1ce`` or ``SOLUSDT-20240116``.

    Raises
    ------
    JournalError
        If no plan has that name, or several have; with the names of some.
    """
    rows = journal.rows(
        "SELECT substr(key, 6), symbol, account, bundle_sha, json_extract(payload_json, '$.synthetic') FROM event "
        "WHERE key >= ? AND key < ? ORDER BY key LIMIT 6",
        *_between(f"plan/{name}"),
    )
    exact = [row for row in rows if row[0] == name] or rows
    if len(exact) != 1:
        last = journal.rows("SELECT substr(key, 6) FROM event WHERE kind = 'plan' ORDER BY id DESC LIMIT 3")
        named = ", ".join(row[0] for row in rows) if rows else f"the last ones are {', '.join(row[0] for row in last)}"
        many = "no trade" if not rows else "more than one trade"
        raise JournalError(f"{journal.path}: {name!r} names {many}; {named if rows or last else 'it has no plans'}")
    trade, symbol, account, bundle_sha, synthetic = exact[0]
    ((notes,),) = journal.rows("SELECT count(*) FROM event WHERE key >= ? AND key < ?", *_between(f"note/{trade}/"))
    last_note = latest_notes(journal, account).get(trade) if notes else None
    return NotedTrade(
        trade=trade,
        symbol=symbol,
        origin=Origin(account=account, bundle_sha=bundle_sha, synthetic=bool(synthetic)),
        notes=notes,
        last=_note(last_note) if last_note else None,
    )


def add_note(writer: JournalWriter, trade: NotedTrade, note: Note, *, time: datetime) -> int:
    """Add a note to a trade, after those that it has, and return the number of the event.

    Parameters
    ----------
    writer
        Journal that is open for writing.
    trade
        As `find_trade` returns it from the same journal.
    note, time
        The answers, and when they were given, UTC.
    """
    event = Event(
        kind=Kind.NOTE,
        key=f"{Kind.NOTE}/{trade.trade}/{trade.notes + 1}",
        ts_ns=epoch_ns(time),
        symbol=trade.symbol,
        origin=trade.origin,
        payload={"trade": trade.trade} | {name: getattr(note, name) for name in Note.__slots__},
    )
    return writer.append(event)


def _note(payload: dict[str, Any]) -> Note:
    return Note(**{name: payload[name] for name in Note.__slots__})


def _between(start: str) -> tuple[str, str]:
    """Return the range of the texts that begin with one."""
    return start, f"{start}\U0010ffff"
