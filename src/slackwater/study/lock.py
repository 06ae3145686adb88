"""The lock of studies: one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slackwater.errors import TrackingError
from slackwater.file_lock import held_alone

__all__ = ["one_study"]


@contextmanager
def one_study(directory: str | Path) -> Iterator[None]:
    """Hold the lock of studies in a directory.

    Raises
    ------
    TrackingError
        If another process holds it.
    """
    lock = Path(directory) / "lock"

    def busy(holder: str) -> TrackingError:
        return TrackingError(
            f"{holder} is running (lock {lock}): two at once would number their trials alike; wait for it, or stop it"
        )

    with held_alone(lock, "another study", busy=busy):
        yield
