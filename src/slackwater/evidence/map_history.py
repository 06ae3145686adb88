"""The liquidation map replayed to a given time, with the prices that crossed it.

The features keep the map of the present only. Here the engine walks down the history row by row, exactly as it would
live, and the map is read on the way: `replay` for reading (`slackwater zones`, the figure), `walk` for
measuring (`slackwater.evidence.map_snapshots`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.durations import duration_name
from slackwater.errors import MissingDataError, ParameterError
from slackwater.features.chosen_families import default_families
from slackwater.features.compiling import compile_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family
from slackwater.features.liquidation_density import LiquidationDensityFamily
from slackwater.features.rows import transform_rows
from slackwater.liquidity.density import N_LAYERS, map_bins, map_too_far
from slackwater.liquidity.zones import SIDES, MapView, map_read
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import CLOSE, HIGH, LOW, OPEN_INTEREST
from slackwater.market.spec import FrameSpec
from slackwater.storage import read_tables
from slackwater.times import epoch_us, microseconds

__all__ = [
    "MapHistory",
    "close_after_busiest_day",
    "density_family",
    "layer_names",
    "map_engine",
    "map_of_tables",
    "replay",
    "rows_of",
    "stretches",
    "walk",
]

_TABLES: Final = ("bars", "open_interest", "liquidations", "liquidation_totals")
"""What the map is made of, and what is drawn beside it."""

_MAP: Final = ("volatility", "liquidation_density")
_SWEEPS: Final = ("volatility", "liquidations", "liquidation_density", "sweeps")
_MARKS: Final = tuple(f"{what}_{side}" for what in ("swept", "glided") for side in SIDES)
_MARGIN: Final = 0.105
"""Log distance beyond the extremes of the span that a history covers: what pools are looked for in (10 %), whole."""


@dataclass(frozen=True, kw_only=True)
class MapHistory:
    """The map of one symbol over a span of time.

    Parameters
    ----------
    symbol
        The perpetual.
    bar_interval
        Spacing of `bars`.
    layers
        Names of the layers, such as ``("24h", "7d", "30d", "stops")``: half-lives of what is remembered.
    bars
        One row a bar of the span, gaps as NaN: `event_time` (close of the bar, UTC), `open`, `high`, `low`, `close`,
        `open_interest` (coin), `liquidated_long`, `liquidated_short` (coin), `atr_1d` (log price), and whether a level
        was swept or glided through at this close: `swept_below`, `swept_above`, `glided_below`, `glided_above`.
    rows
        Rows of `bars` at whose close the map was read, shape (n,), ascending; the last bar is one of them.
    bin_width, first_bin
        Log price of a bin, and the absolute number of the first one.
    mass
        Fraction of open interest, estimated; shape (n, 2, N_LAYERS, bins): below (longs), above (shorts). All zero
        where open interest is unknown.
    too_far
        The same at the last bar for what is too far to have a bin; shape (2, N_LAYERS).
    """

    symbol: str
    bar_interval: timedelta
    layers: tuple[str, ...]
    bars: pd.DataFrame
    rows: NDArray[np.intp]
    bin_width: float
    first_bin: int
    mass: NDArray[np.float32]
    too_far: NDArray[np.float64]

    @property
    def times(self) -> pd.DatetimeIndex:
        """Times at which the map was read: closes of bars, UTC."""
        return pd.DatetimeIndex(self.bars["event_time"].iloc[self.rows])

    @property
    def last(self) -> MapView:
        """The map at the end of the span."""
        return MapView(bin_width=self.bin_width, first_bin=self.first_bin, mass=self.mass[-1])

    def pools(self, *, layers: Sequence[str], reach: float = 0.1, most: int = 5) -> pd.DataFrame:
        """Find the pools around the last close; see `slackwater.liquidity.zones.MapView.pools`.

        Raises
        ------
        MissingDataError
            If nothing is known to look at: no open interest yet, or no daily range.
        """
        end = self.bars.iloc[-1]
        if not self.bars["open_interest"].notna().any():
            raise MissingDataError(
                f"{self.symbol}: no open interest is known up to {end['event_time']}; without it there is no map"
            )
        if np.isnan(end["atr_1d"]):
            raise MissingDataError(
                f"{self.symbol}: the daily range at {end['event_time']} is not known; the volatility features "
                f"need more history before it"
            )
        return self.last.pools(
            price=float(end["close"]), atr_day=float(end["atr_1d"]), layers=layers, reach=reach, most=most
        )


def map_engine(families: Sequence[Family], *, sweeps: bool = False) -> FeatureEngine:
    """Return an engine of the families that the map needs (with `sweeps`, also sweeps and glides), and no others."""
    wanted = _SWEEPS if sweeps else _MAP
    return FeatureEngine([family for family in families if family.name in wanted])


def density_family(families: Sequence[Family]) -> LiquidationDensityFamily:
    """Return the family that keeps the map."""
    for family in families:
        if isinstance(family, LiquidationDensityFamily):
            return family
    raise ParameterError(f"there is no family liquidation_density among {[family.name for family in families]}")


def layer_names(density: LiquidationDensityFamily) -> tuple[str, ...]:
    """Return the names of the layers: three half-lives of liquidations, and the stops."""
    return (*(duration_name(half_life) for half_life in density.half_lives), "stops")


def rows_of(frame: MarketFrame, symbol: str) -> slice:
    """Return the rows of a symbol."""
    found = dict(frame.symbols())
    if symbol not in found:
        raise MissingDataError(f"there are no bars of {symbol}; there are {', '.join(found)}")
    return found[symbol]


def walk(
    engine: FeatureEngine, frame: MarketFrame, symbol: str
) -> Iterator[tuple[int, FrameRow, NDArray[np.float64], NDArray[np.float64]]]:
    """Advance the engine down the bars of a symbol.

    Yields
    ------
    tuple
        Position of the row among those of the symbol (gaps count), the row, the features, and a view of the state
        of the density family: what was known at the decision after this close, overwritten by the next row.
    """
    first = int(frame.table["event_time"].iloc[rows_of(frame, symbol).start].value // 1_000)
    step = int(frame.bar_interval / timedelta(microseconds=1))
    state = None
    for row in frame.rows(symbol):
        out = engine.update(row)
        if state is None:
            state = engine.state_of("liquidation_density", symbol)
        yield (row.time_us - first) // step, row, out, state


def stretches(
    engine: FeatureEngine, frame: MarketFrame, symbol: str, ends: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Advance the engine down the bars of a symbol, from one reading to the next, each in one compiled call.

    Parameters
    ----------
    engine
        Of `map_engine`; its live state is not changed.
    frame, symbol
        The history, and the perpetual.
    ends
        Positions of the readings among the rows of the symbol (gaps count), ascending.

    Yields
    ------
    tuple
        The position, the features of every bar since the reading before (gaps have none), and a view of the state of
        the density family, which the next reading overwrites.
    """
    where = rows_of(frame, symbol)
    values, first = frame.values[where], epoch_us(frame.table["event_time"].iloc[where.start])
    step = microseconds(frame.bar_interval)
    state = np.zeros(engine._state_size)
    place = engine._places["liquidation_density"]
    compile_families()
    nothing_kept = np.empty((0, engine._row_width))
    begin = 0
    for end in ends:
        given = values[begin : end + 1]
        out = np.empty((len(given), len(engine.names)))
        times = first + begin * step
        count = transform_rows(state, engine._constants, engine._at, given, times, step, nothing_kept, out)
        yield end, out[:count], state[place[0] : place[1]]
        begin = end + 1


