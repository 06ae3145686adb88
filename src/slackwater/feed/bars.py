"""The bars of one symbol in a feed: when one is final, and which are missing.

A bar is final if its successor was seen after its last update, that update is marked as closed, and it is not the first
message of a connection, which may come out of a cache. No clock makes a bar final. What is not proven so within a time
after its close is requested from the venue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from slackwater.feed.items import Quality

__all__ = ["BarKeeper", "Candle", "Final"]


class Candle(NamedTuple):
    """Update of a bar: open and length in microseconds, values by column, and whether it is marked as closed."""

    opened: int
    interval: int
    values: dict[str, float]
    closed: bool


class Final(NamedTuple):
    """Final bar: its open in microseconds, its values by column, how it came about."""

    opened: int
    values: dict[str, float]
    quality: Quality


@dataclass
class BarKeeper:
    """Keeper of the bars of one symbol and interval.

    Parameters
    ----------
    interval
        Length of a bar, in microseconds.
    newest
        Open of the newest bar that was passed on, or need not be.
    """

    interval: int
    newest: int

    def __post_init__(self) -> None:
        self.forming: Candle | None = None
        self.missing: set[int] = set()
        self._primed: Candle | None = None
        self._waiting: dict[int, Final] = {}
        self.ignored = 0

    def reconnected(self) -> None:
        """Trust nothing of the connection before: the next message primes again."""
        self.forming = self._primed = None

    def take(self, candle: Candle) -> None:
        """Take an update from the stream."""
        if self.forming is None:
            self.forming = self._primed = candle
        elif candle.opened > self.forming.opened:
            self._prove(self.forming)
            self.forming = candle
        elif candle.opened == self.forming.opened:
            if self._is_older(candle, self.forming):
                self.ignored += 1
            else:
                self.forming = candle
        else:  # its successor came first
            self._prove(candle)

    def fill(self, final: Final) -> None:
        """Take a bar that was requested."""
        if self._wanted(final.opened):
            self._waiting[final.opened] = final

    def give_up(self, opened: int) -> None:
        """Stop waiting for a bar."""
        self.missing.discard(opened)
        if opened == self.newest + self.interval:
            self.newest = opened

    def release(self, now: int, lag: int) -> Iterator[Final]:
        """Yield the bars that can be passed on: in order, unless the decision of one is due and one before it lacks."""
        for opened in sorted(self._waiting):
            in_order = opened <= self.newest + self.interval
            if not (in_order or self.is_due(opened, now, lag)):
                return
            self.missing.update(range(self.newest + self.interval, opened, self.interval))
            self.missing.discard(opened)
            self.newest = max(self.newest, opened)
            yield self._waiting.pop(opened)

    def any_due(self, now: int, lag: int) -> bool:
        """Return whether a bar waits whose decision is due."""
        return any(self.is_due(opened, now, lag) for opened in self._waiting)

    def is_due(self, opened: int, now: int, lag: int) -> bool:
        """Return whether a tenth of the time from the close of a bar to its decision is left, or less."""
        return now >= opened + self.interval + lag * 9 // 10

    def overdue(self, now: int, wait: int) -> list[int]:
        """Return the opens of the bars that should be there and are not: to be requested."""
        last = (now - wait) // self.interval * self.interval - self.interval
        later = range(self.newest + self.interval, last + 1, self.interval)
        return sorted(each for each in (*self.missing, *later) if each not in self._waiting)

    def _prove(self, candle: Candle) -> None:
        """Keep an update whose successor was seen, if it is the last of its bar."""
        if candle.closed and candle is not self._primed and self._wanted(candle.opened):
            self._waiting[candle.opened] = Final(candle.opened, candle.values, Quality.LIVE)
        else:
            self.ignored += 1

    def _wanted(self, opened: int) -> bool:
        return (opened > self.newest or opened in self.missing) and opened not in self._waiting

    @staticmethod
    def _is_older(candle: Candle, known: Candle) -> bool:
        """Return whether an update was sent before a known one of the same bar: volume only grows."""
        return candle == known or (known.closed, known.values["volume"]) > (candle.closed, candle.values["volume"])
