"""Rows of the market frame through all families: blocks of history, or one live row at a time.

A row holds the inputs of the library, then the intermediates, then the inputs of tables from outside, so that no
position that is compiled into a kernel depends on those.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from slackwater.features.families import advance_families
from slackwater.features.intermediates import FIRST_EXTRA, TIME_HOURS
from slackwater.market.frame_row import LARGEST, is_bar
from slackwater.market.inputs import CLOSE, INPUTS, SIGNED
from slackwater.operators import kernel

__all__ = ["NOT_NEWER", "NO_BAR", "OFF_GRID", "OTHER_INPUTS", "TAKEN", "transform_rows", "update_row"]

_WIDTH: Final = len(INPUTS)
_BLOCK: Final = 64
"""Rows of history that one family takes before the next one does: few enough to stay in the fastest cache."""
_MICROSECONDS_PER_HOUR: Final = 3.6e9
_LEAST: Final = np.array([-LARGEST if i in SIGNED else 0.0 for i in range(_WIDTH)])
"""The least value that each input may have."""


@kernel
def read_row(values, time, row):  # type: ignore[no-untyped-def]
    """Fill a row: the inputs as far as they are possible, the time, intermediates that are still unknown, extras."""
    # Absurdly large, or negative where only a rate may be: unknown. NaN fails the comparisons. The number of inputs is
    # read from the row: a loop of constant length is unrolled, one of unknown length takes several in one instruction.
    for i in range(min(values.shape[0], _WIDTH)):
        value = values[i]
        row[i] = value if (_LEAST[i] <= value) & (value <= LARGEST) else np.nan
    for i in range(_WIDTH, FIRST_EXTRA):
        row[i] = np.nan
    for i in range(_WIDTH, values.shape[0]):
        row[FIRST_EXTRA - _WIDTH + i] = values[i] if abs(values[i]) <= LARGEST else np.nan
    row[TIME_HOURS] = time / _MICROSECONDS_PER_HOUR


@kernel
def read_rows(values, start, first, step, rows):  # type: ignore[no-untyped-def]
    """Fill rows with those from `start` on that have a bar, up to the first that has none; return how many."""
    most = min(rows.shape[0], values.shape[0] - start)
    n = 0
    while n < most and not math.isnan(values[start + n, CLOSE]):
        read_row(values[start + n], first + (start + n) * step, rows[n])
        n += 1
    return n


@njit(cache=True, nogil=True)
def transform_rows(state, constants, at, values, first, step, kept, out):  # type: ignore[no-untyped-def]
    """Advance down the rows; write one row of output for each that has a bar, and return how many those are.

    `kept` has room for the rows as the families leave them, or none.
    """
    rows = np.empty((_BLOCK, FIRST_EXTRA - _WIDTH + values.shape[1]))
    gap = np.empty((1, out.shape[1]))
    written = 0
    i = 0
    while i < values.shape[0]:
        n = read_rows(values, i, first, step, rows)
        i += n
        advance_families(at, state, constants, rows[:n], out[written : written + n])
        written += n
        if kept.shape[0] > 0:
            kept[i - n : i] = rows[:n]
        if n < _BLOCK and i < values.shape[0]:
            read_row(values[i], first + i * step, rows[0])
            advance_families(at, state, constants, rows[:1], gap)
            if kept.shape[0] > 0:
                kept[i] = rows[0]
            i += 1
    return written


TAKEN, NO_BAR, NOT_NEWER, OFF_GRID, OTHER_INPUTS = range(5)


@njit(cache=True)
def update_row(state, constants, at, last, values, time, step, rows, out):  # type: ignore[no-untyped-def]
    """Advance by one live row, and by the missing ones before it; return what became of it.

    `last` holds the close of the last row in microseconds (0: none yet). `rows` has room for one row, or for the
    missing ones too if they are to be kept.
    """
    if FIRST_EXTRA - _WIDTH + values.shape[0] != rows.shape[1]:
        return OTHER_INPUTS
    if not is_bar(values):
        return NO_BAR
    here = rows.shape[0] - 1
    if last[0] > 0:
        if time <= last[0]:
            return NOT_NEWER
        if (time - last[0]) % step:
            return OFF_GRID
        if time - last[0] > step:
            gap = np.full(values.shape[0], np.nan)
            for missing in range(last[0] + step, time, step):
                at_row = max(here - (time - missing) // step, 0)
                read_row(gap, missing, rows[at_row])
                advance_families(at, state, constants, rows[at_row : at_row + 1], out)
    read_row(values, time, rows[here])
    advance_families(at, state, constants, rows[here:], out)
    last[0] = time
    return TAKEN
