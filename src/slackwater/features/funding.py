"""Funding: the settled rate, its change and its acceleration, and the premium that drives the next rate.

A positive rate means that longs pay shorts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.features.family import Family, Feature, duration_name
from slackwater.market.inputs import (
    CLOSE,
    FUNDING_INTERVAL_HOURS,
    FUNDING_RATE,
    FUNDING_TIME_HOURS,
    PREMIUM_INDEX,
)
from slackwater.operators import decay_per_bar, ewm_update

__all__ = ["FundingFamily"]

_WARM, _WEIGHT_FAST, _WEIGHT_SLOW = range(3)
_COUNT, _SETTLED, _TIME, _INTERVAL, _RATE, _SLOPE, _SPACING, _CHANGE, _ACCELERATION, _PREMIA = range(10)
_BPS: Final = 1e4


@njit(cache=True)
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = state[_COUNT]
    state[_COUNT] = count + 1.0
    funding_known = (
        not math.isnan(row[FUNDING_RATE])
        and row[FUNDING_INTERVAL_HOURS] > 0.0
        and not math.isnan(row[FUNDING_TIME_HOURS])
    )
    if funding_known and (state[_SETTLED] == 0.0 or row[FUNDING_TIME_HOURS] != state[_TIME]):
        rate = row[FUNDING_RATE] * 8.0 / row[FUNDING_INTERVAL_HOURS] * _BPS
        newer = state[_SETTLED] > 0.0 and row[FUNDING_TIME_HOURS] > state[_TIME]
        if newer and row[FUNDING_INTERVAL_HOURS] == state[_INTERVAL]:
            spacing = (row[FUNDING_TIME_HOURS] - state[_TIME]) / 8.0
            change = rate - state[_RATE]
            slope = change / spacing
            if state[_SETTLED] > 1.0:
                state[_ACCELERATION] = (slope - state[_SLOPE]) / (0.5 * (spacing + state[_SPACING]))
            state[_CHANGE] = change
            state[_SLOPE] = slope
            state[_SPACING] = spacing
            state[_SETTLED] += 1.0
        else:
            # A new interval is another contract, and a time that runs backwards was wrong before: no difference
            # is taken across either.
            state[_SETTLED] = 1.0
        state[_RATE] = rate
        state[_TIME] = row[FUNDING_TIME_HOURS]
        state[_INTERVAL] = row[FUNDING_INTERVAL_HOURS]
    premium = row[PREMIUM_INDEX] * _BPS
    fast = ewm_update(state, _PREMIA, constants[_WEIGHT_FAST], premium)
    slow = ewm_update(state, _PREMIA + 2, constants[_WEIGHT_SLOW], premium)
    if math.isnan(row[CLOSE]) or count < constants[_WARM]:
        out[:] = np.nan
        return
    settled = state[_SETTLED] if funding_known else 0.0
    out[0] = state[_RATE] if settled > 0.0 else np.nan
    out[1] = state[_CHANGE] if settled > 1.0 else np.nan
    out[2] = state[_ACCELERATION] if settled > 2.0 else np.nan
    premium_known = not math.isnan(premium)
    out[3] = fast if premium_known else np.nan
    out[4] = slow if premium_known else np.nan
    out[5] = fast - slow if premium_known else np.nan
    out[6] = slow - state[_RATE] if premium_known and settled > 0.0 else np.nan


@dataclass(frozen=True, kw_only=True)
class FundingFamily(Family):
    """Settled funding on its own irregular grid, and the premium index.

    Parameters
    ----------
    premium_fast_half_life, premium_slow_half_life
        Half-lives of the two averages of the premium index.
    """

    premium_fast_half_life: timedelta
    premium_slow_half_life: timedelta

    name: ClassVar[str] = "funding"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.05

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        settled = ("funding_rate", "funding_interval_hours", "funding_time_hours")
        fast = duration_name(self.premium_fast_half_life)
        slow = duration_name(self.premium_slow_half_life)
        method = "METHOD section 2: funding acceleration on an irregular grid"

        def odd(name: str, formula: str, unit: str, inputs: tuple[str, ...], source: str = "") -> Feature:
            return Feature(
                name=name,
                family=self.name,
                formula=formula,
                unit=unit,
                symmetry="odd",
                inputs=inputs,
                source=source,
            )

        return (
            odd("funding_rate_8h", "F8 = F * 8h / interval, last settled", "bps an 8 h", settled, method),
            odd("funding_change_8h", "F8_n - F8_{n-1}, same interval", "bps an 8 h", settled, method),
            odd(
                "funding_acceleration_8h",
                "(dF_n - dF_{n-1}) / ((D_n + D_{n-1}) / 2), dF_n = (F8_n - F8_{n-1}) / D_n, D in units of 8 h",
                "bps an 8 h, an 8 h, an 8 h",
                settled,
                method,
            ),
            odd(f"premium_{fast}", "EWM of the premium index", "bps", ("premium_index",)),
            odd(f"premium_{slow}", "EWM of the premium index", "bps", ("premium_index",)),
            odd(f"premium_change_{fast}_{slow}", "fast EWM - slow EWM", "bps", ("premium_index",)),
            odd(
                "premium_less_funding",
                "slow EWM of the premium - F8, what the next rate adds to the last",
                "bps",
                ("premium_index", *settled),
            ),
        )

    def constants(self) -> NDArray[np.float64]:
        """Return the numbers that the kernel reads."""
        return np.array(
            [
                self.warm_up / self.bar_interval,
                decay_per_bar(self.premium_fast_half_life, self.bar_interval),
                decay_per_bar(self.premium_slow_half_life, self.bar_interval),
            ]
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _PREMIA + 4

    @property
    def warm_up(self) -> timedelta:
        """Four eight-hour settlements, or five of the longer half-life."""
        return max(timedelta(hours=32), 5 * max(self.premium_fast_half_life, self.premium_slow_half_life))
