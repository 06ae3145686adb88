"""O(1) streaming primitives, compiled: the only arithmetic that touches a window.

Every primitive works on a slice of a flat ``float64`` state buffer that starts as zeros, so that resetting is
``state[:] = 0`` and saving is a copy. A primitive is told how many rows came before (``count``); nothing else
is remembered outside of the buffer. All of them are causal by construction: they see one row at a time.

========== ============================== ==========================================
primitive  state slots                    gives
========== ============================== ==========================================
ring       `window` + 1                   the value some rows ago
totals     (columns + 1) * (`window` + 2) sums over any window up to the longest
extreme    2 + 2 * (`window` + 1)         the maximum (or minimum) of a window
ewm        2                              an exponentially weighted mean
========== ============================== ==========================================
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

import numpy as np
from numba import njit

from slackwater.errors import ParameterError

__all__ = [
    "bars_in",
    "decay_per_bar",
    "ewm_update",
    "extreme_slots",
    "extreme_update",
    "ring_get",
    "ring_put",
    "totals_add",
    "totals_known",
    "totals_over",
    "totals_push",
    "totals_slots",
]

COVERAGE: Final = 0.9
"""Share of the rows of a window that must be known for a sum over it to be known."""


def bars_in(window: timedelta, bar_interval: timedelta, *, name: str = "window") -> int:
    """Return how many bars a duration spans.

    Parameters
    ----------
    window, bar_interval
        Positive durations.
    name
        What to call the window in an error.

    Raises
    ------
    ParameterError
        If `window` is not a positive whole multiple of `bar_interval`.

    Examples
    --------
    >>> bars_in(timedelta(hours=24), timedelta(minutes=5))
    288
    """
    count, rest = divmod(window, bar_interval)
    if rest or count < 1:
        raise ParameterError(f"`{name}` must be a positive multiple of the bar interval {bar_interval}, was {window}")
    return count


def decay_per_bar(half_life: timedelta, bar_interval: timedelta) -> float:
    """Return the weight that one bar takes from all before it, ``1 - 2 ** (-bar_interval / half_life)``."""
    if half_life <= timedelta(0):
        raise ParameterError(f"`half_life` must be positive, was {half_life}")
    return 1.0 - 2.0 ** (-(bar_interval / half_life))


@njit(cache=True)
def ring_put(state, at, size, count, value):  # type: ignore[no-untyped-def]
    """Store `value` as that of row `count` (from 0) in a ring of `size` slots."""
    state[at + count % size] = value


@njit(cache=True)
def ring_get(state, at, size, count, lag):  # type: ignore[no-untyped-def]
    """Return the value stored `lag` rows before row `count`; NaN before the first row. Needs lag < size."""
    if lag > count:
        return np.nan
    return state[at + (count - lag) % size]


def totals_slots(columns: int, size: int) -> int:
    """Return how many state slots running totals of `columns` quantities need for windows below `size`.

    The slots hold the number of known rows, the totals, and a ring of `size` copies of both: a sum over a window
    is the difference of two totals, so one ring serves every window.
    """
    return (columns + 1) * (size + 1)


@njit(cache=True)
def totals_add(state, at, column, value):  # type: ignore[no-untyped-def]
    """Add `value` to the total of `column`."""
    state[at + 1 + column] += value


@njit(cache=True)
def totals_push(state, at, columns, size, count, known):  # type: ignore[no-untyped-def]
    """Close row `count`: note whether it was `known`, and remember the totals as they stand after it.

    Each time round the ring the oldest total is taken off all of them, so that neither years of small amounts nor
    one absurd one eat up the digits for good.
    """
    if known:
        state[at] += 1.0
    width = columns + 1
    slot = at + width * (1 + count % size)
    for i in range(width):
        state[slot + i] = state[at + i]
    if count % size == size - 1:
        for i in range(width):
            oldest = state[at + width + i]
            for k in range(size + 1):
                state[at + k * width + i] -= oldest


@njit(cache=True)
def totals_over(state, at, columns, size, count, column, window):  # type: ignore[no-untyped-def]
    """Return the sum of `column` over the last `window` rows, row `count` included; NaN before there are so many."""
    if window > count:
        return np.nan
    slot = at + (columns + 1) * (1 + (count - window) % size)
    return state[at + 1 + column] - state[slot + 1 + column]


@njit(cache=True)
def totals_known(state, at, columns, size, count, window):  # type: ignore[no-untyped-def]
    """Return whether enough of the last `window` rows were known (`COVERAGE`)."""
    if window > count:
        return False
    slot = at + (columns + 1) * (1 + (count - window) % size)
    return state[at] - state[slot] >= COVERAGE * window


def extreme_slots(window: int) -> int:
    """Return how many state slots `extreme_update` needs for a window of `window` bars."""
    return 2 + 2 * (window + 1)


@njit(cache=True)
def extreme_update(state, at, window, count, value, sign):  # type: ignore[no-untyped-def]
    """Push the value of row `count`; return the maximum of ``sign * value`` over the window, times `sign`.

    A monotonic deque of (row, value) pairs in a ring: amortised O(1). A NaN value is not pushed but the window
    moves on; the result is NaN while nothing in the window is known.
    """
    head = int(state[at])
    tail = int(state[at + 1])
    size = window + 1
    base = at + 2
    if not math.isnan(value):
        signed = sign * value
        while tail > head and state[base + 2 * ((tail - 1) % size) + 1] <= signed:
            tail -= 1
        state[base + 2 * (tail % size)] = count
        state[base + 2 * (tail % size) + 1] = signed
        tail += 1
    while head < tail and state[base + 2 * (head % size)] <= count - window:
        head += 1
    state[at] = head
    state[at + 1] = tail
    if head == tail:
        return np.nan
    return sign * state[base + 2 * (head % size) + 1]


@njit(cache=True)
def ewm_update(state, at, weight, value):  # type: ignore[no-untyped-def]
    """Push a value and return the bias-corrected exponentially weighted mean (``adjust=True`` in pandas).

    The two slots hold the weighted sum and the sum of weights, so the first values are averaged and not
    anchored on the very first one. A NaN is skipped and nothing decays.
    """
    if not math.isnan(value):
        state[at] += weight * (value - state[at])
        state[at + 1] += weight * (1.0 - state[at + 1])
    return state[at] / state[at + 1] if state[at + 1] > 0.0 else np.nan
