"""Lock files: one process at a time does what must not be done by two."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

__all__ = ["held_alone"]


@contextmanager
def held_alone(lock: Path, by: str, *, busy: Callable[[str], Exception]) -> Iterator[None]:
    """Hold a lock file; it is freed when the process ends, however it ends.

    Parameters
    ----------
    lock
        The file; it stays.
    by
        Who holds it, which a second one is told.
    busy
        Makes the error for the case that another process holds it, of the words about that one.

    Raises
    ------
    Exception
        What `busy` made.
    OSError
        If the file cannot be written.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise busy(file.read(200).strip() or "another process") from None
        _write_name(file, f"{by} (process {os.getpid()})")
        yield


def _write_name(file: TextIO, name: str) -> None:
    with suppress(OSError):  # on a full disk the lock holds without a name
        file.seek(0)
        if file.read(200) != name:  # whoever takes turns has written it before
            file.truncate(0)
            file.write(name)
            file.flush()
