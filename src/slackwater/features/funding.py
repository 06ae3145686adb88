"""Funding: the settled rate, its change and acceleration, and the rate that the premium implies.

A positive rate means that longs pay shorts. All rates are stated for eight hours, whatever the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import FUNDING_ACCELERATION_Z, OPEN_INTEREST_CHANGE, TIME_HOURS
from slackwater.features.parameters import FundingParameters
from slackwater.market.inputs import CLOSE, FUNDING_INTERVAL_HOURS, FUNDING_RATE, FUNDING_TIME_HOURS, PREMIUM_INDEX
from slackwater.operators import (
    decay_per_bar,
    ewm_update,
    family_kernel,
    kernel,
    ranked_push,
    ranked_slots,
    ranked_z,
    whole,
)
from slackwater.types import Floats

__all__ = ["FundingFamily"]

_WARM, _WEIGHT_FAST, _WEIGHT_SLOW, _KEPT, _INTEREST, _CLAMP = range(6)
(
    _COUNT,
    _SETTLED,
    _TIME,
    _INTERVAL,
    _RATE,
    _SLOPE,
    _SPACING,
    _CHANGE,
    _ACCELERATION,
    _RATE_Z,
    _ACCELERATION_Z,
    _WINDOW_START,
    _WEIGHTS,
    _WEIGHTED_PREMIUM,
    _PREMIA,
) = range(15)
_RANKED: Final = _PREMIA + 4
_BPS: Final = 1e4


@kernel
def _settle(state, kept, rate, interval, time):  # type: ignore[no-untyped-def]
    """Take a newly settled rate (bps per 8 h): difference it on its own grid, and rank it among those before."""
    ranked_accelerations = _RANKED + 1 + 2 * kept
    if state[_SETTLED] > 0.0 and time > state[_TIME] and interval == state[_INTERVAL]:
        spacing = (time - state[_TIME]) / 8.0
        change = rate - state[_RATE]
        slope = change / spacing
        if state[_SETTLED] > 1.0:
            acceleration = (slope - state[_SLOPE]) / (0.5 * (spacing + state[_SPACING]))
            state[_ACCELERATION] = acceleration
            state[_ACCELERATION_Z] = ranked_z(state, ranked_accelerations, kept, kept, acceleration)
            ranked_push(state, ranked_accelerations, kept, acceleration)
        state[_CHANGE] = change
        state[_SLOPE] = slope
        state[_SPACING] = spacing
        state[_SETTLED] += 1.0
    else:
        # A new interval is another contract, and a time that runs backwards was wrong before: no difference is
        # taken across either.
        state[_SETTLED] = 1.0
    state[_RATE_Z] = ranked_z(state, _RANKED, kept, kept, rate)
    ranked_push(state, _RANKED, kept, rate)
    state[_RATE] = rate
    state[_TIME] = time
    state[_INTERVAL] = interval


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = state[_COUNT]
    state[_COUNT] = count + 1.0
    interval = row[FUNDING_INTERVAL_HOURS]
    known = not math.isnan(row[FUNDING_RATE]) and interval > 0.0 and not math.isnan(row[FUNDING_TIME_HOURS])
    if known and (state[_SETTLED] == 0.0 or row[FUNDING_TIME_HOURS] != state[_TIME]):
        rate = row[FUNDING_RATE] * 8.0 / interval * _BPS
        _settle(state, whole(constants[_KEPT]), rate, interval, row[FUNDING_TIME_HOURS])
    premium = row[PREMIUM_INDEX] * _BPS
    premium_known = not math.isnan(premium)
    fast = ewm_update(state, _PREMIA, constants[_WEIGHT_FAST], premium)
    slow = ewm_update(state, _PREMIA + 2, constants[_WEIGHT_SLOW], premium)
    elapsed = np.nan
    predicted = np.nan
    if known:
        # A bar that closes at a settlement still belongs to the window that ends there.
        time = row[TIME_HOURS]
        start = (math.ceil(time / interval) - 1.0) * interval
        elapsed = time - start
        if start != state[_WINDOW_START]:
            state[_WINDOW_START] = start
            state[_WEIGHTS] = 0.0
            state[_WEIGHTED_PREMIUM] = 0.0
        if premium_known:
            state[_WEIGHTS] += elapsed
            state[_WEIGHTED_PREMIUM] += elapsed * premium
            average = state[_WEIGHTED_PREMIUM] / state[_WEIGHTS]
            clamp = constants[_CLAMP]
            predicted = average + min(max(constants[_INTEREST] - average, -clamp), clamp)
    if math.isnan(row[CLOSE]) or count < constants[_WARM]:
        out[:] = np.nan
        return
    settled = state[_SETTLED] if known else 0.0
    out[0] = state[_RATE] if settled > 0.0 else np.nan
    out[1] = state[_CHANGE] if settled > 1.0 else np.nan
    out[2] = state[_ACCELERATION] if settled > 2.0 else np.nan
    out[3] = state[_RATE_Z] if settled > 0.0 else np.nan
    out[4] = state[_ACCELERATION_Z] if settled > 2.0 else np.nan
    row[FUNDING_ACCELERATION_Z] = out[4]
    out[5] = out[2] * row[OPEN_INTEREST_CHANGE]
    out[6] = elapsed / interval if known else np.nan
    out[7] = predicted
    out[8] = predicted - out[0]
    out[9] = fast if premium_known else np.nan
    out[10] = slow if premium_known else np.nan
    out[11] = fast - slow if premium_known else np.nan


@dataclass(frozen=True, kw_only=True)
class FundingFamily(Family, FundingParameters):
    """Settled funding on its own irregular grid, and the next rate that the premium index implies.

    Parameters beside those of `FundingParameters`
    ----------------------------------------------
    interest_bps, clamp_bps
        Interest rate and clamp of the venues' funding formula, bps per 8 h.
    """

    interest_bps: float = 1.0
    clamp_bps: float = 5.0

    name: ClassVar[str] = "funding"
    advance = staticmethod(_advance)
    needs: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[float] = 0.05

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        settlement = ("close", "funding_rate", "funding_interval_hours", "funding_time_hours")
        settled = {
            "inputs": settlement,
            "known": "60s after the settlement by default",
            "source": "second difference on the irregular grid of settlements",
        }
        forecast = {
            "inputs": (*settlement, "premium_index"),
            "window": "since the settlement",
            "source": "Binance FAQ 360033525031, Gate funding formula",
        }
        premium = {"inputs": ("close", "premium_index")}
        with_interest = settled | {"inputs": (*settlement, "open_interest")}
        last = f"{self.settlements} settlements"
        fast, slow = duration_name(self.premium_fast_half_life), duration_name(self.premium_slow_half_life)
        rate, acceleration, sd = "bps per 8 h", "bps per 8 h, per 8 h, per 8 h", "standard deviations"
        spread = "max(1.4826 MAD, .627 mean absolute deviation)"
        rate_z = f"(F8_n - median) / {spread} of the settlements before it"
        acceleration_z = "(acceleration - median) / the same spread of the accelerations before it"
        growing = "funding_acceleration_8h * log(OI_T / OI_{T-24h})"
        second = "(dF_n - dF_{n-1}) / ((D_n + D_{n-1}) / 2), dF_n = (F8_n - F8_{n-1}) / D_n, D in units of 8 h, all of"
        clamp = f"clamp({self.interest_bps:g} bp - P, -{self.clamp_bps:g} bp, {self.clamp_bps:g} bp)"
        predicted = f"P + {clamp}, P the premium since the settlement, weighted by the time elapsed"
        elapsed = "time since the last settlement / interval"
        average, over = "EWM of the premium index", f"half-life {slow}"
        return (
            self.odd("funding_rate_8h", "F8 = F * 8h / interval, last settled", rate, **settled),
            self.odd("funding_change_8h", "F8_n - F8_{n-1}, of one interval", rate, **settled),
            self.odd("funding_acceleration_8h", f"{second} one interval", acceleration, **settled),
            self.odd("funding_rate_z", rate_z, sd, window=last, **settled),
            self.odd("funding_acceleration_z", acceleration_z, sd, window=last, **settled),
            self.odd("funding_acceleration_open_interest_24h", growing, acceleration, window="24h", **with_interest),
            self.even("funding_elapsed", elapsed, "0 to 1", inputs=settlement),
            self.odd("funding_predicted_8h", predicted, rate, **forecast),
            self.odd("funding_divergence_8h", "funding_predicted_8h - funding_rate_8h", rate, **forecast),
            self.odd(f"premium_{fast}", average, "bps", window=f"half-life {fast}", **premium),
            self.odd(f"premium_{slow}", average, "bps", window=over, **premium),
            self.odd(f"premium_change_{fast}_{slow}", "fast EWM - slow EWM", "bps", window=over, **premium),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        return self._constants(self.interest_bps)

    def mirrored(self) -> Floats:
        """Let shorts receive the interest: it is the one asymmetric part of the formula."""
        return self._constants(-self.interest_bps)

    def _constants(self, interest_bps: float) -> Floats:
        return np.array(
            [
                self.warm_up / self.bar_interval,
                decay_per_bar(self.premium_fast_half_life, self.bar_interval),
                decay_per_bar(self.premium_slow_half_life, self.bar_interval),
                self.settlements,
                interest_bps,
                self.clamp_bps,
            ]
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _RANKED + 2 * ranked_slots(self.settlements)

    @property
    def warm_up(self) -> timedelta:
        """Eight-hour settlements enough for the z-scores, or five of the longer half-life."""
        half_life = max(self.premium_fast_half_life, self.premium_slow_half_life)
        return self.whole_bars(max(timedelta(hours=8) * (self.settlements + 4), 5 * half_life))
