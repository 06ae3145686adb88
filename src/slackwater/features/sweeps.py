"""Sweeps: the levels that the price has pierced lately, how that ended, and the nearest levels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final

import numpy as np

from slackwater.durations import duration_name
from slackwater.errors import ParameterError
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import (
    ATR_HOUR,
    CONSUMED_ABOVE,
    CONSUMED_BELOW,
    LIQUIDATION_BURST_LONG,
    LIQUIDATION_BURST_SHORT,
    LOG_CLOSE,
    LOG_HIGH,
    LOG_LOW,
    POOL_ABOVE,
    POOL_BELOW,
    SWEEP_DIRECTION,
    TIME_HOURS,
)
from slackwater.features.parameters import SweepsParameters
from slackwater.liquidity.levels import (
    ACTIVE,
    GLIDE_ROW,
    GLIDED_RECENTLY,
    NEAREST,
    PIERCED,
    SIDE,
    SWEEP_BURST,
    SWEEP_DEPTH,
    SWEEP_EXTREME,
    SWEEP_MASS,
    SWEEP_REJECTION,
    SWEEP_ROW,
    SWEEP_SPEED,
    SWEPT_RECENTLY,
    day_update,
    levels_clear,
    levels_update,
    rest_update,
)
from slackwater.liquidity.sweeps import SweepRules, attempts_advance, attempts_start, burst_slots
from slackwater.market.inputs import CLOSE, OPEN_INTEREST, VOLUME
from slackwater.operators import (
    blocks_size,
    family_kernel,
    highs_push,
    highs_slots,
    kernel,
    operator,
    ring_put,
    ring_size,
    whole,
)
from slackwater.times import DAY, HOUR
from slackwater.types import Floats

__all__ = ["EVIDENCE", "SweepsFamily"]


# positions of the constants; the windows of the levels and the rules follow
(
    _WARM,
    _WINDOWS,
    _HIGHS_MASK,
    _BLOCKS_MASK,
    _VOLUMES_MASK,
    _EXCLUSION,
    _APPROACH,
    _RECLAIM,
    _RECENT,
    _MEMORY_HOURS,
    _BAR_HOURS,
    _PER_HOUR,
    _PER_DAY,
    _DAYS,
    _FARTHEST,
    _LISTS,
) = range(16)

# Positions of the state: what the row before left, and the two sides; their levels, their highs, the volumes and those
# of the hour follow.
_COUNT, _MEASURED, _LAST_CLOSE, _LAST_ATR, _LAST_INTEREST, _LAST_POOL_ABOVE, _LAST_POOL_BELOW, _ABOVE = range(8)
_BELOW: Final = _ABOVE + SIDE
_LEVELS: Final = _BELOW + SIDE

_SMALLEST_ATR: Final = 1e-9
"""Log range of an hour below which the price counts as unchanged."""


EVIDENCE: Final[dict[str, Any]] = {
    "inputs": ("close", "high", "low"),
    "refined_by": (
        "volume",
        "taker_buy_volume",
        "open_interest",
        "liquidated_long",
        "liquidated_short",
        "liquidated_long_estimate",
        "liquidated_short_estimate",
    ),
    "source": "slackwater.liquidity.sweeps",
}
"""What a sweep is judged by."""


@kernel
def _start(state, constants, at, levels, opposite, sign, count, high, low):  # type: ignore[no-untyped-def]
    """Open attempts at the levels of the side `at` that a signed high has pierced; `opposite` are the other highs."""
    mask = whole(constants[_HIGHS_MASK])
    # The lowest low on the way to the level, the piercing bar included.
    approach = low
    for lag in range(1, min(whole(constants[_APPROACH]), count) + 1):
        # The lows of a side are the negated highs of the other one.
        approach = min(approach, -state[opposite + ((count - lag) & mask)])
    n = whole(constants[_WINDOWS])
    attempts_start(
        state,
        at,
        constants,
        _LISTS + n,
        levels,
        n + 2,
        count,
        sign * state[_LAST_CLOSE],
        high,
        state[_LAST_ATR],
        approach,
        state[_LAST_INTEREST],
    )


@kernel
def _hour(constants, volumes, time):  # type: ignore[no-untyped-def]
    """Return the arguments of `same_hour_burst` for the hour of a bar closing at `time`."""
    per_hour = whole(constants[_PER_HOUR])
    # A bar belongs to the hour before its close; the close is a multiple of the bar up to rounding.
    number = int(math.ceil(time - 1e-6)) - 1
    position = min(max(int((time - number) * per_hour + 0.5) - 1, 0), per_hour - 1)
    mask = whole(constants[_VOLUMES_MASK])
    per_day = whole(constants[_PER_DAY])
    return volumes + mask + 1, volumes, mask, number, position, per_hour, per_day, whole(constants[_DAYS])


@operator
def _describe(state, constants, at, count, close, atr, out, o):  # type: ignore[no-untyped-def]
    """Write the outputs of a side, from `o` on in steps of two."""
    memory = constants[_MEMORY_HOURS]
    sweep = state[at + SWEEP_ROW]
    glide = state[at + GLIDE_ROW]
    out[o] = min((count + 1 - sweep) * constants[_BAR_HOURS], memory) if sweep > 0.0 else memory
    out[o + 2] = min((count + 1 - glide) * constants[_BAR_HOURS], memory) if glide > 0.0 else memory
    out[o + 4] = state[at + SWEPT_RECENTLY]
    out[o + 6] = state[at + GLIDED_RECENTLY]
    if state[at + SWEPT_RECENTLY] > 0.0:
        out[o + 8] = state[at + SWEEP_DEPTH]
        out[o + 10] = state[at + SWEEP_SPEED]
        out[o + 12] = state[at + SWEEP_BURST]
        out[o + 14] = state[at + SWEEP_REJECTION]
        out[o + 16] = state[at + SWEEP_MASS]
        out[o + 22] = state[at + SWEEP_EXTREME] - close
    else:
        out[o + 8] = 0.0
        out[o + 10] = 0.0
        out[o + 12] = 0.0
        out[o + 14] = 0.0
        out[o + 16] = 0.0
        out[o + 22] = np.nan
    out[o + 18] = state[at + PIERCED]
    out[o + 20] = min((state[at + NEAREST] - close) / atr, constants[_FARTHEST])


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    n = whole(constants[_WINDOWS])
    mask = whole(constants[_HIGHS_MASK])
    blocks_mask = whole(constants[_BLOCKS_MASK])
    levels_above = _LEVELS
    levels_below = _LEVELS + n + 2
    highs = levels_below + n + 2
    lows = highs + mask + blocks_mask + 2
    volumes = lows + mask + blocks_mask + 2
    if count == 0:
        levels_clear(state, levels_above, n)
        levels_clear(state, levels_below, n)
    close = row[LOG_CLOSE]
    high = row[LOG_HIGH]
    low = row[LOG_LOW]
    interest = row[OPEN_INTEREST]
    volume = row[VOLUME]
    if not 0.0 <= volume < np.inf:
        volume = np.nan
    present = not math.isnan(row[CLOSE]) and -np.inf < low <= close <= high < np.inf
    direction = 0.0

    # 1. Hold the row against the levels that the row before left.
    recent = whole(constants[_RECENT])
    rest_update(state, _ABOVE, count, recent)
    rest_update(state, _BELOW, count, recent)
    if present and state[_LAST_ATR] > 0.0:
        if high > state[_ABOVE + NEAREST]:
            _start(state, constants, _ABOVE, levels_above, lows, 1.0, count, high, low)
        if -low > state[_BELOW + NEAREST]:
            _start(state, constants, _BELOW, levels_below, highs, -1.0, count, -low, -high)
    if state[_ABOVE + ACTIVE] + state[_BELOW + ACTIVE] > 0.0:
        rules = _LISTS + n
        window = whole(constants[_RECLAIM])
        hour = _hour(constants, volumes, row[TIME_HOURS])
        if state[_ABOVE + ACTIVE] > 0.0:
            # Above wait the stops and the liquidations of shorts.
            evidence = (volume, row[LIQUIDATION_BURST_SHORT], interest, row[CONSUMED_ABOVE])
            bar = (high, low, close)
            if attempts_advance(state, _ABOVE, constants, rules, count, present, bar, evidence, hour, window):
                direction += 1.0
        if state[_BELOW + ACTIVE] > 0.0:
            evidence = (volume, row[LIQUIDATION_BURST_LONG], interest, row[CONSUMED_BELOW])
            bar = (-low, -high, -close)
            if attempts_advance(state, _BELOW, constants, rules, count, present, bar, evidence, hour, window):
                direction -= 1.0

    # 2. Update the levels for the next row.
    atr = np.nan
    if present:
        if _SMALLEST_ATR < row[ATR_HOUR] < np.inf:
            atr = row[ATR_HOUR]
        state[_LAST_CLOSE] = close
        state[_LAST_ATR] = atr if atr > 0.0 else 0.0
        state[_LAST_POOL_ABOVE] = row[POOL_ABOVE]
        state[_LAST_POOL_BELOW] = row[POOL_BELOW]
    else:
        close = state[_LAST_CLOSE]
        high = -np.inf
        low = np.inf
        volume = np.nan
    state[_LAST_INTEREST] = interest
    ring_put(state, volumes, whole(constants[_VOLUMES_MASK]), count, volume)
    highs_push(state, highs, mask, blocks_mask, count, high)
    highs_push(state, lows, mask, blocks_mask, count, -low)
    # The bar that closes at midnight is the last one of its day.
    days = (row[TIME_HOURS] + 1e-6) / 24.0
    over = (days - math.floor(days)) * 24.0 < constants[_BAR_HOURS]
    day_update(state, _ABOVE, count, high, over)
    day_update(state, _BELOW, count, -low, over)
    young = whole(constants[_EXCLUSION])
    pool = state[_LAST_POOL_ABOVE]
    levels_update(
        state, _ABOVE, levels_above, highs, mask, blocks_mask, constants, _LISTS, n, count, young, close, pool
    )
    pool = state[_LAST_POOL_BELOW]
    levels_update(
        state, _BELOW, levels_below, lows, mask, blocks_mask, constants, _LISTS, n, count, young, -close, -pool
    )

    # 3. Write the outputs.
    # Nothing could be judged before the range was known, so the warm-up begins there: the slot holds that row plus one.
    if state[_MEASURED] == 0.0 and not math.isnan(atr):
        state[_MEASURED] = count + 1.0
    if math.isnan(atr) or count - (state[_MEASURED] - 1.0) < constants[_WARM]:
        out[:] = np.nan
        return
    row[SWEEP_DIRECTION] = direction
    out[0] = direction
    _describe(state, constants, _BELOW, count, -close, atr, out, 1)
    _describe(state, constants, _ABOVE, count, close, atr, out, 2)


@dataclass(frozen=True, kw_only=True)
class SweepsFamily(Family, SweepsParameters):
    """Levels above and below that the price has pierced, how that ended, and the distance to the nearest ones.

    Parameters beside those of `SweepsParameters`
    ---------------------------------------------
    farthest
        Largest distance to a level that is reported, in ATR of an hour, also where there is none.
    rules
        Thresholds of the state machine.

    Notes
    -----
    Without the families that measure pools, consumed mass, liquidations and open interest, swings and the extremes of
    yesterday remain. A row without a bar pierces nothing; all durations go on.
    """

    farthest: float = 50.0
    rules: SweepRules = field(default_factory=SweepRules)

    name: ClassVar[str] = "sweeps"
    advance = staticmethod(_advance)

    def _check_together(self) -> None:
        super()._check_together()
        for name in ("level_exclusion", "approach", "reclaim_window"):
            self._at_least_a_bar(name)
        self.bars(DAY, "day")
        if not 0.0 < self.farthest < math.inf:
            raise ParameterError(f"`{self.name}.farthest` must be a positive number, was {self.farthest}")

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        recent, memory = duration_name(self.recent), duration_name(self.memory)
        at_most = f"at most {memory}"
        last = f"of the last sweep {{side}} within {recent}, 0 if there is none"
        travelled = "(extreme - opposite extreme of approach and attempt) / ATR of an hour"
        burst = f"largest z-score of volume against the same hour of {duration_name(self.burst_window)} {last}"
        under_way = (
            "distance from the level to the {extreme} of the deepest attempt under way {side}, 0 if there is none"
        )
        nearest = f"distance from the close to the nearest level {{side}}, at most {self.farthest:g}, also if none"
        consumed = f"estimated mass that the attempt consumed / OI {last}"
        extreme = f"log({{ratio}}) {last.replace('0 if', 'unknown if')}"
        atr, mass = "ATR of an hour", "slackwater.liquidity.sweeps, slackwater.liquidity.density"
        direction = "1 if this bar reclaimed a level above that it swept, -1 one below; 0 if none, or both"
        reclaim, longest = duration_name(self.reclaim_window), duration_name(max(self.level_windows))
        return (
            self.odd("sweep_direction", direction, "-1, 0 or 1", role="context", steps=True, **EVIDENCE),
            *self._sides("sweep_age", f"hours since the last sweep {{side}}, {at_most}", "hours", memory),
            *self._sides("glide_age", f"hours since the last glide-through {{side}}, {at_most}", "hours", memory),
            *self._sides("sweep_count", "levels {side} that were swept", "levels", recent, f"_{recent}"),
            *self._sides("glide_count", "levels {side} that the price glided through", "levels", recent, f"_{recent}"),
            *self._sides("swept_depth", f"distance from the level to the {{extreme}} {last}", atr, recent),
            *self._sides("swept_speed", f"{travelled} {last}", atr, recent),
            *self._sides("swept_burst", burst, "robust standard deviations", recent),
            *self._sides("swept_rejection", f"share of the range given back by the reclaim {last}", "0 to 1", recent),
            *self._sides("swept_mass", consumed, "fraction of OI", recent, source=mass),
            *self._sides("pierced_depth", under_way, atr, reclaim),
            *self._sides("level_distance", nearest, atr, longest),
            *self._sides("swept_extreme_distance", extreme, "log", recent, role="context"),
        )

    def _sides(
        self, quantity: str, formula: str, unit: str, window: str, tail: str = "", **more: Any
    ) -> tuple[Feature, Feature]:
        """Return one quantity below and above the price."""
        below = formula.format(side="below", extreme="low", ratio="close / min low")
        above = formula.format(side="above", extreme="high", ratio="max high / close")
        names = f"{quantity}_below{tail}", f"{quantity}_above{tail}"
        return self.pair(names, (below, above), unit, window=window, steps=True, **(EVIDENCE | more))

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        interval = self.bar_interval
        windows = sorted(self.bars(w) for w in self.level_windows)
        scalars = {
            _WARM: self.warm_up / interval,
            _WINDOWS: len(windows),
            _HIGHS_MASK: ring_size(self._looked_back()) - 1,
            _BLOCKS_MASK: blocks_size(self._looked_back()) - 1,
            _VOLUMES_MASK: self._volumes() - 1,
            _EXCLUSION: self._at_least_a_bar("level_exclusion"),
            _APPROACH: self._at_least_a_bar("approach"),
            _RECLAIM: self._at_least_a_bar("reclaim_window"),
            _RECENT: self.bars(self.recent),
            _MEMORY_HOURS: self.memory / HOUR,
            _BAR_HOURS: interval / HOUR,
            _PER_HOUR: self._per_hour(),
            _PER_DAY: self.bars(DAY),
            _DAYS: self.burst_window // DAY,
            _FARTHEST: self.farthest,
        }
        return np.array([*(scalars[i] for i in range(_LISTS)), *windows, *self.rules.thresholds()], dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        burst = burst_slots(self.burst_window // DAY, self._per_hour())
        sides = len(self.level_windows) + 2 + highs_slots(self._looked_back())
        return _LEVELS + 2 * sides + self._volumes() + burst

    @property
    def warm_up(self) -> timedelta:
        """The longest window of levels, burst and range, then the memory, then the rest of a level."""
        needed = max(max(self.level_windows) + self.level_exclusion, self.burst_window + HOUR)
        return self.whole_bars(needed + self.memory + self.recent)

    def _at_least_a_bar(self, name: str) -> int:
        window: timedelta = getattr(self, name)
        if timedelta(0) < window <= self.bar_interval:
            return 1
        return self.bars(window, name)

    def _per_hour(self) -> int:
        # Bars that do not divide an hour are compared with those at the same time of day.
        return HOUR // self.bar_interval if not HOUR % self.bar_interval else 1

    def _looked_back(self) -> int:
        before = max(self._at_least_a_bar("level_exclusion"), self._at_least_a_bar("approach"))
        return self.longest(*self.level_windows) + before

    def _volumes(self) -> int:
        return ring_size(self.bars(self.burst_window) + self._per_hour())
