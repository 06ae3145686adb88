"""Zones: the liquidation map read back as plain tables, and the pools above and below a price.

Mass by bin (`MapView`) and the clusters of dense bins (`MapView.pools`), as shares of open interest and ranks: an
estimate, never dollars (method, section 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.liquidity.density import _CENTRE, _GRIDS, _SCALES, _STARTED, LAYERS, N_LAYERS, map_bins
from slackwater.operators import kernel

__all__ = ["SIDES", "MapView", "map_bands", "map_read"]

SIDES: Final = ("below", "above")
"""Longs are forced out below the price, shorts above; the first axis of what is read from a map."""

_PLACE: Final = ("layer", "side", "price", "low", "high")
_FAINTEST: Final = 0.02
"""Of the mass of the largest pool of its layer: less is dust."""
_BLUR_ATR: Final = 0.1
"""Bins this near, in daily true ranges, are neighbours of one cluster: a quarter of the nearest reach of the features
would already merge distinct pools, a single bin would split the entries of one hour."""


@kernel
def map_read(state, at, bins, first, mass):  # type: ignore[no-untyped-def]
    """Fill `mass` (coin, shape (2, N_LAYERS, n)) below and above with the bins from the absolute bin `first` on.

    `state`, `at` and `bins` are the buffer, where the map starts in it, and its bins per side. Beyond the grid it is
    zero.
    """
    origin = int(state[at + _CENTRE]) - bins // 2
    started = state[at + _STARTED] != 0.0
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        for b in range(mass.shape[2]):
            i = first + b - origin
            inside = started and 0 <= i < bins
            for layer in range(N_LAYERS):
                held = state[grid + N_LAYERS * i + layer] * state[at + _SCALES + layer] if inside else 0.0
                mass[side, layer, b] = held


@kernel
def map_bands(state, at, bins, bin_width, price, band_width, mass):  # type: ignore[no-untyped-def]
    """Fill `mass` (coin, shape (2, N_LAYERS, n)) with the sums in bands of distance from a log price.

    Band ``q`` below spans ``price - (q + 1) * band_width`` to ``price - q * band_width``, above likewise. A bin that a
    border cuts counts in proportion. The other parameters are those of `map_read`, and the width of a bin in log price.
    """
    origin = int(state[at + _CENTRE]) - bins // 2
    mass[:] = 0.0
    if state[at + _STARTED] == 0.0:
        return
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        for q in range(mass.shape[2]):
            low = price - (q + 1) * band_width if side == 0 else price + q * band_width
            high = low + band_width
            for b in range(int(math.floor(low / bin_width)), int(math.floor(high / bin_width)) + 1):
                i = b - origin
                if i < 0 or i >= bins:
                    continue
                share = (min(high, (b + 1) * bin_width) - max(low, b * bin_width)) / bin_width
                if share > 0.0:
                    for layer in range(N_LAYERS):
                        mass[side, layer, q] += share * state[grid + N_LAYERS * i + layer]
        for layer in range(N_LAYERS):
            for q in range(mass.shape[2]):
                mass[side, layer, q] *= state[at + _SCALES + layer]


@dataclass(frozen=True, kw_only=True)
class MapView:
    """The map at one time, bin by bin.

    Parameters
    ----------
    bin_width
        Width of a bin, log price.
    first_bin
        Absolute bin of the first column; its lower edge is ``exp(first_bin * bin_width)``.
    mass
        Fraction of open interest, estimated; shape (2, N_LAYERS, n): below (longs), above (shorts).

    Examples
    --------
    >>> mass = np.zeros((2, N_LAYERS, 400))
    >>> mass[0, 1, 120] = 0.02
    >>> view = MapView(bin_width=0.001, first_bin=0, mass=mass)
    >>> pool = view.pools(price=math.exp(0.2), atr_day=0.04, layers=["middle"]).iloc[0]
    >>> pool["side"], round(float(np.log(pool["price"])), 4), float(pool["mass_fraction"])
    ('below', 0.1205, 0.02)
    """

    bin_width: float
    first_bin: int
    mass: NDArray[np.floating]

    def __post_init__(self) -> None:
        """Check shape and width."""
        if self.mass.ndim != 3 or self.mass.shape[:2] != (len(SIDES), N_LAYERS):
            raise ParameterError(f"`mass` must have the shape (2, {N_LAYERS}, n), had {self.mass.shape}")
        if not self.bin_width > 0.0:
            raise ParameterError(f"`bin_width` must be positive, was {self.bin_width}")

    @classmethod
    def of_state(
        cls, state: NDArray[np.float64], at: int, *, bin_width: float, open_interest: float, low: float, high: float
    ) -> MapView:
        """Read a map between two prices.

        Parameters
        ----------
        state, at
            Buffer that holds the map, such as ``FeatureEngine.state_of("liquidation_density", symbol)``, and its
            position.
        bin_width
            Width of a bin, log price.
        open_interest
            Unit of the masses, coin; positive.
        low, high
            Prices, ascending.
        """
        if not open_interest > 0.0:
            raise ParameterError(f"`open_interest` must be positive, was {open_interest}")
        if not 0.0 < low < high:
            raise ParameterError(f"`low` and `high` must be prices, ascending, were {low} and {high}")
        first = math.floor(math.log(low) / bin_width)
        mass = np.empty((2, N_LAYERS, math.floor(math.log(high) / bin_width) - first + 1))
        map_read(state, at, map_bins(bin_width), first, mass)
        return cls(bin_width=bin_width, first_bin=first, mass=mass / open_interest)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Prices between which the bins lie, shape (n + 1,)."""
        return np.exp((self.first_bin + np.arange(self.mass.shape[2] + 1)) * self.bin_width)

    def table(self) -> pd.DataFrame:
        """Return the bins that hold anything.

        Returns
        -------
        DataFrame
            `layer`, `side`, `low` and `high` (prices), `mass_fraction` (of open interest, estimated); prices ascend
            within a layer and a side.
        """
        edges = self.edges
        sides, layers, bins = np.nonzero(self.mass > 0.0)
        order = np.lexsort((bins, sides, layers))
        sides, layers, bins = sides[order], layers[order], bins[order]
        return pd.DataFrame(
            {
                "layer": np.array(LAYERS)[layers],
                "side": np.array(SIDES)[sides],
                "low": edges[bins],
                "high": edges[bins + 1],
                "mass_fraction": self.mass[sides, layers, bins],
            }
        )

    def pools(
        self, *, price: float, atr_day: float, layers: Sequence[str] = LAYERS, reach: float = 0.1, most: int = 5
    ) -> pd.DataFrame:
        """Find the clusters of dense bins above and below a price.

        Parameters
        ----------
        price
            Price from which the distances count.
        atr_day
            Average true range of a day, log price, positive: the unit of distance. Bins a tenth of it apart are
            neighbours.
        layers
            Names among `slackwater.liquidity.density.LAYERS`.
        reach
            Log distance from the price within which pools are looked for.
        most
            Number of pools of a layer and a side that are kept, the largest, beside the one with the densest bin; never
            those of less than a fiftieth of the largest of the layer.

        Returns
        -------
        DataFrame
            One row per pool, nearest first within layer and side: `layer`, `side`, `price` (the mean of the cluster,
            weighted by mass), `low` and `high` (its edges), `distance_fraction` (of the price, signed), `distance_atr`
            (daily true ranges, signed), `mass_fraction` (of open interest, estimated), `rank` (1: the largest of both
            sides of the layer, whether the others are kept or not).

        Notes
        -----
        A pool is a local maximum of the masses, blurred with a triangle, and reaches on both sides to half of its
        height, or to the valley before the next one. Its mass is that of the map itself.
        """
        if not price > 0.0 or not atr_day > 0.0:
            raise ParameterError(f"`price` and `atr_day` must be positive, were {price} and {atr_day}")
        unknown = sorted(set(layers) - set(LAYERS))
        if unknown:
            raise ParameterError(f"there are no layers {unknown}; there are {', '.join(LAYERS)}")
        centres = (self.first_bin + np.arange(self.mass.shape[2]) + 0.5) * self.bin_width
        distance = centres - math.log(price)
        half = max(int(_BLUR_ATR * atr_day / self.bin_width + 0.5), 1)
        found: list[dict[str, Any]] = []
        for layer in layers:
            # 1. All clusters of both sides.
            pools: list[dict[str, Any]] = []
            for side, sign in zip(SIDES, (-1.0, 1.0), strict=True):
                near = (sign * distance > 0.0) & (sign * distance <= reach)
                mass = np.where(near, self.mass[SIDES.index(side), LAYERS.index(layer)], 0.0)
                for first, last in _clusters(mass, half):
                    weights = mass[first:last]
                    where = float(np.average(distance[first:last], weights=weights))
                    held = np.flatnonzero(weights) + first
                    pools.append(
                        {
                            "layer": layer,
                            "side": side,
                            "price": price * math.exp(where),
                            "low": math.exp(centres[held[0]] - 0.5 * self.bin_width),
                            "high": math.exp(centres[held[-1]] + 0.5 * self.bin_width),
                            "distance_fraction": math.expm1(where),
                            "distance_atr": where / atr_day,
                            "mass_fraction": float(weights.sum()),
                            "densest_bin": float(weights.max()),
                        }
                    )
            # 2. Rank all of them, so that a rank does not depend on how many are kept.
            pools.sort(key=lambda pool: -pool["mass_fraction"])
            pools = [pool for pool in pools if pool["mass_fraction"] >= _FAINTEST * pools[0]["mass_fraction"]]
            for rank, pool in enumerate(pools, start=1):
                pool["rank"] = rank
            # 3. Keep the largest of each side, and the one with its densest bin: the brightest line of a picture.
            for side in SIDES:
                own = [pool for pool in pools if pool["side"] == side]
                densest = max(own, key=lambda pool: pool["densest_bin"], default=None)
                kept = [pool for place, pool in enumerate(own) if place < most or pool is densest]
                found += sorted(kept, key=lambda pool: abs(pool["distance_atr"]))
        columns = [*_PLACE, "distance_fraction", "distance_atr", "mass_fraction", "rank"]
        return pd.DataFrame(found, columns=columns)


def _clusters(mass: NDArray[np.floating], half: int) -> list[tuple[int, int]]:
    """Return where clusters of bins begin and end, around the local maxima of the blurred masses."""
    triangle = np.minimum(np.arange(1, 2 * half + 2), np.arange(2 * half + 1, 0, -1)).astype(float)
    blurred = np.convolve(mass, triangle / triangle.sum(), mode="same") if len(mass) > 2 * half else mass
    padded = np.r_[0.0, blurred, 0.0]
    peaks = np.flatnonzero((blurred > padded[:-2]) & (blurred >= padded[2:]))
    out: list[tuple[int, int]] = []
    for peak in peaks:
        first, last = int(peak), int(peak)
        while first > 0 and 0.5 * blurred[peak] <= blurred[first - 1] <= blurred[first]:
            first -= 1
        while last + 1 < len(mass) and 0.5 * blurred[peak] <= blurred[last + 1] <= blurred[last]:
            last += 1
        first = max(first, out[-1][1]) if out else first
        if first <= last and mass[first : last + 1].sum() > 0.0:
            out.append((first, last + 1))
    return out
