"""What the exchange shows beside the price: traded volume, its aggressor side, and the depth of the book."""

from __future__ import annotations

import math

from numba import njit

from slackwater.sources.simulate.liquidation import liquidated
from slackwater.sources.simulate.positions import LONG, SHORT
from slackwater.sources.simulate.state import Record

__all__ = ["side_depth", "step_depth", "taker_buy_share", "traded_volume"]

MINUTES_PER_DAY = 1440.0
VOLUME_NOISE = 0.45
DEPTH_NOISE, DEPTH_MEMORY_MINUTES = 0.2, 30.0


@njit(cache=True)
def _forced(minute: Record, side: int) -> float:
    return liquidated(minute, side) + minute.stopped[side]


@njit(cache=True)
def traded_volume(state: Record, minute: Record, law: Record, tape: Record) -> float:
    """Return the coin traded in the minute: background trading by hour and volatility, the crowd, and forced trades."""
    background = law.average_daily_volume / MINUTES_PER_DAY * state.season * state.relative_volatility**0.9
    noise = math.exp(VOLUME_NOISE * tape.standard_normal() - 0.5 * VOLUME_NOISE**2)
    forced = _forced(minute, LONG) + _forced(minute, SHORT)
    return background * noise + minute.crowd_gross + forced


@njit(cache=True)
def taker_buy_share(state: Record, minute: Record, volume: float, tape: Record) -> float:
    """Return the share of the volume that lifted the ask, in [.03, .97]: it follows the return and the net flow."""
    net_flow = minute.crowd_net + minute.whale_net + _forced(minute, SHORT) - _forced(minute, LONG)
    surprise = (state.log_price - minute.open) / state.volatility
    share = 0.5 + 0.16 * math.tanh(0.8 * surprise + 4.0 * net_flow / volume) + 0.06 * tape.standard_normal()
    return min(0.97, max(0.03, share))


@njit(cache=True)
def step_depth(state: Record, tape: Record) -> None:
    """Let the willingness to quote wander, in logs."""
    shock = DEPTH_NOISE * math.sqrt(2.0 / DEPTH_MEMORY_MINUTES) * tape.standard_normal()
    state.depth_noise += -state.depth_noise / DEPTH_MEMORY_MINUTES + shock


@njit(cache=True)
def side_depth(state: Record, law: Record, sign: float) -> float:
    """Return the coin within 1 % of the mid on the bid (sign -1: hit by forced sales) or the ask (sign +1)."""
    quiet = law.depth_share * law.average_daily_volume * state.relative_volatility**-0.6
    depth = quiet * math.exp(state.depth_noise) * (1.0 - state.depletion)
    if sign * state.forced_flow > 0.0:
        depth *= 1.0 - 0.4 * math.tanh(200.0 * abs(state.forced_flow) / law.average_daily_volume)
    return depth
