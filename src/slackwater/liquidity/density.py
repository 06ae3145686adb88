"""The liquidation map: an estimate of where leveraged positions are forced out, on a grid of log prices.

Each rise of open interest opens as many longs as shorts, at about the price of the bar. A position that can lose
the share ``x`` of its entry price is forced out at ``log(1 - x)`` below it (a long) or ``log(1 + x)`` above it (a
short), and the shares ``x`` follow a measured distribution (`LossDistances`). Mass decays with a half-life, shrinks
in proportion when open interest falls, and is erased when the price crosses it: burnt fuel.

The grid is absolute in log price: bin ``b`` spans ``[b, b + 1) * bin_width``. What the map holds is a rank, never
dollars: textbook liquidation prices are within 10 % of the true ones for a fifth of all positions only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.errors import ParameterError

__all__ = ["LossDistances", "map_advance", "map_slots"]

REACH: Final = 0.75
"""Log distance from the centre of the grid at which the grid is moved back under the price."""
SPAN: Final = 1.5
"""Log distance that the grid covers on each side of its centre."""

# header of the state; the two grids follow
_STARTED, _CENTRE, _SCALE, _LAST_INTEREST, _TOP_LONG, _BOTTOM_SHORT, _GRIDS = range(7)


@dataclass(frozen=True, kw_only=True)
class LossDistances:
    """How far from its entry a position is forced out, and how much of new open interest is that far.

    Parameters
    ----------
    fractions
        Losses in (0, 1), as fractions of the entry price.
    weights
        Shares of new open interest; positive, at most 1 together (the rest is too far to matter).

    Notes
    -----
    The default is the distribution of isolated notional measured on Hyperliquid positions (METHOD 4.3): 32 % below
    7 %, 15 % at 7-10 %, 4 % at 10-15 %, 11 % at 15-20 %, 15 % at 20-30 %.

    Examples
    --------
    >>> LossDistances(fractions=(0.1,), weights=(1.0,)).log_distances().round(3).tolist()
    [[-0.105], [0.095]]
    """

    fractions: tuple[float, ...] = (0.025, 0.05, 0.085, 0.125, 0.175, 0.25)
    weights: tuple[float, ...] = (0.16, 0.16, 0.15, 0.04, 0.11, 0.15)

    def __post_init__(self) -> None:
        """Check the shares."""
        if len(self.fractions) != len(self.weights) or not self.fractions:
            raise ParameterError("`fractions` and `weights` must be of one length and not empty")
        if not all(0.0 < x < 0.5 for x in self.fractions):
            raise ParameterError(f"`fractions` must be in (0, 0.5), were {self.fractions}")
        if not all(w > 0.0 for w in self.weights) or sum(self.weights) > 1.0 + 1e-12:
            raise ParameterError(f"`weights` must be positive and sum to at most 1, were {self.weights}")

    def log_distances(self) -> NDArray[np.float64]:
        """Return the log distances of longs (below, negative) and of shorts (above), shape (2, n)."""
        loss = np.array(self.fractions)
        return np.stack([np.log1p(-loss), np.log1p(loss)])


def map_bins(bin_width: float) -> int:
    """Return how many bins one side of the map has."""
    return 2 * math.ceil(SPAN / bin_width)


def map_slots(bin_width: float) -> int:
    """Return how many state slots a map needs."""
    return _GRIDS + 2 * map_bins(bin_width)


@njit(cache=True)
def _recentre(state, at, bins, to):  # type: ignore[no-untyped-def]
    """Move both grids so that bin `to` is in the middle; what falls off the edge is forgotten."""
    shift = to - int(state[at + _CENTRE])
    for side in range(2):
        grid = at + _GRIDS + side * bins
        if shift > 0:
            for i in range(bins):
                state[grid + i] = state[grid + i + shift] if i + shift < bins else 0.0
        else:
            for i in range(bins - 1, -1, -1):
                state[grid + i] = state[grid + i + shift] if i + shift >= 0 else 0.0
    state[at + _CENTRE] = to
    state[at + _TOP_LONG] = bins - 1
    state[at + _BOTTOM_SHORT] = 0


@njit(cache=True)
def map_advance(state, at, bins, bin_width, decay, distances, weights, low, high, typical, interest, tilt):  # type: ignore[no-untyped-def]
    """Take one bar into the map.

    Parameters
    ----------
    state, at, bins
        State buffer, where the map starts in it, and its bins a side.
    bin_width
        Width of a bin in log price.
    decay
        Factor that one bar leaves of all mass.
    distances
        Log distances, longs then shorts, shape (2 * n,).
    weights
        Shares of new open interest, shape (n,).
    low, high, typical
        Log prices of the bar.
    interest
        Open interest in coin; NaN when unknown, then nothing opens or closes.
    tilt
        Taker imbalance in [-1, 1]: the aggressor's side opens with more leverage, so its near mass grows by up to
        a half of `tilt` and the other side's shrinks as much.
    """
    middle = bins // 2
    here = int(math.floor(typical / bin_width))
    if state[at + _STARTED] == 0.0:
        state[at + _STARTED] = 1.0
        state[at + _CENTRE] = here
        state[at + _SCALE] = 1.0
        state[at + _LAST_INTEREST] = np.nan
        state[at + _TOP_LONG] = -1
        state[at + _BOTTOM_SHORT] = bins
    if abs(here - state[at + _CENTRE]) * bin_width > REACH:
        _recentre(state, at, bins, here)
    origin = int(state[at + _CENTRE]) - middle
    longs = at + _GRIDS
    shorts = longs + bins

    scale = state[at + _SCALE] * decay
    if not math.isnan(interest):
        last = state[at + _LAST_INTEREST]
        opened = interest - last if not math.isnan(last) else 0.0
        if opened < 0.0:
            scale *= max(interest / last, 1e-12)
        elif opened > 0.0:
            n = weights.size
            near = n // 2
            for j in range(n):
                lean = 0.5 * tilt if j < near else 0.0
                b = int(math.floor((typical + distances[j]) / bin_width)) - origin
                if 0 <= b < bins:
                    state[longs + b] += opened * weights[j] * (1.0 + lean) / scale
                    state[at + _TOP_LONG] = max(state[at + _TOP_LONG], b)
                b = int(math.floor((typical + distances[n + j]) / bin_width)) - origin
                if 0 <= b < bins:
                    state[shorts + b] += opened * weights[j] * (1.0 - lean) / scale
                    state[at + _BOTTOM_SHORT] = min(state[at + _BOTTOM_SHORT], b)
        state[at + _LAST_INTEREST] = interest
    if scale < 1e-100:
        for i in range(2 * bins):
            state[longs + i] *= scale
        scale = 1.0
    state[at + _SCALE] = scale

    floor = max(int(math.floor(low / bin_width)) - origin, 0)
    ceiling = min(int(math.floor(high / bin_width)) - origin, bins - 1)
    top = int(state[at + _TOP_LONG])
    while top >= floor:
        state[longs + top] = 0.0
        top -= 1
    state[at + _TOP_LONG] = top
    bottom = int(state[at + _BOTTOM_SHORT])
    while bottom <= ceiling:
        state[shorts + bottom] = 0.0
        bottom += 1
    state[at + _BOTTOM_SHORT] = bottom


@njit(cache=True)
def map_look(state, at, bins, bin_width, close, reaches, out):  # type: ignore[no-untyped-def]
    """Read the map from a log price.

    Parameters
    ----------
    state, at, bins, bin_width
        As in `map_advance`.
    close
        Log price from which to look.
    reaches
        Log distances, ascending, shape (n,); the last one also bounds the search for the densest bin.
    out
        Filled with the mass below within each reach, the mass above within each reach (coin), and the log
        distances to the densest bin below and above (NaN where there is none), shape (2 * n + 2,).
    """
    origin = int(state[at + _CENTRE]) - bins // 2
    scale = state[at + _SCALE]
    here = int(math.floor(close / bin_width)) - origin
    n = reaches.size
    for side in range(2):
        grid = at + _GRIDS + side * bins
        step = -1 if side == 0 else 1
        mass = 0.0
        densest = 0.0
        distance = 0
        reached = 0
        for k in range(n):
            steps = int(math.floor(reaches[k] / bin_width + 0.5))
            while reached < steps:
                reached += 1
                b = here + step * reached
                if 0 <= b < bins:
                    value = state[grid + b]
                    mass += value
                    if value > densest:
                        densest = value
                        distance = reached
            out[side * n + k] = mass * scale
        out[2 * n + side] = distance * bin_width if distance > 0 else np.nan
