"""Regime: trend strength, extension, and the moves of the other symbols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.errors import ParameterError
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import ATR_DAY, LOG_CLOSE, RETURN, VOLATILITY
from slackwater.features.parameters import RegimeParameters
from slackwater.market.inputs import (
    CLOSE,
    MARKET_DISPERSION,
    OTHERS_ABSOLUTE_RETURN,
    OTHERS_BREADTH,
    OTHERS_RETURN,
)
from slackwater.operators import (
    COVERAGE,
    decay_per_bar,
    ewm_update,
    family_kernel,
    ring_get,
    ring_put,
    ring_size,
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

__all__ = ["RegimeFamily"]


# positions of the constants; (bars, 1 / sqrt(days)) of the windows follow
(_WARM, _MASK, _WINDOWS, _WEIGHT_FAST, _WEIGHT_SLOW, _RATIO_BARS, _STRESS_BARS, _STRESS_USUAL_BARS, _LISTS) = range(9)
_COUNT, _MEANS, _CLOSES = 0, 1, 5
# columns of the running totals
_PATH, _SQUARES, _LONG_SQUARES, _RATIO_ROWS, _OTHERS, _OTHERS_ABSOLUTE, _OTHERS_ROWS, _COLUMNS = range(8)


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    n = whole(constants[_WINDOWS])
    totals = _CLOSES + mask + 1
    present = not math.isnan(row[CLOSE])
    x = row[LOG_CLOSE]
    bars = whole(constants[_RATIO_BARS])
    if present:
        if not math.isnan(row[RETURN]):
            totals_add(state, totals, _PATH, abs(row[RETURN]))
            long_return = x - ring_get(state, _CLOSES, mask, count, bars)
            if not math.isnan(long_return):
                # Both kinds of squares over the same rows, or their ratio would depend on where history began.
                totals_add(state, totals, _SQUARES, row[RETURN] ** 2)
                totals_add(state, totals, _LONG_SQUARES, long_return**2)
                totals_add(state, totals, _RATIO_ROWS, 1.0)
        if not math.isnan(row[OTHERS_RETURN]):
            totals_add(state, totals, _OTHERS, row[OTHERS_RETURN])
            totals_add(state, totals, _OTHERS_ABSOLUTE, row[OTHERS_ABSOLUTE_RETURN])
            totals_add(state, totals, _OTHERS_ROWS, 1.0)
    ring_put(state, _CLOSES, mask, count, x)
    totals_push(state, totals, _COLUMNS, mask, count, present)
    close = x if present else np.nan
    fast = ewm_update(state, _MEANS, constants[_WEIGHT_FAST], close)
    slow = ewm_update(state, _MEANS + 2, constants[_WEIGHT_SLOW], close)
    if not present or count < constants[_WARM]:
        out[:] = np.nan
        return

    per_volatility = 1.0 / row[VOLATILITY]
    for j in range(n):
        window = whole(constants[_LISTS + 2 * j])
        before = totals_before(totals, _COLUMNS, mask, count, window)
        known = totals_cover(state, totals, before, window)
        move = x - ring_get(state, _CLOSES, mask, count, window)
        path = totals_since(state, totals, before, _PATH)
        squares = totals_since(state, totals, before, _SQUARES)
        ratio_known = known and totals_since(state, totals, before, _RATIO_ROWS) >= COVERAGE * window
        long_squares = totals_since(state, totals, before, _LONG_SQUARES)
        out[j] = move / path if known and path > 1e-12 else np.nan
        out[n + j] = long_squares / (bars * squares) if ratio_known and squares > 1e-20 else np.nan
        others_known = known and totals_since(state, totals, before, _OTHERS_ROWS) >= COVERAGE * window
        others = totals_since(state, totals, before, _OTHERS) if others_known else np.nan
        scale = constants[_LISTS + 2 * j + 1] * per_volatility
        out[2 * n + j] = others * scale
        out[3 * n + j] = (move - others) * scale
    o = 4 * n
    out[o] = (fast - slow) / row[ATR_DAY]
    out[o + 1] = (x - slow) / row[ATR_DAY]
    short = whole(constants[_STRESS_BARS])
    usual = whole(constants[_STRESS_USUAL_BARS])
    before = totals_before(totals, _COLUMNS, mask, count, short)
    rows = totals_since(state, totals, before, _OTHERS_ROWS)
    now = totals_since(state, totals, before, _OTHERS_ABSOLUTE) / rows if rows >= COVERAGE * short else np.nan
    before = totals_before(totals, _COLUMNS, mask, count, usual)
    rows = totals_since(state, totals, before, _OTHERS_ROWS)
    then = totals_since(state, totals, before, _OTHERS_ABSOLUTE) / rows if rows >= COVERAGE * usual else np.nan
    out[o + 2] = max(now, 0.0) / then if then > 1e-12 else np.nan
    out[o + 3] = row[OTHERS_BREADTH]
    out[o + 4] = row[MARKET_DISPERSION] * per_volatility


@dataclass(frozen=True, kw_only=True)
class RegimeFamily(Family, RegimeParameters):
    """Trend strength, efficiency and variance ratio, extension, and stress, breadth and dispersion across symbols."""

    name: ClassVar[str] = "regime"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.1

    def _check_together(self) -> None:
        if self.bars(self.variance_ratio_horizon, "variance_ratio_horizon") < 2:
            raise ParameterError(
                f"`regime.variance_ratio_horizon` must be at least two bars of {self.bar_interval}, "
                f"was {self.variance_ratio_horizon}"
            )

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        horizon = duration_name(self.variance_ratio_horizon)
        fast, slow = duration_name(self.trend_fast_half_life), duration_name(self.trend_slow_half_life)
        trend = {"inputs": ("close", "high", "low"), "window": f"half-life {slow}"}
        others = {"inputs": ("close", "others_return")}
        kaufman = {"inputs": ("close",), "source": "Kaufman 1995, efficiency ratio"}
        lo_mackinlay = {"inputs": ("close",), "source": "Lo and MacKinlay 1988"}
        efficiency = "(c_T - c_{T-w}) / sum |r|, with its sign"
        theirs = "sum of the mean log return of the other symbols / (sd sqrt(w / 24h))"
        relative = "(own log return - that of the other symbols) / (sd sqrt(w / 24h))"
        ratio = f"mean squared {horizon} return / (bars in {horizon} * mean squared return)"
        stress = f"market_stress_{duration_name(self.stress_window)}"
        return (
            *self.odds("trend_efficiency", self.windows, efficiency, "-1 to 1", **kaufman),
            *self.evens(f"variance_ratio_{horizon}", self.windows, ratio, "ratio; above 1 it trends", **lo_mackinlay),
            *self.odds("others_return", self.windows, theirs, "standard deviations", **others),
            *self.odds("relative_return", self.windows, relative, "standard deviations", **others),
            self.odd(
                f"trend_strength_{fast}_{slow}",
                "(fast EWM - slow EWM of the log close) / atr_1d",
                "daily true ranges",
                **trend,
            ),
            self.odd(f"extension_{slow}", "(log close - its slow EWM) / atr_1d", "daily true ranges", **trend),
            self.even(
                stress,
                "mean absolute return of the other symbols now / usually",
                "ratio",
                inputs=("close", "others_return", "others_absolute_return"),
                window=self.stress_usual_window,
            ),
            self.odd(
                "others_breadth_24h",
                "share of the other symbols that rose over 24h - share that fell",
                "-1 to 1",
                inputs=("close", "others_breadth"),
                window=DAY,
                steps=True,
            ),
            self.even(
                "market_dispersion_24h",
                "standard deviation of the log returns over 24h of all symbols / own sd",
                "standard deviations",
                inputs=("close", "market_dispersion"),
                window=DAY,
            ),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        scalars = {
            _WARM: self.warm_up / self.bar_interval,
            _MASK: self.ring(*self._windows()) - 1,
            _WINDOWS: len(self.windows),
            _WEIGHT_FAST: decay_per_bar(self.trend_fast_half_life, self.bar_interval),
            _WEIGHT_SLOW: decay_per_bar(self.trend_slow_half_life, self.bar_interval),
            _RATIO_BARS: self.bars(self.variance_ratio_horizon),
            _STRESS_BARS: self.bars(self.stress_window),
            _STRESS_USUAL_BARS: self.bars(self.stress_usual_window),
        }
        lists = [x for w in self.windows for x in (self.bars(w), 1.0 / math.sqrt(w / DAY))]
        return np.array([scalars[i] for i in range(_LISTS)] + lists, dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        longest = self.longest(*self._windows())
        return _CLOSES + ring_size(longest) + totals_slots(_COLUMNS, longest)

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or five of the slower half-life."""
        half_life = max(self.trend_fast_half_life, self.trend_slow_half_life)
        windows = (*self._windows(), max(self.windows) + self.variance_ratio_horizon)
        return max(*windows, self.whole_bars(5 * half_life))

    def _windows(self) -> tuple[timedelta, ...]:
        return (*self.windows, self.variance_ratio_horizon, self.stress_window, self.stress_usual_window)
