"""A feature family of one's own: where volume traded within a window, and what the perpetual cost above its index.

Name it in ``params.yaml`` and check it (docs/own_features.md)::

    features:
      extra: [examples.my_features:PressureFamily]
      pressure: {windows: [4h, 24h]}

    slackwater check-features examples.my_features:PressureFamily --set windows=4h,24h
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import RETURN, VOLATILITY
from slackwater.features.parameters import Windows
from slackwater.market.inputs import CLOSE, PREMIUM_INDEX, VOLUME
from slackwater.operators import (
    COVERAGE,
    family_kernel,
    totals_add,
    totals_before,
    totals_cover,
    totals_push,
    totals_since,
    totals_slots,
    whole,
)
from slackwater.types import Floats

__all__ = ["PressureFamily"]

# positions of the constants (the windows in bars and 1 / sqrt(days) follow), of the state, and columns of the totals
_WARM, _MASK, _N, _LISTS = range(4)
_COUNT, _TOTALS = range(2)
_WEIGHTED, _TRADED, _PREMIUM, _PREMIUM_ROWS, _COLUMNS = range(5)


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    # 1. Take what this row reports; a gap (no close) reports nothing, and ages the windows.
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    known = not math.isnan(row[RETURN]) and row[VOLUME] >= 0.0
    if known:
        totals_add(state, _TOTALS, _WEIGHTED, row[RETURN] * row[VOLUME])
        totals_add(state, _TOTALS, _TRADED, row[VOLUME])
    if not math.isnan(row[PREMIUM_INDEX]):
        totals_add(state, _TOTALS, _PREMIUM, 1e4 * row[PREMIUM_INDEX])
        totals_add(state, _TOTALS, _PREMIUM_ROWS, 1.0)
    totals_push(state, _TOTALS, _COLUMNS, mask, count, known)

    # 2. Unknown is NaN, never zero: in gaps, during the warm-up, and where an input is absent or silent.
    if math.isnan(row[CLOSE]) or count < constants[_WARM]:
        out[:] = np.nan
        return

    # 3. One pair of outputs per window.
    n = whole(constants[_N])
    for j in range(n):
        window = whole(constants[_LISTS + 2 * j])
        before = totals_before(_TOTALS, _COLUMNS, mask, count, window)
        traded = totals_since(state, _TOTALS, before, _TRADED)
        covered = totals_cover(state, _TOTALS, before, window) and traded > 0.0
        scale = constants[_LISTS + 2 * j + 1] * window / row[VOLATILITY]
        out[j] = totals_since(state, _TOTALS, before, _WEIGHTED) / traded * scale if covered else np.nan
        rows = totals_since(state, _TOTALS, before, _PREMIUM_ROWS)
        covered = not math.isnan(row[PREMIUM_INDEX]) and rows >= COVERAGE * window
        out[n + j] = totals_since(state, _TOTALS, before, _PREMIUM) / rows if covered else np.nan


@dataclass(frozen=True, kw_only=True)
class PressureFamily(Family):
    """Volume-weighted move and mean premium over several windows.

    Parameters
    ----------
    windows
        Windows of both; whole bars.
    """

    windows: Windows = (timedelta(hours=4), timedelta(hours=24))

    name: ClassVar[str] = "pressure"
    advance = staticmethod(_advance)
    needs: ClassVar[tuple[str, ...]] = ("volatility",)
    # The volatility of the denominator remembers a little of what came before its own warm-up.
    tolerance: ClassVar[float] = 0.05

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        move = "sum(volume * log return) / sum(volume) * bars of w / (sd sqrt(w / 24h))"
        spans = [(w, duration_name(w)) for w in self.windows]
        return (
            *(
                self.odd(f"pressure_{span}", move, "standard deviations", inputs=("close", "volume"), window=w)
                for w, span in spans
            ),
            *(
                self.odd(f"premium_mean_{span}", "mean premium", "bps", inputs=("close", "premium_index"), window=w)
                for w, span in spans
            ),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        day = timedelta(days=1)
        lists = [x for w in self.windows for x in (self.bars(w), 1.0 / math.sqrt(w / day))]
        return np.array([self.warm_up / self.bar_interval, self.ring(*self.windows) - 1, len(self.windows), *lists])

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _TOTALS + totals_slots(_COLUMNS, max(self.bars(w) for w in self.windows))

    @property
    def warm_up(self) -> timedelta:
        """The longest window."""
        return max(self.windows)
