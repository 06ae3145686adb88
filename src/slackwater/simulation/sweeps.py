"""Stop hunts: trades through the 48-hour extreme, behind which the stops are, and back.

The stops that are hit are forced trades and carry the price on; the hunter sells into them. As with all flow, the
price responds in proportion to `signal`.
"""

from __future__ import annotations

from numba import njit

from slackwater.simulation.positions import LONG, SHORT, STOP_TIER, Positions
from slackwater.simulation.state import Record

__all__ = ["step_sweeps"]

MINUTES_PER_DAY = 1440.0
#: A pool of stops within this many daily volatilities is worth a hunt, if it holds this share of the open interest.
REACH, WORTHWHILE_SHARE = 0.15, 0.005
RAID_MINUTES, EXIT_MINUTES = 10, 60


@njit(cache=True)
def step_sweeps(state: Record, minute: Record, law: Record, positions: Positions, sweeps: Record) -> None:
    """Set the trade of the hunter in this minute, in coin: none, the raid, or its exit."""
    chance = sweeps.random()
    size = law.sweep_size * law.average_daily_volume
    minute.hunter_net = 0.0
    if state.sweep_side == 0.0:
        side = _pool_within_reach(state, law, positions)
        if side != 0.0 and chance < law.sweeps_per_day / MINUTES_PER_DAY:
            state.sweep_side, state.sweep_minutes = side, 0
        return
    state.sweep_minutes += 1
    if state.sweep_minutes <= RAID_MINUTES:
        minute.hunter_net = state.sweep_side * size / RAID_MINUTES
    else:
        minute.hunter_net = -state.sweep_side * size / EXIT_MINUTES
    state.hunter_position += minute.hunter_net
    if state.sweep_minutes == RAID_MINUTES + EXIT_MINUTES:
        state.sweep_side = 0.0


@njit(cache=True)
def _pool_within_reach(state: Record, law: Record, positions: Positions) -> float:
    """Return on which side of the price the nearer pool of stops is: +1 above, -1 below, 0 none worth a hunt."""
    above, below = state.high_48h - state.log_price, state.log_price - state.low_48h
    if min(above, below) > REACH * law.sigma_daily:
        return 0.0
    side, hunted = (1.0, SHORT) if above < below else (-1.0, LONG)
    return side if positions.total[hunted, STOP_TIER] > WORTHWHILE_SHARE * law.open_interest else 0.0
