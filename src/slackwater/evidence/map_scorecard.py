"""Scorecard of the liquidation map against placebo maps (method, section 4.4).

At every snapshot the map is read in bands of distance, and what was liquidated afterwards is counted in the bands
that the price then crossed for the first time. Within a band of a symbol, the distance being the same, the *lift* is
the mean of what was liquidated where the map is in its top fifth, over the mean of all. A map that knows nothing has
a lift of 1. Maps that know the wrong thing stand beside it: a uniform one, distance alone, open interest alone, and
the map of a week before, at the same distances and at the same prices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from slackwater.errors import ParameterError
from slackwater.evidence.crossings import attribute
from slackwater.evidence.map_history import density_family, layer_names, map_engine, rows_of, walk
from slackwater.features.family import Family, duration_name
from slackwater.liquidity.density import N_LAYERS, map_bins, map_slots
from slackwater.liquidity.zones import map_bands
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE, HIGH, LIQUIDATED_LONG, LIQUIDATED_SHORT, LOW, OPEN_INTEREST
from slackwater.metrics.selection import block_bootstrap_indices

__all__ = ["Bands", "MapSnapshots", "map_scorecard", "scorecard_markdown", "scorecard_of", "take_snapshots"]

_US: Final = timedelta(microseconds=1)
_MICROSECONDS_A_DAY: Final = timedelta(days=1) // _US
_FLOOR_BPS: Final = 0.1
"""Mass added before a logarithm is taken, basis points of open interest: many a band is empty."""
_FEWEST_DRAWS: Final = 0.95
_FEWEST_BLOCKS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Bands:
    """How the map is sampled and what counts as its realisation.

    Parameters
    ----------
    every
        Time between snapshots; a bar where bars are longer.
    horizon
        After a snapshot, what is liquidated counts.
    width
        Of a band, log price.
    first, last
        Bands that are scored: from ``first * width`` to ``last * width`` away from the price.
    shift
        Age of the placebo map.
    top
        Share of a band that is called dense.
    fewest
        Observations that a band of a symbol needs to be scored.
    """

    every: timedelta = timedelta(hours=1)
    horizon: timedelta = timedelta(hours=24)
    width: float = 0.0025
    first: int = 2
    last: int = 20
    shift: timedelta = timedelta(days=7)
    top: float = 0.2
    fewest: int = 200

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.first < self.last:
            raise ParameterError(f"`first` and `last` must ascend from 0, were {self.first} and {self.last}")
        if not 0.0 < self.width < 0.1 or not 0.0 < self.top < 1.0:
            raise ParameterError(f"`width` must be in (0, 0.1) and `top` in (0, 1), were {self.width} and {self.top}")


@dataclass(frozen=True, kw_only=True)
class MapSnapshots:
    """What the map of one symbol said, and what came of it.

    Parameters
    ----------
    symbol
        The perpetual.
    times
        Of the snapshots, microseconds since 1970, shape (n,).
    mass
        Fraction of open interest, shape (n, N_LAYERS, 2, bands).
    same_distance, same_price
        The map of `Bands.shift` before, at the same distances from its own price, and at the same prices; NaN where
        there was none. Shape as `mass`.
    interest_growth
        Log change of open interest over `Bands.shift`, shape (n,).
    realised
        What was liquidated in a band within the horizon, fraction of open interest at the snapshot; NaN where the
        price did not cross the whole band. Shape (n, 2, bands).
    liquidated, at_new_extremes, within_bands
        Sums over the snapshots of what was liquidated within the horizon, of the part that came at a new extreme
        since the snapshot, and of the part of that inside of the bands; fractions of open interest.
    unknown
        Snapshots left out because a bar or a liquidation total within their horizon is unknown, or still to come.
    """

    symbol: str
    times: NDArray[np.int64]
    mass: NDArray[np.float32]
    same_distance: NDArray[np.float32]
    same_price: NDArray[np.float32]
    interest_growth: NDArray[np.float64]
    realised: NDArray[np.float64]
    liquidated: float
    at_new_extremes: float
    within_bands: float
    unknown: int


def take_snapshots(frame: MarketFrame, families: Sequence[Family], symbol: str, bands: Bands) -> MapSnapshots:
    """Read the map of a symbol at every snapshot, and count what was liquidated afterwards.

    Parameters
    ----------
    frame
        The history, with open interest and liquidations.
    families
        Feature families with their parameters.
    symbol
        The perpetual.
    bands
        How.

    Notes
    -----
    The snapshot at T is the map that the feature row of the bar closing at T saw; only bars after T are counted.
    Snapshots begin when the features of the map do, after their warm-up.
    """
    where = rows_of(frame, symbol)
    values = frame.values[where]
    density = density_family(families)
    engine = map_engine(families)
    known = engine.names.index(density.features()[0].name)
    at, width, bins, slots = (
        density.map_at,
        density.bin_width,
        map_bins(density.bin_width),
        map_slots(density.bin_width),
    )
    every, shift = max(bands.every, frame.bar_interval), bands.shift // frame.bar_interval
    older: dict[int, tuple[NDArray[np.float64], float, float, NDArray[np.float64]]] = {}
    positions: list[int] = []
    growth: list[float] = []
    maps: list[NDArray[np.float32]] = []
    for position, row, out, state in walk(engine, frame, symbol):
        if row.time_us % (every // _US):
            continue
        price, interest = float(np.log(row.values[CLOSE])), float(row.values[OPEN_INTEREST])
        if not interest > 0.0:
            continue
        now = np.empty((2, N_LAYERS, bands.last))
        map_bands(state, at, bins, width, price, bands.width, now)
        now /= interest
        older[position] = (state[at : at + slots].copy(), interest, price, now)
        then = older.pop(position - shift, None)
        while older and next(iter(older)) < position - shift:
            del older[next(iter(older))]
        if np.isnan(out[known]):
            continue
        three = np.full((3, 2, N_LAYERS, bands.last), np.nan)
        three[0] = now
        if then is not None:
            held, interest_then, _, three[1] = then
            map_bands(held, 0, bins, width, price, bands.width, three[2])
            three[2] /= interest_then
        positions.append(position)
        growth.append(float(np.log(interest / then[1])) if then is not None else np.nan)
        maps.append(three.astype(np.float32))
    n = len(positions)
    rows = np.array(positions, dtype=np.int64)
    three_maps = np.stack(maps) if n else np.empty((0, 3, 2, N_LAYERS, bands.last), dtype=np.float32)
    realised, totals = np.empty((n, 2, bands.last)), np.empty((n, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(values[:, [CLOSE, HIGH, LOW]])
    attribute(
        logs[:, 0],
        logs[:, 1],
        logs[:, 2],
        values[:, LIQUIDATED_LONG],
        values[:, LIQUIDATED_SHORT],
        rows,
        bands.horizon // frame.bar_interval,
        bands.width,
        realised,
        totals,
    )
    interest_at = values[rows, OPEN_INTEREST]
    sums = np.nansum(totals / interest_at[:, None], axis=0)
    first = int(frame.table["event_time"].iloc[where.start].value // 1_000)
    by_layer = three_maps.transpose(1, 0, 3, 2, 4)
    return MapSnapshots(
        symbol=symbol,
        times=first + rows * int(frame.bar_interval / _US),
        mass=by_layer[0],
        same_distance=by_layer[1],
        same_price=by_layer[2],
        interest_growth=np.array(growth),
        realised=realised / interest_at[:, None, None],
        liquidated=float(sums[0]),
        at_new_extremes=float(sums[1]),
        within_bands=float(sums[2]),
        unknown=int(np.isnan(totals[:, 0]).sum()),
    )


def map_scorecard(
    frame: MarketFrame,
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
    frame
        The history.
    families
        Feature families with their parameters.
    draws, mean_block, seed
        Of the block bootstrap: blocks of calendar time, all symbols of a block together.
    bands
        Sampling of the map; None: that of method, section 4.4.
    progress
        Called with one line a symbol.

    Returns
    -------
    dict
        Fit for JSON; see `scorecard_of`. Where the data have no liquidations or no open interest there is nothing
        to score: ``{"skipped": reason}``.
    """
    bands = bands or Bands()
    needed = {"liquidated_long": "liquidations", "open_interest": "open interest"}
    missing = [words for name, words in needed.items() if name not in frame.available]
    if missing:
        return {"skipped": f"the data have no {' and no '.join(missing)}"}
    snapshots = []
    for symbol, _ in frame.symbols():
        snapshots.append(take_snapshots(frame, families, symbol, bands))
        if progress is not None:
            progress(f"{symbol}: {len(snapshots[-1].times):,} snapshots of the map")
    return scorecard_of(
        snapshots, layer_names(density_family(families)), draws=draws, mean_block=mean_block, seed=seed, bands=bands
    )


