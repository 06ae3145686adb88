"""The price process: log price = fundamental + signal × (crowd pressure + forced pressure).

The fundamental is a martingale with stochastic volatility. Pressure is what flow would do to the price; `signal`
scales that response alone, so that at signal 0 the log price is a martingale while all flows continue.
"""

from __future__ import annotations

import math

from numba import njit

from slackwater.simulation.state import SUB_STEPS, Record

__all__ = [
    "excite",
    "move_fundamental",
    "press",
    "priced_in",
    "remember_return",
    "start_price_process",
    "step_volatility",
]

MINUTES_PER_DAY = 1440.0
#: Log volatility is a sum of mean-reverting factors: from minutes of turbulence to months of regime.
VOLATILITY_MEMORY_MINUTES = (20.0, 240.0, 2880.0, 28800.0)
VOLATILITY_AMPLITUDE = (0.29, 0.31, 0.40, 0.39)
EXCITATION_KEPT_PER_MINUTE = 0.94
EXCITATION_OF_NEWS = 1.5
EXCITATION_CAP = 4.0
TREND_MEMORY_MINUTES = 720.0


@njit(cache=True)
def start_price_process(state: Record, price: Record) -> None:
    """Draw the volatility factors from their stationary law."""
    for i in range(4):
        state.volatility_factor[i] = price.standard_normal()


@njit(cache=True)
def step_volatility(state: Record, minute: Record, law: Record, clock: int) -> None:
    """Set the volatility of this minute, per square root of a minute; `clock` is in minutes since 1970."""
    log_volatility = 0.0
    for i in range(4):
        memory, amplitude = VOLATILITY_MEMORY_MINUTES[i], VOLATILITY_AMPLITUDE[i]
        factor = state.volatility_factor[i]
        factor += -factor / memory + math.sqrt(2.0 / memory) * minute.volatility_shock[i]
        state.volatility_factor[i] = factor
        log_volatility += amplitude * factor - amplitude * amplitude
    hour_angle = (clock % 1440) / MINUTES_PER_DAY
    state.season = 1.0 + 0.25 * math.sin(2.0 * math.pi * (hour_angle - 0.35))
    state.relative_volatility = math.exp(log_volatility) * math.sqrt(state.season) * (1.0 + state.excitation)
    state.volatility = state.relative_volatility * law.sigma_daily / math.sqrt(MINUTES_PER_DAY)
    state.excitation *= EXCITATION_KEPT_PER_MINUTE


@njit(cache=True)
def move_fundamental(state: Record, minute: Record, sub_step: int) -> None:
    """Advance the martingale by one sub-step: diffusion, jumps, and the news that strikes in it."""
    state.fundamental += state.volatility / math.sqrt(SUB_STEPS) * minute.price_shock[sub_step]
    if sub_step == minute.news_sub_step:
        state.fundamental += minute.news
        excite(state, EXCITATION_OF_NEWS)


@njit(cache=True)
def excite(state: Record, amount: float) -> None:
    """Raise the volatility of the coming minutes, alike for moves up and down."""
    state.excitation = min(EXCITATION_CAP, state.excitation + amount)


@njit(cache=True)
def press(state: Record, law: Record, net_flow: float, decay_multiple: float) -> None:
    """Let pressure decay for a minute, and `net_flow` (coin, bought) add to the crowd's."""
    crowd_decay = decay_multiple * math.log(2.0) / law.crowd_pressure_half_life
    state.crowd_pressure += (
        -crowd_decay * state.crowd_pressure + law.crowd_impact * law.sigma_daily * net_flow / law.average_daily_volume
    )
    state.forced_pressure -= math.log(2.0) / law.forced_pressure_half_life * state.forced_pressure


@njit(cache=True)
def priced_in(state: Record, law: Record) -> float:
    """Return the log price that the fundamental and the present pressure imply."""
    return state.fundamental + law.signal * (state.crowd_pressure + state.forced_pressure)


@njit(cache=True)
def remember_return(state: Record, minute: Record, clock: int) -> None:
    """Carry the finished minute into the trend and into the extremes of the last 48 hours."""
    state.trend += -state.trend / TREND_MEMORY_MINUTES + state.log_price - minute.open
    hour = (clock // 60) % 48
    if clock % 60 == 0:
        state.hourly_high[hour], state.hourly_low[hour] = minute.high, minute.low
        state.high_48h, state.low_48h = minute.high, minute.low
        for i in range(48):
            state.high_48h = max(state.high_48h, state.hourly_high[i])
            state.low_48h = min(state.low_48h, state.hourly_low[i])
    state.hourly_high[hour] = max(state.hourly_high[hour], minute.high)
    state.hourly_low[hour] = min(state.hourly_low[hour], minute.low)
    state.high_48h = max(state.high_48h, minute.high)
    state.low_48h = min(state.low_48h, minute.low)
