"""Realised liquidations: their side, their share of the volume, and how unusual they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import LIQUIDATION_BURST_LONG, LIQUIDATION_BURST_SHORT
from slackwater.features.parameters import LiquidationsParameters
from slackwater.market.inputs import (
    CLOSE,
    LIQUIDATED_LONG,
    LIQUIDATED_LONG_ESTIMATE,
    LIQUIDATED_SHORT,
    LIQUIDATED_SHORT_ESTIMATE,
    VOLUME,
)
from slackwater.operators import (
    COVERAGE,
    decay_per_bar,
    family_kernel,
    moments_update,
    moments_z,
    totals_add,
    totals_before,
    totals_cover,
    totals_push,
    totals_since,
    totals_slots,
    whole,
)
from slackwater.types import Floats

__all__ = ["LiquidationsFamily"]


_WARM, _MASK, _N, _WEIGHT, _WINDOWS = range(5)
_COUNT, _BURSTS, _TOTALS = 0, 1, 7
_LONG, _SHORT, _LONG_ESTIMATE, _SHORT_ESTIMATE, _ESTIMATED_ROWS, _TRADED, _COLUMNS = range(7)


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    n = whole(constants[_N])
    long = row[LIQUIDATED_LONG]
    short = row[LIQUIDATED_SHORT]
    known = long >= 0.0 and short >= 0.0 and row[VOLUME] >= 0.0
    if known:
        totals_add(state, _TOTALS, _LONG, long)
        totals_add(state, _TOTALS, _SHORT, short)
        totals_add(state, _TOTALS, _TRADED, row[VOLUME])
        if row[LIQUIDATED_LONG_ESTIMATE] >= 0.0 and row[LIQUIDATED_SHORT_ESTIMATE] >= 0.0:
            totals_add(state, _TOTALS, _LONG_ESTIMATE, row[LIQUIDATED_LONG_ESTIMATE])
            totals_add(state, _TOTALS, _SHORT_ESTIMATE, row[LIQUIDATED_SHORT_ESTIMATE])
            totals_add(state, _TOTALS, _ESTIMATED_ROWS, 1.0)
    totals_push(state, _TOTALS, _COLUMNS, mask, count, known)
    burst_long = moments_z(state, _BURSTS, long)
    burst_short = moments_z(state, _BURSTS + 3, short)
    moments_update(state, _BURSTS, constants[_WEIGHT], long)
    moments_update(state, _BURSTS + 3, constants[_WEIGHT], short)
    if math.isnan(row[CLOSE]) or not known or count < constants[_WARM]:
        out[:] = np.nan
        return
    row[LIQUIDATION_BURST_LONG] = burst_long
    row[LIQUIDATION_BURST_SHORT] = burst_short
    out[0] = burst_long
    out[1] = burst_short
    for j in range(n):
        window = whole(constants[_WINDOWS + j])
        before = totals_before(_TOTALS, _COLUMNS, mask, count, window)
        traded = totals_since(state, _TOTALS, before, _TRADED)
        covered = totals_cover(state, _TOTALS, before, window) and traded > 0.0
        estimated = covered and totals_since(state, _TOTALS, before, _ESTIMATED_ROWS) >= COVERAGE * window
        scale = 1e4 / traded
        scale = scale if covered else np.nan
        longs = totals_since(state, _TOTALS, before, _LONG) * scale
        shorts = totals_since(state, _TOTALS, before, _SHORT) * scale
        out[2 + 2 * j] = longs
        out[3 + 2 * j] = shorts
        # A hundredth of a basis point of volume on each side: without liquidations the balance is zero.
        out[2 + 2 * n + j] = (longs - shorts) / (longs + shorts + 0.02)
        if not estimated:
            scale = np.nan
        out[2 + 3 * n + 2 * j] = totals_since(state, _TOTALS, before, _LONG_ESTIMATE) * scale
        out[3 + 3 * n + 2 * j] = totals_since(state, _TOTALS, before, _SHORT_ESTIMATE) * scale


@dataclass(frozen=True, kw_only=True)
class LiquidationsFamily(Family, LiquidationsParameters):
    """Realised liquidations of longs and of shorts over several windows, against the volume and their past."""

    name: ClassVar[str] = "liquidations"
    advance = staticmethod(_advance)
    needs: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[float] = 0.25

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        delivered = {"known": "when the feed delivered the events (5s by default)"}
        feed = {"inputs": ("close", "liquidated_long", "liquidated_short", "volume"), **delivered}
        estimate = {
            "inputs": (*feed["inputs"], "liquidated_long_estimate", "liquidated_short_estimate"),
            "source": "Poisson arrivals behind one slot per second, as at Binance; slackwater.market.joins",
            **delivered,
        }
        burst = "of the bar - EWM mean) / EWM sd, both before this bar"
        weighted = "/ volume, each event weighted for those that a capped feed left out"
        balance = "(longs - shorts) / (longs + shorts + .02), in bps of volume"
        return (
            *self.pair(
                ("liquidation_burst_long", "liquidation_burst_short"),
                (f"(liquidated longs {burst}", f"(liquidated shorts {burst}"),
                "standard deviations",
                window=self.usual_half_life,
                **feed,
            ),
            *self._sums("", "/ volume", feed),
            *self.odds("liquidation_balance", self.windows, balance, "-1 to 1", **feed),
            *self._sums("_estimate", weighted, estimate),
        )

    def _sums(self, tail: str, formula: str, more: Mapping[str, Any]) -> list[Feature]:
        """Return the liquidated longs and shorts of each window."""
        out: list[Feature] = []
        for w in self.windows:
            span = duration_name(w)
            names = f"liquidated_long{tail}_{span}", f"liquidated_short{tail}_{span}"
            formulas = f"liquidated longs {formula}", f"liquidated shorts {formula}"
            out += self.pair(names, formulas, "bps of volume", window=w, **more)
        return out

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        windows = [self.bars(w) for w in self.windows]
        return np.array(
            [
                self.warm_up / self.bar_interval,
                self.ring(*self.windows) - 1,
                len(windows),
                decay_per_bar(self.usual_half_life, self.bar_interval),
                *windows,
            ],
            dtype=np.float64,
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _TOTALS + totals_slots(_COLUMNS, self.longest(*self.windows))

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or four half-lives of what is usual."""
        return max(*self.windows, self.whole_bars(4 * self.usual_half_life))
