"""Snapshots of the liquidation map, and what was liquidated after each of them (method, section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.evidence.crossings import attribute
from slackwater.evidence.map_history import density_family, map_engine, rows_of, walk
from slackwater.features.family import Family
from slackwater.liquidity.density import N_LAYERS, map_bins, map_slots
from slackwater.liquidity.zones import map_bands
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE, HIGH, LIQUIDATED_LONG, LIQUIDATED_SHORT, LOW, OPEN_INTEREST
from slackwater.times import epoch_us, microseconds
from slackwater.types import Floats, Ints

__all__ = ["Bands", "MapSnapshots", "take_snapshots"]


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Sampling of the map, and what counts as its realisation.

    Parameters
    ----------
    every
        Time between snapshots; a bar where bars are longer.
    horizon
        Time after a snapshot within which liquidations count.
    width
        Width of a band, log price.
    first, last
        Bands that are scored: from ``first * width`` to ``last * width`` away from the price.
    shift
        Age of the placebo map.
    top
        Share of a band that is called dense.
    fewest
        Least number of observations for which a band of a symbol is scored.
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
    """The map of one symbol at the snapshots, and what was liquidated afterwards.

    Parameters
    ----------
    symbol
        The perpetual.
    times
        Times of the snapshots, microseconds since 1970, shape (n,).
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
    times: Ints
    mass: NDArray[np.float32]
    same_distance: NDArray[np.float32]
    same_price: NDArray[np.float32]
    interest_growth: Floats
    realised: Floats
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
        Sampling.

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
    older: dict[int, tuple[Floats, float, float, Floats]] = {}
    positions: list[int] = []
    growth: list[float] = []
    maps: list[NDArray[np.float32]] = []
    for position, row, out, state in walk(engine, frame, symbol):
        if row.time_us % microseconds(every):
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
    first = epoch_us(frame.table["event_time"].iloc[where.start])
    by_layer = three_maps.transpose(1, 0, 3, 2, 4)
    return MapSnapshots(
        symbol=symbol,
        times=first + rows * microseconds(frame.bar_interval),
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
