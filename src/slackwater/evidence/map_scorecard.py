"""The scorecard of the liquidation map: whether more is liquidated where the map is dense (method, section 4.4).

At every snapshot (`slackwater.evidence.map_snapshots`) the map is read in bands of distance, and what was liquidated
afterwards is counted in the bands that the price then crossed for the first time. Within a band of a symbol, the
distance being the same, the *lift* is the mean of what was liquidated where the map is in its top fifth, over the mean
of all. A map without information has a lift of 1. The controls are a uniform map, distance alone, open interest alone,
and the map of a week before, at the same distances and at the same prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from slackwater.durations import duration_name
from slackwater.errors import MissingDataError
from slackwater.evidence.map_history import density_family, layer_names
from slackwater.evidence.map_snapshots import Bands, MapSnapshots, take_snapshots
from slackwater.features.family import Family
from slackwater.market.frame import MarketFrame
from slackwater.metrics.selection import FEWEST_BLOCKS, Stretch, block_bootstrap_indices
from slackwater.times import DAY, DAY_US
from slackwater.types import Floats

__all__ = ["map_scorecard", "scorecard_of"]

_FLOOR_BPS: Final = 0.1
"""Mass added before a logarithm is taken, basis points of open interest: many bands are empty."""
_FEWEST_DRAWS: Final = 0.95


def map_scorecard(
    frames: Iterable[MarketFrame],
    families: Sequence[Family],
    *,
    draws: int = 2000,
    mean_block: timedelta = timedelta(days=14),
    seed: int = 0,
    bands: Bands | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Score the map on every symbol of a history.

    Parameters
    ----------
    frames
        The history: one frame, or one after the other, each of other symbols and needed no longer than its turn.
    families
        Feature families with their parameters.
    draws, mean_block, seed
        Of the block bootstrap: blocks of calendar time, all symbols of a block together.
    bands
        Sampling of the map; None: that of method, section 4.4.
    progress
        Called with one line per symbol.

    Returns
    -------
    dict
        Fit for JSON; see `scorecard_of`. Where the data have no liquidations or no open interest there is nothing
        to score: ``{"skipped": reason}``.

    Raises
    ------
    MissingDataError
        If there is no symbol.
    """
    bands = bands or Bands()
    needed = {"liquidated_long": "liquidations", "open_interest": "open interest"}
    available = set[str]()

    def taken() -> Iterator[MapSnapshots]:
        for frame in frames:
            available.update(frame.available)
            for symbol, _ in frame.symbols():
                snapshots = take_snapshots(frame, families, symbol, bands)
                if progress is not None:
                    progress(f"{symbol}: {len(snapshots.times):,} snapshots of the map")
                yield snapshots
            del frame  # the next one is made now

    layers = layer_names(density_family(families))
    card = scorecard_of(taken(), layers, draws=draws, mean_block=mean_block, seed=seed, bands=bands)
    if missing := [words for name, words in needed.items() if name not in available]:
        return {"skipped": f"the data have no {' and no '.join(missing)}"}
    return card


