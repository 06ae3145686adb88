"""Order flow and depth: who crosses the spread, and how much stands in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.parameters import OrderFlowParameters
from slackwater.market.inputs import CLOSE, DEPTH_ASK_1PCT, DEPTH_BID_1PCT, TAKER_BUY_VOLUME, VOLUME
from slackwater.operators import (
    decay_per_bar,
    ewm_update,
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

__all__ = ["OrderFlowFamily"]


_WARM, _MASK, _N, _WEIGHT, _WINDOWS = range(5)
_COUNT, _BID, _ASK, _TOTALS = 0, 1, 3, 5
_SIGNED, _TRADED, _COLUMNS = range(3)


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    mask = whole(constants[_MASK])
    n = whole(constants[_N])
    known = not math.isnan(row[TAKER_BUY_VOLUME]) and not math.isnan(row[VOLUME])
    if known:
        totals_add(state, _TOTALS, _SIGNED, 2.0 * row[TAKER_BUY_VOLUME] - row[VOLUME])
        totals_add(state, _TOTALS, _TRADED, row[VOLUME])
    totals_push(state, _TOTALS, _COLUMNS, mask, count, known)
    bid = row[DEPTH_BID_1PCT]
    ask = row[DEPTH_ASK_1PCT]
    usual_bid = ewm_update(state, _BID, constants[_WEIGHT], bid)
    usual_ask = ewm_update(state, _ASK, constants[_WEIGHT], ask)
    if math.isnan(row[CLOSE]) or count < constants[_WARM]:
        out[:] = np.nan
        return
    for j in range(n):
        window = whole(constants[_WINDOWS + j])
        before = totals_before(_TOTALS, _COLUMNS, mask, count, window)
        traded = totals_since(state, _TOTALS, before, _TRADED)
        covered = known and totals_cover(state, _TOTALS, before, window) and traded > 0.0
        out[j] = totals_since(state, _TOTALS, before, _SIGNED) / traded if covered else np.nan
    depth = bid + ask
    usual = usual_bid + usual_ask
    imbalance = (bid - ask) / depth
    ratio = depth / usual
    ratio_bid = bid / usual_bid
    ratio_ask = ask / usual_ask
    out[n] = imbalance if depth > 0.0 else np.nan
    out[n + 1] = ratio if (depth >= 0.0) & (usual > 0.0) else np.nan
    out[n + 2] = ratio_bid if (bid >= 0.0) & (usual_bid > 0.0) else np.nan
    out[n + 3] = ratio_ask if (ask >= 0.0) & (usual_ask > 0.0) else np.nan


@dataclass(frozen=True, kw_only=True)
class OrderFlowFamily(Family, OrderFlowParameters):
    """Taker imbalance over windows, depth imbalance, and depth against its usual level."""

    name: ClassVar[str] = "order_flow"
    advance = staticmethod(_advance)
    needs: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[float] = 0.05

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        half_life = duration_name(self.depth_half_life)
        span = f"half-life {half_life}"
        takers = {"inputs": ("close", "taker_buy_volume", "volume")}
        depth = {
            "inputs": ("close", "depth_bid_1pct", "depth_ask_1pct"),
            "known": "2s after the snapshot of the book by default",
        }
        ratio = "(bid + ask) / EWM(bid + ask): below 1 is depletion"
        imbalance = "sum(2 taker buys - volume) / sum(volume)"
        return (
            *self.odds("taker_imbalance", self.windows, imbalance, "-1 to 1", **takers),
            self.odd("depth_imbalance", "(bid - ask) / (bid + ask) within 1 % of the mid", "-1 to 1", **depth),
            self.even(f"depth_ratio_{half_life}", ratio, "ratio", window=span, **depth),
            *self.pair(
                (f"depth_ratio_bid_{half_life}", f"depth_ratio_ask_{half_life}"),
                ("bid / EWM(bid): below 1 is depletion", "ask / EWM(ask): below 1 is depletion"),
                "ratio",
                window=span,
                **depth,
            ),
        )

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        windows = [self.bars(w) for w in self.windows]
        weight = decay_per_bar(self.depth_half_life, self.bar_interval)
        return np.array(
            [self.warm_up / self.bar_interval, self.ring(*self.windows) - 1, len(windows), weight, *windows],
            dtype=np.float64,
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _TOTALS + totals_slots(_COLUMNS, self.longest(*self.windows))

    @property
    def warm_up(self) -> timedelta:
        """The longest window, or five half-lives of the usual depth."""
        return max(*self.windows, self.whole_bars(5 * self.depth_half_life))