def scorecard_of(
    snapshots: Sequence[MapSnapshots],
    layers: Sequence[str],
    *,
    draws: int = 2000,
    mean_block: timedelta = timedelta(days=14),
    seed: int = 0,
    bands: Bands,
) -> dict[str, Any]:
    """Score snapshots of the map.

    Parameters
    ----------
    snapshots
        One a symbol.
    layers
        Names of the layers.
    draws, mean_block, seed
        As in `map_scorecard`.
    bands
        How the snapshots were taken.

    Returns
    -------
    dict
        ``layers``: for each the `lift` with its interval, the lift of `place_alone` (the mass of a band as a share of
        all that the side holds in reach: where, whatever the amount), the mean `rank_correlation` (Spearman) with
        its interval, the slope of ``log1p(V) ~ log P`` within bands with its `t` (clustered by day), the same lift
        of the two placebos, and the differences. ``controls``: lifts of maps that know no place. ``observations``,
        ``bands`` (band-symbol pairs scored), ``days``, ``liquidated`` and the sampling.

    Notes
    -----
    Ties are broken at random, with a fixed seed: otherwise a constant map would call the first rows dense. The
    border of the top fifth is that of the whole sample; the bootstrap draws days and does not move it.
    """
    table, chances = _observations(snapshots, bands)
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
    judge = _Judge(table, chances, _drawn_days(table, draws=draws, mean_block=mean_block, seed=seed), bands.top)
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
            "by_symbol": judge.by_symbol(own, [s.symbol for s in snapshots]),
            "empty_share": float((table.maps["mass"][i] <= 0.0).mean()),
            "placebo_same_distance": judge.lift(distance),
            "placebo_same_price": judge.lift(price),
            "minus_placebo_same_distance": judge.difference(own, distance),
            "minus_placebo_same_price": judge.difference(own, price),
        }
    n = table.realised.size
    liquidated = sum(s.liquidated for s in snapshots)
    return {
        "layers": scored,
        "controls": {
            "uniform": judge.lift(judge.score(np.ones(n))),
            "distance_only": judge.lift(judge.score(-table.band.astype(float), draw=1)),
            "open_interest_only": judge.lift(judge.score(table.interest_growth)),
        },
        "observations": n,
        "snapshots": sum(len(s.times) - s.unknown for s in snapshots),
        "snapshots_unknown": sum(s.unknown for s in snapshots),
        "bands": table.groups,
        "symbols": [s.symbol for s in snapshots],
        "days": judge.days,
        "liquidated": {
            "at_no_new_extreme_share": 1.0 - sum(s.at_new_extremes for s in snapshots) / max(liquidated, 1e-300),
            "within_bands_share": sum(s.within_bands for s in snapshots) / max(liquidated, 1e-300),
        },
        "sampling": sampling,
    }