def scorecard_of(
    snapshots: Iterable[MapSnapshots],
    layers: Sequence[str],
    *,
    draws: int = 2000,
    mean_block: timedelta = timedelta(days=14),
    seed: int = 0,
    bands: Bands,
) -> dict[str, Any]:
    """Score snapshots of the map, one per symbol, with the names of its layers; other parameters as in `map_scorecard`.

    Snapshots are held one symbol at a time, and of each what was crossed.

    Returns
    -------
    dict
        ``layers``: for each the `lift` with its interval, the lift of `place_alone` (the mass of a band as a share of
        all that the side holds in reach: where, whatever the amount), the mean `rank_correlation` (Spearman) with
        its interval, the slope of ``log1p(V) ~ log P`` within bands with its `t` (clustered by day), the same lift
        of the two placebos, and the differences. ``controls``: lifts of maps without a place. ``observations``,
        ``bands`` (band-symbol pairs scored), ``days``, ``liquidated`` and the sampling.

    Notes
    -----
    Ties are broken at random, with a fixed seed: otherwise a constant map would call the first rows dense. The
    border of the top fifth is that of the whole sample; the bootstrap draws days and does not move it.
    """
    table, symbols = _observations(snapshots, bands)
    chances = np.random.default_rng(20240805).random((2, table.realised.size))
    sampling = {
        "snapshots_every": duration_name(bands.every),
        "horizon": duration_name(bands.horizon),
        "band_bps": round(1e4 * bands.width, 6),
        "distances_bps": [round(1e4 * bands.width * q, 6) for q in (bands.first, bands.last)],
        "placebo_shift": duration_name(bands.shift),
        "top_share": bands.top,
        "mean_block": duration_name(mean_block),
        "draws": draws,
    }
    if table.groups == 0:
        return {"skipped": f"no band of any symbol was crossed {bands.fewest} times", "sampling": sampling}
    drawn = _drawn_days(table, draws=draws, mean_block=mean_block, seed=seed)
    judge = _Judge(table, chances, drawn, bands.top, mean_block)
    scored: dict[str, Any] = {}
    for i, layer in enumerate(layers):
        own = judge.score(table.maps["mass"][i])
        distance = judge.score(table.maps["same_distance"][i])
        price = judge.score(table.maps["same_price"][i])
        scored[layer] = {
            **judge.lift(own),
            "place_alone": judge.lift(judge.score(table.maps["place"][i])),
            "rank_correlation": judge.rank_correlation(table.maps["mass"][i]),
            "regression": judge.regression(table.maps["mass"][i]),
            "by_symbol": judge.by_symbol(own, [s.symbol for s in symbols]),
            "empty_share": float((table.maps["mass"][i] <= 0.0).mean()),
            "placebo_same_distance": judge.lift(distance),
            "placebo_same_price": judge.lift(price),
            "minus_placebo_same_distance": judge.difference(own, distance),
            "minus_placebo_same_price": judge.difference(own, price),
        }
    n = table.realised.size
    liquidated = sum(s.liquidated for s in symbols)
    return {
        "layers": scored,
        "controls": {
            "uniform": judge.lift(judge.score(np.ones(n))),
            "distance_only": judge.lift(judge.score(-table.band.astype(float), draw=1)),
            "open_interest_only": judge.lift(judge.score(table.interest_growth)),
        },
        "observations": n,
        "snapshots": sum(s.snapshots - s.unknown for s in symbols),
        "snapshots_unknown": sum(s.unknown for s in symbols),
        "bands": table.groups,
        "symbols": [s.symbol for s in symbols],
        "days": judge.days,
        "liquidated": {
            "at_no_new_extreme_share": 1.0 - sum(s.at_new_extremes for s in symbols) / max(liquidated, 1e-300),
            "within_bands_share": sum(s.within_bands for s in symbols) / max(liquidated, 1e-300),
        },
        "sampling": sampling,
    }


class _OfSymbol(NamedTuple):
    """What is counted of the snapshots of a symbol: see `MapSnapshots`."""

    symbol: str
    snapshots: int
    liquidated: float
    at_new_extremes: float
    within_bands: float
    unknown: int


@dataclass(frozen=True)
class _Observations:
    """One entry per snapshot, side and band that was crossed."""

    day: NDArray[np.int64]
    band: NDArray[np.intp]
    group: NDArray[np.intp]
    groups: int
    group_symbol: NDArray[np.intp]
    realised: Floats
    interest_growth: Floats
    maps: dict[str, NDArray[np.float32]]


