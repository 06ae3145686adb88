"""The premium of the perpetual over its index, and the funding rate that is made of it."""

from __future__ import annotations

import math

from numba import njit

from slackwater.sources.simulate.state import Record

__all__ = ["INTERVAL_MINUTES", "funding_rate", "start_funding_interval", "step_premium"]

INTERVAL_MINUTES = 480
#: Fractions per interval: the clamp makes the rate rest at INTEREST while the premium is small.
INTEREST, CLAMP, CAP = 0.0001, 0.0005, 0.003
PREMIUM_MEAN = 0.0002
NOISE_MEMORY_MINUTES = 60.0


@njit(cache=True)
def step_premium(state: Record, law: Record, net_long_share: float, tape: Record) -> None:
    """Set the premium index of this minute (fraction): pressure, crowding and noise; add it to the interval's mean.

    Within an interval the n-th minute has weight n, as on the venues.
    """
    noise_shock = law.premium_noise * math.sqrt(2.0 / NOISE_MEMORY_MINUTES) * tape.standard_normal()
    state.premium_noise += -state.premium_noise / NOISE_MEMORY_MINUTES + noise_shock
    pressure = (state.crowd_pressure + state.forced_pressure) / law.sigma_daily
    state.premium = (
        PREMIUM_MEAN
        + law.premium_of_pressure * pressure
        + law.premium_of_crowding * net_long_share
        + state.premium_noise
    )
    state.interval_minutes += 1.0
    state.premium_sum += state.interval_minutes * state.premium
    state.premium_weight += state.interval_minutes


@njit(cache=True)
def funding_rate(mean_premium: float) -> float:
    """Return the funding rate, a fraction per interval: P + clamp(interest - P, ±0.05 %), capped.

    Examples
    --------
    >>> funding_rate(0.0003), round(funding_rate(0.0010), 6)
    (0.0001, 0.0005)
    """
    # The same as P + clamp(...), but exactly INTEREST where the clamp does not bind.
    rate = min(mean_premium + CLAMP, max(mean_premium - CLAMP, INTEREST))
    return min(CAP, max(-CAP, rate))


@njit(cache=True)
def start_funding_interval(state: Record) -> None:
    """Forget the premia of the settled interval."""
    state.premium_sum = 0.0
    state.premium_weight = 0.0
    state.interval_minutes = 0.0
