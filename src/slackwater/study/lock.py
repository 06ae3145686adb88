"""The lock of studies: one at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slackwater.errors import TrackingError

__all__ = ["one_study"]


@contextmanager
def one_study(directory: str | Path) -> Iterator[None]:
    """Hold the lock of studies in a directory; it is freed when the process ends, however it ends.

    Raises
    ------
    TrackingError
        If another process holds it.
    """
    lock = Path(directory) / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise TrackingError(
                f"another study is running (process {file.read().strip() or 'unknown'}, lock {lock}): two at once "
                "would number their trials alike; wait for it, or stop it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