def _observations(snapshots: Iterable[MapSnapshots], bands: Bands) -> tuple[_Observations, list[_OfSymbol]]:
    """Flatten the snapshots, and keep the bands that were crossed often enough and where anything was liquidated."""
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("day", "group", "band", "realised", "growth")}
    maps: dict[str, list[NDArray[np.float32]]] = {"mass": [], "place": [], "same_distance": [], "same_price": []}
    symbols: list[_OfSymbol] = []
    groups: list[NDArray[np.intp]] = []  # the symbol of each band that is kept
    scored = slice(bands.first, bands.last)
    for taken in snapshots:
        # 1. What the price crossed, and whose placebos are known.
        known = ~np.isnan(taken.realised[:, :, scored]) & ~np.isnan(taken.same_price[:, 0, :, scored])
        which, side, band = np.nonzero(known)
        realised = taken.realised[:, :, scored][known]
        # 2. Of that, the bands with enough of it.
        sizes = np.bincount(band, minlength=bands.last)
        enough = (sizes >= bands.fewest) & (np.bincount(band, weights=realised, minlength=bands.last) > 0.0)
        kept = enough[band]
        which, side, band = which[kept], side[kept], band[kept]
        number = sum(map(len, groups)) + np.cumsum(enough) - 1
        columns["day"].append(taken.times[which] // DAY_US)
        columns["group"].append(number[band])
        columns["band"].append(band + bands.first)
        columns["realised"].append(realised[kept])
        columns["growth"].append(taken.interest_growth[which])
        groups.append(np.full(int(enough.sum()), len(symbols)))
        # 3. The maps there.
        whole = taken.mass.sum(axis=3, keepdims=True)
        place = np.divide(taken.mass, whole, out=np.zeros_like(taken.mass), where=whole > 0.0)
        for name, parts in maps.items():
            mass = place if name == "place" else getattr(taken, name)
            parts.append(mass[:, :, :, scored].transpose(1, 0, 2, 3)[:, which, side, band])
        counted = (taken.liquidated, taken.at_new_extremes, taken.within_bands, taken.unknown)
        symbols.append(_OfSymbol(taken.symbol, len(taken.times), *counted))
    if not symbols:
        raise MissingDataError("there are no bars to score the liquidation map on")
    flat = {name: np.concatenate(columns.pop(name)) for name in [*columns]}
    table = _Observations(
        day=flat["day"] - flat["day"].min() if flat["day"].size else flat["day"],
        band=flat["band"],
        group=flat["group"],
        groups=sum(map(len, groups)),
        group_symbol=np.concatenate(groups),
        realised=flat["realised"],
        interest_growth=flat["growth"],
        maps={name: np.concatenate(maps.pop(name), axis=1) for name in [*maps]},
    )
    return table, symbols


def _drawn_days(table: _Observations, *, draws: int, mean_block: timedelta, seed: int) -> Floats:
    """Return how often each day was drawn: first the sample itself, then the draws; too few blocks give none."""
    days = int(table.day.max()) + 1
    weights = np.ones((1, days))
    if days * DAY < FEWEST_BLOCKS * mean_block:
        return weights
    calendar = (np.arange(days) * DAY_US).astype("datetime64[us]")
    drawn = block_bootstrap_indices(calendar, mean_block=mean_block, draws=draws, seed=seed)
    return np.vstack([weights, *(np.bincount(rows, minlength=days) for rows in drawn)])


@dataclass(frozen=True)
class _Lift:
    """The lift of one map over the draws; the first entry is the sample itself."""

    by_group: Floats
    draws: Floats


class _Judge:
    """Scores maps on the same observations and the same draws of days, so that differences are paired."""

    def __init__(
        self, table: _Observations, chances: Floats, weights: Floats, top: float, mean_block: timedelta
    ) -> None:
        self._table = table
        self._chances = chances
        self._top = top
        self._weights = weights
        self._day = table.day
        self.days = weights.shape[1]
        self._mean_block = mean_block
        self._cell = table.group * self.days + self._day
        self._all = self._daily(np.ones(table.realised.size)), self._daily(table.realised)

    def _daily(self, values: Floats) -> Floats:
        """Sum by group and day, then over the days of every draw: shape (draws + 1, groups)."""
        size = self._table.groups * self.days
        daily = np.bincount(self._cell, weights=values, minlength=size).reshape(self._table.groups, self.days)
        return self._weights @ daily.T

    def score(self, predicted: NDArray[np.floating], *, draw: int = 0) -> _Lift:
        """Return the lift of a map, group by group, in the sample and in every draw."""
        table = self._table
        order = np.lexsort((self._chances[draw], predicted, table.group))
        sizes = np.bincount(table.group, minlength=table.groups)
        place = np.arange(order.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        dense = np.empty(order.size)
        dense[order] = place >= sizes[table.group[order]] - np.floor(self._top * sizes)[table.group[order]]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._daily(dense * table.realised) / self._daily(dense)
            lifts = mean / (self._all[1] / self._all[0])
        lifts[~np.isfinite(lifts)] = np.nan
        return _Lift(by_group=lifts[0], draws=np.nanmean(lifts, axis=1))

    def lift(self, found: _Lift) -> dict[str, float]:
        """Return lift and interval."""
        return {"lift": float(found.draws[0]), **self._interval(found.draws)}

    def difference(self, one: _Lift, other: _Lift) -> dict[str, float]:
        """Return the difference of two lifts and its interval, both on the same draws."""
        return {"lift": float(one.draws[0] - other.draws[0]), **self._interval(one.draws - other.draws)}

    def by_symbol(self, found: _Lift, symbols: Sequence[str]) -> dict[str, float]:
        """Return the lift of each symbol alone."""
        of = self._table.group_symbol
        return {name: float(np.nanmean(found.by_group[of == i])) for i, name in enumerate(symbols) if (of == i).any()}

    def rank_correlation(self, predicted: NDArray[np.floating]) -> dict[str, float]:
        """Return the mean over groups of Spearman's correlation, ranks taken once over the sample."""
        table = self._table
        order = np.argsort(table.group, kind="stable")
        borders = np.searchsorted(table.group[order], np.arange(table.groups + 1))
        ranks = np.zeros((2, order.size))
        for start, stop in pairwise(borders):
            rows = order[start:stop]
            for i, values in enumerate((predicted[rows], table.realised[rows])):
                ranks[i, rows] = rankdata(values) / rows.size - 0.5
        x, y = ranks
        n = self._all[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_x, mean_y = self._daily(x) / n, self._daily(y) / n
            covariance = self._daily(x * y) / n - mean_x * mean_y
            spread = (self._daily(x * x) / n - mean_x**2) * (self._daily(y * y) / n - mean_y**2)
            correlations = covariance / np.sqrt(spread)
        correlations[~np.isfinite(correlations)] = np.nan
        if np.isnan(correlations).all():
            return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
        draws = np.nanmean(correlations, axis=1)
        return {"value": float(draws[0]), **self._interval(draws)}

    def regression(self, predicted: NDArray[np.floating]) -> dict[str, float]:
        """Return the slope of log1p(V) on log P within bands, with t clustered by day (CR1), V and P in bp of OI."""
        table = self._table
        x = np.log(1e4 * predicted.astype(np.float64) + _FLOOR_BPS)
        y = np.log1p(1e4 * table.realised)
        sizes = np.bincount(table.group, minlength=table.groups)
        for values in (x, y):
            values -= (np.bincount(table.group, weights=values, minlength=table.groups) / sizes)[table.group]
        information = float(x @ x)
        if information <= 0.0:
            return {"slope": float("nan"), "t": float("nan")}
        slope = float(x @ y) / information
        by_day = np.bincount(self._day, weights=x * (y - slope * x), minlength=self.days)
        clusters = np.unique(self._day).size
        n, k = x.size, table.groups + 1
        correction = clusters / max(clusters - 1, 1) * (n - 1) / max(n - k, 1)
        error = np.sqrt(correction * float(by_day @ by_day)) / information
        return {"slope": slope, "t": slope / error if error > 0.0 else float("nan")}

    def _interval(self, values: Floats) -> dict[str, float]:
        """Return the interval of a value, which comes first, from its draws."""
        known = values[1:][~np.isnan(values[1:])]
        if known.size < max(2.0, _FEWEST_DRAWS * (values.size - 1)) or np.isnan(values[0]):
            return {"low": float("nan"), "high": float("nan")}
        low, high = Stretch.of(self.days, mean_block=self._mean_block).bounds(float(values[0]), known)
        return {"low": low, "high": high}
