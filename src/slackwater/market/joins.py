"""The joins of the market frame, compiled: one code for all of history and for one live row.

A join advances a small state vector over the rows of one table and one symbol, in the order in which they became
known, and gives its values at decisions. History calls it once with every row and every decision; a live frame
(`slackwater.market.stream`) calls it at each bar close with the rows that came in since. A decision needs nothing of
the one before, so a bar that is missing need not be decided.

======== ===================================== ===================================================================
join     state                                 gives at a decision
======== ===================================== ===================================================================
newest   known, event time, amounts            the row with the newest event time; NaN once that is stale
summed   count, times of the last `SLOTS` rows sums of what became known within the last bar step; NaN while silent
======== ===================================== ===================================================================

Times are microseconds since 1970: below 2**53, so that a state of ``float64`` holds them exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.market.inputs import INPUT_TABLES, INPUTS

__all__ = ["JOINS", "SLOTS", "STALENESS", "Join", "Timing", "bar_returns", "returns_of_others"]

STALENESS: Final[dict[str, timedelta]] = {
    "open_interest": timedelta(hours=3),
    "funding": timedelta(hours=9),
    "premium_index": timedelta(hours=1),
    "liquidations": timedelta(days=3),
    "liquidation_totals": timedelta(days=3),
    "whale_transfers": timedelta(days=3),
    "large_trades": timedelta(days=3),
    "long_short_ratio": timedelta(hours=3),
    "depth": timedelta(hours=1),
}
"""How old the newest row of a table may be, at a decision, before the table counts as silent."""

SLOTS: Final = 10
"""Slots of a capped feed over which its arrivals are counted."""

Columns = Mapping[str, NDArray[Any]]


# -- kernels -------------------------------------------------------------------------------------------------


@njit(cache=True)
def _newest(state, available, events, amounts, decisions, limit, out):  # type: ignore[no-untyped-def]
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
    """Return how many events stand behind one that a feed with one slot a `cap` let through."""
    if cap == 0:
        return 1.0
    count = int(state[0])
    taken = 1
    while taken < SLOTS and taken <= count and time - int(state[1 + (count - taken) % SLOTS]) < SLOTS * cap:
        taken += 1
    share = taken / (SLOTS + 1)
    return -math.log(1.0 - share) / share


@njit(cache=True)
def _summed(state, available, amounts, decisions, step, limit, cap, out):  # type: ignore[no-untyped-def]
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


@njit(cache=True)
def bar_returns(opens, closes, out):  # type: ignore[no-untyped-def]
    """Write ``log(close / open)`` of each bar to `out`; NaN where a price is no positive number."""
    for i in range(opens.shape[0]):
        out[i] = math.log(closes[i] / opens[i]) if opens[i] > 0.0 and closes[i] > 0.0 else np.nan


@njit(cache=True)
def returns_of_others(times, returns, out):  # type: ignore[no-untyped-def]
    """Write the mean return and mean absolute return of all other bars that close at the same time.

    Parameters
    ----------
    times, returns
        Closes, ascending, and log returns; within a close the symbols are in one fixed order.
    out
        Two columns; NaN where no other symbol has a bar then.
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


# -- what a table contributes --------------------------------------------------------------------------------


def _as_they_are(*names: str) -> Callable[[Columns], list[NDArray[Any]]]:
    return lambda columns: [columns[name] for name in names]


def _with_their_time(*names: str) -> Callable[[Columns], list[NDArray[Any]]]:
    return lambda columns: [*(columns[name] for name in names), columns["event_time"] / 3.6e9]


def _by_side(first: str, second: str) -> Callable[[Columns], list[NDArray[Any]]]:
    def split(columns: Columns) -> list[NDArray[Any]]:
        side, quantity = columns["side"], columns["quantity"]
        return [np.where(side == name, quantity, 0.0) for name in (first, second)]

    return split


