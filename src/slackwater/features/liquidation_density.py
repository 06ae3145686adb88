"""Liquidation density: the map of `slackwater.liquidity.density` as seen from the close of a bar."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.features.family import Family, Feature, duration_name
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
from slackwater.liquidity.density import (
    N_LAYERS,
    STOPS,
    LossDistances,
    map_advance,
    map_bins,
    map_denser,
    map_erase,
    map_forget_interest,
    map_look,
    map_slots,
)
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

__all__ = ["LiquidationDensityFamily"]

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

# positions of the constants; the reaches, the swing windows (bars) and the losses follow the decays
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
    _N_LOSSES,
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
"""Log distance beyond which nothing is looked at, however wide the daily range."""
_POOL_RANK: Final = 0.9
_POOL_REACH: Final = 0.05
"""Least rank and largest log distance of a densest bin that is a pool (method, section 4.3)."""
_MIDDLE: Final = 1


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = whole(state[_COUNT])
    state[_COUNT] = count + 1
    bins = whole(constants[_BINS])
    width = constants[_BIN_WIDTH]
    n = whole(constants[_N_REACHES])
    n_swings = whole(constants[_N_SWINGS])
    n_losses = whole(constants[_N_LOSSES])
    swings = _LISTS + n
    losses = swings + n_swings
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
        # Unknown takers tilt nothing; a feed may say that they bought more than was traded.
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
        # Across a long gap in the snapshots, or a recount that was masked, nobody knows what was opened where.
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
            constants[losses : losses + 2 * n_losses],
            constants[losses + 2 * n_losses : losses + 3 * n_losses],
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
        # Differences of totals may leave a speck below zero.
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
class LiquidationDensityFamily(Family):
    """The four layers of the liquidation map, seen from the close.

    Parameters
    ----------
    half_lives
        How long voluntary exits take to halve the mass: three, ascending.
    stop_half_life
        The same for stops.
    swing_windows
        Windows whose highs and lows stops hide behind.
    bin_width
        Width of a bin in log price, in (0, 0.02].
    reaches
        Distances within which the mass is summed, in average true ranges of a day, ascending; the last bounds the
        search for the densest bin.
    consumed_window
        Over which the mass that the price ran through is summed.
    longest_gap
        Between two snapshots of open interest; the change across a longer one opens and closes nothing.
    losses
        Where positions are forced out.
    """

    half_lives: tuple[timedelta, ...] = (1 * _DAY, 7 * _DAY, 30 * _DAY)
    stop_half_life: timedelta = 3 * _DAY
    swing_windows: tuple[timedelta, ...] = (24 * _HOUR, 72 * _HOUR, 7 * _DAY)
    bin_width: float = 0.001
    reaches: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0)
    consumed_window: timedelta = 4 * _HOUR
    longest_gap: timedelta = 2 * _HOUR
    losses: LossDistances = field(default_factory=LossDistances)

    name: ClassVar[str] = "liquidation_density"
    advance = staticmethod(_advance)
    tolerance: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        """Check the layers and the grid."""
        if len(self.half_lives) != STOPS or list(self.half_lives) != sorted(set(self.half_lives)):
            raise ParameterError(f"`{self.name}.half_lives` must be three, ascending, were {self.half_lives}")
        if not self.half_lives[0] > timedelta(0) or not self.stop_half_life > timedelta(0):
            raise ParameterError(f"`{self.name}` half-lives must be positive")
        self.require_windows("swing_windows", self.swing_windows)
        self.bars(self.consumed_window, "consumed_window")
        if not self.longest_gap > timedelta(0):
            raise ParameterError(f"`{self.name}.longest_gap` must be positive, was {self.longest_gap}")
        if not 0.0 < self.bin_width <= 0.02:
            raise ParameterError(f"`bin_width` must be in (0, 0.02], was {self.bin_width}")
        if not self.reaches or list(self.reaches) != sorted(set(self.reaches)):
            raise ParameterError(f"`reaches` must ascend, were {self.reaches}")
        if not self.reaches[0] > 0.0 or self.reaches[-1] > 10.0:
            raise ParameterError(f"`reaches` must be in (0, 10] daily true ranges, were {self.reaches}")

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        far = f"{self.reaches[-1]:g}atr"
        consumed = duration_name(self.consumed_window)
        layers = [
            ("liquidation", f"_{duration_name(h)}", f"half-life {duration_name(h)}", "docs/liquidation_map.md")
            for h in self.half_lives
        ]
        layers.append(("stop", "", f"half-life {duration_name(self.stop_half_life)}", "docs/liquidation_map.md"))
        sides = (("below", "above"), ("above", "below"))

        def over_layers(
            quantity: str, tail: str, formula: str, unit: str, *, side: str = "", other: str = "", steps: bool = False
        ) -> list[Feature]:
            def name(layer: tuple[str, ...], side: str) -> str:
                return "_".join(part for part in (layer[0], quantity, side, tail) if part) + layer[1]

            return [
                Feature(
                    name=name(layer, side),
                    family=self.name,
                    formula=formula,
                    unit=unit,
                    symmetry="pair" if side else "odd",
                    partner=name(layer, other) if side else "",
                    inputs=("close", "high", "low", "open_interest"),
                    refined_by=("taker_buy_volume", "volume"),
                    window=layer[2],
                    steps=steps,
                    known="with the open interest that it is built from (5m30s after its stamp by default)",
                    source=layer[3],
                )
                for layer in layers
            ]

        out: list[Feature] = []
        for side, other in sides:
            for reach in self.reaches:
                formula = f"estimated mass within {reach:g} atr_1d {side} / OI"
                out += over_layers("mass", f"{reach:g}atr", formula, "fraction of OI", side=side, other=other)
        for side, other in sides:
            formula = f"distance to the densest bin {side}, {self.reaches[-1]:g} if there is none"
            out += over_layers("pool_distance", far, formula, "atr_1d", side=side, other=other, steps=True)
        for side, other in sides:
            formula = f"share of the bins within reach, on both sides, that hold less than the densest bin {side}"
            out += over_layers("pool_rank", far, formula, "0 to 1", side=side, other=other, steps=True)
        for side, other in sides:
            formula = f"mass {side} that the price ran through within {consumed} / OI"
            out += over_layers("consumed", consumed, formula, "fraction of OI", side=side, other=other)
        formula = "log((mass above + .001 OI) / (mass below + .001 OI)) within the last reach"
        out += over_layers("density_ratio", far, formula, "log")
        for side, other in sides:
            out.append(
                Feature(
                    name=f"pool_distance_{side}",
                    family=self.name,
                    formula=(
                        f"log distance from the close to the densest bin {side} where that is a pool: rank "
                        f"{_POOL_RANK:g} or more, within {_POOL_REACH:.0%}; unknown if there is none"
                    ),
                    unit="log",
                    role="context",
                    symmetry="pair",
                    partner=f"pool_distance_{other}",
                    inputs=("close", "high", "low", "open_interest"),
                    refined_by=("taker_buy_volume", "volume"),
                    window=layers[_MIDDLE][2],
                    steps=True,
                    known="with the open interest that it is built from (5m30s after its stamp by default)",
                    source="docs/liquidation_map.md",
                )
            )
        return tuple(out)

    def constants(self) -> NDArray[np.float64]:
        """Return the numbers that the kernel reads."""
        return self._constants(self.losses.default_log_distances())

    def mirrored(self) -> NDArray[np.float64]:
        """Exchange the distances of longs and shorts: they differ in log price (method, section 4.3)."""
        longs, shorts = self.losses.default_log_distances()
        return self._constants(np.stack([-shorts, -longs]))

    def _constants(self, log_distances: NDArray[np.float64]) -> NDArray[np.float64]:
        decays = [1.0 - decay_per_bar(h, self.bar_interval) for h in (*self.half_lives, self.stop_half_life)]
        scalars = [
            self.warm_up / self.bar_interval,
            map_bins(self.bin_width),
            self.bin_width,
            self.bars(self.consumed_window),
            self.ring(self.consumed_window) - 1,
            _HOUR / self.bar_interval,
            self.longest_gap / _HOUR,
            self.ring(*self.swing_windows) - 1,
            blocks_size(self._longest_swing()) - 1,
            len(self.reaches),
            len(self.swing_windows),
            len(self.losses.weights),
        ]
        swings = [self.bars(w) for w in self.swing_windows]
        return np.concatenate(
            [scalars, decays, self.reaches, swings, log_distances.ravel(), self.losses.weights], dtype=np.float64
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return self.map_at + map_slots(self.bin_width)

    @property
    def map_at(self) -> int:
        """Where the map starts in the state of the family."""
        swings = 2 * highs_slots(self._longest_swing()) + 4 * len(self.swing_windows)
        totals = totals_slots(2 * N_LAYERS, self.bars(self.consumed_window))
        return _STEPS + len(self.reaches) + totals + swings

    @property
    def warm_up(self) -> timedelta:
        """Three half-lives: an eighth of older mass is left, before crossings and closings take their part."""
        return -(-3 * self.half_lives[-1] // self.bar_interval) * self.bar_interval

    def _longest_swing(self) -> int:
        return max(self.bars(w) for w in self.swing_windows)
