"""Sums by day of what was liquidated where a liquidation map was dense, of one symbol.

The scorecard (`slackwater.evidence.map_scorecard`) draws days. So the sums of a day are all that it needs, and of a
symbol nothing else is kept. Their size depends on the number of days, not on that of the snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from slackwater.evidence.map_snapshots import Bands, MapSnapshots
from slackwater.times import DAY_US
from slackwater.types import Floats, Ints

__all__ = ["CONTROLS", "MAPS", "DenseSums", "LayerSums", "SymbolSums", "sums_of"]

MAPS: Final = ("mass", "place", "same_distance", "same_price")
"""What is scored of every layer: the map, the share of a band in all that its side holds, and the two placebos."""
CONTROLS: Final = ("uniform", "distance_only", "open_interest_only")
_FLOOR_BPS: Final = 0.1
"""Mass added before a logarithm is taken, basis points of open interest: many bands are empty."""
_SEED: Final = 20240805


class DenseSums(NamedTuple):
    """Where a map is in its top share: number of entries, and what was liquidated; shape (groups, days) each."""

    number: Floats
    realised: Floats


class LayerSums(NamedTuple):
    """The sums of one layer of the map.

    Parameters
    ----------
    maps
        By name of `MAPS`.
    ranks
        Of the ranks x of the mass and y of what was liquidated, in (-0.5, 0.5] within a group: the sums of x, y,
        x * y, x * x and y * y, shape (5, groups, days).
    regression
        Of x = log mass and y = log liquidated, less their means within a group: the sums of x * x and of x * y, shape
        (2, days).
    empty
        Number of entries without any mass.
    """

    maps: dict[str, DenseSums]
    ranks: Floats
    regression: Floats
    empty: int


@dataclass(frozen=True, kw_only=True)
class SymbolSums:
    """The sums of one symbol; an entry is a snapshot, side and band that was crossed, a group its entries of a band.

    Parameters
    ----------
    symbol, snapshots, liquidated, at_new_extremes, within_bands, unknown
        As of `MapSnapshots`, whose number of times is `snapshots`.
    first_day
        Days since 1970 of the first entry.
    all
        The sums of all entries.
    controls
        Those of maps without a place, by name of `CONTROLS`.
    layers
        One per layer.
    """

    symbol: str
    snapshots: int
    liquidated: float
    at_new_extremes: float
    within_bands: float
    unknown: int
    first_day: int
    all: DenseSums
    controls: dict[str, DenseSums]
    layers: tuple[LayerSums, ...]

    @property
    def groups(self) -> int:
        """Number of bands that are scored."""
        return int(self.all.number.shape[0])

    @property
    def days(self) -> int:
        """Number of days from that of the first entry to that of the last."""
        return int(self.all.number.shape[1])


def sums_of(taken: MapSnapshots, bands: Bands) -> SymbolSums:
    """Sum the snapshots of a symbol.

    Notes
    -----
    Ties are broken at random, by numbers that depend on the name of the symbol and the number of its entries, and on no
    other symbol: otherwise a constant map would call the first rows dense. Distance alone is constant in a group, and
    has numbers of its own, or it would be the uniform map.
    """
    entries = _Entries.of(taken, bands)
    generator = np.random.default_rng([_SEED, crc32(taken.symbol.encode())])
    by_chance, again = generator.random((2, entries.realised.size))
    where = (entries.which, slice(None), entries.side, entries.band)
    # Sums over the whole side, before the bands in reach are told from those nearer.
    whole = taken.mass.sum(axis=3, keepdims=True)
    place = np.divide(taken.mass, whole, out=np.zeros_like(taken.mass), where=whole > 0.0)
    maps = {name: place if name == "place" else getattr(taken, name) for name in MAPS}
    layers = []
    for layer in range(taken.mass.shape[1]):
        found = {name: each[where][:, layer] for name, each in maps.items()}
        layers.append(
            LayerSums(
                maps={name: entries.dense(predicted, by_chance, bands.top) for name, predicted in found.items()},
                ranks=entries.ranks(found["mass"]),
                regression=entries.regression(found["mass"]),
                empty=int((found["mass"] <= 0.0).sum()),
            )
        )
    growth = taken.interest_growth[entries.which]
    return SymbolSums(
        symbol=taken.symbol,
        snapshots=len(taken.times),
        liquidated=taken.liquidated,
        at_new_extremes=taken.at_new_extremes,
        within_bands=taken.within_bands,
        unknown=taken.unknown,
        first_day=entries.first_day,
        all=DenseSums(entries.daily(np.ones(entries.realised.size)), entries.daily(entries.realised)),
        controls={
            "uniform": entries.dense(np.ones(entries.realised.size), by_chance, bands.top),
            "distance_only": entries.dense(-entries.band.astype(float), again, bands.top),
            "open_interest_only": entries.dense(growth, by_chance, bands.top),
        },
        layers=tuple(layers),
    )


@dataclass(frozen=True)
class _Entries:
    """The snapshots, sides and bands that were crossed, of the bands that are scored."""

    which: NDArray[np.intp]
    side: NDArray[np.intp]
    band: NDArray[np.intp]
    group: NDArray[np.intp]
    groups: int
    first_day: int
    day: Ints
    realised: Floats

    @classmethod
    def of(cls, taken: MapSnapshots, bands: Bands) -> _Entries:
        """Return what the price crossed, in the bands that were crossed often enough and where anything happened."""
        scored = slice(bands.first, bands.last)
        # 1. What the price crossed, and whose placebos are known.
        known = ~np.isnan(taken.realised[:, :, scored]) & ~np.isnan(taken.same_price[:, 0, :, scored])
        which, side, band = np.nonzero(known)
        realised = taken.realised[:, :, scored][known]
        # 2. Of that, the bands with enough of it.
        sizes = np.bincount(band, minlength=bands.last)
        enough = (sizes >= bands.fewest) & (np.bincount(band, weights=realised, minlength=bands.last) > 0.0)
        kept = enough[band]
        which, side, band = which[kept], side[kept], band[kept]
        day = taken.times[which] // DAY_US
        first = int(day.min()) if day.size else 0
        group = (np.cumsum(enough) - 1)[band]
        return cls(which, side, band + bands.first, group, int(enough.sum()), first, day - first, realised[kept])

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Number of entries of each group."""
        return np.bincount(self.group, minlength=self.groups)

    def daily(self, values: Floats) -> Floats:
        """Return sums by group and day, shape (groups, days)."""
        days = int(self.day.max()) + 1 if self.day.size else 0
        sums = np.bincount(self.group * days + self.day, weights=values, minlength=self.groups * days)
        return sums.astype(np.float64, copy=False).reshape(self.groups, days)

    def dense(self, predicted: NDArray[np.floating], chances: Floats, top: float) -> DenseSums:
        """Return the sums where a map is in its top share within the group."""
        sizes = self.sizes
        order = np.lexsort((chances, predicted, self.group))
        place = np.arange(order.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        dense = np.empty(order.size)
        dense[order] = place >= sizes[self.group[order]] - np.floor(top * sizes)[self.group[order]]
        return DenseSums(self.daily(dense), self.daily(dense * self.realised))

    def ranks(self, predicted: NDArray[np.floating]) -> Floats:
        """Return `LayerSums.ranks`; ranks are taken once over the sample."""
        x, y = np.zeros((2, self.group.size))
        for rows in self._rows_of_groups():
            x[rows] = rankdata(predicted[rows]) / rows.size - 0.5
            y[rows] = rankdata(self.realised[rows]) / rows.size - 0.5
        return np.stack([self.daily(values) for values in (x, y, x * y, x * x, y * y)])

    def regression(self, predicted: NDArray[np.floating]) -> Floats:
        """Return `LayerSums.regression`, mass and what was liquidated in basis points of open interest."""
        x = np.log(1e4 * predicted.astype(np.float64) + _FLOOR_BPS)
        y = np.log1p(1e4 * self.realised)
        for values in (x, y):
            values -= (np.bincount(self.group, weights=values, minlength=self.groups) / self.sizes)[self.group]
        return np.stack([self.daily(values).sum(axis=0) for values in (x * x, x * y)])

    def _rows_of_groups(self) -> Iterator[NDArray[np.intp]]:
        order = np.argsort(self.group, kind="stable")
        borders = np.searchsorted(self.group[order], np.arange(self.groups + 1))
        for start, stop in pairwise(borders):
            yield order[start:stop]
