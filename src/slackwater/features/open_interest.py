"""Open interest in coin: how it changes, against the price, against its past and against the volume.

In coin, never in USD: the USD value falls with the price although no position was closed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import LOG_CLOSE, OPEN_INTEREST_CHANGE, OPEN_INTEREST_CHANGE_Z
from slackwater.features.parameters import OpenInterestParameters
from slackwater.market.inputs import CLOSE, OPEN_INTEREST, VOLUME
from slackwater.operators import (
    COVERAGE,
    decay_per_bar,
    family_kernel,
    moments_update,
    moments_z,
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

__all__ = ["OpenInterestFamily"]


_WARM, _MASK, _DAY_BARS, _SPIKE_BARS, _WEIGHT, _N_WINDOWS, _N_BUILT, _LISTS = range(8)
_COUNT, _LAST, _LAST_ROW, _SPIKES, _CHANGES, _RINGS = 0, 1, 2, 3, 6, 9
_BUILT, _BUILT_ROWS, _TRADED, _TRADED_ROWS, _COLUMNS = range(5)


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    n = whole(constants[_N_WINDOWS])
    n_built = whole(constants[_N_BUILT])
    closes = _RINGS + mask + 1
    totals = closes + mask + 1
    present = not math.isnan(row[CLOSE])
    amount = row[OPEN_INTEREST]
    interest = math.log(amount) if amount > 0.0 else np.nan
    if present and not math.isnan(row[VOLUME]):
        totals_add(state, totals, _TRADED, row[VOLUME])
        totals_add(state, totals, _TRADED_ROWS, 1.0)
    if amount > 0.0:
        # Across a gap in the feed it is not known when it was built.
        if state[_LAST] > 0.0 and count - state[_LAST_ROW] == 1.0:
            totals_add(state, totals, _BUILT, max(amount - state[_LAST], 0.0))
            totals_add(state, totals, _BUILT_ROWS, 1.0)
        state[_LAST] = amount
        state[_LAST_ROW] = count
    ring_put(state, _RINGS, mask, count, interest)
    ring_put(state, closes, mask, count, row[LOG_CLOSE])
    totals_push(state, totals, _COLUMNS, mask, count, present)
    day = whole(constants[_DAY_BARS])
    jump = interest - ring_get(state, _RINGS, mask, count, whole(constants[_SPIKE_BARS]))
    change = interest - ring_get(state, _RINGS, mask, count, day)
    spike = moments_z(state, _SPIKES, jump)
    surprise = moments_z(state, _CHANGES, change)
    moments_update(state, _SPIKES, constants[_WEIGHT], jump)
    moments_update(state, _CHANGES, constants[_WEIGHT], change)
    if present:
        row[OPEN_INTEREST_CHANGE] = change
    if not present or count < constants[_WARM]:
        out[:] = np.nan
        return
    for j in range(n):
        window = whole(constants[_LISTS + j])
        delta = interest - ring_get(state, _RINGS, mask, count, window)
        known = totals_cover(state, totals, totals_before(totals, _COLUMNS, mask, count, window), window)
        move = row[LOG_CLOSE] - ring_get(state, closes, mask, count, window)
        crossed = 1e4 * delta * move if known else np.nan
        out[j] = delta
        out[n + j] = crossed if delta > 0.0 or math.isnan(crossed) else 0.0
        out[2 * n + j] = -crossed if delta < 0.0 or math.isnan(crossed) else 0.0
    o = 3 * n
    for j in range(n_built):
        window = whole(constants[_LISTS + n + j])
        before = totals_before(totals, _COLUMNS, mask, count, window)
        known = totals_since(state, totals, before, _BUILT_ROWS) >= COVERAGE * window
        share = totals_since(state, totals, before, _BUILT) / amount
        out[o + j] = share if known and amount > 0.0 else np.nan
    o += n_built
    before = totals_before(totals, _COLUMNS, mask, count, day)
    traded = totals_since(state, totals, before, _TRADED)
    known = totals_since(state, totals, before, _TRADED_ROWS) >= COVERAGE * day and traded > 0.0
    row[OPEN_INTEREST_CHANGE_Z] = surprise
    out[o] = spike
    out[o + 1] = surprise
    ratio = amount / traded
    out[o + 2] = ratio if known and amount > 0.0 else np.nan


@dataclass(frozen=True, kw_only=True)
class OpenInterestFamily(Family, OpenInterestParameters):
    """Log changes of open interest, the four quadrants against the price, spikes, and what was built lately."""

    name: ClassVar[str] = "open_interest"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.25

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        snapshots = {
            "known": "when the venue published the snapshot (5m30s after its stamp by default)",
            "source": "coin, not USD, which falls with the price",
        }
        alone = {"inputs": ("open_interest",), **snapshots}
        priced = {"inputs": ("open_interest", "close"), **snapshots}
        quadrant = "log(OI_T / OI_{T-w}) * log(c_T / c_{T-w})"
        building = f"{quadrant} while OI rises, else 0: above 0 new longs lead, below 0 new shorts"
        unwinding = f"-{quadrant} while OI falls, else 0: above 0 shorts cover, below 0 longs leave"
        z = "its EWM mean) / its EWM sd, both before this bar"
        spike = duration_name(self.spike_window)
        built = "sum of the rises of OI / OI"
        sd, usual = "standard deviations", self.usual_half_life
        return (
            *self.evens("open_interest_delta", self.windows, "log(OI_T / OI_{T-w})", "log", **alone),
            *self.odds("open_interest_build_price", self.windows, building, "1e-4 log^2", **priced),
            *self.odds("open_interest_unwind_price", self.windows, unwinding, "1e-4 log^2", **priced),
            *self.evens("open_interest_built_share", self.built_windows, built, "fraction", **alone),
            self.even(f"open_interest_spike_{spike}", f"(log change over {spike} - {z}", sd, window=usual, **alone),
            self.even("open_interest_change_z_24h", f"(log change over 24h - {z}", sd, window=usual, **alone),
            self.even(
                "open_interest_to_volume_24h",
                "OI / volume of 24h",
                "ratio",
                window=DAY,
                inputs=("open_interest", "volume"),
                **snapshots,
            ),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        scalars = {
            _WARM: self.warm_up / self.bar_interval,
            _MASK: self.ring(*self._windows()) - 1,
            _DAY_BARS: self.bars(DAY),
            _SPIKE_BARS: self.bars(self.spike_window),
            _WEIGHT: decay_per_bar(self.usual_half_life, self.bar_interval),
            _N_WINDOWS: len(self.windows),
            _N_BUILT: len(self.built_windows),
        }
        lists = [self.bars(w) for w in (*self.windows, *self.built_windows)]
        return np.array([scalars[i] for i in range(_LISTS)] + lists, dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        longest = self.longest(*self._windows())
        return _RINGS + 2 * ring_size(longest) + totals_slots(_COLUMNS, longest)

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or four half-lives of what is usual."""
        return max(*self._windows(), self.whole_bars(4 * self.usual_half_life))

    def _windows(self) -> tuple[timedelta, ...]:
        return (*self.windows, *self.built_windows, self.spike_window, DAY)
