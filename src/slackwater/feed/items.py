"""The items of a feed: rows of canonical tables with their quality, and faults by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import pandas as pd

__all__ = ["FaultKind", "FeedFault", "FeedRow", "Print", "Quality"]


class Quality(StrEnum):
    """How a row came about; the whole list. Only rows whose quality is `usable` belong into a session."""

    LIVE = "live"
    """From a stream, final, and in time for the decision of its bar."""
    LATE = "late"
    """From a stream, after the decision of its bar."""
    POLLED = "polled"
    """Requested at regular times: the venue has no stream that states it, or none that states it whole."""
    BACKFILLED = "backfilled"
    """Requested because the stream lacked it."""
    GAP = "gap"
    """Not an event, but the mark of a time in which there may have been events that nobody has seen."""
    DUPLICATE = "duplicate"
    """Seen before; dropped."""
    STALE = "stale"
    """Older than what can be compared with what was seen; dropped."""

    @property
    def usable(self) -> bool:
        """Whether the row is one for a session; those that are not are reported and dropped."""
        return self not in (Quality.DUPLICATE, Quality.STALE)


class FaultKind(StrEnum):
    """What went wrong; the whole list."""

    SILENT = "silent"
    """A stream sent nothing for longer than its rhythm."""
    DISCONNECTED = "disconnected"
    """A connection ended, or could not be opened."""
    GAP = "gap"
    """Data are missing, and were not, or not yet, filled."""
    CLOCK = "clock"
    """The stamps of the venue and the clock of this machine contradict each other."""
    CROSSED_BOOK = "crossed book"
    """The best bid is not below the best ask; the book was not used."""
    SHALLOW_BOOK = "shallow book"
    """The levels of the venue do not reach 1 % from the price; the depth is unknown."""
    REFUSED = "refused"
    """The venue refused a request, or it failed."""
    UNREADABLE = "unreadable"
    """A message or an answer, or a row of it, could not be read."""


@dataclass(frozen=True, slots=True)
class FeedRow:
    """Row of a canonical table.

    Parameters
    ----------
    table
        Name of the table.
    row
        Columns of the table. `available_time` is when this machine could pass the row on.
    quality
        How it came about.
    """

    table: str
    row: dict[str, Any]
    quality: Quality

    @property
    def age(self) -> timedelta:
        """Time from the event to its availability."""
        return self.row["available_time"] - self.row["event_time"]


class Print(NamedTuple):
    """Trade of the market, of a symbol whose trades are followed (`slackwater.feed.live.Feed.follow`).

    Parameters
    ----------
    symbol
        Canonical symbol.
    time_us
        When it happened, in microseconds since 1970.
    price, quantity
        USDT, and coins.
    """

    symbol: str
    time_us: int
    price: float
    quantity: float


@dataclass(frozen=True, slots=True)
class FeedFault:
    """Fault of a feed.

    Parameters
    ----------
    kind
        What went wrong.
    time
        When it was noticed (UTC).
    stream, symbol
        Where: name of a stream or table, and symbol; empty: all of them.
    text
        One sentence.
    """

    kind: FaultKind
    time: pd.Timestamp
    stream: str
    symbol: str
    text: str
