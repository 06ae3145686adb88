"""Compiled streaming primitives: moving sums, extremes, averages, moments and ranks.

Every primitive works on a slice of a flat ``float64`` state buffer that starts as zeros, so that resetting is
``state[:] = 0`` and saving is a copy. A primitive is told how many rows came before (``count``); nothing else
is remembered outside of the buffer. All of them are causal by construction: they see one row at a time.
A buffer may come from a file (`FeatureEngine.load_state`): whatever it holds, loops end and positions stay inside.

A quotient or a root is computed first, and whether it is known is decided afterwards (``ratio if known else nan``): a
branch around it keeps the compiler from computing two at once.

Rings (`ring_size`) have a power of two of slots, so that a position is a bit mask away; ``mask`` is that size less one.
An exponentially weighted mean takes 2 slots (``ewm``), with a standard deviation 3 (``moments``); the other primitives
have a function for their slots.
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
    "blocks_size",
    "decay_per_bar",
    "ewm_update",
    "family_kernel",
    "highs_age",
    "highs_newest_top",
    "highs_push",
    "highs_slots",
    "highs_top",
    "kernel",
    "moments_update",
    "moments_z",
    "operator",
    "ranked_push",
    "ranked_slots",
    "ranked_z",
    "ring_get",
    "ring_put",
    "ring_size",
    "totals_add",
    "totals_before",
    "totals_cover",
    "totals_push",
    "totals_since",
    "totals_slots",
    "whole",
]

kernel = njit(cache=True, _nrt=False, error_model="numpy")  # type: ignore[call-overload]
"""Compiles a function over a state buffer, which may not allocate: counting references to the buffer at every call
and slice would cost more than the arithmetic between them (docs/decisions/0008). A division by zero gives infinity and
not an error, which would leave the state half advanced."""

family_kernel = njit(cache=True, _nrt=False, error_model="numpy", forceinline=True)  # type: ignore[call-overload]
"""Compiles the kernel of a feature family, and merges it into the loop of the engine: a call costs as much as a few
outputs."""

operator = njit(cache=True, _nrt=False, error_model="numpy", inline="always")  # type: ignore[call-overload]
"""Compiles a primitive, and writes it out wherever it is called."""

COVERAGE: Final = 0.9
"""Share of the rows of a window that must be known for a sum over it to be known."""

BLOCK_BITS: Final = 5
BLOCK: Final = 1 << BLOCK_BITS
"""Rows whose highest value is kept beside the values."""

MAD_TO_SD: Final = 1.4826
"""Median absolute deviations of a normal variable in one standard deviation."""

MEAN_DEVIATION_TO_SD: Final = 1.2533
"""Mean absolute deviations of a normal variable in one standard deviation."""


def bars_in(window: timedelta, bar_interval: timedelta, *, name: str = "window") -> int:
    """Return how many bars a duration spans; `name` is that of the window in an error.

    Raises
    ------
    ParameterError
        If `window` is not a positive whole multiple of `bar_interval`, or that is not positive.

    Examples
    --------
    >>> bars_in(timedelta(hours=24), timedelta(minutes=5))
    288
    """
    if bar_interval <= timedelta(0):
        raise ParameterError(f"the bar interval must be positive, was {bar_interval}")
    count, rest = divmod(window, bar_interval)
    if rest or count < 1:
        raise ParameterError(f"`{name}` must be a positive multiple of the bar interval {bar_interval}, was {window}")
    return count


def decay_per_bar(half_life: timedelta, bar_interval: timedelta) -> float:
    """Return the weight that one bar takes from all before it, ``1 - 2 ** (-bar_interval / half_life)``."""
    if half_life <= timedelta(0):
        raise ParameterError(f"`half_life` must be positive, was {half_life}")
    return 1.0 - 2.0 ** (-(bar_interval / half_life))


def ring_size(window: int) -> int:
    """Return how many slots a ring needs to look back `window` rows: the next power of two above it.

    Examples
    --------
    >>> ring_size(288), ring_size(255), ring_size(256)
    (512, 256, 512)
    """
    return 1 << window.bit_length()


@operator
def whole(number):  # type: ignore[no-untyped-def]
    """Return a number that is whole and not negative, such as a count or a position, as an integer.

    The detour tells the compiler that it is not negative, so that a position need not be wrapped round, and neighbours
    can be read in one instruction.
    """
    return np.int64(np.uint32(number))


@operator
def ring_put(state, at, mask, count, value):  # type: ignore[no-untyped-def]
    """Store `value` as that of row `count` (from 0) in a ring of ``mask + 1`` slots."""
    state[whole(at + (count & mask))] = value


@operator
def ring_get(state, at, mask, count, lag):  # type: ignore[no-untyped-def]
    """Return the value stored `lag` rows before row `count`; NaN before the first row. Needs ``lag <= mask``."""
    if lag > count:
        return np.nan
    return state[whole(at + ((count - lag) & mask))]


def totals_slots(columns: int, window: int) -> int:
    """Return how many state slots running totals of `columns` quantities need for windows up to `window`.

    The slots hold the number of known rows, the totals, and a ring of copies of both: a sum over a window is the
    difference of two totals, so one ring serves every window.
    """
    return (columns + 1) * (ring_size(window) + 1)


@operator
def totals_add(state, at, column, value):  # type: ignore[no-untyped-def]
    """Add `value` to the total of `column`."""
    state[whole(at + 1 + column)] += value


@operator
def totals_push(state, at, columns, mask, count, known):  # type: ignore[no-untyped-def]
    """Close row `count`: note whether it was `known`, and remember the totals as they stand after it.

    Each time round the ring the oldest total is taken off all of them, so that neither years of small amounts nor
    one absurd one eat up the digits for good.
    """
    at = whole(at)
    if known:
        state[at] += 1.0
    width = columns + 1
    slot = whole(at + width * (1 + (count & mask)))
    for i in range(width):
        state[slot + i] = state[at + i]
    if count & mask == mask:
        oldest = at + width
        for slot in range(at, at + (mask + 2) * width, width):
            if slot != oldest:
                for i in range(width):
                    state[slot + i] -= state[oldest + i]
        for i in range(width):
            state[oldest + i] = 0.0


@operator
def totals_before(at, columns, mask, count, window):  # type: ignore[no-untyped-def]
    """Return where the totals stand as they were `window` rows before row `count`.

    Before there are so many rows, where they stand now: nothing is covered then, and every sum is zero. Needs
    ``window <= mask``.
    """
    if window > count:
        return whole(at)
    return whole(at + (columns + 1) * (1 + ((count - window) & mask)))


@operator
def totals_cover(state, at, before, window):  # type: ignore[no-untyped-def]
    """Return whether enough of the `window` rows since `totals_before` were known (`COVERAGE`)."""
    return state[whole(at)] - state[before] >= COVERAGE * window


@operator
def totals_since(state, at, before, column):  # type: ignore[no-untyped-def]
    """Return the sum of `column` over the rows since `totals_before`."""
    return state[whole(at + 1 + column)] - state[whole(before + 1 + column)]


def highs_slots(longest: int) -> int:
    """Return how many state slots a ring of highs for windows of up to `longest` rows needs.

    The ring is followed by one of the highest of each block of `BLOCK` rows.
    """
    return ring_size(longest) + blocks_size(longest)


def blocks_size(longest: int) -> int:
    """Return how many slots of `highs_slots` hold the highest of a block."""
    return ring_size(longest // BLOCK + 2)


@operator
def highs_push(state, at, mask, blocks_mask, count, value):  # type: ignore[no-untyped-def]
    """Keep the value of row `count`, minus infinity if it is NaN, and the highest of its block."""
    high = -np.inf if math.isnan(value) else value
    state[whole(at + (count & mask))] = high
    block = whole(at + mask + 1 + ((count >> BLOCK_BITS) & blocks_mask))
    before = state[block]
    state[block] = high if (count & (BLOCK - 1) == 0) | (high > before) else before


@kernel
def highs_newest_top(state, at, mask, blocks_mask, first, last):  # type: ignore[no-untyped-def]
    """Return the row of the highest value in the rows from `first` to `last`, the newest where several are equal.

    Block by block where one is wholly inside.
    """
    first = max(first, 0)
    blocks = at + mask + 1
    block = (first + BLOCK - 1) >> BLOCK_BITS
    end = max((last + 1) >> BLOCK_BITS, block)
    head = min(block << BLOCK_BITS, last + 1)
    # 1. The highest value: before the first whole block, in the blocks, after the last one. Loops that do nothing else
    #    take half the time of one that also keeps the row.
    top = -np.inf
    for row in range(first, head):
        high = state[at + (row & mask)]
        top = high if high > top else top
    in_blocks = -np.inf
    for i in range(block, end):
        high = state[blocks + (i & blocks_mask)]
        in_blocks = high if high > in_blocks else in_blocks
    newest = -np.inf
    for row in range(end << BLOCK_BITS, last + 1):
        high = state[at + (row & mask)]
        newest = high if high > newest else newest
    top = max(top, in_blocks, newest)
    # 2. Its row, from the newest one on that may have it.
    row = last
    if newest < top:
        row = head - 1
        if in_blocks == top:
            i = end - 1
            while state[blocks + (i & blocks_mask)] != top and i > block:
                i -= 1
            row = (i << BLOCK_BITS) + BLOCK - 1
    while state[at + (row & mask)] != top and row > first:
        row -= 1
    return row


@operator
def highs_top(state, at, mask, blocks_mask, window, count, top):  # type: ignore[no-untyped-def]
    """Return the highest value of the last `window` rows, row `count` included; NaN while none is known.

    The two slots at `top` keep the answer and its row plus one. It is looked for again only when it leaves the window
    and what came since is lower, so that most rows cost two comparisons. Needs ``window <= mask``.
    """
    top = whole(top)
    newest = state[whole(at + (count & mask))]
    if state[top + 1] == 0.0 or newest >= state[top]:
        state[top] = newest
        state[top + 1] = count + 1
    elif state[top + 1] <= count - window + 1:
        row = highs_newest_top(state, at, mask, blocks_mask, count - window + 1, count)
        state[top] = state[at + (row & mask)]
        state[top + 1] = row + 1
    return state[top] if state[top] > -np.inf else np.nan


@operator
def highs_age(state, count, top):  # type: ignore[no-untyped-def]
    """Return how many rows ago the answer of `highs_top` was made (0: row `count`); NaN while none is known."""
    age = count + 1.0 - state[top + 1]
    return age if state[top] > -np.inf else np.nan


@operator
def ewm_update(state, at, weight, value):  # type: ignore[no-untyped-def]
    """Push a value and return the bias-corrected exponentially weighted mean (``adjust=True`` in pandas).

    The two slots hold the weighted sum and the sum of weights, so the first values are averaged and not
    anchored on the very first one. A NaN is skipped and nothing decays.
    """
    at = whole(at)
    if not math.isnan(value):
        state[at] += weight * (value - state[at])
        state[at + 1] += weight * (1.0 - state[at + 1])
    mean = state[at] / state[at + 1]
    return mean if state[at + 1] > 0.0 else np.nan


@operator
def moments_update(state, at, weight, value):  # type: ignore[no-untyped-def]
    """Push a value into an exponentially weighted mean and mean square; a NaN is skipped."""
    at = whole(at)
    if not math.isnan(value):
        state[at] += weight * (value - state[at])
        state[at + 1] += weight * (value * value - state[at + 1])
        state[at + 2] += weight * (1.0 - state[at + 2])


@operator
def moments_z(state, at, value):  # type: ignore[no-untyped-def]
    """Return how many standard deviations a value lies above the mean of what was pushed.

    Where nothing has varied so far, the answer is 0 for the same value again and NaN for another. Call it before
    `moments_update`, so that the value is not measured against itself.
    """
    at = whole(at)
    weights = state[at + 2]
    mean = state[at] / weights
    mean_square = state[at + 1] / weights
    variance = mean_square - mean * mean
    z = (value - mean) / math.sqrt(variance)
    # Below that share the difference is rounding. Without weights nothing of this is a number.
    if variance > 1e-12 * mean_square:
        return z
    return 0.0 if abs(value - mean) <= 1e-6 * math.sqrt(mean_square) else np.nan


def ranked_slots(size: int) -> int:
    """Return how many state slots `ranked_push` needs to keep the last `size` values in order."""
    return 1 + 2 * size


@operator
def ranked_push(state, at, size, value):  # type: ignore[no-untyped-def]
    """Take a value into the last `size` ones, kept both in order of arrival and in order of size: O(size)."""
    seen = whole(state[at])
    ring = at + 1
    ranked = ring + size
    held = min(seen, size)
    slot = ring + seen % size
    if seen >= size:
        oldest = state[slot]
        i = 0
        while i < size - 1 and state[ranked + i] != oldest:
            i += 1
        held -= 1
        while i < held:
            state[ranked + i] = state[ranked + i + 1]
            i += 1
    state[slot] = value
    i = held
    while i > 0 and state[ranked + i - 1] > value:
        state[ranked + i] = state[ranked + i - 1]
        i -= 1
    state[ranked + i] = value
    state[at] = seen + 1


@operator
def ranked_z(state, at, size, least, value):  # type: ignore[no-untyped-def]
    """Return ``(value - median) / spread`` against the values pushed so far; NaN with fewer than `least`.

    The spread is 1.4826 times the median absolute deviation, but at least half of 1.2533 times the mean absolute
    deviation: where most values are equal, the first collapses (both are one standard deviation of a normal variable;
    Iglewicz and Hoaglin 1993). Where all values are equal the answer is 0 for that value and NaN for another. Call it
    before `ranked_push`.
    """
    held = min(whole(state[at]), size)
    if held < least or held < 1:
        return np.nan
    ranked = at + 1 + size
    middle = held // 2
    median = state[ranked + middle] if held % 2 else 0.5 * (state[ranked + middle - 1] + state[ranked + middle])
    # The deviations grow outwards from the median on both sides: merge the two until the middle one is reached.
    left = middle - 1
    right = middle
    deviation = 0.0
    previous = 0.0
    for _ in range(middle + 1):
        below = median - state[ranked + left] if left >= 0 else np.inf
        above = state[ranked + right] - median if right < held else np.inf
        previous = deviation
        if below < above:
            deviation = below
            left -= 1
        else:
            deviation = above
            right += 1
    total = 0.0
    for i in range(held):
        total += abs(state[ranked + i] - median)
    spread = max(
        MAD_TO_SD * (deviation if held % 2 else 0.5 * (previous + deviation)), 0.5 * MEAN_DEVIATION_TO_SD * total / held
    )
    if spread > 0.0:
        return (value - median) / spread
    return 0.0 if value == median else np.nan