@dataclass(frozen=True)
class _Observations:
    """One entry a snapshot, side and band that was crossed."""

    day: NDArray[np.int64]
    band: NDArray[np.intp]
    group: NDArray[np.intp]
    groups: int
    group_symbol: NDArray[np.intp]
    realised: NDArray[np.float64]
    interest_growth: NDArray[np.float64]
    maps: dict[str, NDArray[np.float32]]


def _observations(snapshots: Sequence[MapSnapshots], bands: Bands) -> tuple[_Observations, NDArray[np.float64]]:
    """Flatten the snapshots, and keep the bands that were crossed often enough and where anything was liquidated."""
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("time", "symbol", "band", "realised", "growth")}
    maps: dict[str, list[NDArray[np.float32]]] = {"mass": [], "place": [], "same_distance": [], "same_price": []}
    scored = slice(bands.first, bands.last)
    for i, taken in enumerate(snapshots):
        realised = taken.realised[:, :, scored]
        known = ~np.isnan(realised) & ~np.isnan(taken.same_price[:, 0, :, scored])
        which, _, band = np.nonzero(known)
        columns["time"].append(taken.times[which])
        columns["symbol"].append(np.full(which.size, i))
        columns["band"].append(band + bands.first)
        columns["realised"].append(realised[known])
        columns["growth"].append(taken.interest_growth[which])
        whole = taken.mass.sum(axis=3, keepdims=True)
        place = np.divide(taken.mass, whole, out=np.zeros_like(taken.mass), where=whole > 0.0)
        for name, parts in maps.items():
            mass = place if name == "place" else getattr(taken, name)
            parts.append(mass[:, :, :, scored].transpose(1, 0, 2, 3)[:, known])
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    pair = flat["symbol"] * bands.last + flat["band"]
    sizes = np.bincount(pair, minlength=len(snapshots) * bands.last)
    sums = np.bincount(pair, weights=flat["realised"], minlength=sizes.size)
    kept_pairs = np.flatnonzero((sizes >= bands.fewest) & (sums > 0.0))
    number = np.full(sizes.size, -1)
    number[kept_pairs] = np.arange(kept_pairs.size)
    kept = number[pair] >= 0
    day = flat["time"][kept] // _MICROSECONDS_A_DAY
    table = _Observations(
        day=day - day.min() if day.size else day,
        band=flat["band"][kept],
        group=number[pair][kept],
        groups=kept_pairs.size,
        group_symbol=kept_pairs // bands.last,
        realised=flat["realised"][kept],
        interest_growth=flat["growth"][kept],
        maps={name: np.concatenate(parts, axis=1)[:, kept] for name, parts in maps.items()},
    )
    return table, np.random.default_rng(20240805).random((2, table.realised.size))


