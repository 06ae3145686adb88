"""Levels that the price may pierce, and the state of a side: its header, its attempts and the levels that rest.

One code serves both sides, in signed log prices (`slackwater.liquidity.sweeps`). All kernels work on slices of a flat
``float64`` buffer that starts as zeros. A side is a block of `SIDE` slots; its levels and its highs
(`slackwater.operators.highs_slots`) stand apart from it. Rows in the header are stored as one more than their number,
so that zero means none.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from slackwater.operators import highs_newest_top, kernel, operator, whole

__all__ = ["day_update", "levels_clear", "levels_update", "put_to_rest", "rest_update", "rests"]

ATTEMPTS: Final = 6
"""Attempts that a side can follow at once; while all are taken, a new one is ignored."""
RESTING: Final = 64
"""Levels of a side that can rest at once (a power of two); of more, the oldest are forgotten."""

# The header of a side.
(
    NEAREST,  # the nearest level at or beyond the last close; infinite if there is none
    ACTIVE,  # attempts under way
    PIERCED,  # depth of the deepest of them, in A; 0 if there is none
    STARTED,  # tallies since the reset: STARTED = ACTIVE + SWEPT + GLIDED + EXPIRED
    SWEPT,
    GLIDED,
    EXPIRED,
    SWEPT_RECENTLY,  # how many of the levels that rest were swept, and how many were glided through
    GLIDED_RECENTLY,
    SWEEP_ROW,  # of the last sweep: its row, and what it was like
    SWEEP_DEPTH,
    SWEEP_SPEED,
    SWEEP_BURST,
    SWEEP_REJECTION,
    SWEEP_MASS,
    SWEEP_EXTREME,
    GLIDE_ROW,  # row of the last glide
    _DAY_HIGH,
    _DAY_HIGH_ROW,
    _PRIOR_HIGH,
    _PRIOR_HIGH_ROW,
    _WAKES,  # the row at which the first of the levels that rest does so no longer
    _FIRST,  # the levels that rest: from the first to before the end, each a level, a row and a class
    _END,
    FIRST_ATTEMPT,
) = range(25)

ATTEMPT_WIDTH: Final = 11
"""State slots of one attempt."""

_RESTING: Final = FIRST_ATTEMPT + ATTEMPTS * ATTEMPT_WIDTH
SIDE: Final = _RESTING + 3 * RESTING
"""State slots of a side."""


@operator
def day_update(state, at, count, high, over):  # type: ignore[no-untyped-def]
    """Take the high of row `count` (minus infinity if unknown) into the UTC day; close the day if it is `over`.

    The row that first made the high of the day is kept with it: see `levels_update`.
    """
    if high > (state[at + _DAY_HIGH] if state[at + _DAY_HIGH_ROW] > 0.0 else -np.inf):
        state[at + _DAY_HIGH] = high
        state[at + _DAY_HIGH_ROW] = count + 1
    if over:
        state[at + _PRIOR_HIGH] = state[at + _DAY_HIGH]
        state[at + _PRIOR_HIGH_ROW] = state[at + _DAY_HIGH_ROW]
        state[at + _DAY_HIGH_ROW] = 0.0


@kernel
def levels_clear(state, levels, n):  # type: ignore[no-untyped-def]
    """Forget the levels of a side, before its first row."""
    for j in range(n + 2):
        state[levels + j] = -np.inf


@operator
def levels_update(  # type: ignore[no-untyped-def]
    state, at, levels, highs, mask, blocks_mask, constants, windows, n, count, exclusion, close, pool
):
    """Work out the levels of a side as they stand after row `count`, for the next row to pierce.

    `at`, `levels` and `highs` are where the side, its levels and its highs start in the state, `windows` where the `n`
    windows of the rolling levels (rows, ascending) start in the constants. The last `exclusion` rows, `count` included,
    are too young to make a level: a spike around midnight would make its own. `close` and `pool` are signed log prices:
    the last known close, and the densest pool (NaN if there is none).

    The highest high of a window is looked for again only when it leaves the window and the row that enters is lower.
    """
    last = count - exclusion
    nearest = np.inf
    if last >= 0:
        entering = state[whole(highs + (last & mask))]
        for j in range(n):
            window = whole(constants[windows + j])
            level = state[levels + j]
            if entering >= level:
                level = entering
                state[levels + j] = level
            elif last >= window and state[whole(highs + ((last - window) & mask))] >= level:
                row = highs_newest_top(state, highs, mask, blocks_mask, last - window + 1, last)
                level = state[highs + (row & mask)]
                state[levels + j] = level
            if close <= level < nearest:
                nearest = level
    level = -np.inf
    if 0.0 < state[at + _PRIOR_HIGH_ROW] <= last + 1:
        level = state[at + _PRIOR_HIGH]
        if close <= level < nearest:
            nearest = level
    state[levels + n] = level
    state[levels + n + 1] = pool
    if close <= pool < nearest:
        nearest = pool
    state[at + NEAREST] = nearest


@kernel
def _wake_first(state, at):  # type: ignore[no-untyped-def]
    """Take the oldest of the levels that rest off the list."""
    first = whole(state[at + _FIRST])
    if state[at + _RESTING + 3 * (first & (RESTING - 1)) + 2] == SWEPT:
        state[at + SWEPT_RECENTLY] -= 1.0
    else:
        state[at + GLIDED_RECENTLY] -= 1.0
    state[at + _FIRST] = first + 1


@kernel
def put_to_rest(state, at, level, count, ended):  # type: ignore[no-untyped-def]
    """Put a level to rest that was swept or glided through in row `count`."""
    end = whole(state[at + _END])
    if end - state[at + _FIRST] >= RESTING:
        _wake_first(state, at)
    slot = at + _RESTING + 3 * (end & (RESTING - 1))
    state[slot] = level
    state[slot + 1] = count
    state[slot + 2] = ended
    state[at + _END] = end + 1
    if ended == SWEPT:
        state[at + SWEPT_RECENTLY] += 1.0
    else:
        state[at + GLIDED_RECENTLY] += 1.0
    # Looked up anew with the next row.
    state[at + _WAKES] = 0.0


@operator
def rest_update(state, at, count, rest):  # type: ignore[no-untyped-def]
    """Wake the levels that were swept or glided through `rest` rows before row `count` or earlier."""
    if count < state[at + _WAKES]:
        return
    wakes = np.inf
    for _ in range(RESTING):
        if not state[at + _FIRST] < state[at + _END]:
            break
        slot = at + _RESTING + 3 * (whole(state[at + _FIRST]) & (RESTING - 1))
        if count < state[slot + 1] + rest:
            wakes = state[slot + 1] + rest
            break
        _wake_first(state, at)
    state[at + _WAKES] = wakes


@kernel
def rests(state, at, level, merge):  # type: ignore[no-untyped-def]
    """Return whether a level within `merge` of this one rests."""
    first = whole(state[at + _FIRST])
    for k in range(first, min(whole(state[at + _END]), first + RESTING)):
        if abs(state[at + _RESTING + 3 * (k & (RESTING - 1))] - level) <= merge:
            return True
    return False
