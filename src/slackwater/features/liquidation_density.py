"""Liquidation density: the map of `slackwater.liquidity.density` relative to the close of a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final

import numpy as np

from slackwater.durations import duration_name
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import (
    ATR_DAY,
    ATR_HOUR,
    CONSUMED_ABOVE,
    CONSUMED_BELOW,
    LOG_CLOSE,
    LOG_HIGH,
    LOG_LOW,
    POOL_ABOVE,
    POOL_BELOW,
    TIME_HOURS,
)
from slackwater.features.parameters import LiquidationDensityParameters
from slackwater.liquidity.density import (
    N_LAYERS,
    map_advance,
    map_bins,
    map_denser,
    map_erase,
    map_forget_interest,
    map_look,
    map_slots,
)
from slackwater.liquidity.loss_distances import LiquidationDistances
from slackwater.liquidity.stops import add_stops
from slackwater.market.inputs import CLOSE, OPEN_INTEREST, OPEN_INTEREST_TIME_HOURS, TAKER_BUY_VOLUME, VOLUME
from slackwater.operators import (
    blocks_size,
    decay_per_bar,
    family_kernel,
    highs_push,
    highs_slots,
    highs_top,
    ring_get,
    ring_put,
    totals_add,
    totals_before,
    totals_push,
    totals_since,
    totals_slots,
    whole,
)
from slackwater.times import HOUR
from slackwater.types import Floats

__all__ = ["LiquidationDensityFamily"]


# positions of the constants; the reaches, the swing windows (bars) and the shares by bin follow the decays
(
    _WARM,
    _BINS,
    _BIN_WIDTH,
    _CONSUMED_BARS,
    _CONSUMED_MASK,
    _PER_HOUR,
    _LONGEST_GAP,
    _SWINGS_MASK,
    _BLOCKS_MASK,
    _N_REACHES,
    _N_SWINGS,
    _N_SHARES,
    _DECAYS,
) = range(13)
_LISTS: Final = _DECAYS + N_LAYERS
# positions of the state; what one look at the map leaves, the last entries, then the totals, the swings and the map
_COUNT, _CONSUMED, _POOLS, _MOST, _LIMITS, _ENTRIES = 0, 1, *(1 + i * N_LAYERS for i in (2, 4, 6, 7))
_ENTRY_MASK: Final = 63
_TILTS: Final = _ENTRIES + _ENTRY_MASK + 1
_SNAPSHOT: Final = _TILTS + _ENTRY_MASK + 1
_STEPS: Final = _SNAPSHOT + 1

_FARTHEST: Final = 0.5
"""Log distance beyond which nothing is read, however wide the daily range."""
_POOL_RANK: Final = 0.9
_POOL_REACH: Final = 0.05
"""Least rank and largest log distance of a densest bin that is a pool (method, section 4.3)."""
_MIDDLE: Final = 1

_MAP: Final[dict[str, Any]] = {
    "inputs": ("close", "high", "low", "open_interest"),
    "refined_by": ("taker_buy_volume", "volume"),
    "known": "with the open interest that it is built from (5m30s after its stamp by default)",
    "source": "docs/liquidation_map.md",
}


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    bins = whole(constants[_BINS])
    width = constants[_BIN_WIDTH]
    n = whole(constants[_N_REACHES])
    n_swings = whole(constants[_N_SWINGS])
    swings = _LISTS + n
    shares = swings + n_swings
    totals = _STEPS + n
    consumed_mask = whole(constants[_CONSUMED_MASK])
    columns = 2 * N_LAYERS
    mask = whole(constants[_SWINGS_MASK])
    blocks_mask = whole(constants[_BLOCKS_MASK])
    highs = totals + (columns + 1) * (consumed_mask + 2)
    lows = highs + mask + blocks_mask + 2
    tops = lows + mask + blocks_mask + 2
    at = tops + 4 * n_swings
    present = not math.isnan(row[CLOSE])
    consumed = state[_CONSUMED : _CONSUMED + columns]
    opened = 0.0
    typical = (row[LOG_HIGH] + row[LOG_LOW] + row[LOG_CLOSE]) / 3.0
    ring_put(state, _ENTRIES, _ENTRY_MASK, count, typical)
    if present:
        volume = row[VOLUME]
        buys = row[TAKER_BUY_VOLUME]
        # Unknown takers tilt nothing; a feed may report more taker buys than volume.
        tilt = min(max(2.0 * buys / volume - 1.0, -1.0), 1.0) if buys >= 0.0 and volume > 0.0 else 0.0
        ring_put(state, _TILTS, _ENTRY_MASK, count, tilt)
        # A snapshot of open interest is older than the bar: its positions were opened in the bar that it closes.
        age = (row[TIME_HOURS] - row[OPEN_INTEREST_TIME_HOURS]) * constants[_PER_HOUR] + 0.5
        lag = min(int(age), _ENTRY_MASK, count) if age >= 0.0 else 0
        entry = ring_get(state, _ENTRIES, _ENTRY_MASK, count, lag)
        if math.isnan(entry):
            entry = typical
        else:
            tilt = ring_get(state, _TILTS, _ENTRY_MASK, count, lag)
        # Across a long gap in the snapshots, or a recount that was masked, it is not known what was opened where.
        if row[OPEN_INTEREST_TIME_HOURS] - state[_SNAPSHOT] > constants[_LONGEST_GAP]:
            map_forget_interest(state, at)
        if row[OPEN_INTEREST_TIME_HOURS] > 0.0:
            state[_SNAPSHOT] = row[OPEN_INTEREST_TIME_HOURS]
        opened = map_advance(
            state,
            at,
            bins,
            width,
            constants[_DECAYS : _DECAYS + N_LAYERS],
            constants[shares : shares + whole(constants[_N_SHARES])],
            typical,
            entry,
            row[OPEN_INTEREST],
            tilt,
        )
    highs_push(state, highs, mask, blocks_mask, count, row[LOG_HIGH])
    highs_push(state, lows, mask, blocks_mask, count, -row[LOG_LOW])
    for j in range(n_swings):
        window = whole(constants[swings + j])
        high = highs_top(state, highs, mask, blocks_mask, window, count, tops + 4 * j)
        low = -highs_top(state, lows, mask, blocks_mask, window, count, tops + 4 * j + 2)
        if opened > 0.0:
            add_stops(state, at, bins, width, opened, row[ATR_HOUR], low, high, n_swings)
    if present:
        map_erase(state, at, bins, width, row[LOG_LOW], row[LOG_HIGH], consumed)
        for i in range(columns):
            totals_add(state, totals, i, consumed[i])
    totals_push(state, totals, columns, consumed_mask, count, present)
    interest = row[OPEN_INTEREST]
    unit = row[ATR_DAY]
    if not present or not interest > 0.0 or math.isnan(unit) or count < constants[_WARM]:
        out[:] = np.nan
        return

    here = int(math.floor(row[LOG_CLOSE] / width))
    steps = state[_STEPS : _STEPS + n]
    for k in range(n):
        steps[k] = max(math.floor(min(constants[_LISTS + k] * unit, _FARTHEST) / width + 0.5), 1.0)
    n_masses = n * columns
    pools = state[_POOLS : _POOLS + columns]
    most = state[_MOST : _MOST + columns]
    map_look(state, at, bins, steps, here, interest, out[:n_masses], pools, most)
    last = whole(steps[n - 1])
    farthest = constants[_LISTS + n - 1]
    distances = n_masses
    ranks = distances + columns
    gone = ranks + columns
    ratios = gone + columns
    limits = state[_LIMITS : _LIMITS + N_LAYERS]
    to_unit = width / unit
    for side in range(2):
        other = (1 - side) * N_LAYERS
        # Only the smaller of the two pools can have denser bins on the other side.
        for layer in range(N_LAYERS):
            here_most = most[side * N_LAYERS + layer]
            limits[layer] = here_most if 0.0 < here_most <= most[other + layer] else np.inf
        denser = out[ranks + side * N_LAYERS : ranks + (side + 1) * N_LAYERS]
        map_denser(state, at, bins, here, last, 1 - side, limits, denser)
        for layer in range(N_LAYERS):
            i = side * N_LAYERS + layer
            there = most[i] > 0.0
            out[distances + i] = min(pools[i] * to_unit, farthest) if there else farthest
            out[ranks + i] = 1.0 - (1.0 + denser[layer]) / (2.0 * last) if there else 0.0
    before = totals_before(totals, columns, consumed_mask, count, whole(constants[_CONSUMED_BARS]))
    for i in range(columns):
        # Differences of totals may be negative by a rounding error.
        out[gone + i] = max(totals_since(state, totals, before, i), 0.0) / interest
    for layer in range(N_LAYERS):
        below = out[n_masses // 2 - N_LAYERS + layer]
        above = out[n_masses - N_LAYERS + layer]
        # A thousandth of open interest on each side keeps the ratio finite where a side is empty.
        out[ratios + layer] = math.log((above + 1e-3) / (below + 1e-3))

    reach = _POOL_REACH / width
    below = pools[_MIDDLE]
    above = pools[N_LAYERS + _MIDDLE]
    standing = ratios + N_LAYERS
    out[standing : standing + 2] = np.nan
    if out[ranks + _MIDDLE] >= _POOL_RANK and below <= reach:
        row[POOL_BELOW] = (here - below + 0.5) * width
        out[standing] = row[LOG_CLOSE] - row[POOL_BELOW]
    if out[ranks + N_LAYERS + _MIDDLE] >= _POOL_RANK and above <= reach:
        row[POOL_ABOVE] = (here + above + 0.5) * width
        out[standing + 1] = row[POOL_ABOVE] - row[LOG_CLOSE]
    row[CONSUMED_BELOW] = consumed[_MIDDLE] / interest
    row[CONSUMED_ABOVE] = consumed[N_LAYERS + _MIDDLE] / interest


@dataclass(frozen=True, kw_only=True)
class LiquidationDensityFamily(Family, LiquidationDensityParameters):
    """The four layers of the liquidation map, relative to the close.

    Parameters beside those of `LiquidationDensityParameters`
    ---------------------------------------------------------
    losses
        Losses at which positions are forced out.
    """

    losses: LiquidationDistances = field(default_factory=LiquidationDistances)

    name: ClassVar[str] = "liquidation_density"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.1

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        consumed, last = duration_name(self.consumed_window), f"{self.reaches[-1]:g}"
        far = f"{last}atr"
        masses = [
            pair
            for reach in self.reaches
            for pair in self._pairs(
                "mass", f"{reach:g}atr", f"estimated mass within {reach:g} atr_1d {{side}} / OI", "fraction of OI"
            )
        ]
        nearest = f"distance to the densest bin {{side}}, {last} if there is none"
        rank = "share of the bins within reach, on both sides, that hold less than the densest bin {side}"
        gone = f"mass {{side}} that the price ran through within {consumed} / OI"
        ratio = "log((mass above + .001 OI) / (mass below + .001 OI)) within the last reach"
        pool = (
            "log distance from the close to the densest bin {side} where that is a pool: rank "
            f"{_POOL_RANK:g} or more, within {_POOL_REACH:.0%}; unknown if there is none"
        )
        return (
            *_side_by_side(masses),
            *_side_by_side(self._pairs("pool_distance", far, nearest, "atr_1d", steps=True)),
            *_side_by_side(self._pairs("pool_rank", far, rank, "0 to 1", steps=True)),
            *_side_by_side(self._pairs("consumed", consumed, gone, "fraction of OI")),
            *(
                self.odd(f"{kind}_density_ratio_{far}{tail}", ratio, "log", window=window, **_MAP)
                for kind, tail, window in self._layers()
            ),
            *self.pair(
                ("pool_distance_below", "pool_distance_above"),
                (pool.format(side="below"), pool.format(side="above")),
                "log",
                role="context",
                window=self._layers()[_MIDDLE][2],
                steps=True,
                **_MAP,
            ),
        )

    def _layers(self) -> list[tuple[str, str, str]]:
        """Return, for each layer, how its names begin and end, and its window."""
        spans = [duration_name(half_life) for half_life in self.half_lives]
        stops = ("stop", "", f"half-life {duration_name(self.stop_half_life)}")
        return [*(("liquidation", f"_{span}", f"half-life {span}") for span in spans), stops]

    def _pairs(
        self, quantity: str, tail: str, formula: str, unit: str, *, steps: bool = False
    ) -> list[tuple[Feature, Feature]]:
        """Return one quantity below and above the price, of every layer."""
        formulas = formula.format(side="below"), formula.format(side="above")
        out = []
        for kind, end, window in self._layers():
            names = f"{kind}_{quantity}_below_{tail}{end}", f"{kind}_{quantity}_above_{tail}{end}"
            out.append(self.pair(names, formulas, unit, window=window, steps=steps, **_MAP))
        return out

    def constants(self) -> Floats:
        """Return the numbers that the kernel reads."""
        return self._constants(self.losses.default_log_distances())

    def mirrored(self) -> Floats:
        """Exchange the distances of longs and shorts: they differ in log price (method, section 4.3)."""
        longs, shorts = self.losses.default_log_distances()
        return self._constants(np.stack([-shorts, -longs]))

    def _constants(self, log_distances: Floats) -> Floats:
        decays = [1.0 - decay_per_bar(h, self.bar_interval) for h in (*self.half_lives, self.stop_half_life)]
        shares = self.losses.shares_by_bin(log_distances, bin_width=self.bin_width, spread=self.spread).ravel()
        scalars = [
            self.warm_up / self.bar_interval,
            map_bins(self.bin_width),
            self.bin_width,
            self.bars(self.consumed_window),
            self.ring(self.consumed_window) - 1,
            HOUR / self.bar_interval,
            self.longest_gap / HOUR,
            self.ring(*self.swing_windows) - 1,
            blocks_size(self.longest(*self.swing_windows)) - 1,
            len(self.reaches),
            len(self.swing_windows),
            shares.size,
        ]
        swings = [self.bars(w) for w in self.swing_windows]
        return np.concatenate([scalars, decays, self.reaches, swings, shares], dtype=np.float64)

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return self.map_at + map_slots(self.bin_width)

    @property
    def map_at(self) -> int:
        """Position of the map in the state of the family."""
        swings = 2 * highs_slots(self.longest(*self.swing_windows)) + 4 * len(self.swing_windows)
        totals = totals_slots(2 * N_LAYERS, self.bars(self.consumed_window))
        return _STEPS + len(self.reaches) + totals + swings

    @property
    def warm_up(self) -> timedelta:
        """Three half-lives: an eighth of older mass is left, before crossings and closings reduce it."""
        return self.whole_bars(3 * self.half_lives[-1])


def _side_by_side(pairs: Sequence[tuple[Feature, Feature]]) -> tuple[Feature, ...]:
    """Return all that is below, then all that is above."""
    return (*(below for below, _ in pairs), *(above for _, above in pairs))
