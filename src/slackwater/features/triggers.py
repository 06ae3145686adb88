"""Triggers: the bars at which a prediction is made or learned from, each with a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from slackwater.durations import duration_text
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import (
    FUNDING_ACCELERATION_Z,
    LIQUIDATION_BURST_LONG,
    LIQUIDATION_BURST_SHORT,
    LOG_CLOSE,
    OPEN_INTEREST_CHANGE_Z,
    RETURN,
    SWEEP_DIRECTION,
    VOLATILITY,
)
from slackwater.features.parameters import TriggersParameters
from slackwater.features.sweeps import EVIDENCE
from slackwater.market.inputs import CLOSE, OPEN_INTEREST
from slackwater.operators import (
    family_kernel,
    kernel,
    ring_get,
    ring_put,
    ring_size,
    totals_before,
    totals_cover,
    totals_push,
    totals_slots,
    whole,
)
from slackwater.times import DAY
from slackwater.types import Floats

__all__ = ["TriggersFamily"]

# Positions of the outputs, and of their cool-downs among the constants.
_EXTENDED, _CUSUM, _SWEEP, _CROWDING, _CASCADE, _SAMPLED, _TRIGGERS = range(7)

# positions of the constants; the cool-downs in bars follow
(
    _WARM,
    _MASK,
    _DAY_BARS,
    _VOL_FLOOR,
    _VOL_CAP,
    _MOVE_BARS,
    _MOVE_SCALE,
    _EXTENDED_THRESHOLD,
    _EXTENDED_FLOOR,
    _SAMPLED_THRESHOLD,
    _CUSUM_THRESHOLD,
    _CUSUM_FLOOR,
    _CROWDING_ACCELERATION,
    _CROWDING_GROWTH,
    _CASCADE_BARS,
    _CASCADE_SCALE,
    _CASCADE_THRESHOLD,
    _CASCADE_BURST,
    _CASCADE_DROP,
    _COOLDOWNS,
) = range(20)

# Positions of the state: the rows, plus one, of the last bursts; for each side of the CUSUM filter its sum in standard
# deviations and in log price; the rows, plus one, at which each trigger fired last, up and down. Rings follow.
_COUNT, _BURST_LONG, _BURST_SHORT, _SUM_UP, _MOVE_UP, _SUM_DOWN, _MOVE_DOWN, _FIRED = range(8)
_CLOSES = _FIRED + 2 * _TRIGGERS


@kernel
def _fire(state, constants, trigger, count, direction):  # type: ignore[no-untyped-def]
    """Return the direction in which the condition of a trigger holds, 0 where it fired so within its cool-down."""
    if not abs(direction) > 0.0:
        return direction
    slot = _FIRED + 2 * trigger + (0 if direction > 0.0 else 1)
    # The slot holds one more than the row of the last time, so that zero means none.
    if state[slot] > 0.0 and count - (state[slot] - 1.0) < constants[_COOLDOWNS + trigger]:
        return 0.0
    state[slot] = count + 1.0
    return direction


@kernel
def _filtered(state, constants, step, volatility):  # type: ignore[no-untyped-def]
    """Advance both sides of the CUSUM filter by a return; return the direction of the one that is full, and empty both.

    At most one is: a return fills one side only, and the other one was not full before.
    """
    state[_SUM_UP] += step / volatility
    state[_MOVE_UP] += step
    state[_SUM_DOWN] -= step / volatility
    state[_MOVE_DOWN] -= step
    if state[_SUM_UP] <= 0.0:
        state[_SUM_UP] = 0.0
        state[_MOVE_UP] = 0.0
    if state[_SUM_DOWN] <= 0.0:
        state[_SUM_DOWN] = 0.0
        state[_MOVE_DOWN] = 0.0
    full, floor = constants[_CUSUM_THRESHOLD], constants[_CUSUM_FLOOR]
    direction = 0.0
    if state[_SUM_UP] >= full and state[_MOVE_UP] >= floor:
        direction = 1.0
    elif state[_SUM_DOWN] >= full and state[_MOVE_DOWN] >= floor:
        direction = -1.0
    if direction != 0.0:
        state[_SUM_UP:_FIRED] = 0.0
    return direction


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    # 1. Remember the row.
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    interests = _CLOSES + mask + 1
    known_rows = interests + mask + 1
    present = not math.isnan(row[CLOSE])
    x = row[LOG_CLOSE]
    interest = math.log(row[OPEN_INTEREST]) if row[OPEN_INTEREST] > 0.0 else np.nan
    ring_put(state, _CLOSES, mask, count, x)
    ring_put(state, interests, mask, count, interest)
    totals_push(state, known_rows, 0, mask, count, present)
    if row[LIQUIDATION_BURST_LONG] >= constants[_CASCADE_BURST]:
        state[_BURST_LONG] = count + 1
    if row[LIQUIDATION_BURST_SHORT] >= constants[_CASCADE_BURST]:
        state[_BURST_SHORT] = count + 1
    out[:] = np.nan
    if not present:
        return

    # 2. What other families found.
    out[_SWEEP] = _fire(state, constants, _SWEEP, count, row[SWEEP_DIRECTION])
    acceleration = row[FUNDING_ACCELERATION_Z]
    growth = row[OPEN_INTEREST_CHANGE_Z]
    if not math.isnan(acceleration) and not math.isnan(growth):
        alarm = 0.0
        if abs(acceleration) > constants[_CROWDING_ACCELERATION] and growth > constants[_CROWDING_GROWTH]:
            alarm = 1.0 if acceleration > 0.0 else -1.0
        out[_CROWDING] = _fire(state, constants, _CROWDING, count, alarm)

    # 3. Moves in units of volatility.
    day = whole(constants[_DAY_BARS])
    day_known = totals_cover(state, known_rows, totals_before(known_rows, 0, mask, count, day), day)
    if not (day_known and count >= constants[_WARM] and row[VOLATILITY] > 0.0):
        return
    volatility = min(max(row[VOLATILITY], constants[_VOL_FLOOR]), constants[_VOL_CAP])
    move = x - ring_get(state, _CLOSES, mask, count, whole(constants[_MOVE_BARS]))
    side = 1.0 if move > 0.0 else -1.0
    unit = volatility * constants[_MOVE_SCALE]
    extended = abs(move) >= constants[_EXTENDED_FLOOR] and abs(move) >= constants[_EXTENDED_THRESHOLD] * unit
    sampled = abs(move) >= constants[_SAMPLED_THRESHOLD] * unit
    out[_EXTENDED] = _fire(state, constants, _EXTENDED, count, side if extended else 0.0)
    out[_SAMPLED] = _fire(state, constants, _SAMPLED, count, side if sampled else 0.0)
    full = _filtered(state, constants, row[RETURN], volatility) if not math.isnan(row[RETURN]) else 0.0
    out[_CUSUM] = _fire(state, constants, _CUSUM, count, full)

    # 4. A fast move beside forced exits of the side that it hits; either table of them will do.
    bars = whole(constants[_CASCADE_BARS])
    move = x - ring_get(state, _CLOSES, mask, count, bars)
    fall = ring_get(state, interests, mask, count, bars) - interest
    liquidations_known = not math.isnan(row[LIQUIDATION_BURST_LONG] + row[LIQUIDATION_BURST_SHORT])
    if liquidations_known or not math.isnan(fall):
        last = state[_BURST_LONG] if move < 0.0 else state[_BURST_SHORT]
        forced = fall >= constants[_CASCADE_DROP] or (last > 0.0 and count + 1 - last < bars)
        fast = abs(move) >= constants[_CASCADE_THRESHOLD] * volatility * constants[_CASCADE_SCALE]
        side = 1.0 if move > 0.0 else -1.0
        out[_CASCADE] = _fire(state, constants, _CASCADE, count, side if fast and forced else 0.0)


@dataclass(frozen=True, kw_only=True)
class TriggersFamily(Family, TriggersParameters):
    """Bars at which a prediction is made, or learned from (method, section 1.1): 1, -1, 0, or NaN where unknown.

    Parameters beside those of `TriggersParameters`
    -----------------------------------------------
    volatility_floor, volatility_cap
        Bounds of the daily volatility that scales the moves.

    Notes
    -----
    Without the families of sweeps, funding and open interest, `sweep_confirmation` and `crowding_alarm` are unknown;
    without that of liquidations `cascade` reads the open interest alone.
    """

    volatility_floor: float = 0.005
    volatility_cap: float = 0.25

    name: ClassVar[str] = "triggers"
    advance = staticmethod(_advance)

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        moved = "sign of c_T - c_{T-w} where it is at least"
        summed = f"sum of r / sd since it was last zero reaches {self.cusum_threshold:g}, and that of r"
        crowded = f"|funding_acceleration_z| > {self.crowding_acceleration:g}"
        grown = f"open_interest_change_z_24h > {self.crowding_growth:g}"
        forced = f"OI fell by {self.cascade_drop:g} (log) over w, or the side hit had a liquidation_burst"
        swept = {"inputs": EVIDENCE["inputs"], "refined_by": EVIDENCE["refined_by"]}
        funding = ("funding_rate", "funding_interval_hours", "funding_time_hours")
        exits = {
            "refined_by": ("open_interest", "liquidated_long", "liquidated_short", "volume"),
            "one_of": ("open_interest", "liquidated_long"),
        }
        return (
            self._trigger(
                "extended_move",
                f"{moved} {self.extended_threshold:g} sd sqrt(w / 24h) and {self.extended_floor:g}",
                self.extended_cooldown,
                window=self.move_window,
            ),
            self._trigger(
                "cusum",
                f"1 where the {summed} {self.cusum_floor:g}; -1 likewise for -r; both begin anew then",
                self.cusum_cooldown,
                source="López de Prado 2018, section 2.5.2",
            ),
            self._trigger("sweep_confirmation", "sweep_direction", self.sweep_cooldown, **swept),
            self._trigger(
                "crowding_alarm",
                f"sign of funding_acceleration_z where {crowded} and {grown}",
                self.crowding_cooldown,
                inputs=("close", *funding, "open_interest"),
                window="24h",
            ),
            self._trigger(
                "cascade",
                f"{moved} {self.cascade_threshold:g} sd sqrt(w / 24h) and {forced} >= {self.cascade_burst:g} within w",
                self.cascade_cooldown,
                window=self.cascade_window,
                **exits,
            ),
            self._trigger(
                "sampled_move",
                f"{moved} {self.sampled_threshold:g} sd sqrt(w / 24h)",
                self.sampled_cooldown,
                window=self.move_window,
            ),
        )

    def _trigger(self, name: str, formula: str, cooldown: timedelta, **more: Any) -> Feature:
        once = f"{formula}; once per {duration_text(cooldown)} and direction"
        return self.odd(name, once, "-1, 0 or 1", role="trigger", **({"inputs": ("close", "high", "low")} | more))

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        scalars = {
            _WARM: self.warm_up / self.bar_interval,
            _MASK: self.ring(*self._windows()) - 1,
            _DAY_BARS: self.bars(DAY),
            _VOL_FLOOR: self.volatility_floor,
            _VOL_CAP: self.volatility_cap,
            _MOVE_BARS: self.bars(self.move_window),
            _MOVE_SCALE: math.sqrt(self.move_window / DAY),
            _EXTENDED_THRESHOLD: self.extended_threshold,
            _EXTENDED_FLOOR: self.extended_floor,
            _SAMPLED_THRESHOLD: self.sampled_threshold,
            _CUSUM_THRESHOLD: self.cusum_threshold,
            _CUSUM_FLOOR: self.cusum_floor,
            _CROWDING_ACCELERATION: self.crowding_acceleration,
            _CROWDING_GROWTH: self.crowding_growth,
            _CASCADE_BARS: self.bars(self.cascade_window),
            _CASCADE_SCALE: math.sqrt(self.cascade_window / DAY),
            _CASCADE_THRESHOLD: self.cascade_threshold,
            _CASCADE_BURST: self.cascade_burst,
            _CASCADE_DROP: self.cascade_drop,
        }
        cooldowns = {
            _EXTENDED: self.extended_cooldown,
            _CUSUM: self.cusum_cooldown,
            _SWEEP: self.sweep_cooldown,
            _CROWDING: self.crowding_cooldown,
            _CASCADE: self.cascade_cooldown,
            _SAMPLED: self.sampled_cooldown,
        }
        bars = [self.bars(cooldowns[trigger]) for trigger in range(_TRIGGERS)]
        return np.array([scalars[i] for i in range(_COOLDOWNS)] + bars, dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        longest = self.longest(*self._windows())
        return _CLOSES + 2 * ring_size(longest) + totals_slots(0, longest)

    @property
    def warm_up(self) -> timedelta:
        """The longest window."""
        return max(self._windows())

    def _windows(self) -> tuple[timedelta, ...]:
        return (self.move_window, self.cascade_window, DAY)
