"""Price and regime: moves in units of volatility, ranges, trend strength, and the extended-move trigger."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.features.family import Family, Feature, duration_name
from slackwater.market.inputs import CLOSE, HIGH, LOW, VOLUME
from slackwater.operators import (
    decay_per_bar,
    ewm_update,
    extreme_slots,
    extreme_update,
    ring_get,
    ring_put,
    totals_add,
    totals_known,
    totals_over,
    totals_push,
    totals_slots,
)

__all__ = ["PriceFamily"]

_DAY: Final = timedelta(days=1)

# positions of the constants
(
    _WARM,
    _SIZE,
    _RETURNS,
    _RANGES,
    _BARS_PER_DAY,
    _WEIGHT,
    _WEIGHT_FAST,
    _WEIGHT_SLOW,
    _ATR,
    _PER_HOUR,
    _DAY_BARS,
    _EVENT_WINDOW,
    _EVENT_THRESHOLD,
    _EVENT_FLOOR,
    _COOLDOWN,
    _VOL_FLOOR,
    _VOL_CAP,
    _LISTS,
) = range(18)

# positions of the state
_COUNT, _SEEN, _LAST_CLOSE, _EVENT_UP, _EVENT_DOWN, _VARIANCES = range(6)
_CLOSES: Final = _VARIANCES + 6
# columns of the running totals
_PATH, _TRUE_RANGE, _TRADED, _N_TOTALS = range(4)


@njit(cache=True)
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = int(state[_COUNT])
    state[_COUNT] = count + 1
    size = int(constants[_SIZE])
    n_returns = int(constants[_RETURNS])
    n_ranges = int(constants[_RANGES])
    per_day = constants[_BARS_PER_DAY]
    totals = _CLOSES + size
    first = state[_SEEN] == 0.0
    present = not math.isnan(row[CLOSE])

    x = np.nan if first else state[_LAST_CLOSE]
    high = np.nan
    low = np.nan
    square = np.nan
    if present:
        close = math.log(row[CLOSE])
        previous = close if first else x
        high = math.log(row[HIGH])
        low = math.log(row[LOW])
        if not first:
            square = (close - x) ** 2
        totals_add(state, totals, _PATH, abs(close - previous))
        totals_add(state, totals, _TRUE_RANGE, max(high, previous) - min(low, previous))
        if not math.isnan(row[VOLUME]):
            totals_add(state, totals, _TRADED, row[VOLUME])
        x = close
        state[_LAST_CLOSE] = x
        state[_SEEN] = 1.0
    ring_put(state, _CLOSES, size, count, x)
    totals_push(state, totals, _N_TOTALS, size, count, present)
    sd = math.sqrt(ewm_update(state, _VARIANCES, constants[_WEIGHT], square) * per_day)
    sd_fast = math.sqrt(ewm_update(state, _VARIANCES + 2, constants[_WEIGHT_FAST], square) * per_day)
    sd_slow = math.sqrt(ewm_update(state, _VARIANCES + 4, constants[_WEIGHT_SLOW], square) * per_day)

    # The deques see every row, so that a gap ages what they hold.
    at = totals + (_N_TOTALS + 1) * (size + 1)
    o = n_returns
    for j in range(n_ranges):
        window = int(constants[_LISTS + n_returns + j])
        deque = 2 + 2 * (window + 1)
        top = extreme_update(state, at, window, count, high, 1.0)
        bottom = extreme_update(state, at + deque, window, count, low, -1.0)
        at += 2 * deque
        known = totals_known(state, totals, _N_TOTALS, size, count, window)
        middle = 2.0 * (x - bottom) / (top - bottom) - 1.0 if top > bottom else 0.0
        out[o] = middle if known else np.nan
        out[o + 1] = top - x if known else np.nan
        out[o + 2] = x - bottom if known else np.nan
        o += 3

    if not present or count < constants[_WARM]:
        out[:] = np.nan
        return

    for j in range(n_returns):
        window = int(constants[_LISTS + j])
        known = totals_known(state, totals, _N_TOTALS, size, count, window) and sd > 0.0
        move = x - ring_get(state, _CLOSES, size, count, window)
        out[j] = move / (sd * math.sqrt(window / per_day)) if known else np.nan

    day = int(constants[_DAY_BARS])
    atr = int(constants[_ATR])
    hour = max(1, int(constants[_PER_HOUR]))
    day_known = totals_known(state, totals, _N_TOTALS, size, count, day)
    atr_known = totals_known(state, totals, _N_TOTALS, size, count, atr)
    path = totals_over(state, totals, _N_TOTALS, size, count, _PATH, day)
    day_volume = totals_over(state, totals, _N_TOTALS, size, count, _TRADED, day)
    hour_volume = totals_over(state, totals, _N_TOTALS, size, count, _TRADED, hour)
    true_range = totals_over(state, totals, _N_TOTALS, size, count, _TRUE_RANGE, atr) / atr
    day_move = x - ring_get(state, _CLOSES, size, count, day)
    out[o] = sd
    out[o + 1] = math.log(sd_fast / sd) if sd > 0.0 and sd_fast > 0.0 else np.nan
    out[o + 2] = math.log(sd / sd_slow) if sd > 0.0 and sd_slow > 0.0 else np.nan
    out[o + 3] = day_move / path if day_known and path > 0.0 else np.nan
    out[o + 4] = hour_volume / hour * day / day_volume if day_known and day_volume > 0.0 else np.nan
    out[o + 5] = true_range if atr_known else np.nan
    out[o + 6] = out[o + 5] * math.sqrt(constants[_PER_HOUR])
    out[o + 7] = day_volume if day_known else np.nan

    window = int(constants[_EVENT_WINDOW])
    move = x - ring_get(state, _CLOSES, size, count, window)
    scale = min(max(sd, constants[_VOL_FLOOR]), constants[_VOL_CAP]) * math.sqrt(window / per_day)
    event = 0.0 if day_known else np.nan
    if day_known and abs(move) >= max(constants[_EVENT_THRESHOLD] * scale, constants[_EVENT_FLOOR]):
        slot = _EVENT_UP if move > 0.0 else _EVENT_DOWN
        # The slot holds one more than the row of the last event, so that zero means none.
        if state[slot] == 0.0 or count - (state[slot] - 1.0) >= constants[_COOLDOWN]:
            event = 1.0 if move > 0.0 else -1.0
            state[slot] = count + 1.0
    out[o + 8] = event


@dataclass(frozen=True, kw_only=True)
class PriceFamily(Family):
    """Moves, ranges, volatility and trend of the price alone, and the extended-move trigger (METHOD E1).

    Parameters
    ----------
    return_windows, range_windows
        Windows of the moves and of the ranges.
    volatility_half_life, fast_half_life, slow_half_life
        Half-lives of the exponentially weighted variances.
    atr_window
        Window of the average true range.
    event_window, event_threshold, event_floor, event_cooldown
        An event fires when the move over `event_window` is at least `event_threshold` standard deviations and at
        least `event_floor` (log), and none fired in the same direction for `event_cooldown`.
    volatility_floor, volatility_cap
        Bounds of the daily volatility that scales the trigger.
    """

    return_windows: tuple[timedelta, ...]
    range_windows: tuple[timedelta, ...]
    volatility_half_life: timedelta
    fast_half_life: timedelta
    slow_half_life: timedelta
    atr_window: timedelta
    event_window: timedelta
    event_threshold: float
    event_floor: float
    event_cooldown: timedelta
    volatility_floor: float = 0.005
    volatility_cap: float = 0.25

    name: ClassVar[str] = "price"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.05

    def __post_init__(self) -> None:
        """Check the windows against the bar interval."""
        self.require_windows("return_windows", self.return_windows)
        self.require_windows("range_windows", self.range_windows)
        for name in ("atr_window", "event_window", "event_cooldown"):
            self.bars(getattr(self, name), name)
        if not self.event_threshold > 0.0:
            raise ParameterError(f"`price.event_threshold` must be positive, was {self.event_threshold}")
        if not 0.0 <= self.event_floor < 1.0:
            raise ParameterError(f"`price.event_floor` must be in [0, 1), was {self.event_floor}")

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        bars = ("close", "high", "low")
        out = [
            Feature(
                name=f"return_{duration_name(w)}",
                family=self.name,
                formula="(c_T - c_{T-w}) / (sd_T * sqrt(w / 24h)), log prices",
                unit="standard deviations",
                symmetry="odd",
                inputs=("close",),
            )
            for w in self.return_windows
        ]
        for w in self.range_windows:
            span = duration_name(w)
            high, low = f"distance_to_high_{span}", f"distance_to_low_{span}"
            out += [
                Feature(
                    name=f"range_position_{span}",
                    family=self.name,
                    formula="2 (c - low_w) / (high_w - low_w) - 1, this bar included",
                    unit="-1 at the low, 1 at the high",
                    symmetry="odd",
                    inputs=bars,
                ),
                Feature(
                    name=high,
                    family=self.name,
                    formula="log(high_w / c), this bar included",
                    unit="log",
                    symmetry="pair",
                    partner=low,
                    inputs=bars,
                ),
                Feature(
                    name=low,
                    family=self.name,
                    formula="log(c / low_w), this bar included",
                    unit="log",
                    symmetry="pair",
                    partner=high,
                    inputs=bars,
                ),
            ]

        def even(name: str, formula: str, unit: str, role: str = "model", inputs: tuple[str, ...] = bars) -> Feature:
            return Feature(
                name=name,
                family=self.name,
                formula=formula,
                unit=unit,
                symmetry="even",
                inputs=inputs,
                role=role,  # type: ignore[arg-type]
            )

        out += [
            even("volatility_daily", "sd_T = sqrt(EWM(r^2) * bars a day)", "log a square-root day"),
            even(f"volatility_ratio_{duration_name(self.fast_half_life)}", "log(sd_fast / sd_T)", "log"),
            even(f"volatility_ratio_{duration_name(self.slow_half_life)}", "log(sd_T / sd_slow)", "log"),
            Feature(
                name="trend_efficiency_24h",
                family=self.name,
                formula="(c_T - c_{T-24h}) / sum |r|, Kaufman's efficiency ratio with its sign",
                unit="-1 to 1",
                symmetry="odd",
                inputs=("close",),
            ),
            even("volume_ratio_1h", "mean volume a bar over 1h / over 24h", "ratio", inputs=("volume",)),
            even("atr_bar", "mean true range of a bar over the ATR window, log prices", "log", "context"),
            even("atr_1h", "atr_bar * sqrt(1h / bar interval)", "log"),
            even("volume_24h", "volume of the last 24h", "coin", "context", ("volume",)),
            Feature(
                name="event_direction",
                family=self.name,
                formula="1 or -1 where |c_T - c_{T-W}| reaches the threshold and no event of that direction is recent",
                unit="-1, 0 or 1",
                symmetry="odd",
                inputs=bars,
                role="event",
            ),
        ]
        return tuple(out)

    def constants(self) -> NDArray[np.float64]:
        """Return the numbers that the kernel reads."""
        interval = self.bar_interval
        scalars = {
            _WARM: self.warm_up / interval,
            _SIZE: self._ring_size(),
            _RETURNS: len(self.return_windows),
            _RANGES: len(self.range_windows),
            _BARS_PER_DAY: _DAY / interval,
            _WEIGHT: decay_per_bar(self.volatility_half_life, interval),
            _WEIGHT_FAST: decay_per_bar(self.fast_half_life, interval),
            _WEIGHT_SLOW: decay_per_bar(self.slow_half_life, interval),
            _ATR: self.bars(self.atr_window),
            _PER_HOUR: timedelta(hours=1) / interval,
            _DAY_BARS: self.bars(_DAY),
            _EVENT_WINDOW: self.bars(self.event_window),
            _EVENT_THRESHOLD: self.event_threshold,
            _EVENT_FLOOR: self.event_floor,
            _COOLDOWN: self.bars(self.event_cooldown),
            _VOL_FLOOR: self.volatility_floor,
            _VOL_CAP: self.volatility_cap,
        }
        windows = [self.bars(w) for w in (*self.return_windows, *self.range_windows)]
        return np.array([scalars[i] for i in range(_LISTS)] + windows, dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        deques = sum(2 * extreme_slots(self.bars(w)) for w in self.range_windows)
        return _CLOSES + self._ring_size() + totals_slots(_N_TOTALS, self._ring_size()) + deques

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or five of the longest half-life."""
        half_lives = (self.volatility_half_life, self.fast_half_life, self.slow_half_life)
        return max(*self._windows(), 5 * max(half_lives))

    def _windows(self) -> tuple[timedelta, ...]:
        return (*self.return_windows, *self.range_windows, self.atr_window, self.event_window, _DAY)

    def _ring_size(self) -> int:
        return max(self.bars(w) for w in self._windows()) + 1
