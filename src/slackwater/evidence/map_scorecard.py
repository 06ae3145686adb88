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
from functools import partial
from typing import Any, Final

import numpy as np

from slackwater.durations import duration_name
from slackwater.errors import MissingDataError
from slackwater.evidence.map_history import density_family, layer_names
from slackwater.evidence.map_snapshots import Bands, MapSnapshots, take_snapshots
from slackwater.evidence.map_sums import CONTROLS, MAPS, DenseSums, SymbolSums, sums_of
from slackwater.features.family import Family
from slackwater.market.frame import MarketFrame
from slackwater.metrics.selection import FEWEST_BLOCKS, Stretch, block_bootstrap_indices
from slackwater.times import DAY, DAY_US
from slackwater.types import Floats

__all__ = ["map_scorecard", "scorecard_of"]

_FEWEST_DRAWS: Final = 0.95
_ROUNDING: Final = 1e-20
"""Mean square below which a map is constant within its bands: what is left of its mean is rounding."""


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
                del snapshots
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

    Snapshots are held one symbol at a time, and of each the sums by day (`slackwater.evidence.map_sums`).

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
    The border of the top fifth is that of the whole sample; the bootstrap draws days and does not move it.
    """
    symbols = [*map(partial(sums_of, bands=bands), snapshots)]  # a name would keep one while the next is taken
    if not symbols:
        raise MissingDataError("there are no bars to score the liquidation map on")
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
    scored = [each for each in symbols if each.groups]
    if not scored:
        return {"skipped": f"no band of any symbol was crossed {bands.fewest} times", "sampling": sampling}
    judge = _Judge(scored, draws=draws, mean_block=mean_block, seed=seed)
    cards: dict[str, Any] = {}
    for i, layer in enumerate(layers):
        own, place, distance, price = (judge.score([each.layers[i].maps[name] for each in scored]) for name in MAPS)
        cards[layer] = {
            **judge.lift(own),
            "place_alone": judge.lift(place),
            "rank_correlation": judge.rank_correlation([each.layers[i].ranks for each in scored]),
            "regression": judge.regression([each.layers[i].regression for each in scored]),
            "by_symbol": judge.by_symbol(own),
            "empty_share": sum(each.layers[i].empty for each in scored) / judge.observations,
            "placebo_same_distance": judge.lift(distance),
            "placebo_same_price": judge.lift(price),
            "minus_placebo_same_distance": judge.difference(own, distance),
            "minus_placebo_same_price": judge.difference(own, price),
        }
    liquidated = sum(each.liquidated for each in symbols)
    return {
        "layers": cards,
        "controls": {name: judge.lift(judge.score([each.controls[name] for each in scored])) for name in CONTROLS},
        "observations": judge.observations,
        "snapshots": sum(each.snapshots - each.unknown for each in symbols),
        "snapshots_unknown": sum(each.unknown for each in symbols),
        "bands": judge.groups,
        "symbols": [each.symbol for each in symbols],
        "days": judge.days,
        "liquidated": {
            "at_no_new_extreme_share": 1.0 - sum(each.at_new_extremes for each in symbols) / max(liquidated, 1e-300),
            "within_bands_share": sum(each.within_bands for each in symbols) / max(liquidated, 1e-300),
        },
        "sampling": sampling,
    }


def _drawn_days(days: int, *, draws: int, mean_block: timedelta, seed: int) -> Floats:
    """Return how often each day was drawn: first the sample itself, then the draws; too few blocks give none."""
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
    """Scores maps on the same entries and the same draws of days, so that differences are paired."""

    def __init__(self, symbols: Sequence[SymbolSums], *, draws: int, mean_block: timedelta, seed: int) -> None:
        self._symbols, self._mean_block = symbols, mean_block
        self._first = min(each.first_day for each in symbols)
        self.days = max(each.first_day + each.days for each in symbols) - self._first
        self.groups = sum(each.groups for each in symbols)
        self._weights = _drawn_days(self.days, draws=draws, mean_block=mean_block, seed=seed)
        number = self._by_day([each.all.number for each in symbols])
        self.observations = int(number.sum())
        self._days_with_entries = int((number.sum(axis=0) > 0.0).sum())
        self._number = self._weights @ number.T
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw may have none of the days of a symbol
            self._mean = self._drawn([each.all.realised for each in symbols]) / self._number

    def _by_day(self, parts: Sequence[Floats]) -> Floats:
        """Put the sums of each symbol on the days of all: shape (all their rows, days)."""
        out, row = np.zeros((sum(map(len, parts)), self.days)), 0
        for each, part in zip(self._symbols, parts, strict=True):
            day = each.first_day - self._first
            out[row : row + len(part), day : day + each.days] = part
            row += len(part)
        return out

    def _drawn(self, parts: Sequence[Floats]) -> Floats:
        """Sum over the days of every draw, shape (draws + 1, groups)."""
        return self._weights @ self._by_day(parts).T

    def score(self, dense: Sequence[DenseSums]) -> _Lift:
        """Return the lift of a map, group by group, in the sample and in every draw."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._drawn([each.realised for each in dense]) / self._drawn([each.number for each in dense])
            lifts = mean / self._mean
        lifts[~np.isfinite(lifts)] = np.nan
        return _Lift(by_group=lifts[0], draws=np.nanmean(lifts, axis=1))

    def lift(self, found: _Lift) -> dict[str, float]:
        """Return lift and interval."""
        return {"lift": float(found.draws[0]), **self._interval(found.draws)}

    def difference(self, one: _Lift, other: _Lift) -> dict[str, float]:
        """Return the difference of two lifts and its interval, both on the same draws."""
        return {"lift": float(one.draws[0] - other.draws[0]), **self._interval(one.draws - other.draws)}

    def by_symbol(self, found: _Lift) -> dict[str, float]:
        """Return the lift of each symbol alone."""
        ends = np.cumsum([each.groups for each in self._symbols])
        parts = np.split(found.by_group, ends[:-1])
        return {each.symbol: float(np.nanmean(own)) for each, own in zip(self._symbols, parts, strict=True)}

    def rank_correlation(self, ranks: Sequence[Floats]) -> dict[str, float]:
        """Return the mean over groups of Spearman's correlation, ranks taken once over the sample."""
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y, xy, xx, yy = (self._drawn(list(parts)) / self._number for parts in zip(*ranks, strict=True))
            correlations = (xy - x * y) / np.sqrt((xx - x**2) * (yy - y**2))
        correlations[~np.isfinite(correlations)] = np.nan
        if np.isnan(correlations).all():
            return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
        draws = np.nanmean(correlations, axis=1)
        return {"value": float(draws[0]), **self._interval(draws)}

    def regression(self, sums: Sequence[Floats]) -> dict[str, float]:
        """Return the slope of log1p(V) on log P within bands, with t clustered by day (CR1), V and P in bp of OI."""
        xx, xy = (self._by_day([each[i : i + 1] for each in sums]).sum(axis=0) for i in range(2))
        information = float(xx.sum())
        if information <= _ROUNDING * self.observations:
            return {"slope": float("nan"), "t": float("nan")}
        slope = float(xy.sum()) / information
        by_day = xy - slope * xx  # of x times the residual
        clusters = self._days_with_entries
        n, k = self.observations, self.groups + 1
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
