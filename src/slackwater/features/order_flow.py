"""Order flow and depth: who crosses the spread, and how much stands in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.features.family import Feature, WindowSumsFamily, duration_name
from slackwater.market.inputs import CLOSE, DEPTH_ASK_1PCT, DEPTH_BID_1PCT, TAKER_BUY_VOLUME, VOLUME
from slackwater.operators import (
    decay_per_bar,
    ewm_update,
    totals_add,
    totals_known,
    totals_over,
    totals_push,
)

__all__ = ["OrderFlowFamily"]

_WARM, _SIZE, _N_WINDOWS, _WINDOWS = range(4)
_COUNT, _TOTALS = 0, 1
_SIGNED, _TRADED, _N_TOTALS = range(3)


@njit(cache=True)
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = int(state[_COUNT])
    state[_COUNT] = count + 1
    size = int(constants[_SIZE])
    n = int(constants[_N_WINDOWS])
    known = not math.isnan(row[TAKER_BUY_VOLUME]) and not math.isnan(row[VOLUME])
    if known:
        totals_add(state, _TOTALS, _SIGNED, 2.0 * row[TAKER_BUY_VOLUME] - row[VOLUME])
        totals_add(state, _TOTALS, _TRADED, row[VOLUME])
    totals_push(state, _TOTALS, _N_TOTALS, size, count, known)
    depth = row[DEPTH_BID_1PCT] + row[DEPTH_ASK_1PCT]
    # The last constant is the weight of the usual depth, the last two slots its average.
    usual = ewm_update(state, state.size - 2, constants[constants.size - 1], depth)
    if math.isnan(row[CLOSE]) or count < constants[_WARM]:
        out[:] = np.nan
        return
    for j in range(n):
        window = int(constants[_WINDOWS + j])
        traded = totals_over(state, _TOTALS, _N_TOTALS, size, count, _TRADED, window)
        signed = totals_over(state, _TOTALS, _N_TOTALS, size, count, _SIGNED, window)
        covered = totals_known(state, _TOTALS, _N_TOTALS, size, count, window) and traded > 0.0
        out[j] = signed / traded if covered else np.nan
    out[n] = (row[DEPTH_BID_1PCT] - row[DEPTH_ASK_1PCT]) / depth if depth > 0.0 else np.nan
    out[n + 1] = math.log(depth / usual) if depth > 0.0 and usual > 0.0 else np.nan


@dataclass(frozen=True, kw_only=True)
class OrderFlowFamily(WindowSumsFamily):
    """Taker imbalance over windows, depth imbalance, and depth against its usual level."""

    depth_half_life: timedelta

    name: ClassVar[str] = "order_flow"
    advance = staticmethod(_advance)
    n_totals: ClassVar[int] = _N_TOTALS
    tolerance: ClassVar[float] = 0.05

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        depth = ("depth_bid_1pct", "depth_ask_1pct")
        imbalance = tuple(
            Feature(
                name=f"taker_imbalance_{duration_name(w)}",
                family=self.name,
                formula="sum(2 taker buys - volume) / sum(volume)",
                unit="-1 to 1",
                symmetry="odd",
                inputs=("taker_buy_volume", "volume"),
            )
            for w in self.windows
        )
        return (
            *imbalance,
            Feature(
                name="depth_imbalance",
                family=self.name,
                formula="(bid - ask) / (bid + ask) within 1 % of the mid",
                unit="-1 to 1",
                symmetry="odd",
                inputs=depth,
            ),
            Feature(
                name=f"depth_ratio_{duration_name(self.depth_half_life)}",
                family=self.name,
                formula="log((bid + ask) / EWM(bid + ask)): below zero is depletion",
                unit="log",
                symmetry="even",
                inputs=depth,
            ),
        )

    def constants(self) -> NDArray[np.float64]:
        """Return the numbers that the kernel reads."""
        return np.append(super().constants(), decay_per_bar(self.depth_half_life, self.bar_interval))

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return super().state_size() + 2

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or five half-lives of the usual depth."""
        return max(*self.windows, 5 * self.depth_half_life)
