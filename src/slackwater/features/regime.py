"""Regime: whether the price trends or turns, how far it has run, and what all others do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.features.family import Family, Feature, duration_name
from slackwater.features.intermediates import ATR_DAY, LOG_CLOSE, RETURN, VOLATILITY
from slackwater.market.inputs import CLOSE, OTHERS_ABSOLUTE_RETURN, OTHERS_RETURN
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

__all__ = ["RegimeFamily"]

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

# positions of the constants; (bars, 1 / sqrt(days)) of the windows follow
(
    _WARM,
    _MASK,
    _WINDOWS,
    _WEIGHT_FAST,
    _WEIGHT_SLOW,
    _RATIO_BARS,
    _STRESS_BARS,
    _STRESS_USUAL_BARS,
    _LISTS,
) = range(9)
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


@dataclass(frozen=True, kw_only=True)
class RegimeFamily(Family):
    """Trend strength, efficiency and variance ratio, extension, and stress across symbols.

    Parameters
    ----------
    windows
        Windows of the efficiency ratio, the variance ratio and the moves of the other symbols.
    trend_fast_half_life, trend_slow_half_life
        Half-lives of the two averages of the log price whose distance is the trend strength.
    variance_ratio_horizon
        The longer return of the variance ratio; at least two bars.
    stress_window, stress_usual_window
        Recent and usual activity of the other symbols.
    """

    windows: tuple[timedelta, ...] = (24 * _HOUR, 72 * _HOUR)
    trend_fast_half_life: timedelta = 6 * _HOUR
    trend_slow_half_life: timedelta = 48 * _HOUR
    variance_ratio_horizon: timedelta = 2 * _HOUR
    stress_window: timedelta = 1 * _HOUR
    stress_usual_window: timedelta = 7 * _DAY

    name: ClassVar[str] = "regime"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        """Check the windows against the bar interval."""
        self.require_windows("windows", self.windows)
        for name in ("stress_window", "stress_usual_window"):
            self.bars(getattr(self, name), name)
        if self.bars(self.variance_ratio_horizon, "variance_ratio_horizon") < 2:
            raise ParameterError(
                f"`regime.variance_ratio_horizon` must be at least two bars of {self.bar_interval}, "
                f"was {self.variance_ratio_horizon}"
            )

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        horizon = duration_name(self.variance_ratio_horizon)
        fast, slow = duration_name(self.trend_fast_half_life), duration_name(self.trend_slow_half_life)
        bars = ("close", "high", "low")

        def over(
            quantity: str, formula: str, unit: str, symmetry: str, source: str, *inputs: str
        ) -> tuple[Feature, ...]:
            return tuple(
                Feature(
                    name=f"{quantity}_{duration_name(w)}",
                    family=self.name,
                    formula=formula,
                    unit=unit,
                    symmetry=symmetry,  # type: ignore[arg-type]
                    inputs=inputs,
                    window=duration_name(w),
                    source=source,
                )
                for w in self.windows
            )

        def odd(name: str, formula: str) -> Feature:
            return Feature(
                name=name,
                family=self.name,
                formula=formula,
                unit="daily true ranges",
                symmetry="odd",
                inputs=bars,
                window=f"half-life {slow}",
            )

        deviations = "standard deviations"
        return (
            *over(
                "trend_efficiency",
                "(c_T - c_{T-w}) / sum |r|, with its sign",
                "-1 to 1",
                "odd",
                "Kaufman 1995, efficiency ratio",
                "close",
            ),
            *over(
                f"variance_ratio_{horizon}",
                f"mean squared {horizon} return / (bars in {horizon} * mean squared return)",
                "ratio; above 1 it trends",
                "even",
                "Lo and MacKinlay 1988",
                "close",
            ),
            *over(
                "others_return",
                "sum of the mean log return of the other symbols / (sd sqrt(w / 24h))",
                deviations,
                "odd",
                "",
                "close",
                "others_return",
            ),
            *over(
                "relative_return",
                "(own log return - that of the other symbols) / (sd sqrt(w / 24h))",
                deviations,
                "odd",
                "",
                "close",
                "others_return",
            ),
            odd(f"trend_strength_{fast}_{slow}", "(fast EWM - slow EWM of the log close) / atr_1d"),
            odd(f"extension_{slow}", "(log close - its slow EWM) / atr_1d"),
            Feature(
                name=f"market_stress_{duration_name(self.stress_window)}",
                family=self.name,
                formula="mean absolute return of the other symbols now / usually",
                unit="ratio",
                symmetry="even",
                inputs=("close", "others_return", "others_absolute_return"),
                window=duration_name(self.stress_usual_window),
            ),
        )

    def constants(self) -> NDArray[np.float64]:
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
        lists = [x for w in self.windows for x in (self.bars(w), 1.0 / math.sqrt(w / _DAY))]
        return np.array([scalars[i] for i in range(_LISTS)] + lists, dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        longest = max(self.bars(w) for w in self._windows())
        return _CLOSES + ring_size(longest) + totals_slots(_COLUMNS, longest)

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or five of the slower half-life."""
        half_life = max(self.trend_fast_half_life, self.trend_slow_half_life)
        windows = (*self._windows(), max(self.windows) + self.variance_ratio_horizon)
        return max(*windows, -(-5 * half_life // self.bar_interval) * self.bar_interval)

    def _windows(self) -> tuple[timedelta, ...]:
        return (
            *self.windows,
            self.variance_ratio_horizon,
            self.stress_window,
            self.stress_usual_window,
        )
