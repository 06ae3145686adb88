"""Events of a journal after a place, read beside the process that writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from slackwater.alerts.errors import OtherJournalError
from slackwater.alerts.message import MESSAGE_KINDS, StoredEvent
from slackwater.alerts.outbox import Position
from slackwater.errors import MissingDataError
from slackwater.journal.event import Kind
from slackwater.journal.store import Journal, reading

__all__ = ["end_of", "events_after", "events_of", "require_same"]

_COLUMNS: Final = "id, ts_ns, kind, account, symbol, payload_json"
_MARKS: Final = ", ".join("?" * len(MESSAGE_KINDS))


def end_of(path: Path) -> Position:
    """Return the place of the last event of a journal; the one before the first event where there is none."""
    try:
        with reading(path) as journal:
            number, sha = journal.head()
    except MissingDataError:
        return Position()
    return Position(id=number, sha=sha if number else "")


def require_same(path: Path, position: Position) -> None:
    """Raise OtherJournalError unless the event at a place of a journal is still the one that was read there."""
    end = end_of(path)
    if not position.id or end == position:
        return
    found: list[tuple[str]] = []
    if end.id:
        with reading(path) as journal:
            found = journal.rows("SELECT sha FROM event WHERE id = ?", position.id)
    if found and found[0][0] == position.sha:
        return
    what = f"has another event {position.id}" if found else f"ends at event {end.id}" if end.id else "is not there"
    raise OtherJournalError(
        f"{path} {what}, but messages were made of its events up to {position.id} ({position.sha[:12]}): it is another "
        f"journal, or an older copy; give back the journal, or move {path.name}.outbox away to begin with what follows"
    )


def events_after(path: Path, position: Position) -> tuple[Position, list[StoredEvent]]:
    """Return the last place of a journal, and the events up to it from another place on that there are messages about.

    Imported backtests are left out: they are history.

    Raises
    ------
    OtherJournalError
        If the journal ends before the place, has another event there, or is gone.
    JournalError
        If it cannot be read.
    """
    if end_of(path) == position:  # or there is no journal yet
        return position, []
    require_same(path, position)
    with reading(path) as journal:
        number, sha = journal.head()
        rows = journal.stream(
            f"SELECT {_COLUMNS} FROM event WHERE id > ? AND id <= ? AND kind IN ({_MARKS}) ORDER BY id",  # noqa: S608
            position.id,
            number,
            *MESSAGE_KINDS,
        )
        return Position(id=number, sha=sha), list(_of_today(journal, rows))


def events_of(path: Path, numbers: Iterable[int]) -> dict[int, StoredEvent]:
    """Return the events with these numbers."""
    wanted = sorted(set(numbers))
    with reading(path) as journal:
        rows = journal.rows(
            f"SELECT {_COLUMNS} FROM event WHERE id IN ({', '.join('?' * len(wanted))})",  # noqa: S608
            *wanted,
        )
    return {row[0]: _event(row) for row in rows}


def _of_today(journal: Journal, rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredEvent]:
    imported: dict[str, bool] = {}
    for row in rows:
        event = _event(row)
        if event.account not in imported:
            found = journal.rows("SELECT 1 FROM event WHERE account = ? AND kind = ? LIMIT 1", event.account, Kind.RUN)
            imported[event.account] = bool(found)
        if not imported[event.account]:
            yield event


def _event(row: tuple[Any, ...]) -> StoredEvent:
    number, ts_ns, kind, account, symbol, payload = row
    return StoredEvent(id=number, ts_ns=ts_ns, kind=kind, account=account, symbol=symbol, payload=json.loads(payload))