def _transfers(columns: Columns) -> list[NDArray[Any]]:
    source, sink = columns["from_owner_type"] == "exchange", columns["to_owner_type"] == "exchange"
    return [np.where(sink & ~source, columns["amount"], 0.0), np.where(source & ~sink, columns["amount"], 0.0)]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The durations of a market frame, in microseconds.

    Parameters
    ----------
    step, lag
        Spacing of the bars; from a bar's close to its decision.
    limits
        Staleness by table.
    cap
        A capped feed publishes at most one liquidation a symbol in each; 0: it publishes all.
    """

    step: int
    lag: int
    limits: Mapping[str, int]
    cap: int

    @classmethod
    def of(
        cls,
        *,
        bar_interval: timedelta,
        decision_lag: timedelta,
        staleness: Mapping[str, timedelta] | None,
        liquidation_cap: timedelta | None,
    ) -> Timing:
        """Check the parameters of a frame.

        Raises
        ------
        ParameterError
            If `bar_interval` or `liquidation_cap` is not positive, `decision_lag` is negative, or `staleness` names
            an unknown table.
        """
        zero = timedelta(0)
        if bar_interval <= zero:
            raise ParameterError(f"`bar_interval` must be positive, was {bar_interval}")
        if decision_lag < zero:
            raise ParameterError(f"`decision_lag` must not be negative, was {decision_lag}")
        if liquidation_cap is not None and liquidation_cap <= zero:
            raise ParameterError(f"`liquidation_cap` must be positive, or None, was {liquidation_cap}")
        unknown = sorted(set(staleness or {}) - set(STALENESS))
        if unknown:
            raise ParameterError(f"`staleness` names unknown tables {unknown}; there are {sorted(STALENESS)}")
        return cls(
            step=_microseconds(bar_interval),
            lag=_microseconds(decision_lag),
            limits={name: _microseconds(limit) for name, limit in (STALENESS | dict(staleness or {})).items()},
            cap=0 if liquidation_cap is None else _microseconds(liquidation_cap),
        )


@dataclass(frozen=True, kw_only=True)
class Join:
    """How one table enters the frame.

    Parameters
    ----------
    table
        Canonical name.
    columns
        The canonical columns that it reads; an optional one that a table lacks is NaN.
    split
        Turns those columns into the amounts that are joined, one array each.
    width
        How many amounts there are.
    summed
        Whether amounts are summed; else the newest row counts.
    """

    table: str
    columns: tuple[str, ...]
    split: Callable[[Columns], list[NDArray[Any]]]
    width: int
    summed: bool

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that the table feeds."""
        return INPUT_TABLES[self.table]

    @cached_property
    def positions(self) -> slice:
        """Where these stand in a frame row: side by side."""
        first = INPUTS.index(self.inputs[0])
        return slice(first, first + len(self.inputs))

    def amounts(self, columns: Columns) -> NDArray[np.float64]:
        """Return what each row contributes, one row each; `columns` holds at least those of the join."""
        return np.column_stack(self.split(columns)).astype(np.float64, copy=False)

    def start(self) -> NDArray[np.float64]:
        """Return the state of a table that has not begun."""
        return np.zeros(1 + SLOTS if self.summed else 2 + self.width)

    def advance(
        self,
        state: NDArray[np.float64],
        available: NDArray[np.int64],
        events: NDArray[np.int64],
        amounts: NDArray[np.float64],
        decisions: NDArray[np.int64],
        timing: Timing,
    ) -> NDArray[np.float64]:
        """Take rows in, and return the inputs at decisions.

        Parameters
        ----------
        state
            From `start`; advanced in place by all rows up to the last decision.
        available, events, amounts
            Rows, sorted by (available time, event time), that became known after the last decision so far.
        decisions
            Ascending.
        timing
            Durations of the frame.

        Returns
        -------
        ndarray of float64, shape (decisions, inputs)
            In the order of `inputs`; NaN where unknown.
        """
        out = np.empty((len(decisions), len(self.inputs)))
        limit = timing.limits[self.table]
        if self.summed:
            _summed(state, available, amounts, decisions, timing.step, limit, timing.cap, out)
        else:
            _newest(state, available, events, amounts, decisions, limit, out)
        return out


def _snapshots(table: str, *columns: str) -> Join:
    return Join(table=table, columns=columns, split=_as_they_are(*columns), width=len(columns), summed=False)


JOINS: Final[dict[str, Join]] = {
    join.table: join
    for join in (
        Join(
            table="open_interest",
            columns=("open_interest", "event_time"),
            split=_with_their_time("open_interest"),
            width=2,
            summed=False,
        ),
        Join(
            table="funding",
            columns=("funding_rate", "interval_hours", "event_time"),
            split=_with_their_time("funding_rate", "interval_hours"),
            width=3,
            summed=False,
        ),
        _snapshots("premium_index", "premium_index"),
        Join(
            table="liquidations",
            columns=("side", "quantity"),
            split=_by_side("long", "short"),
            width=2,
            summed=True,
        ),
        Join(
            table="liquidation_totals",
            columns=("long_quantity", "short_quantity"),
            split=_as_they_are("long_quantity", "short_quantity"),
            width=2,
            summed=True,
        ),
        Join(
            table="whale_transfers",
            columns=("from_owner_type", "to_owner_type", "amount"),
            split=_transfers,
            width=2,
            summed=True,
        ),
        Join(
            table="large_trades",
            columns=("side", "quantity"),
            split=_by_side("buy", "sell"),
            width=2,
            summed=True,
        ),
        _snapshots("long_short_ratio", "top_trader_ratio"),
        _snapshots("depth", "bid_quantity_1pct", "ask_quantity_1pct"),
    )
}
"""Every table but the bars, which make the grid. ``event_time`` among the columns is in microseconds since 1970."""


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
