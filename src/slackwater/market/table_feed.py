"""One table of one symbol on its way into a live frame: the state of its join, and the rows that still wait."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.frame import arrivals
from slackwater.market.joins import TableJoin
from slackwater.market.tables import Table
from slackwater.times import DAY_US, epochs_us
from slackwater.types import Floats, Ints

__all__ = ["PARTS", "REMEMBERED_US", "Row", "TableFeed", "columns_of", "has_times_alone", "key_of"]

REMEMBERED_US: Final = 3 * DAY_US
"""Age, before the newest row, up to which a row that arrives can be compared with those that came before it."""

PARTS: Final = ("state", "last", "keys", "key_times", "times", "amounts", "backfilled")
"""Names of the arrays that a feed is saved as."""

Row = tuple[int, int, tuple[float, ...]]
"""Available time, event time and amounts."""


def has_times_alone(table: Table) -> bool:
    """Return whether a table has one row per symbol and time: no older row of it is of use."""
    return table.key == ("symbol", "event_time")


def key_of(table: Table, values: Mapping[str, Any]) -> str:
    """Return what identifies a row among those of its symbol; empty where rows may repeat, or the time is enough."""
    if not table.key or has_times_alone(table):
        return ""
    return json.dumps([values[name] for name in table.key if name != "symbol"])


@dataclass(slots=True)
class TableFeed:
    """One table of one symbol.

    Parameters
    ----------
    state
        State of its join; of bars, which have none, the times and closes of the last 24 h, shape (bars per day, 2).
    last
        Event time of the newest row, microseconds.
    keys
        Event times of the rows of the last three days by what identifies them, oldest first.
    pending
        Rows that no decision has taken yet.
    backfilled
        Whether every row came from a table of history.
    """

    state: Floats
    last: int = -(2**63)
    keys: dict[str, int] = field(default_factory=dict)
    pending: list[Row] = field(default_factory=list)
    backfilled: bool = False

    def add(self, row: Row, key: str) -> None:
        """Take a row that has arrived."""
        self.last = max(self.last, row[1])
        if key:
            self.keys[key] = row[1]
        self.pending.append(row)
        self.backfilled = False

    def fill_day(self, bars: pd.DataFrame, step: int) -> None:
        """Put the closes of bars of history where those of their time of day stand, the last one of each."""
        events, prices = epochs_us(bars["event_time"])[::-1], bars["close"].to_numpy(np.float64)[::-1]
        self.backfilled, self.last = True, int(events.max())
        if len(self.state):
            slots, newest = np.unique(events // step % len(self.state), return_index=True)
            self.state[slots] = np.column_stack([events[newest], prices[newest]])

    def fill(self, join: TableJoin, table: pd.DataFrame, rows: NDArray[np.intp], until: int) -> None:
        """Advance a join over rows of history, remember what identifies them, and keep those that wait after a time."""
        available, events, amounts = arrivals(join, table, rows)
        self.backfilled, self.last = True, int(events.max())
        known = int(np.searchsorted(available, until, side="right"))
        join.advance(self.state, available[:known], events[:known], amounts[:known], np.array([until]))
        waiting = zip(available[known:], events[known:], amounts[known:].tolist(), strict=True)
        self.pending = [(int(a), int(e), tuple(row)) for a, e, row in waiting]
        if join.table.key and not has_times_alone(join.table):
            own = table.iloc[rows].assign(event_time=epochs_us(table["event_time"].iloc[rows]))
            own = own[own["event_time"] >= self.last - REMEMBERED_US].sort_values("available_time", kind="stable")
            self.keys = {key_of(join.table, row): row["event_time"] for row in own.to_dict("records")}

    def take(self, until: int) -> list[Row]:
        """Remove and return the rows that are available, in the order in which they became so."""
        while self.keys and self.keys[oldest := next(iter(self.keys))] < self.last - REMEMBERED_US:
            del self.keys[oldest]
        if len(self.pending) == 1 and self.pending[0][0] <= until:
            taken, self.pending = self.pending, []
            return taken
        self.pending.sort(key=itemgetter(0, 1))
        count = bisect_right(self.pending, until, key=itemgetter(0))
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def copy(self) -> TableFeed:
        """Return a feed that pushes leave alone; both share the state, which only a close advances."""
        return TableFeed(self.state, self.last, self.keys.copy(), self.pending.copy(), self.backfilled)

    def save(self, width: int) -> dict[str, NDArray[Any]]:
        """Return the feed as arrays by the names of `PARTS`; rows have `width` amounts."""
        available, events, amounts = columns_of(self.pending, width)
        parts = (
            self.state.copy(),
            np.array(self.last, dtype=np.int64),
            np.array(list(self.keys), dtype=np.str_),
            np.array(list(self.keys.values()), dtype=np.int64),
            np.column_stack([available, events]),
            amounts,
            np.array(self.backfilled),
        )
        return dict(zip(PARTS, parts, strict=True))

    def load(self, parts: Mapping[str, NDArray[Any]], width: int) -> TableFeed | None:
        """Return the feed that was saved, with a state like the own one; None if the arrays are not such a feed."""
        state, last, keys, key_times, times, amounts, backfilled = (np.asarray(parts[name]) for name in PARTS)
        sound = (
            _is_like(state, "f8", self.state.shape)
            and _is_like(last, "i8", ())
            and keys.dtype.kind == "U"
            and keys.ndim == 1
            and _is_like(key_times, "i8", keys.shape)
            and _is_like(times, "i8", (*times.shape[:1], 2))
            and _is_like(amounts, "f8", (*times.shape[:1], width))
            and _is_like(backfilled, "?", ())
        )
        if not sound:
            return None
        pending = [(int(a), int(e), tuple(row)) for (a, e), row in zip(times, amounts.tolist(), strict=True)]
        known = dict(zip(map(str, keys), key_times.tolist(), strict=True))
        return TableFeed(state.copy(), int(last), known, pending, bool(backfilled))


def columns_of(rows: list[Row], width: int) -> tuple[Ints, Ints, Floats]:
    """Return available times and event times, shape (n,), and amounts, shape (n, width), of rows."""
    available = np.array([row[0] for row in rows], dtype=np.int64)
    events = np.array([row[1] for row in rows], dtype=np.int64)
    return available, events, np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, width)


def _is_like(array: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> bool:
    return array.dtype == np.dtype(dtype) and array.shape == shape
