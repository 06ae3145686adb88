"""Stop clusters: stops of recently opened positions just beyond visible swing highs and lows.

A layer of the liquidation map of its own: a share of new open interest, split evenly over the swings, lies beyond
each of them at a few multiples of the hourly true range (method, section 4.3). Longs have theirs below swing lows,
shorts above swing highs. Like everything on the map it decays, shrinks with open interest and is erased when crossed.
"""

from __future__ import annotations

import math

from slackwater.liquidity.density import STOPS, map_add
from slackwater.operators import kernel

__all__ = ["STOP_OFFSETS", "STOP_SHARE", "add_stops"]

STOP_SHARE = 0.25
"""Share of new open interest with a stop behind a swing: a judgement; the layer is read as a rank."""
STOP_OFFSETS = (0.2, 0.4)
"""Hourly true ranges behind the swing (method, section 4.3)."""


@kernel
def add_stops(state, at, bins, bin_width, opened, atr_hour, low, high, swings):  # type: ignore[no-untyped-def]
    """Put the stops of newly opened positions behind one pair of swings.

    Parameters
    ----------
    state, at, bins, bin_width
        As in `slackwater.liquidity.density.map_advance`.
    opened
        New open interest in coin.
    atr_hour
        Average true range of an hour, log; NaN: nothing is added.
    low, high
        Log prices of the swing low and the swing high; NaN: there is none.
    swings
        How many pairs share the stops.
    """
    mass = opened * STOP_SHARE / (swings * len(STOP_OFFSETS))
    if not atr_hour > 0.0:
        return
    for offset in STOP_OFFSETS:
        if not math.isnan(low):
            map_add(state, at, bins, bin_width, 0, low - offset * atr_hour, STOPS, mass)
        if not math.isnan(high):
            map_add(state, at, bins, bin_width, 1, high + offset * atr_hour, STOPS, mass)
