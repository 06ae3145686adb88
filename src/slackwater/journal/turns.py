"""A journal to which a process adds events now and then, while others may add theirs in between.

The connection stays open, since to open and close one takes several times as long as to add an event; the lock is held
for a turn only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from slackwater.journal.errors import JournalBusyError, JournalError
from slackwater.journal.event import Event
from slackwater.journal.store import Appended, JournalWriter, one_writer, readable, writable

__all__ = ["JournalTurns"]

_PATIENCE: Final = 10.0
_AGAIN: Final = 0.02  # seconds


class JournalTurns:
    """A journal that is open for adding events in turns; it is made where there is none.

    One thread at a time may use it, which need not be the one that opened it.

    Parameters
    ----------
    path
        File of the journal.
    by
        Name of the writer, which another one is told during a turn.

    Raises
    ------
    JournalBusyError
        If another process holds it, as while it adds a large batch.
    JournalError
        If it is not a journal, is damaged, or cannot be written.
    """

    def __init__(self, path: str | Path, *, by: str) -> None:
        self.path, self.by = Path(path), by
        with one_writer(self.path, by):
            self._connection = writable(self.path)
            self._file = self._on_disk()
        # By `tidy`, and not in the middle of a turn.
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._writer = JournalWriter(self.path, self._connection)
        self._added = False

    def append_all(self, events: Iterable[Event]) -> Appended:
        """Add events together, all or none; they are on the disk when this returns.

        A turn is waited for, up to ten seconds.

        Raises
        ------
        JournalBusyError
            If another process holds the journal for longer.
        JournalError
            As `slackwater.journal.store.JournalWriter.append_all`, or if the file was moved or replaced.
        """
        with ExitStack() as turn:
            begin = time.monotonic()
            while True:
                try:
                    turn.enter_context(one_writer(self.path, self.by))
                    break
                except JournalBusyError:
                    if time.monotonic() - begin > _PATIENCE:
                        raise
                    time.sleep(_AGAIN)
            if self._on_disk() != self._file:
                raise JournalError(
                    f"{self.path} was moved, removed or replaced while {self.by} wrote it: put the file back that was "
                    "opened, then start again"
                )
            self._added = True
            return self._writer.append_all(events)

    def tidy(self) -> None:
        """Take what was added over into the file: until then it is in the one beside it, ``-wal``, which would grow.

        For a moment in which nobody waits; it takes some milliseconds, and none where nothing was added.
        """
        if self._added:
            with readable(self.path):
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._added = False

    def close(self) -> None:
        """Close it; what was added is in the file."""
        with readable(self.path):
            self._connection.close()

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino
