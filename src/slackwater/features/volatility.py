"""Volatility: the unit of most other features, and its ratio to faster and slower volatility."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import ATR_DAY, ATR_HOUR, LOG_CLOSE, LOG_HIGH, LOG_LOW, RETURN, VOLATILITY
from slackwater.features.parameters import VolatilityParameters
from slackwater.market.inputs import CLOSE, HIGH, LOW
from slackwater.operators import (
    decay_per_bar,
    ewm_update,
    family_kernel,
    totals_add,
    totals_before,
    totals_cover,
    totals_push,
    totals_since,
    totals_slots,
    whole,
)
from slackwater.times import DAY
from slackwater.types import Floats

__all__ = ["VolatilityFamily"]


_WARM, _MASK, _BARS_PER_DAY, _WEIGHT, _WEIGHT_FAST, _WEIGHT_SLOW, _ATR_BARS, _ATR_DAY_BARS, _TO_HOUR, _TO_DAY = range(
    10
)
_COUNT, _SEEN, _LAST, _VARIANCES, _TOTALS = 0, 1, 2, 3, 9


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    present = not math.isnan(row[CLOSE])
    seen = state[_SEEN] > 0.0
    square = np.nan
    if present:
        close = math.log(row[CLOSE])
        high = math.log(row[HIGH])
        low = math.log(row[LOW])
        previous = close
        if seen:
            previous = state[_LAST]
            row[RETURN] = close - previous
            square = (close - previous) ** 2
        totals_add(state, _TOTALS, 0, max(high, previous) - min(low, previous))
        state[_LAST] = close
        state[_SEEN] = 1.0
        row[LOG_CLOSE] = close
        row[LOG_HIGH] = high
        row[LOG_LOW] = low
    elif seen:
        row[LOG_CLOSE] = state[_LAST]
    totals_push(state, _TOTALS, 1, mask, count, present)
    variance = ewm_update(state, _VARIANCES, constants[_WEIGHT], square)
    fast = ewm_update(state, _VARIANCES + 2, constants[_WEIGHT_FAST], square)
    slow = ewm_update(state, _VARIANCES + 4, constants[_WEIGHT_SLOW], square)
    if not present or count < constants[_WARM]:
        out[:] = np.nan
        return
    volatility = math.sqrt(variance * constants[_BARS_PER_DAY])
    bars = whole(constants[_ATR_BARS])
    before = totals_before(_TOTALS, 1, mask, count, bars)
    atr_hour = totals_since(state, _TOTALS, before, 0) / bars * constants[_TO_HOUR]
    known = totals_cover(state, _TOTALS, before, bars)
    day_bars = whole(constants[_ATR_DAY_BARS])
    before = totals_before(_TOTALS, 1, mask, count, day_bars)
    atr_day = totals_since(state, _TOTALS, before, 0) / day_bars * constants[_TO_DAY]
    day_known = totals_cover(state, _TOTALS, before, day_bars)
    atr_hour = atr_hour if known else np.nan
    atr_day = atr_day if day_known else np.nan
    ratio_fast = math.sqrt(fast / variance)
    ratio_slow = math.sqrt(variance / slow)
    # A price that does not move has no scale; rounding of the totals may leave a tiny range.
    row[VOLATILITY] = volatility if volatility > 0.0 else np.nan
    row[ATR_HOUR] = atr_hour if atr_hour > 1e-12 else np.nan
    row[ATR_DAY] = atr_day if atr_day > 1e-12 else np.nan
    out[0] = volatility
    out[1] = ratio_fast if variance > 0.0 else np.nan
    out[2] = ratio_slow if slow > 0.0 else np.nan
    out[3] = atr_hour
    out[4] = atr_day


@dataclass(frozen=True, kw_only=True)
class VolatilityFamily(Family, VolatilityParameters):
    """Exponentially weighted volatility at three speeds, and average true ranges."""

    name: ClassVar[str] = "volatility"
    advance = staticmethod(_advance)
    needs: ClassVar[tuple[str, ...]] = ()
    # What is left of older squares after five half-lives is 3 %, but a burst of volatility may be ten times the usual.
    tolerance: ClassVar[float] = 0.4

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        fast, slow = duration_name(self.fast_half_life), duration_name(self.slow_half_life)
        ewm = {"inputs": ("close", "high", "low"), "source": "RiskMetrics 1996"}
        ranges = {"inputs": ("close", "high", "low"), "source": "Wilder 1978"}
        usual = f"half-life {duration_name(self.half_life)}"
        hours, days = self.atr_window, self.atr_day_window
        sd = "sd = sqrt(EWM(r^2) * bars per day)"
        mean = "mean true range per bar, log prices"
        return (
            self.even("volatility_daily", sd, "log per sqrt(day)", window=usual, **ewm),
            self.even(f"volatility_ratio_{fast}", "sd_fast / sd", "ratio", window=f"half-life {fast}", **ewm),
            self.even(f"volatility_ratio_{slow}", "sd / sd_slow", "ratio", window=f"half-life {slow}", **ewm),
            self.even("atr_1h", f"{mean} * sqrt(1h / bar interval)", "log", window=hours, **ranges),
            self.even("atr_1d", f"{mean} * sqrt(1d / bar interval)", "log", window=days, **ranges),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        interval = self.bar_interval
        return np.array(
            [
                self.warm_up / interval,
                self.ring(self.atr_window, self.atr_day_window) - 1,
                DAY / interval,
                decay_per_bar(self.half_life, interval),
                decay_per_bar(self.fast_half_life, interval),
                decay_per_bar(self.slow_half_life, interval),
                self.bars(self.atr_window),
                self.bars(self.atr_day_window),
                math.sqrt(timedelta(hours=1) / interval),
                math.sqrt(DAY / interval),
            ]
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _TOTALS + totals_slots(1, self.longest(self.atr_window, self.atr_day_window))

    @property
    def warm_up(self) -> timedelta:
        """Five of the longest half-life, or the longest window."""
        longest = max(self.half_life, self.fast_half_life, self.slow_half_life)
        return max(self.whole_bars(5 * longest), self.atr_window, self.atr_day_window)