def _drawn_days(table: _Observations, *, draws: int, mean_block: timedelta, seed: int) -> NDArray[np.float64]:
    """Return how often each day was drawn: first the sample itself, then the draws; too few blocks give none."""
    days = int(table.day.max()) + 1
    weights = np.ones((1, days))
    if days * timedelta(days=1) < _FEWEST_BLOCKS * mean_block:
        return weights
    calendar = (np.arange(days) * _MICROSECONDS_A_DAY).astype("datetime64[us]")
    drawn = block_bootstrap_indices(calendar, mean_block=mean_block, draws=draws, seed=seed)
    return np.vstack([weights, *(np.bincount(rows, minlength=days) for rows in drawn)])


@dataclass(frozen=True)
class _Lift:
    """The lift of one map over the draws; the first entry is the sample itself."""

    by_group: NDArray[np.float64]
    draws: NDArray[np.float64]


class _Judge:
    """Scores maps on the same observations and the same draws of days, so that differences are paired."""

    def __init__(
        self, table: _Observations, chances: NDArray[np.float64], weights: NDArray[np.float64], top: float
    ) -> None:
        self._table = table
        self._chances = chances
        self._top = top
        self._weights = weights
        self._day = table.day
        self.days = weights.shape[1]
        self._cell = table.group * self.days + self._day
        self._all = self._daily(np.ones(table.realised.size)), self._daily(table.realised)

    def _daily(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
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
        return {"lift": float(found.draws[0]), **self._interval(found.draws[1:])}

    def difference(self, one: _Lift, other: _Lift) -> dict[str, float]:
        """Return the difference of two lifts and its interval, both on the same draws."""
        return {"lift": float(one.draws[0] - other.draws[0]), **self._interval(one.draws[1:] - other.draws[1:])}

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
        return {"value": float(draws[0]), **self._interval(draws[1:])}

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

    @staticmethod
    def _interval(draws: NDArray[np.float64]) -> dict[str, float]:
        known = draws[~np.isnan(draws)]
        if known.size < max(2.0, _FEWEST_DRAWS * draws.size):
            return {"low": float("nan"), "high": float("nan")}
        low, high = np.quantile(known, [0.025, 0.975])
        return {"low": float(low), "high": float(high)}


def scorecard_markdown(card: dict[str, Any]) -> str:
    """Return the scorecard as a table for a document, or the reason why there is none."""
    if "skipped" in card:
        return f"not scored: {card['skipped']}"

    def cell(found: dict[str, Any]) -> str:
        if np.isnan(found["low"]):
            return f"{found['lift']:.2f}"
        return f"{found['lift']:.2f} ({found['low']:.2f} to {found['high']:.2f})"

    head = (
        "map",
        "lift (95 %)",
        "place alone",
        "a week old, same distance",
        "… difference",
        "a week old, same prices",
        "… difference",
        "Spearman",
    )
    lines = [head, ("---",) * len(head)]
    for layer, found in card["layers"].items():
        lines.append(
            (
                "stops" if layer == "stops" else f"half-life {layer}",
                f"**{cell(found)}**",
                cell(found["place_alone"]),
                cell(found["placebo_same_distance"]),
                cell(found["minus_placebo_same_distance"]),
                cell(found["placebo_same_price"]),
                cell(found["minus_placebo_same_price"]),
                f"{found['rank_correlation']['value']:.2f}",
            )
        )
    for name, found in card["controls"].items():
        lines.append((name.replace("_", " "), cell(found), *[""] * 6))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
