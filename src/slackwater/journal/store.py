"""The SQLite file of a journal: events are added one after the other by one process, and never changed.

Only the standard library is imported here, so that a process that writes starts in a moment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from slackwater.errors import MissingDataError
from slackwater.file_lock import held_alone
from slackwater.journal.errors import JournalBusyError, JournalError, OtherContentError
from slackwater.journal.event import GENESIS, Event, event_sha

__all__ = [
    "COLUMNS",
    "Appended",
    "Journal",
    "JournalWriter",
    "one_writer",
    "readable",
    "reading",
    "writable",
    "writing",
]

COLUMNS: Final = ("id", "ts_ns", "kind", "account", "bundle_sha", "symbol", "key", "payload_json", "prev_sha", "sha")
"""Stored columns of `event`, in order."""

_APPLICATION: Final = 0x534C4B57  # "SLKW", in the header of the file
_VERSION: Final = 1
_BUSY_SECONDS: Final = 30.0
_FOLLOWS: Final = (
    "NEW.id IS NOT 1 + coalesce((SELECT max(id) FROM event), 0)"
    " OR (NEW.id > 1 AND NEW.prev_sha IS NOT (SELECT sha FROM event WHERE id = NEW.id - 1))"
    # INSERT OR REPLACE would take the event of a key away without asking the trigger of DELETE.
    " OR EXISTS (SELECT 1 FROM event WHERE key = NEW.key)"
)
_SCHEMA: Final = (
    "CREATE TABLE event ("
    "id INTEGER PRIMARY KEY, ts_ns INTEGER NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL, "
    "bundle_sha TEXT NOT NULL, symbol TEXT NOT NULL, key TEXT NOT NULL UNIQUE, payload_json TEXT NOT NULL, "
    "prev_sha TEXT NOT NULL, sha TEXT NOT NULL, "
    "net_r REAL AS (json_extract(payload_json, '$.net_r')) VIRTUAL, "
    "codes TEXT AS (json_extract(payload_json, '$.codes')) VIRTUAL) STRICT",
    "CREATE INDEX event_of_account ON event (account, kind, ts_ns)",
    # Covers the sums over what was refused, of which there is one per refusal, without reading any payload.
    "CREATE INDEX event_forgone ON event (account, codes, ts_ns, net_r) WHERE kind = 'forgone'",
    "CREATE TRIGGER event_never_changes BEFORE UPDATE ON event "
    "BEGIN SELECT RAISE(ABORT, 'events of a journal are never changed'); END",
    "CREATE TRIGGER event_never_goes BEFORE DELETE ON event "
    "BEGIN SELECT RAISE(ABORT, 'events of a journal are never deleted'); END",
    f"CREATE TRIGGER event_follows BEFORE INSERT ON event WHEN {_FOLLOWS} "
    "BEGIN SELECT RAISE(ABORT, 'an event of a journal follows the last one'); END",
)
_INSERT: Final = f"INSERT INTO event ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_SAME: Final = COLUMNS[1:8]  # what an event with a known key must have in common with the stored one


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Outcome of an append that is on the disk.

    Parameters
    ----------
    ids
        Position of every event in the journal, in the order given.
    added
        Events that were not there before.
    """

    ids: tuple[int, ...]
    added: int


