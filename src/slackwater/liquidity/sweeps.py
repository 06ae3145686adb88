"""Sweeps: the state machine of the levels that the price pierces (method, section 5).

A *level* is a log price that is visible before the bar: the highest high of a window, yesterday's high, the
densest pool of the liquidation map (and their mirror images below). The bar that pierces one opens an *attempt*,
and an attempt ends in exactly one class::

    IDLE ── pierced ──► attempt ──┬─► GLIDED    the market accepts the price beyond: three closes in a row beyond
                                  │             z + .1 A, or more than 1.5 A beyond it, or still beyond when the
                                  │             window is over without a burst of volume
                                  ├─► SWEPT     a close back inside, z - .05 A, after a fast, violent and rejected
                                  │             excursion of .1 to 1.5 A
                                  └─► EXPIRED   neither: too slow, too quiet, too shallow, not rejected, too late

where ``z`` is the level and ``A`` the average true range of an hour at the bar before the piercing one. Whichever
condition comes first decides, GLIDED before SWEPT within one bar. A level that was swept or glided through rests.

One code serves both sides: a side sees *signed* log prices, so that for the levels below everything is negated and
"higher" always means "farther out". What a side calls ``high`` is ``log(high)`` above and ``-log(low)`` below; its
``low`` is ``log(low)`` above and ``-log(high)`` below.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.liquidity.levels import (
    ACTIVE,
    ATTEMPT_WIDTH,
    ATTEMPTS,
    EXPIRED,
    FIRST_ATTEMPT,
    GLIDE_ROW,
    GLIDED,
    PIERCED,
    STARTED,
    SWEEP_BURST,
    SWEEP_DEPTH,
    SWEEP_EXTREME,
    SWEEP_MASS,
    SWEEP_REJECTION,
    SWEEP_ROW,
    SWEEP_SPEED,
    SWEPT,
    put_to_rest,
    rests,
)
from slackwater.operators import MAD_TO_SD, kernel, ring_get, whole

__all__ = [
    "SweepRules",
    "attempts_advance",
    "attempts_start",
    "burst_slots",
    "same_hour_burst",
]

LARGEST_BURST: Final = 1000.0
"""Bound of the z-score of a burst, so that a market with little trading yields a bounded number."""

# One attempt.
(_START, _LEVEL, _SCALE, _TOP, _BOTTOM, _APPROACH, _BEYOND, _VOLUME, _LIQUIDATION, _INTEREST, _MASS) = range(11)

# The rules, as they stand in the constants.
(
    _MERGE,
    _SHALLOWEST,
    _DEEPEST,
    _RECLAIM,
    _SPEED_LEAST,
    _BURST_LEAST,
    _INTEREST_FALL,
    _REJECTION_LEAST,
    _ACCEPTANCE,
    _ACCEPTANCE_CLOSES,
    _SLOW_BURST,
) = range(11)

_LEAST_VALUES: Final = 3
"""Least number of known volumes of the same hour for a z-score."""


@dataclass(frozen=True, kw_only=True)
class SweepRules:
    """The thresholds of the state machine; `A` is the average true range of an hour.

    Parameters
    ----------
    merge
        Levels closer than this to an attempt under way, or to a level that rests, are the same level; in A.
    shallowest, deepest
        Least and largest distance beyond the level that a sweep reaches, in A; deeper is a glide.
    reclaim
        Distance inside the level that a close must reach to end an attempt, in A.
    speed
        Least distance from the lowest low of the approach, piercing bar included, to the highest high, in A.
    burst
        Least z-score of volume, or of the liquidations of the side that is hit.
    interest_fall
        Or least fall of open interest during the attempt, log.
    rejection
        Least share of the range of the attempt that the reclaiming close gave back, in [0, 1].
    acceptance
        Distance beyond the level at which a close counts as accepted, in A.
    acceptance_closes
        Number of accepted closes in a row that make a glide.
    slow_burst
        A close beyond the level when the window is over is a glide if the z-score of volume stayed below this.

    Raises
    ------
    ParameterError
        If a threshold is negative or not a number, or if they contradict each other.

    Notes
    -----
    The defaults are those of the method, section 5: design values, to be tuned on train folds only.
    """

    merge: float = 0.15
    shallowest: float = 0.10
    deepest: float = 1.5
    reclaim: float = 0.05
    speed: float = 0.8
    burst: float = 2.0
    interest_fall: float = 0.005
    rejection: float = 0.5
    acceptance: float = 0.1
    acceptance_closes: int = 3
    slow_burst: float = 1.0

    def __post_init__(self) -> None:
        """Check the thresholds."""
        for name, value in vars(self).items():
            if not 0.0 <= value < math.inf:
                raise ParameterError(f"`{name}` must be a number of at least 0, was {value}")
        if not self.shallowest < self.deepest:
            raise ParameterError(f"`shallowest` must be below `deepest`, were {self.shallowest} and {self.deepest}")
        if not self.rejection <= 1.0:
            raise ParameterError(f"`rejection` must be in [0, 1], was {self.rejection}")
        if self.acceptance_closes < 1:
            raise ParameterError(f"`acceptance_closes` must be at least 1, was {self.acceptance_closes}")

    def thresholds(self) -> NDArray[np.float64]:
        """Return the thresholds in the order in which the kernels read them."""
        return np.array(astuple(self), dtype=np.float64)


def burst_slots(days: int, per_hour: int) -> int:
    """Return how many state slots `same_hour_burst` needs: hour, median, deviation, and room to work them out."""
    return 3 + days * per_hour


@kernel
def attempts_start(  # type: ignore[no-untyped-def]
    state, at, constants, rules, levels, n_levels, count, previous, high, scale, approach, interest
):
    """Open an attempt for every level that row `count` pierces, unless it is one that is followed or that rests.

    Parameters
    ----------
    state, at, levels, n_levels
        State buffer, where the side and where its levels start in it, and how many levels there are.
    constants, rules
        Where the thresholds stand in the constants (`SweepRules.thresholds`).
    count, previous, high
        This row, the signed close before it, and its signed high.
    scale
        Average true range of an hour at the row before; positive.
    approach
        Lowest signed low of the approach and of this row.
    interest
        Open interest at the row before, in coin; NaN if unknown.

    Notes
    -----
    Levels come in order of how many traders see them: the rolling ones from the shortest window, yesterday's, the
    pool. Of several that are the same level, the first is followed.
    """
    merge = constants[rules + _MERGE] * scale
    for j in range(n_levels):
        level = state[levels + j]
        if not (previous <= level and level < high):
            continue
        free = -1
        followed = False
        for k in range(ATTEMPTS):
            a = whole(at + FIRST_ATTEMPT + k * ATTEMPT_WIDTH)
            if state[a + _START] == 0.0:
                if free < 0:
                    free = a
            elif abs(state[a + _LEVEL] - level) <= merge:
                followed = True
        if free < 0 or followed or rests(state, at, level, merge):
            continue
        state[free + _START] = count + 1
        state[free + _LEVEL] = level
        state[free + _SCALE] = scale
        state[free + _TOP] = -np.inf
        state[free + _BOTTOM] = np.inf
        state[free + _APPROACH] = approach
        state[free + _BEYOND] = 0.0
        state[free + _VOLUME] = -np.inf
        state[free + _LIQUIDATION] = -np.inf
        state[free + _INTEREST] = interest
        state[free + _MASS] = 0.0
        state[at + ACTIVE] += 1.0
        state[at + STARTED] += 1.0


@kernel
def _median(state, at, n):  # type: ignore[no-untyped-def]
    """Return the median of `n` values, which change places (Hoare's selection)."""
    middle = n // 2
    low = 0
    high = n - 1
    while low < high:
        pivot = state[at + (low + high) // 2]
        i = low
        j = high
        while i <= j:
            while state[at + i] < pivot:
                i += 1
            while state[at + j] > pivot:
                j -= 1
            if i <= j:
                state[at + i], state[at + j] = state[at + j], state[at + i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break
    median = state[at + middle]
    if n % 2 == 0:
        below = state[at]
        for i in range(1, middle):
            below = max(below, state[at + i])
        median = 0.5 * (below + median)
    return median


@kernel
def same_hour_burst(state, hour, count, volume):  # type: ignore[no-untyped-def]
    """Return how far a volume lies above the usual one of its hour of day, in robust standard deviations.

    Parameters
    ----------
    state
        State buffer.
    hour
        Eight numbers: where the hour starts in the state (`burst_slots`), where the ring of all volumes starts (NaN
        where unknown) and its mask; the number of the hour that this row belongs to (since 1970) and how many bars of
        it came before; bars of an hour (1 if a bar is longer) and of a day, and how many days to compare with.
    count
        This row.
    volume
        To compare, in coin.

    Returns
    -------
    float
        ``(volume - median) / (1.4826 MAD)`` against the same hour of the days before, at most `LARGEST_BURST` either
        way; NaN with fewer than three known volumes in it, or where more than half of them are equal.

    Notes
    -----
    Median and deviation are computed once per hour, when first needed. They are those of whole hours before
    this one, so that it does not matter when in the hour that happens.
    """
    at, volumes, mask, number, position, per_hour, per_day, days = hour
    if state[at] != number + 1:
        state[at] = number + 1
        values = at + 3
        n = 0
        before = position
        for _ in range(days):
            before += per_day
            for lag in range(before, before - per_hour, -1):
                value = ring_get(state, volumes, mask, count, lag)
                if not math.isnan(value):
                    state[values + n] = value
                    n += 1
        state[at + 2] = 0.0
        if n >= _LEAST_VALUES:
            median = _median(state, values, n)
            for i in range(n):
                state[values + i] = abs(state[values + i] - median)
            state[at + 1] = median
            state[at + 2] = MAD_TO_SD * _median(state, values, n)
    if not state[at + 2] > 0.0:
        return np.nan
    z = (volume - state[at + 1]) / state[at + 2]
    return min(max(z, -LARGEST_BURST), LARGEST_BURST)


@kernel
def _is_sweep(state, a, constants, rules, close, interest, depth, volume_burst):  # type: ignore[no-untyped-def]
    """Return whether an attempt that was just reclaimed was a sweep."""
    top = state[a + _TOP]
    bottom = state[a + _BOTTOM]
    speed = (top - state[a + _APPROACH]) / state[a + _SCALE]
    burst = volume_burst >= constants[rules + _BURST_LEAST]
    burst = burst or state[a + _LIQUIDATION] >= constants[rules + _BURST_LEAST]
    before = state[a + _INTEREST]
    if not burst and before > 0.0 and interest > 0.0:
        burst = math.log(interest / before) <= -constants[rules + _INTEREST_FALL]
    return (
        depth >= constants[rules + _SHALLOWEST]
        and depth <= constants[rules + _DEEPEST]
        and speed >= constants[rules + _SPEED_LEAST]
        and burst
        and top - close >= constants[rules + _REJECTION_LEAST] * (top - bottom)
    )


@kernel
def attempts_advance(  # type: ignore[no-untyped-def]
    state, at, constants, rules, count, present, bar, evidence, hour, window
):
    """Take row `count` into every attempt of a side; return whether one of them ended as a sweep.

    Parameters
    ----------
    state, at
        State buffer, and where the side starts in it.
    constants, rules
        Where the thresholds stand in the constants (`SweepRules.thresholds`).
    count, present
        This row, and whether it has a bar. Without one an attempt ages, and expires when its window is over.
    bar
        Signed log prices: high, low and close.
    evidence
        Four numbers, NaN if unknown: the volume in coin, the z-score of the liquidations of the side that is hit, the
        open interest in coin, and the mass that the row consumed on this side as a fraction of it.
    hour
        Arguments of `same_hour_burst`, from `at` to before `volume`: the largest volume of an attempt is
        compared with the hour in which it is judged, and only then.
    window
        Rows after the piercing one in which the level can be reclaimed.

    Notes
    -----
    An unknown value is not evidence, neither of a burst nor of its absence.
    """
    high, low, close = bar
    volume, liquidation, interest, mass = evidence
    swept = False
    pierced = 0.0
    for k in range(ATTEMPTS):
        # 1. Age the attempt; without a bar it can only expire.
        a = whole(at + FIRST_ATTEMPT + k * ATTEMPT_WIDTH)
        if state[a + _START] == 0.0:
            continue
        over = count - (state[a + _START] - 1.0) >= window
        if not present:
            if over:
                state[at + EXPIRED] += 1.0
                state[at + ACTIVE] -= 1.0
                state[a + _START] = 0.0
            continue
        # 2. Take the bar and the evidence into its extremes.
        level = state[a + _LEVEL]
        scale = state[a + _SCALE]
        if high > state[a + _TOP]:
            state[a + _TOP] = high
        if low < state[a + _BOTTOM]:
            state[a + _BOTTOM] = low
        if volume > state[a + _VOLUME]:
            state[a + _VOLUME] = volume
        if liquidation > state[a + _LIQUIDATION]:
            state[a + _LIQUIDATION] = liquidation
        if 0.0 < mass < np.inf:
            state[a + _MASS] += mass
        if close > level + constants[rules + _ACCEPTANCE] * scale:
            state[a + _BEYOND] += 1.0
        else:
            state[a + _BEYOND] = 0.0
        depth = (state[a + _TOP] - level) / scale

        # 3. Judge it: glided, swept, expired, or still under way.
        burst = np.nan
        reclaimed = close < level - constants[rules + _RECLAIM] * scale
        if state[a + _BEYOND] >= constants[rules + _ACCEPTANCE_CLOSES] or depth > constants[rules + _DEEPEST]:
            ended = GLIDED
        elif reclaimed or over:
            if state[a + _VOLUME] > -np.inf:
                burst = same_hour_burst(state, hour, count, state[a + _VOLUME])
            if reclaimed:
                ended = SWEPT if _is_sweep(state, a, constants, rules, close, interest, depth, burst) else EXPIRED
            else:
                ended = GLIDED if close > level and burst < constants[rules + _SLOW_BURST] else EXPIRED
        else:
            pierced = max(pierced, depth)
            continue

        # 4. End it; a level that was swept or glided through rests.
        state[a + _START] = 0.0
        state[at + ACTIVE] -= 1.0
        state[at + ended] += 1.0
        if ended == EXPIRED:
            continue
        put_to_rest(state, at, level, count, ended)
        if ended == GLIDED:
            state[at + GLIDE_ROW] = count + 1
            continue
        # 5. Describe the sweep: of several levels swept at once, the one that was pierced deepest.
        if not swept or depth > state[at + SWEEP_DEPTH]:
            top = state[a + _TOP]
            bottom = state[a + _BOTTOM]
            state[at + SWEEP_DEPTH] = depth
            state[at + SWEEP_SPEED] = (top - state[a + _APPROACH]) / scale
            state[at + SWEEP_BURST] = burst
            state[at + SWEEP_REJECTION] = (top - close) / (top - bottom)
            state[at + SWEEP_MASS] = state[a + _MASS]
            state[at + SWEEP_EXTREME] = top
        swept = True
        state[at + SWEEP_ROW] = count + 1
    state[at + PIERCED] = pierced
    return swept
