"""The clock of a live process: the time of the machine, or the faster one of a replay."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "ReplayClock", "StampClock", "WallClock"]


class Clock(Protocol):
    """Clock that a live process waits by."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""

    def note(self, time_ns: int) -> None:
        """Take note of a stamp that was seen; only a clock that is driven by stamps does something with it."""


class WallClock:
    """Clock of the machine."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)

    def note(self, time_ns: int) -> None:
        """Do nothing: the machine has its own time."""


class ReplayClock:
    """Clock that runs faster than the machine, from a time on.

    Parameters
    ----------
    start_ns
        Its present time, in nanoseconds since 1970.
    speed
        Seconds of this clock per second of the machine, above 0.
    """

    def __init__(self, start_ns: int, speed: float) -> None:
        self.speed = speed
        self._start_ns = start_ns
        self._began_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self._start_ns + int((time.monotonic_ns() - self._began_ns) * self.speed)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""
        await asyncio.sleep(seconds / self.speed)

    def note(self, time_ns: int) -> None:
        """Do nothing: it has its own time."""


class StampClock:
    """Clock of a replay without a speed: its time is the newest stamp that was noted.

    Parameters
    ----------
    start_ns
        Its present time, in nanoseconds since 1970.
    """

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        """Give way to others for a hundredth of a second: how long `seconds` last depends on the stamps."""
        await asyncio.sleep(0.01)

    def note(self, time_ns: int) -> None:
        """Move to a stamp, if it is later."""
        self._now_ns = max(self._now_ns, time_ns)