class Journal:
    """A journal that is open for reading; made by `reading`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def rows(self, what: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query of SQL.

        Raises
        ------
        JournalError
            If the file is damaged or cannot be read.
        """
        with readable(self.path):
            return self._connection.execute(what, values).fetchall()

    def stream(self, what: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query of SQL one by one; errors are those of `rows`."""
        with readable(self.path), closing(self._connection.cursor()) as cursor:
            yield from cursor.execute(what, values)

    def head(self) -> tuple[int, str]:
        """Return the number and the digest of the last event; 0 and `GENESIS` where there is none."""
        found = self.rows("SELECT id, sha FROM event ORDER BY id DESC LIMIT 1")
        return found[0] if found else (0, GENESIS)

    def accounts(self) -> dict[str, bool]:
        """Return the accounts, in the order of their first events, and whether each is of a SYNTHETIC market."""
        found = self.rows(
            "SELECT account, json_extract(payload_json, '$.synthetic') FROM event WHERE id IN "
            "(SELECT min(id) FROM event GROUP BY account) ORDER BY id"
        )
        return {account: bool(synthetic) for account, synthetic in found}


class JournalWriter(Journal):
    """A journal that is open for this process alone to add events to; made by `writing`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        self._synthetic: dict[str, bool] = {}

    def append(self, event: Event) -> int:
        """Add one event and return its number; it is on the disk when this returns. See `append_all`."""
        return self.append_all([event]).ids[0]

    def append_all(self, events: Iterable[Event]) -> Appended:
        """Add events together, all or none; they are on the disk when this returns.

        An event whose key is there with the same content is not added again: a process that was killed before it
        heard of its success repeats what it did.

        Raises
        ------
        JournalError
            If a key is there with another content, an account would be both SYNTHETIC and not, the disk is full, or
            the file cannot be written. The journal is then as it was.
        """
        synthetic = dict(self._synthetic)
        with readable(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                head, ids, first = self.head(), [], 0
                first = head[0]
                for event in events:
                    self._require_one_market(synthetic, event)
                    head, number = self._added(event, head)
                    ids.append(number)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        self._synthetic = synthetic
        return Appended(ids=tuple(ids), added=head[0] - first)

    def _added(self, event: Event, head: tuple[int, str]) -> tuple[tuple[int, str], int]:
        """Add an event after the head unless its key is there; return the new head and the number of the event."""
        last, prev_sha = head
        origin, payload = event.origin, event.payload_json()
        texts = (str(event.kind), origin.account, origin.bundle_sha, event.symbol, event.key)
        content = (event.ts_ns, *texts, payload)
        known = self._connection.execute(
            f"SELECT id, {', '.join(_SAME)} FROM event WHERE key = ?",  # noqa: S608
            (event.key,),
        ).fetchone()
        if known is not None:
            different = [name for name, ours, theirs in zip(_SAME, content, known[1:], strict=True) if ours != theirs]
            if different:
                raise OtherContentError(
                    f"{self.path} holds {event.key!r} with another content (event {known[0]}: {', '.join(different)}); "
                    "events are never changed: give what happened later a key of its own"
                )
            return head, int(known[0])
        number = last + 1
        sha = event_sha(prev_sha.encode(), number, event.ts_ns, payload.encode(), *(text.encode() for text in texts))
        self._connection.execute(_INSERT, (number, *content, prev_sha, sha))
        return (number, sha), number

    def _require_one_market(self, synthetic: dict[str, bool], event: Event) -> None:
        account = event.origin.account
        if account not in synthetic:
            found = self._connection.execute(
                "SELECT json_extract(payload_json, '$.synthetic') FROM event WHERE account = ? LIMIT 1", (account,)
            ).fetchone()
            synthetic[account] = event.origin.synthetic if found is None else bool(found[0])
        if synthetic[account] != event.origin.synthetic:
            names = {True: "SYNTHETIC", False: "not SYNTHETIC"}
            raise JournalError(
                f"the account {account} of the journal is {names[synthetic[account]]}, the event {event.key!r} is "
                f"{names[event.origin.synthetic]}: give another account"
            )


@contextmanager
def reading(path: str | Path) -> Iterator[Journal]:
    """Open a journal for reading; a process that writes it at the same time is not disturbed.

    Raises
    ------
    MissingDataError
        If there is no such file, or nothing in it yet.
    JournalError
        If it is not a journal, is damaged, or was made by another version.
    """
    source = Path(path)
    if not source.exists():
        raise MissingDataError(f"there is no journal {source}; `slackwater journal import` makes one from a backtest")
    with readable(source), closing(_connected(source, "ro")) as connection:
        if not _made(connection):
            raise MissingDataError(f"there is no journal in {source} yet: it is being made, or its process was killed")
        _require_journal(connection, source)
        yield Journal(source, connection)


@contextmanager
def writing(path: str | Path, *, by: str) -> Iterator[JournalWriter]:
    """Open a journal for adding events, and make it where there is none.

    One process at a time may hold it, until the block ends or the process does, however it ends. A process that adds
    events now and then takes turns with others instead (`slackwater.journal.turns`).

    Parameters
    ----------
    path
        File of the journal; its lock is beside it, ``<path>.lock``.
    by
        Name of the writer, which a second one is told.

    Raises
    ------
    JournalBusyError
        If another process has it open for writing; with its name.
    JournalError
        If it is not a journal, is damaged, or cannot be written.
    """
    target = Path(path)
    with one_writer(target, by), readable(target), closing(writable(target)) as connection:
        connection.execute("PRAGMA cache_size = -65536")  # 64 MiB: less would write pages of a large batch many times
        yield JournalWriter(target, connection)


def writable(path: Path) -> sqlite3.Connection:
    """Return a connection that may add events, for whoever holds `one_writer`; errors are those of `writing`."""
    with readable(path), ExitStack() as failed:
        connection = _connected(path, "rwc")
        failed.callback(connection.close)
        if not _made(connection):
            _make(connection)
        _require_journal(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        failed.pop_all()
        return connection


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    # Where no file can be made beside it, a journal at rest is read as it is.
    at_rest = mode == "ro" and not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
    address = f"file:{quote(str(path.resolve()))}?mode={mode}{'&immutable=1' if at_rest else ''}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _made(connection: sqlite3.Connection) -> bool:
    """Return whether there is anything in a database; a process that was killed while it made one left nothing."""
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in (*_SCHEMA, f"PRAGMA application_id = {_APPLICATION}", f"PRAGMA user_version = {_VERSION}"):
        connection.execute(statement)
    connection.execute("COMMIT")


def _require_journal(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise JournalError(f"{path} is a database of another program, not a journal: name another file")
    if version != _VERSION:
        raise JournalError(f"{path} is a journal of version {version}, this slackwater reads version {_VERSION}")
    there = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if there != set(_SCHEMA):
        changed = sorted(" ".join(sql.split()[1:3]) for sql in there ^ set(_SCHEMA))
        raise JournalError(
            f"{path} is a journal whose schema was changed ({', '.join(dict.fromkeys(changed))}): its events are no "
            "longer protected; restore the file from a copy"
        )


@contextmanager
def one_writer(path: Path, by: str) -> Iterator[None]:
    """Hold the lock file beside a journal; JournalBusyError if another process does."""
    if path.is_dir():
        raise JournalError(f"{path} is a directory, not a journal: name a file")

    def busy(holder: str) -> JournalBusyError:
        return JournalBusyError(f"{path} is being written by {holder}: wait until it has finished, or stop it")

    with ExitStack() as held:
        try:
            held.enter_context(held_alone(path.with_name(f"{path.name}.lock"), by, busy=busy))
        except OSError as error:
            raise JournalError(f"{path} cannot be written ({error.strerror}): make its directory writable") from error
        yield


_CAUSES: Final = {
    "SQLITE_FULL": "the disk is full: free some space, then repeat",
    "SQLITE_READONLY": "it cannot be written: make the file and its directory writable",
    "SQLITE_CANTOPEN": "it cannot be opened: make the file and its directory readable and writable",
    "SQLITE_BUSY": f"another program has locked it for {_BUSY_SECONDS:.0f} s: stop that program",
    "SQLITE_NOTADB": "it is not a database: name another file, or restore it from a copy",
    "SQLITE_CORRUPT": "it is damaged: restore it from a copy",
    "SQLITE_IOERR": "the disk does not take or give its content (full, or failing): look after the disk, then repeat",
}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into one that names the journal, the cause and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        cause = next((text for start, text in _CAUSES.items() if name.startswith(start)), str(error))
        raise JournalError(f"journal {path}: {cause} ({name or type(error).__name__}: {error})") from error
