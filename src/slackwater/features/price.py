"""Price: moves in units of volatility, ranges and their age, and volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import LOG_CLOSE, LOG_HIGH, LOG_LOW, VOLATILITY
from slackwater.features.parameters import PriceParameters
from slackwater.market.inputs import CLOSE, VOLUME
from slackwater.operators import (
    COVERAGE,
    blocks_size,
    family_kernel,
    highs_age,
    highs_push,
    highs_slots,
    highs_top,
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
from slackwater.times import DAY, HOUR
from slackwater.types import Floats

__all__ = ["PriceFamily"]


# positions of the constants; (bars, 1 / sqrt(days)) of the returns and the bars of the ranges follow
(
    _WARM,
    _MASK,
    _BLOCKS_MASK,
    _RETURNS,
    _RANGES,
    _DAY_BARS,
    _HOUR_BARS,
    _LISTS,
) = range(8)

# positions of the state
_COUNT, _CLOSES = range(2)
# columns of the running totals
_TRADED, _TRADED_ROWS, _COLUMNS = range(3)


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    n_returns = whole(constants[_RETURNS])
    n_ranges = whole(constants[_RANGES])
    totals = _CLOSES + mask + 1
    present = not math.isnan(row[CLOSE])
    x = row[LOG_CLOSE]
    if present and not math.isnan(row[VOLUME]):
        totals_add(state, totals, _TRADED, row[VOLUME])
        totals_add(state, totals, _TRADED_ROWS, 1.0)
    ring_put(state, _CLOSES, mask, count, x)
    totals_push(state, totals, _COLUMNS, mask, count, present)
    warm = present and count >= constants[_WARM]

    # Every row counts, so that a gap ages the extremes. Lows are the highs of the mirrored market.
    highs = totals + (_COLUMNS + 1) * (mask + 2)
    blocks_mask = whole(constants[_BLOCKS_MASK])
    lows = highs + mask + blocks_mask + 2
    tops = lows + mask + blocks_mask + 2
    highs_push(state, highs, mask, blocks_mask, count, row[LOG_HIGH])
    highs_push(state, lows, mask, blocks_mask, count, -row[LOG_LOW])
    o = n_returns
    for j in range(n_ranges):
        window = whole(constants[_LISTS + 2 * n_returns + j])
        high_at = tops + 4 * j
        low_at = high_at + 2
        top = highs_top(state, highs, mask, blocks_mask, window, count, high_at)
        bottom = -highs_top(state, lows, mask, blocks_mask, window, count, low_at)
        if warm and totals_cover(state, totals, totals_before(totals, _COLUMNS, mask, count, window), window):
            position = 2.0 * (x - bottom) / (top - bottom) - 1.0
            high_age = highs_age(state, count, high_at) / window
            low_age = highs_age(state, count, low_at) / window
            out[o] = position if top > bottom else 0.0
            out[o + 1] = top - x
            out[o + 2] = x - bottom
            out[o + 3] = high_age
            out[o + 4] = low_age
        else:
            out[o : o + 5] = np.nan
        o += 5
    if not warm:
        out[:] = np.nan
        return

    per_volatility = 1.0 / row[VOLATILITY]
    for j in range(n_returns):
        window = whole(constants[_LISTS + 2 * j])
        move = x - ring_get(state, _CLOSES, mask, count, window)
        known = totals_cover(state, totals, totals_before(totals, _COLUMNS, mask, count, window), window)
        out[j] = move * constants[_LISTS + 2 * j + 1] * per_volatility if known else np.nan

    day = whole(constants[_DAY_BARS])
    hour = whole(constants[_HOUR_BARS])
    before = totals_before(totals, _COLUMNS, mask, count, day)
    day_known = totals_cover(state, totals, before, day)
    day_volume = totals_since(state, totals, before, _TRADED)
    volume_known = day_known and totals_since(state, totals, before, _TRADED_ROWS) >= COVERAGE * day
    hour_volume = totals_since(state, totals, totals_before(totals, _COLUMNS, mask, count, hour), _TRADED)
    out[o] = hour_volume / hour * day / day_volume if volume_known and day_volume > 0.0 else np.nan
    out[o + 1] = day_volume if volume_known else np.nan


@dataclass(frozen=True, kw_only=True)
class PriceFamily(Family, PriceParameters):
    """Moves and ranges of the price, and its volume."""

    name: ClassVar[str] = "price"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.05

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        returns = {"inputs": ("close",), "source": "López de Prado 2018, ch. 3, scaling by volatility"}
        volume = {"inputs": ("close", "volume"), "window": DAY}
        move = "log(c_T / c_{T-w}) / (sd sqrt(w / 24h))"
        return (
            *self.odds("return", self.return_windows, move, "standard deviations", **returns),
            *(feature for w in self.range_windows for feature in self._range(w)),
            self.even("volume_ratio_1h", "mean volume per bar over 1h / over 24h", "ratio", **volume),
            self.even("volume_24h", "volume of the last 24h", "coin", role="context", **volume),
        )

    def _range(self, window: timedelta) -> tuple[Feature, ...]:
        span = duration_name(window)
        bars = {"inputs": ("close", "high", "low"), "window": span}
        age = "bars since it was made / bars of the window"
        return (
            self.odd(f"range_position_{span}", "2 (c - low_w) / (high_w - low_w) - 1, log prices", "-1 to 1", **bars),
            *self.pair(
                (f"distance_to_high_{span}", f"distance_to_low_{span}"),
                ("log(high_w / c), this bar included", "log(c / low_w), this bar included"),
                "log",
                **bars,
            ),
            *self.pair(
                (f"range_age_high_{span}", f"range_age_low_{span}"),
                (f"high_w: {age}", f"low_w: {age}"),
                "0 to 1",
                steps=True,
                **bars,
            ),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        scalars = {
            _WARM: self.warm_up / self.bar_interval,
            _MASK: self.ring(*self._windows()) - 1,
            _BLOCKS_MASK: blocks_size(self.longest(*self._windows())) - 1,
            _RETURNS: len(self.return_windows),
            _RANGES: len(self.range_windows),
            _DAY_BARS: self.bars(DAY),
            _HOUR_BARS: max(1, HOUR // self.bar_interval),
        }
        returns = [x for w in self.return_windows for x in (self.bars(w), 1.0 / math.sqrt(w / DAY))]
        ranges = [self.bars(w) for w in self.range_windows]
        return np.array([scalars[i] for i in range(_LISTS)] + returns + ranges, dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        longest = self.longest(*self._windows())
        extremes = 2 * highs_slots(longest) + 4 * len(self.range_windows)
        return _CLOSES + ring_size(longest) + totals_slots(_COLUMNS, longest) + extremes

    @property
    def warm_up(self) -> timedelta:
        """The longest window."""
        return max(self._windows())

    def _windows(self) -> tuple[timedelta, ...]:
        return (*self.return_windows, *self.range_windows, DAY)
