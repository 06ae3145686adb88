"""Open positions, kept by the price at which they will be forced out.

A position is a quantity in the bin of its exit price: its liquidation price, or its stop. Opening adds to one
bin; closing voluntarily shrinks a whole tier by one lazy factor; a price that crosses bins empties them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.simulation.parameters import MarketParameters

__all__ = [
    "LONG",
    "SHORT",
    "STOP_TIER",
    "Positions",
    "close_share",
    "empty_positions",
    "force_out",
    "held",
    "leverage_tiers",
    "open_position",
]

LONG, SHORT = 0, 1
BIN_WIDTH = 0.001  # log price
#: The grid is a ring of 4.1 in log price; whatever lies farther from the price has long been closed.
BINS = 4096
#: Below this the lazy factor is written into the bins, before it could lose precision.
SMALLEST_SCALE = 1e-9

MAINTENANCE_MARGIN = 0.004
#: Leverage, share of the crowd's positions, and voluntary exits per hour of each tier. The last tier holds positions
#: of low leverage that protect themselves by a stop.
TIERS = (
    (3.0, 0.42, 0.006),
    (4.0, 0.22, 0.008),
    (5.5, 0.12, 0.010),
    (8.0, 0.0322, 0.014),
    (12.0, 0.0115, 0.022),
    (25.0, 0.0035, 0.06),
    (50.0, 0.0026, 0.12),
    (1.0, 0.1902, 0.030),
)
STOP_TIER = len(TIERS) - 1

TIER = np.dtype(
    [
        ("long_exit", "f8"),  # log distance from the entry to the liquidation price, below zero
        ("short_exit", "f8"),
        ("quantity", "f8"),  # coin a side at rest
        ("hazard", "f8"),  # voluntary exits per minute
    ]
)


class Positions(NamedTuple):
    """The positions of the crowd, coin.

    Attributes
    ----------
    bins : ndarray of float64, shape (side, bin, tier)
        Quantity by exit price, to be multiplied by `scale`.
    scale : ndarray of float64, shape (side, tier)
        What voluntary closing has left, a fraction.
    total : ndarray of float64, shape (side, tier)
        Quantity held.
    """

    bins: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]


def empty_positions() -> Positions:
    """Return a market without positions."""
    shape = (2, len(TIERS))
    return Positions(np.zeros((2, BINS, len(TIERS))), np.ones(shape), np.zeros(shape))


def leverage_tiers(parameters: MarketParameters) -> npt.NDArray[np.void]:
    """Return the tiers as records: exits of an isolated position that is liquidated at the maintenance margin."""
    tiers = np.zeros(len(TIERS), dtype=TIER)
    crowd = parameters.open_interest * (1.0 - parameters.hedged_share)
    for tier, (leverage, share, hourly_exits) in zip(tiers, TIERS, strict=True):
        if leverage > 1.0:
            tier["long_exit"] = math.log(1.0 - 1.0 / leverage + MAINTENANCE_MARGIN)
            tier["short_exit"] = math.log(1.0 + 1.0 / leverage - MAINTENANCE_MARGIN)
        tier["quantity"] = crowd * share
        tier["hazard"] = hourly_exits / 60.0
    return tiers


@njit(cache=True)
def held(positions: Positions) -> tuple[float, float]:
    """Return the coin that the crowd holds long and short."""
    longs = 0.0
    shorts = 0.0
    for tier in range(positions.total.shape[1]):
        longs += positions.total[LONG, tier]
        shorts += positions.total[SHORT, tier]
    return longs, shorts


@njit(cache=True)
def open_position(positions: Positions, side: int, tier: int, exit_log_price: float, quantity: float) -> None:
    """Add `quantity` coin that will be forced out at `exit_log_price`."""
    place = int(math.floor(exit_log_price / BIN_WIDTH)) & (BINS - 1)
    positions.bins[side, place, tier] += quantity / positions.scale[side, tier]
    positions.total[side, tier] += quantity


@njit(cache=True)
def close_share(positions: Positions, side: int, tier: int, share: float) -> float:
    """Close a share of every position of a tier, whatever its exit price; return the coin closed."""
    closed = positions.total[side, tier] * share
    positions.total[side, tier] -= closed
    positions.scale[side, tier] *= 1.0 - share
    if positions.scale[side, tier] < SMALLEST_SCALE:
        for place in range(BINS):
            positions.bins[side, place, tier] *= positions.scale[side, tier]
        positions.scale[side, tier] = 1.0
    return closed


@njit(cache=True)
def force_out(positions: Positions, side: int, before: float, after: float) -> tuple[float, float]:
    """Empty the bins of a side that a move of the log price leaves behind; return the coin liquidated and stopped.

    A bin goes when the price has crossed the whole of it, alike on the way down (longs) and up (shorts).
    """
    liquidated = 0.0
    stopped = 0.0
    place, last = int(math.floor(before / BIN_WIDTH)), int(math.floor(after / BIN_WIDTH))
    while place != last:
        ring = place & (BINS - 1)
        for tier in range(positions.total.shape[1]):
            weight = positions.bins[side, ring, tier]
            if weight > 0.0:
                quantity = weight * positions.scale[side, tier]
                positions.bins[side, ring, tier] = 0.0
                positions.total[side, tier] -= quantity
                if tier == STOP_TIER:
                    stopped += quantity
                else:
                    liquidated += quantity
        place += 1 if last > place else -1
    return liquidated, stopped