def _newest_interest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the last open interest above 0 that a bar had by each row, coin; NaN before the first."""
    interest = np.where(
        ~np.isnan(values[:, CLOSE]) & (values[:, OPEN_INTEREST] > 0.0), values[:, OPEN_INTEREST], np.nan
    )
    return pd.Series(interest).ffill().to_numpy()


def replay(
    frame: MarketFrame,
    families: Sequence[Family],
    symbol: str,
    *,
    at: pd.Timestamp | None = None,
    span: timedelta = timedelta(days=7),
    columns: int = 700,
) -> MapHistory:
    """Replay the map of a symbol to a given time, and read it over the last part.

    Parameters
    ----------
    frame
        The whole history: the map depends on all rows before.
    families
        Feature families with their parameters; those that the map needs are picked.
    symbol
        The perpetual.
    at
        The time, UTC; the last bar that closed by then is the last of the history. None: the last bar.
    span
        How far back from there the map is read.
    columns
        Readings over the span, at most about as many; at least the last bar.

    Raises
    ------
    MissingDataError
        If there are no bars of the symbol.
    ParameterError
        If `at` is naive or outside of the data, or `span` is shorter than a bar.
    """
    where = rows_of(frame, symbol)
    table = frame.table.iloc[where]
    closes = table["event_time"]
    last = len(table) - 1
    if at is not None:
        if at.tzinfo is None:
            raise ParameterError(f"`at` must carry a time zone, such as 2024-06-01T12:00Z, was {at}")
        if not closes.iloc[0] <= at < closes.iloc[-1] + frame.bar_interval:
            raise ParameterError(
                f"`at` must be within the bars of {symbol}, {closes.iloc[0]} to {closes.iloc[-1]}, was {at}"
            )
        last = int(closes.searchsorted(at, side="right")) - 1
    while np.isnan(frame.values[where.start + last, HIGH]):
        last -= 1
    if span < frame.bar_interval:
        raise ParameterError(f"`span` must be at least a bar, {frame.bar_interval}, was {span}")
    first = max(last + 1 - int(span / frame.bar_interval), 0)
    every = max((last + 1 - first) // columns, 1)

    density = density_family(families)
    engine = map_engine(families, sweeps=True)
    width, bins = density.bin_width, map_bins(density.bin_width)
    prices = frame.values[where][first : last + 1]
    first_bin = int(np.floor((np.log(np.nanmin(prices[:, LOW])) - _MARGIN) / width))
    n_bins = int(np.ceil((np.log(np.nanmax(prices[:, HIGH])) + _MARGIN) / width)) - first_bin
    bars = table.iloc[first : last + 1][
        ["event_time", "open", "high", "low", "close", "open_interest", "liquidated_long", "liquidated_short"]
    ].reset_index(drop=True)
    marks = np.zeros((len(bars), len(_MARKS)), dtype=bool)
    atr = np.full(len(bars), np.nan)
    ages = [engine.names.index(f"{what}_age_{side}") for what in ("sweep", "glide") for side in SIDES]
    atr_day = engine.names.index("atr_1d")
    given = frame.values[where]
    present = ~np.isnan(given[:, CLOSE])
    interest = _newest_interest(given)
    rows, masses = [], []
    too_far = np.zeros((2, N_LAYERS))
    begin = 0
    for end, out, state in stretches(engine, frame, symbol, [*range(last, first - 1, -every)][::-1]):
        inside = np.flatnonzero(present[begin : end + 1]) + begin - first
        marks[inside[inside >= 0]] = (out[:, ages] == 0.0)[inside >= 0]  # an age of nothing: it happened at this close
        atr[inside[inside >= 0]] = out[inside >= 0, atr_day]
        begin = end + 1
        if not present[end]:
            continue
        mass = np.zeros((2, N_LAYERS, n_bins))
        if interest[end] > 0.0:
            map_read(state, density.map_at, bins, first_bin, mass)
            mass /= interest[end]
            map_too_far(state, density.map_at, too_far)
            too_far /= interest[end]
        rows.append(end - first)
        masses.append(mass.astype(np.float32))
    bars["atr_1d"] = atr
    for j, name in enumerate(_MARKS):
        bars[name] = marks[:, j]
    if np.isnan(bars["open_interest"].iloc[-1]):
        bars.loc[bars.index[-1], "open_interest"] = interest[last]
    return MapHistory(
        symbol=symbol,
        bar_interval=frame.bar_interval,
        layers=layer_names(density),
        bars=bars,
        rows=np.array(rows, dtype=np.intp),
        bin_width=width,
        first_bin=first_bin,
        mass=np.stack(masses),
        too_far=too_far,
    )


def close_after_busiest_day(frame: MarketFrame, symbol: str, *, after: timedelta, window: timedelta) -> pd.Timestamp:
    """Return a close soon after the day with the most liquidations.

    Parameters
    ----------
    frame, symbol
        The history, and the perpetual.
    after
        How much later than that day, at most; the last bar where the data end before.
    window
        Time from the first bar that is skipped, since the map is still young.

    Returns
    -------
    Timestamp
        Where no liquidations are known, the day of the widest range takes their place.
    """
    table = frame.table.iloc[rows_of(frame, symbol)]
    day = max(int(timedelta(days=1) / frame.bar_interval), 1)
    busy = (table["liquidated_long"] + table["liquidated_short"]) / table["open_interest"]
    if busy.notna().sum() < day:
        busy = np.log(table["high"] / table["low"])
    busy = busy.rolling(day, min_periods=1).sum()
    old = table["event_time"] >= table["event_time"].iloc[0] + window
    if (busy[old] > 0.0).any():
        busy = busy[old]
    last = pd.Timestamp(table["event_time"].iloc[-1])
    return min(pd.Timestamp(table["event_time"].loc[busy.idxmax()]) + after, last)


def map_of_tables(
    directory: str | Path,
    symbol: str,
    *,
    spec: FrameSpec,
    features: Mapping[str, Any],
    at: pd.Timestamp | None = None,
    span: timedelta = timedelta(days=7),
) -> MapHistory:
    """Replay the map of one symbol of a directory of canonical tables.

    Parameters
    ----------
    directory
        Directory of parquet files, such as ``data/tables``.
    spec, features
        Settings of the market frame, and parameters of the feature families by name.
    symbol, at, span
        As in `replay`, with its errors.

    Raises
    ------
    MissingDataError
        If there is no such directory.
    """
    tables = read_tables(directory, _TABLES)
    if "bars" not in tables:
        raise MissingDataError(f"there is no file {Path(directory) / 'bars.parquet'}")
    symbols = sorted(set(tables["bars"]["symbol"].astype(str)))
    if symbol not in symbols:
        raise MissingDataError(f"{directory}: there are no bars of {symbol}; there are {', '.join(symbols)}")
    own = {name: table[table["symbol"] == symbol].reset_index(drop=True) for name, table in tables.items()}
    frame = MarketFrame.from_tables(own, spec)
    return replay(frame, default_families(spec.bar_interval, **features), symbol, at=at, span=span)
