"""Premium of the perpetual over its index, and the funding rate computed from it."""

from __future__ import annotations

import math

from numba import njit

from slackwater.simulation.state import Record

__all__ = ["SHORTEST_INTERVAL_HOURS", "funding_rate", "interval_hours", "start_funding_interval", "step_premium"]

#: A venue that sees a coin trade away from its index settles twice as often.
INTERVAL_HOURS, SHORTEST_INTERVAL_HOURS = 8, 4
#: Fractions per eight hours: the clamp makes the rate rest at INTEREST while the premium is small.
INTEREST, CLAMP, CAP = 0.0001, 0.0005, 0.003
PREMIUM_MEAN = 0.00023
NOISE_MEMORY_MINUTES = 60.0
MARK_MEMORY_MINUTES = 5.0
MINUTES_PER_DAY = 1440


@njit(cache=True)
def step_premium(state: Record, law: Record, net_long_share: float, tape: Record) -> None:
    """Set the premium index of this minute (fraction), and add it to the mean of the interval.

    It is made of pressure, of the crowd's eagerness and its net long share, and of noise. Within an interval the n-th
    minute has weight n, as on the venues. The mark price keeps only the mean premium of the last minutes.
    """
    noise_shock = law.premium_noise * math.sqrt(2.0 / NOISE_MEMORY_MINUTES) * tape.standard_normal()
    state.premium_noise += -state.premium_noise / NOISE_MEMORY_MINUTES + noise_shock
    pressure = (state.crowd_pressure + state.forced_pressure) / law.sigma_daily
    state.premium = (
        PREMIUM_MEAN
        + law.premium_of_pressure * pressure
        + law.premium_of_eagerness * state.eagerness
        + law.premium_of_crowding * net_long_share
        + state.premium_noise
    )
    state.mark_premium += (state.premium - state.mark_premium) / MARK_MEMORY_MINUTES
    state.interval_minutes += 1.0
    state.premium_sum += state.interval_minutes * state.premium
    state.premium_weight += state.interval_minutes


@njit(cache=True)
def interval_hours(law: Record, clock: int) -> int:
    """Return the hours between settlements at `clock`, minutes since 1970."""
    return SHORTEST_INTERVAL_HOURS if clock // MINUTES_PER_DAY >= law.four_hour_funding_day else INTERVAL_HOURS


@njit(cache=True)
def funding_rate(mean_premium: float, hours: int) -> float:
    """Return the funding rate, a fraction per interval of `hours`: P + clamp(interest - P, ±0.05 %) per 8 h, capped.

    Examples
    --------
    >>> funding_rate(0.0003, 8), funding_rate(0.0003, 4), round(funding_rate(0.0010, 8), 6)
    (0.0001, 5e-05, 0.0005)
    """
    # The same as P + clamp(...), but exactly INTEREST where the clamp does not bind.
    rate = min(mean_premium + CLAMP, max(mean_premium - CLAMP, INTEREST))
    return min(CAP, max(-CAP, rate)) * hours / INTERVAL_HOURS


@njit(cache=True)
def start_funding_interval(state: Record) -> None:
    """Clear the premia of the interval that has ended."""
    state.premium_sum = 0.0
    state.premium_weight = 0.0
    state.interval_minutes = 0.0
