"""Compiled joins of the market frame: the same code for all of history and for one live row.

A join advances a small state vector over the rows of one table and one symbol, in the order in which they became
known, and gives its values at decisions. History calls it once with every row and every decision; a live frame
(`slackwater.market.stream`) calls it at each bar close with the rows that came in since. A decision needs nothing of
the one before, so a bar that is missing need not be decided.

============ ====================================================
join         state (what it does: `slackwater.market.tables.Join`)
============ ====================================================
newest       known, event time, amounts
summed       count, times of the last `SLOTS` rows
summed_apart for each input: known, time of its last row
============ ====================================================

Times are microseconds since 1970: below 2**53, so that a state of ``float64`` holds them exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from slackwater.market.spec import FrameSpec
from slackwater.market.tables import Join, Table
from slackwater.times import microseconds
from slackwater.types import Floats, Ints

__all__ = [
    "SLOTS",
    "TableJoin",
    "breadth_of_others",
    "joins_of",
    "log_ratios",
    "newest_row",
    "returns_of_others",
    "summed_apart_rows",
    "summed_rows",
]

SLOTS: Final = 10
"""Slots of a capped feed over which its arrivals are counted."""


# -- kernels -------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def newest_row(state, available, events, amounts, decisions, limit, out):  # type: ignore[no-untyped-def]
    """Write the amounts of the newest row at each decision; NaN once it is older than the limit."""
    row = 0
    for i in range(decisions.shape[0]):
        while row < available.shape[0] and available[row] <= decisions[i]:
            # A row that arrives late does not displace a newer one that was already there.
            if state[0] == 0.0 or events[row] >= state[1]:
                state[0] = 1.0
                state[1] = events[row]
                for j in range(amounts.shape[1]):
                    state[2 + j] = amounts[row, j]
            row += 1
        known = state[0] > 0.0 and decisions[i] - int(state[1]) <= limit
        for j in range(amounts.shape[1]):
            out[i, j] = state[2 + j] if known else np.nan


@njit(cache=True)
def _unseen_factor(state, time, cap):  # type: ignore[no-untyped-def]
    """Estimate how many events each published one represents when the feed publishes at most one per `cap`."""
    if cap == 0:
        return 1.0
    count = int(state[0])
    taken = 1
    while taken < SLOTS and taken <= count and time - int(state[1 + (count - taken) % SLOTS]) < SLOTS * cap:
        taken += 1
    share = taken / (SLOTS + 1)
    return -math.log(1.0 - share) / share


@njit(cache=True, nogil=True)
def summed_rows(state, available, amounts, decisions, step, limit, cap, out):  # type: ignore[no-untyped-def]
    """Write the sums of what became available within a step before each decision; NaN while nothing comes."""
    n = amounts.shape[1]
    weighted = out.shape[1] > n
    row = 0
    for i in range(decisions.shape[0]):
        out[i] = 0.0
        while row < available.shape[0] and available[row] <= decisions[i]:
            # Older ones belong to a bar that is missing, or to the time before the first one.
            if available[row] > decisions[i] - step:
                for j in range(n):
                    out[i, j] += amounts[row, j]
                if weighted:
                    factor = _unseen_factor(state, available[row], cap)
                    for j in range(n):
                        out[i, n + j] += factor * amounts[row, j]
            state[1 + int(state[0]) % SLOTS] = available[row]
            state[0] += 1.0
            row += 1
        if state[0] == 0.0 or decisions[i] - int(state[1 + (int(state[0]) - 1) % SLOTS]) > limit:
            out[i] = np.nan


@njit(cache=True, nogil=True)
def summed_apart_rows(state, available, amounts, decisions, step, limit, out):  # type: ignore[no-untyped-def]
    """Write such sums of each amount on its own; a NaN amount reports nothing."""
    n = amounts.shape[1]
    row = 0
    for i in range(decisions.shape[0]):
        out[i] = 0.0
        while row < available.shape[0] and available[row] <= decisions[i]:
            for j in range(n):
                if not np.isnan(amounts[row, j]):
                    if available[row] > decisions[i] - step:
                        out[i, j] += amounts[row, j]
                    state[2 * j] = 1.0
                    state[2 * j + 1] = available[row]
            row += 1
        for j in range(n):
            if state[2 * j] == 0.0 or decisions[i] - int(state[2 * j + 1]) > limit:
                out[i, j] = np.nan


@njit(cache=True, nogil=True)
def log_ratios(before, after, out):  # type: ignore[no-untyped-def]
    """Write ``log(after / before)`` of prices to `out`; NaN where one is not a positive number."""
    for i in range(before.shape[0]):
        out[i] = math.log(after[i] / before[i]) if before[i] > 0.0 and after[i] > 0.0 else np.nan


@njit(cache=True, nogil=True)
def returns_of_others(times, returns, out):  # type: ignore[no-untyped-def]
    """Write the mean return and mean absolute return of all other bars that close at the same time to two columns.

    Closes ascend; within a close the symbols are in one fixed order. NaN where no other symbol has a bar then.
    """
    start = 0
    while start < times.shape[0]:
        stop = start
        while stop < times.shape[0] and times[stop] == times[start]:
            stop += 1
        # From both ends, so that a bar is left out and not subtracted again, which would leave a rounding error.
        number = 0
        total = absolute = 0.0
        for i in range(start, stop):
            out[i, 0] = total
            out[i, 1] = absolute
            if not np.isnan(returns[i]):
                total += returns[i]
                absolute += abs(returns[i])
                number += 1
        total = absolute = 0.0
        for i in range(stop - 1, start - 1, -1):
            known = not np.isnan(returns[i])
            rest = number - 1 if known else number
            out[i, 0] = (out[i, 0] + total) / rest if rest > 0 else np.nan
            out[i, 1] = (out[i, 1] + absolute) / rest if rest > 0 else np.nan
            if known:
                total += returns[i]
                absolute += abs(returns[i])
        start = stop


@njit(cache=True, nogil=True)
def breadth_of_others(times, moves, out):  # type: ignore[no-untyped-def]
    """Write the mean sign of the moves of all other symbols at a time, and the spread of all moves, to two columns.

    The spread is the standard deviation across symbols, this one included. Times ascend; within a time the symbols are
    in one fixed order. NaN where no other move is known then, and for the spread where the own is not.
    """
    start = 0
    while start < times.shape[0]:
        stop = start
        while stop < times.shape[0] and times[stop] == times[start]:
            stop += 1
        number = 0
        signs = total = 0.0
        for i in range(start, stop):
            if not np.isnan(moves[i]):
                number += 1
                signs += np.sign(moves[i])
                total += moves[i]
        mean = total / max(number, 1)
        squares = 0.0
        for i in range(start, stop):
            if not np.isnan(moves[i]):
                squares += (moves[i] - mean) ** 2
        for i in range(start, stop):
            known = not np.isnan(moves[i])
            rest = number - 1 if known else number
            # Sums of signs are whole numbers: taking the own off again is exact.
            out[i, 0] = (signs - np.sign(moves[i]) if known else signs) / rest if rest > 0 else np.nan
            out[i, 1] = math.sqrt(squares / number) if known and rest > 0 else np.nan
        start = stop


# -- a table in a frame ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TableJoin:
    """The join of one table in a frame of given settings.

    Where its inputs stand in a frame row (side by side), and in microseconds: spacing of the bars, staleness of the
    table, slot of a capped feed of liquidations (0 if it publishes all).
    """

    table: Table
    join: Join
    positions: slice
    step: int
    limit: int
    cap: int

    def start(self) -> Floats:
        """Return the state of a table that has not begun."""
        width = self.table.width
        return np.zeros({"newest": 2 + width, "summed": 1 + SLOTS, "summed_apart": 2 * width}[self.join.kind])

    def advance(self, state: Floats, available: Ints, events: Ints, amounts: Floats, decisions: Ints) -> Floats:
        """Advance the state over rows; return the inputs at decisions, shape (decisions, inputs), NaN where unknown.

        Rows (`available`, `events`, `amounts`) are sorted by (available time, event time) and became known after the
        last decision so far; decisions ascend. The state, from `start`, is advanced in place by all rows up to the last
        decision.
        """
        out = np.empty((len(decisions), len(self.table.inputs)))
        if self.join.kind == "newest":
            newest_row(state, available, events, amounts, decisions, self.limit, out)
        elif self.join.kind == "summed":
            summed_rows(state, available, amounts, decisions, self.step, self.limit, self.cap, out)
        else:
            summed_apart_rows(state, available, amounts, decisions, self.step, self.limit, out)
        return out


def joins_of(spec: FrameSpec) -> dict[str, TableJoin]:
    """Return the joins of a frame by table: every table that feeds inputs but the bars, which make the grid."""
    cap = spec.liquidation_cap
    out = {}
    for table in spec.tables:
        if table.join is not None:
            first = spec.inputs.index(table.inputs[0])
            out[table.name] = TableJoin(
                table=table,
                join=table.join,
                positions=slice(first, first + len(table.inputs)),
                step=microseconds(spec.bar_interval),
                limit=microseconds(spec.staleness[table.name]),
                cap=0 if cap is None else microseconds(cap),
            )
    return out
