"""The crowd: a mood that follows the trend, positions opened and closed by it, and its exhaustion."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.simulation.positions import (
    LONG,
    SHORT,
    STOP_TIER,
    Positions,
    close_share,
    held,
    open_position,
)
from slackwater.simulation.state import Record

__all__ = ["FINAL_PUSH", "UNWIND", "crowding", "start_crowd", "step_exhaustion", "step_mood", "trade_crowd"]

MINUTES_PER_DAY = 1440.0
CALM, FINAL_PUSH, UNWIND = 0, 1, 2

MOOD_LIMIT = 2.0
#: A trend of this many daily volatilities is one unit of trend.
TREND_UNIT = 0.7
#: Activity is Pareto (large accounts in some minutes) with this exponent, at most this multiple of its mean.
BURST_EXPONENT, LARGEST_BURST = 1.28, 300.0
#: Opening slows a little with respect to closing, so that the tiers rest at their quantity on average.
OPENING_BALANCE = 0.07

#: Stops wait beyond the extreme of the last 48 hours, and at least this far (log price) from the entry.
STOP_OFFSET_LOW, STOP_OFFSET_SPAN = 0.0005, 0.004
SMALLEST_STOP_DISTANCE = 0.003

#: Net long or short shares beyond this can exhaust themselves.
CROWDING_THRESHOLD = 0.12
PUSH_MINUTES = 720.0
PIERCING = 0.1  # daily volatilities beyond the extreme
SHORTEST_PUSH, LONGEST_PUSH = 120, 1440
PUSH_MOOD, UNWIND_MOOD = 0.002, 0.0025
MOOD_MINUTES, UNWIND_MINUTES = 240, 1440


@njit(cache=True)
def start_crowd(state: Record, law: Record, positions: Positions, tiers: npt.NDArray[np.void], crowd: Record) -> None:
    """Give the crowd its long-run mood, and positions opened evenly around the first price."""
    state.mood = law.mood_noise * crowd.standard_normal()
    state.regime = law.regime_noise * crowd.standard_normal()
    entries = 200
    for tier in range(STOP_TIER):
        quantity = tiers[tier].quantity / entries
        for i in range(entries):
            entry = 0.2 * ((i + 0.5) / entries - 0.5)
            for side in (LONG, SHORT):
                exit_log_price = entry + (tiers[tier].long_exit if side == LONG else tiers[tier].short_exit)
                if (exit_log_price < 0.0) == (side == LONG):
                    open_position(positions, side, tier, exit_log_price, quantity)
    longs, shorts = held(positions)
    state.market_maker_position = shorts - longs


@njit(cache=True)
def step_mood(state: Record, minute: Record, law: Record) -> None:
    """Move the mood toward the trend and let it wander; the regime is its slow part."""
    trend = state.trend / (TREND_UNIT * law.sigma_daily)
    state.mood += (law.mood_trend_response * trend - state.mood) / law.mood_memory
    state.mood += law.mood_noise * math.sqrt(2.0 / law.mood_memory) * minute.mood_shock
    state.regime += -state.regime / law.regime_memory
    state.regime += law.regime_noise * math.sqrt(2.0 / law.regime_memory) * minute.regime_shock
    state.eagerness = min(MOOD_LIMIT, max(-MOOD_LIMIT, state.mood + state.regime + law.mood_bias))


@njit(cache=True)
def trade_crowd(
    state: Record,
    minute: Record,
    law: Record,
    positions: Positions,
    tiers: npt.NDArray[np.void],
    crowd: Record,
) -> None:
    """Open and close positions for a minute. An optimistic crowd opens more longs and fewer shorts."""
    pace = 0.6 + 0.4 * state.relative_volatility
    minute.crowd_net = 0.0
    minute.crowd_gross = 0.0
    for side in (LONG, SHORT):
        sign = 1.0 if side == LONG else -1.0
        appetite = pace * _burst(crowd.random()) * math.exp(sign * state.eagerness - OPENING_BALANCE)
        unwinding = state.phase == UNWIND and sign == state.phase_side
        haste = pace * _burst(crowd.random()) * (law.unwind_speed if unwinding else 1.0)
        stop = _stop_log_price(state, side, crowd.random())
        for tier in range(tiers.shape[0]):
            opened = tiers[tier].quantity * tiers[tier].hazard * appetite
            if tier == STOP_TIER:
                exit_log_price = stop
            elif side == LONG:
                exit_log_price = state.log_price + tiers[tier].long_exit
            else:
                exit_log_price = state.log_price + tiers[tier].short_exit
            open_position(positions, side, tier, exit_log_price, opened)
            closed = close_share(positions, side, tier, tiers[tier].hazard * haste)
            minute.crowd_net += sign * (opened - closed)
            minute.crowd_gross += opened + closed


@njit(cache=True)
def _burst(uniform: float) -> float:
    """Return the activity of a minute relative to its mean, heavy-tailed."""
    smallest = (BURST_EXPONENT - 1.0) / BURST_EXPONENT
    return min(LARGEST_BURST, smallest * (1.0 - uniform) ** (-1.0 / BURST_EXPONENT))


@njit(cache=True)
def _stop_log_price(state: Record, side: int, uniform: float) -> float:
    """Return the log price of new stops of a side, a little beyond the extreme of the last 48 hours."""
    offset = STOP_OFFSET_LOW + STOP_OFFSET_SPAN * uniform
    if side == LONG:
        return min(state.low_48h - offset, state.log_price - SMALLEST_STOP_DISTANCE)
    return max(state.high_48h + offset, state.log_price + SMALLEST_STOP_DISTANCE)


@njit(cache=True)
def crowding(positions: Positions) -> float:
    """Return the crowd's net long share, in [-1, 1]."""
    longs, shorts = held(positions)
    return (longs - shorts) / (longs + shorts)


@njit(cache=True)
def step_exhaustion(state: Record, law: Record, net_long_share: float, crowd: Record) -> None:
    """Advance the episode: a crowded side pushes once more through the 48-hour extreme, then unwinds for a day."""
    state.phase_minutes += 1
    if state.phase == CALM:
        excess = abs(net_long_share) - CROWDING_THRESHOLD
        if excess > 0.0 and crowd.random() < law.exhaustion_rate * excess / MINUTES_PER_DAY:
            state.phase, state.phase_minutes = FINAL_PUSH, 0
            state.phase_side = 1.0 if net_long_share > 0.0 else -1.0
            state.phase_extreme = state.high_48h if net_long_share > 0.0 else state.low_48h
    elif state.phase == FINAL_PUSH:
        state.crowd_pressure += state.phase_side * law.final_push * law.sigma_daily / PUSH_MINUTES
        if state.phase_minutes < MOOD_MINUTES:
            state.mood += state.phase_side * PUSH_MOOD
        beyond = state.phase_side * (state.log_price - state.phase_extreme)
        pierced = beyond > PIERCING * law.sigma_daily
        if state.phase_minutes > SHORTEST_PUSH and (pierced or state.phase_minutes > LONGEST_PUSH):
            state.phase, state.phase_minutes = UNWIND, 0
    else:
        if state.phase_minutes < MOOD_MINUTES:
            state.mood -= state.phase_side * UNWIND_MOOD
        if state.phase_minutes > UNWIND_MINUTES:
            state.phase = CALM
