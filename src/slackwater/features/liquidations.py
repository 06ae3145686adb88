"""Liquidations: where they wait (the map), and where they have just happened."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.features.family import Family, Feature, WindowSumsFamily, duration_name
from slackwater.liquidity.density import LossDistances, map_advance, map_bins, map_look, map_slots
from slackwater.market.inputs import (
    CLOSE,
    HIGH,
    LIQUIDATED_LONG,
    LIQUIDATED_SHORT,
    LOW,
    OPEN_INTEREST,
    TAKER_BUY_VOLUME,
    VOLUME,
)
from slackwater.operators import (
    decay_per_bar,
    totals_add,
    totals_known,
    totals_over,
    totals_push,
)

__all__ = ["LiquidationDensityFamily", "LiquidationsFamily"]

_WARM, _BINS, _BIN_WIDTH, _DECAY, _N_REACHES, _N_DISTANCES, _LISTS = range(7)
_COUNT, _MAP = 0, 1


@njit(cache=True)
def _advance_density(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = state[_COUNT]
    state[_COUNT] = count + 1.0
    if math.isnan(row[CLOSE]):
        out[:] = np.nan
        return
    bins = int(constants[_BINS])
    width = constants[_BIN_WIDTH]
    n = int(constants[_N_REACHES])
    m = int(constants[_N_DISTANCES])
    reaches = constants[_LISTS : _LISTS + n]
    distances = constants[_LISTS + n : _LISTS + n + 2 * m]
    weights = constants[_LISTS + n + 2 * m : _LISTS + n + 3 * m]
    close = math.log(row[CLOSE])
    high = math.log(row[HIGH])
    low = math.log(row[LOW])
    traded = row[VOLUME]
    # Unknown takers tilt nothing.
    tilt = 2.0 * row[TAKER_BUY_VOLUME] / traded - 1.0 if row[TAKER_BUY_VOLUME] >= 0.0 and traded > 0.0 else 0.0
    typical = (high + low + close) / 3.0
    map_advance(
        state,
        _MAP,
        bins,
        width,
        constants[_DECAY],
        distances,
        weights,
        low,
        high,
        typical,
        row[OPEN_INTEREST],
        tilt,
    )
    if math.isnan(row[OPEN_INTEREST]) or count < constants[_WARM]:
        out[:] = np.nan
        return
    map_look(state, _MAP, bins, width, close, reaches, out)
    # No pool within reach is an answer, not ignorance: it is at least as far as the reach.
    for k in range(2 * n, 2 * n + 2):
        if math.isnan(out[k]):
            out[k] = reaches[n - 1]
    below = out[n - 1]
    above = out[2 * n - 1]
    interest = row[OPEN_INTEREST]
    # A thousandth of open interest on each side keeps the ratio finite where a side is empty.
    out[2 * n + 2] = math.log((above + 1e-3 * interest) / (below + 1e-3 * interest))
    for k in range(2 * n):
        out[k] /= interest


@dataclass(frozen=True, kw_only=True)
class LiquidationDensityFamily(Family):
    """The liquidation map seen from the close.

    Parameters
    ----------
    half_life
        How long voluntary exits take to halve the mass.
    bin_width
        Width of a bin in log price, in (0, 0.02].
    reaches
        Log distances within which the mass is summed, ascending; the last bounds the search for the densest bin.
    distances
        Where positions are forced out.
    """

    half_life: timedelta
    bin_width: float
    reaches: tuple[float, ...]
    distances: LossDistances = field(default_factory=LossDistances)

    name: ClassVar[str] = "liquidation_density"
    advance = staticmethod(_advance_density)
    tolerance: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        """Check the grid."""
        if not 0.0 < self.bin_width <= 0.02:
            raise ParameterError(f"`bin_width` must be in (0, 0.02], was {self.bin_width}")
        if not self.reaches or list(self.reaches) != sorted(set(self.reaches)):
            raise ParameterError(f"`reaches` must ascend, were {self.reaches}")
        if not self.bin_width <= self.reaches[0] or self.reaches[-1] > 0.5:
            raise ParameterError(f"`reaches` must be in [bin_width, 0.5], were {self.reaches}")

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        source = "METHOD 4.3; liquidity/density.py"
        far = f"{self.reaches[-1] * 100:g}pct"

        def pair(name: str, partner: str, formula: str, unit: str) -> Feature:
            return Feature(
                name=name,
                family=self.name,
                formula=formula,
                unit=unit,
                symmetry="pair",
                partner=partner,
                inputs=("close", "open_interest"),
                source=source,
            )

        masses = {"below": [], "above": []}  # type: dict[str, list[Feature]]
        for side, other in (("below", "above"), ("above", "below")):
            for reach in self.reaches:
                span = f"{reach * 100:g}pct"
                masses[side].append(
                    pair(
                        f"liquidation_density_{side}_{span}",
                        f"liquidation_density_{other}_{span}",
                        f"estimated mass within {span} {side} / OI",
                        "fraction of OI",
                    )
                )
        below, above = f"liquidation_pool_distance_below_{far}", f"liquidation_pool_distance_above_{far}"
        return (
            *masses["below"],
            *masses["above"],
            pair(below, above, f"log distance to the densest bin below, {far} if there is none", "log"),
            pair(above, below, f"log distance to the densest bin above, {far} if there is none", "log"),
            Feature(
                name=f"liquidation_density_ratio_{far}",
                family=self.name,
                formula=f"log(mass above / mass below) within {far}",
                unit="log",
                symmetry="odd",
                inputs=("close", "open_interest"),
                source=source,
            ),
        )

    def constants(self) -> NDArray[np.float64]:
        """Return the numbers that the kernel reads."""
        return self._constants(self.distances.log_distances())

    def mirrored(self) -> NDArray[np.float64]:
        """Exchange the distances of longs and shorts: they differ in log price (METHOD section 0)."""
        longs, shorts = self.distances.log_distances()
        return self._constants(np.stack([-shorts, -longs]))

    def _constants(self, log_distances: NDArray[np.float64]) -> NDArray[np.float64]:
        scalars = [
            self.warm_up / self.bar_interval,
            map_bins(self.bin_width),
            self.bin_width,
            1.0 - decay_per_bar(self.half_life, self.bar_interval),
            len(self.reaches),
            len(self.distances.weights),
        ]
        return np.concatenate([scalars, self.reaches, log_distances.ravel(), self.distances.weights])

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _MAP + map_slots(self.bin_width)

    @property
    def warm_up(self) -> timedelta:
        """Five half-lives: 3 % of older mass is left, before crossings and closings take their part."""
        return 5 * self.half_life


_R_WARM, _R_SIZE, _R_N, _R_WINDOWS = range(4)
_R_COUNT, _R_TOTALS = 0, 1
_LONG, _SHORT, _TRADED, _N_TOTALS = range(4)


@njit(cache=True)
def _advance_realised(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = int(state[_R_COUNT])
    state[_R_COUNT] = count + 1
    size = int(constants[_R_SIZE])
    n = int(constants[_R_N])
    known = row[LIQUIDATED_LONG] >= 0.0 and row[LIQUIDATED_SHORT] >= 0.0 and row[VOLUME] >= 0.0
    if known:
        totals_add(state, _R_TOTALS, _LONG, row[LIQUIDATED_LONG])
        totals_add(state, _R_TOTALS, _SHORT, row[LIQUIDATED_SHORT])
        totals_add(state, _R_TOTALS, _TRADED, row[VOLUME])
    totals_push(state, _R_TOTALS, _N_TOTALS, size, count, known)
    if math.isnan(row[CLOSE]) or not known or count < constants[_R_WARM]:
        out[:] = np.nan
        return
    for j in range(n):
        window = int(constants[_R_WINDOWS + j])
        traded = totals_over(state, _R_TOTALS, _N_TOTALS, size, count, _TRADED, window)
        longs = totals_over(state, _R_TOTALS, _N_TOTALS, size, count, _LONG, window)
        shorts = totals_over(state, _R_TOTALS, _N_TOTALS, size, count, _SHORT, window)
        covered = totals_known(state, _R_TOTALS, _N_TOTALS, size, count, window) and traded > 0.0
        out[2 * j] = 1e4 * longs / traded if covered else np.nan
        out[2 * j + 1] = 1e4 * shorts / traded if covered else np.nan


@dataclass(frozen=True, kw_only=True)
class LiquidationsFamily(WindowSumsFamily):
    """Realised liquidations of longs and of shorts over several windows, against the volume."""

    name: ClassVar[str] = "liquidations"
    advance = staticmethod(_advance_realised)
    n_totals: ClassVar[int] = _N_TOTALS

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        out = []
        for w in self.windows:
            span = duration_name(w)
            for side, other in (("long", "short"), ("short", "long")):
                out.append(
                    Feature(
                        name=f"liquidated_{side}_{span}",
                        family=self.name,
                        formula=f"liquidated {side}s / volume",
                        unit="bps of volume",
                        symmetry="pair",
                        partner=f"liquidated_{other}_{span}",
                        inputs=("liquidated_long", "liquidated_short", "volume"),
                        known="when the feed delivered the events",
                    )
                )
        return tuple(out)
