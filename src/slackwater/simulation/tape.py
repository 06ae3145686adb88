"""Traded volume, its aggressor side, and the depth of the book."""

from __future__ import annotations

import math

from numba import njit

from slackwater.simulation.liquidation import liquidated
from slackwater.simulation.positions import LONG, SHORT
from slackwater.simulation.state import Record

__all__ = ["outer_side_depth", "side_depth", "step_depth", "taker_buy_share", "trade_count", "traded_volume"]

MINUTES_PER_DAY = 1440.0
VOLUME_NOISE = 0.45
#: Trades in a minute of average volume; more volume comes in larger trades, too.
TRADES_PER_MINUTE, TRADES_EXPONENT, TRADES_NOISE = 900.0, 0.85, 0.25
DEPTH_NOISE, DEPTH_MEMORY_MINUTES = 0.2, 30.0
#: Depth between 1 % and 5 % as a multiple of that within 1 %; it varies more slowly and is depleted half as much.
OUTER_DEPTH, OUTER_DEPTH_NOISE, OUTER_DEPTH_MEMORY_MINUTES = 2.2, 0.25, 240.0


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
    net_flow = minute.crowd_net + minute.hunter_net + _forced(minute, SHORT) - _forced(minute, LONG)
    surprise = (state.log_price - minute.open) / state.volatility
    share = 0.5 + 0.16 * math.tanh(0.8 * surprise + 4.0 * net_flow / volume) + 0.06 * tape.standard_normal()
    return min(0.97, max(0.03, share))


@njit(cache=True)
def trade_count(law: Record, volume: float, tape: Record) -> float:
    """Return the number of trades that made up the volume, at least one."""
    relative_volume = volume * MINUTES_PER_DAY / law.average_daily_volume
    noise = math.exp(TRADES_NOISE * tape.standard_normal())
    return 1.0 + math.floor(TRADES_PER_MINUTE * relative_volume**TRADES_EXPONENT * noise)


@njit(cache=True)
def step_depth(state: Record, tape: Record) -> None:
    """Let the willingness to quote wander, in logs, near the mid and farther out."""
    shock = DEPTH_NOISE * math.sqrt(2.0 / DEPTH_MEMORY_MINUTES) * tape.standard_normal()
    state.depth_noise += -state.depth_noise / DEPTH_MEMORY_MINUTES + shock
    shock = OUTER_DEPTH_NOISE * math.sqrt(2.0 / OUTER_DEPTH_MEMORY_MINUTES) * tape.standard_normal()
    state.outer_depth_noise += -state.outer_depth_noise / OUTER_DEPTH_MEMORY_MINUTES + shock


@njit(cache=True)
def _quiet_depth(state: Record, law: Record) -> float:
    """Return the coin per side within 1 % of the mid at the present volatility."""
    return law.depth_share * law.average_daily_volume * state.relative_volatility**-0.6


@njit(cache=True)
def side_depth(state: Record, law: Record, sign: float) -> float:
    """Return the coin within 1 % of the mid on the bid (sign -1: hit by forced sales) or the ask (sign +1)."""
    depth = _quiet_depth(state, law) * math.exp(state.depth_noise) * (1.0 - state.depletion)
    if sign * state.forced_flow > 0.0:
        depth *= 1.0 - 0.4 * math.tanh(200.0 * abs(state.forced_flow) / law.average_daily_volume)
    return depth


@njit(cache=True)
def outer_side_depth(state: Record, law: Record) -> float:
    """Return the coin per side between 1 % and 5 % from the mid."""
    noise = math.exp(state.outer_depth_noise)
    return OUTER_DEPTH * _quiet_depth(state, law) * noise * (1.0 - 0.5 * state.depletion)
