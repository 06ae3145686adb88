"""The market frame: every table joined, as it was known, to the bar closes of one grid.

`MarketFrame.from_tables` does it for history, `slackwater.market.stream.FrameStream` for live rows, with the same
compiled joins (`slackwater.market.joins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import DataError, MissingDataError
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import (
    CLOSE,
    INPUTS,
    MARKET_DISPERSION,
    OPEN,
    OTHERS_ABSOLUTE_RETURN,
    OTHERS_BREADTH,
    OTHERS_RETURN,
)
from slackwater.market.joins import TableJoin, breadth_of_others, joins_of, log_ratios, returns_of_others
from slackwater.market.schemas import refuse_both_kinds_of_liquidations
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds, timestamps
from slackwater.types import Bools, Floats, Ints

__all__ = ["MarketFrame", "arrivals", "moves_of_others", "rows_of_symbols"]

_OTHERS: Final = [OTHERS_RETURN, OTHERS_ABSOLUTE_RETURN, OTHERS_BREADTH, MARKET_DISPERSION]


class MarketFrame:
    """Tables as-of-joined to bar closes: one row per (symbol, bar close) with what was known at the decision.

    Build it with `from_tables`.

    Parameters
    ----------
    table
        Columns `symbol`, `event_time`, `available_time` (the decision) and the inputs, each symbol on its regular
        grid of bars; a missing bar is a row of NaN.
    bar_interval
        Spacing of the grid.
    available, inputs
        The inputs that some table fed, and the names of all of them (`FrameSpec.inputs`).

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows, n_inputs)
        The inputs of each row.
    has_bar : ndarray of bool, shape (n_rows,)
        Whether each row has a bar.
    """

    def __init__(
        self, table: pd.DataFrame, *, bar_interval: timedelta, available: frozenset[str], inputs: Sequence[str] = INPUTS
    ) -> None:
        self.table = table
        self.bar_interval = bar_interval
        self.available = available
        self.inputs = tuple(inputs)
        self.values: Floats = np.ascontiguousarray(table[list(inputs)].to_numpy(np.float64))
        self.has_bar: Bools = ~np.isnan(self.values[:, CLOSE])

    def with_table(self, table: pd.DataFrame) -> MarketFrame:
        """Return a frame of the same settings with other rows."""
        return MarketFrame(table, bar_interval=self.bar_interval, available=self.available, inputs=self.inputs)

    @property
    def n_bars(self) -> int:
        """Number of rows that have a bar."""
        return int(self.has_bar.sum())

    def symbols(self) -> Iterator[tuple[str, slice]]:
        """Yield each symbol with the slice of its rows."""
        codes, names = pd.factorize(self.table["symbol"])
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(codes)], strict=True):
            yield str(names[codes[start]]), slice(int(start), int(stop))

    def rows(self, symbol: str) -> Iterator[FrameRow]:
        """Yield the rows of one symbol that have a bar, as a live feed would deliver them."""
        for name, where in self.symbols():
            if name == symbol:
                times = self.table["event_time"].iloc[where]
                for time, values in zip(times, self.values[where], strict=True):
                    if not np.isnan(values[CLOSE]):
                        yield FrameRow(symbol=name, event_time=time, values=values.copy())
                return
        raise MissingDataError(f"the frame has no rows of {symbol}; it has {[name for name, _ in self.symbols()]}")

    @classmethod
    def from_tables(cls, tables: Mapping[str, pd.DataFrame], spec: FrameSpec) -> MarketFrame:
        """Join tables to the bar closes, each decision with the rows known by then.

        Parameters
        ----------
        tables
            Tables by name; only ``bars`` is required. A table that is absent, or that has no row of a symbol, leaves
            its inputs NaN: unknown is never zero.
        spec
            Settings of the frame.

        Raises
        ------
        MissingDataError
            If there are no bars.
        DataError
            If a bar becomes available only after its decision, or lies off the grid, which is one for all symbols.
        SchemaError
            If liquidations come both as events and as totals.

        Notes
        -----
        Events count in the row of the bar in whose step they became known: after the last decision and not after
        this one. Those that became known while a bar was missing are lost with it.

        ``liquidated_*_estimate`` corrects a feed that shows at most one event per slot of `liquidation_cap`. With ``k``
        the number of events of the symbol, both sides, within the last 10 slots (this one included, at most 10), the
        share of slots that held an event is about ``p = k / 11``, and a slot of a Poisson process that holds any event
        holds ``-ln(1 - p) / p``: by this factor the event counts, 1.05 for a lone one and 2.64 at most. Starts of
        bursts are corrected too little. Without a cap the factor is 1.
        """
        _refuse_tables(tables)
        joined = _joined_tables(tables, spec)
        grids: dict[str, Ints] = {}
        pieces: list[Floats] = []
        for symbol, bars in _bars_of_symbols(tables["bars"], spec):
            grids[symbol], values = bars.grid, bars.inputs(spec)
            _join(symbol, bars.grid, values, joined, spec)
            pieces.append(values)
        others = _others(list(grids.values()), [values[:, [OPEN, CLOSE]] for values in pieces], spec)
        for values, moves in zip(pieces, others, strict=True):
            values[:, _OTHERS] = moves
        return cls._of(grids, np.concatenate(pieces), spec)

    @classmethod
    def of_one_symbol(cls, tables: Mapping[str, pd.DataFrame], spec: FrameSpec, others: Floats) -> MarketFrame:
        """Join the tables of one symbol, beside the moves of the other symbols, which are known already.

        The rows are those of `from_tables` over the tables of all symbols, to the last bit.

        Parameters
        ----------
        tables
            Tables by name, with rows of this symbol alone; ``bars`` is required.
        spec
            Settings of the frame.
        others
            The symbol's entry of `moves_of_others`.

        Raises
        ------
        DataError
            As `from_tables`, and if there are bars of several symbols.
        """
        _refuse_tables(tables)
        (symbol, bars), *more = _bars_of_symbols(tables["bars"], spec)
        if more:
            raise DataError(f"the bars of one symbol are wanted, these are of {symbol} and {len(more)} more")
        values = bars.inputs(spec)
        _join(symbol, bars.grid, values, _joined_tables(tables, spec), spec)
        values[:, _OTHERS] = others
        return cls._of({symbol: bars.grid}, values, spec)

    @classmethod
    def _of(cls, grids: Mapping[str, Ints], values: Floats, spec: FrameSpec) -> MarketFrame:
        closes = np.concatenate(list(grids.values()))
        table = pd.DataFrame(values, columns=list(spec.inputs))
        table.insert(0, "symbol", np.repeat(np.array(list(grids), dtype=object), [len(g) for g in grids.values()]))
        table["symbol"] = table["symbol"].astype("str")
        table.insert(1, "event_time", timestamps(closes))
        table.insert(2, "available_time", timestamps(closes + microseconds(spec.decision_lag)))
        available = frozenset(name for i, name in enumerate(spec.inputs) if not np.isnan(values[:, i]).all())
        return cls(table, bar_interval=spec.bar_interval, available=available, inputs=spec.inputs)


def moves_of_others(bars: pd.DataFrame, spec: FrameSpec) -> dict[str, Floats]:
    """Return what the other symbols did at every bar close of every symbol: the only inputs that need all symbols.

    Parameters
    ----------
    bars
        Bars of all symbols; `symbol`, `event_time`, `available_time`, `open` and `close` are read.
    spec
        Settings of the frame.

    Returns
    -------
    dict of str to ndarray of float64, shape (n_rows, 4)
        By symbol, what `MarketFrame.of_one_symbol` takes: for each row of its grid ``others_return``,
        ``others_absolute_return``, ``others_breadth`` and ``market_dispersion``, NaN where they are unknown.

    Raises
    ------
    DataError
        As `MarketFrame.from_tables`.
    """
    _refuse_tables({"bars": bars})
    thin = {symbol: (own.grid, own.prices()) for symbol, own in _bars_of_symbols(bars, spec)}
    grids, prices = zip(*thin.values(), strict=True)
    return dict(zip(thin, _others(grids, prices, spec), strict=True))


def _refuse_tables(tables: Mapping[str, pd.DataFrame]) -> None:
    if "bars" not in tables or tables["bars"].empty:
        raise MissingDataError("the market frame needs a table `bars` with at least one row")
    refuse_both_kinds_of_liquidations(tables)


_Joined = tuple[TableJoin, pd.DataFrame, "dict[str, NDArray[np.intp]]"]


def _joined_tables(tables: Mapping[str, pd.DataFrame], spec: FrameSpec) -> list[_Joined]:
    """Return every join whose table is there, with the positions of each symbol's rows."""
    return [
        (join, tables[name], rows_of_symbols(tables[name])) for name, join in joins_of(spec).items() if name in tables
    ]


def _join(symbol: str, grid: Ints, values: Floats, joined: Sequence[_Joined], spec: FrameSpec) -> None:
    """Fill in what was known of the tables of one symbol at each decision; a row without a bar knows nothing."""
    decisions = grid + microseconds(spec.decision_lag)
    for join, table, of_symbols in joined:
        if symbol in of_symbols:
            rows_known = arrivals(join, table, of_symbols[symbol])
            values[:, join.positions] = join.advance(join.start(), *rows_known, decisions)
    values[np.isnan(values[:, CLOSE])] = np.nan


def rows_of_symbols(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return the positions of each symbol's rows, in the order of the table; symbols ascend."""
    codes, symbols = pd.factorize(table["symbol"])
    order = np.argsort(codes.astype(np.int32), kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(symbols) + 1))
    parts = {str(symbol): order[starts[i] : starts[i + 1]] for i, symbol in enumerate(symbols)}
    return dict(sorted(parts.items()))


@dataclass(frozen=True, slots=True)
class _Bars:
    """Bars of one symbol on its regular grid of closes, microseconds, and the row of each bar."""

    table: pd.DataFrame
    grid: Ints
    where: Ints

    def inputs(self, spec: FrameSpec) -> Floats:
        """Return the rows of the frame with the bars filled in."""
        values = np.full((len(self.grid), len(spec.inputs)), np.nan)
        for position, name in enumerate(INPUTS[:OTHERS_RETURN]):
            if name in self.table:
                values[self.where, position] = self.table[name].to_numpy(np.float64)
        return values

    def prices(self) -> Floats:
        """Return open and close of each row."""
        values = np.full((len(self.grid), 2), np.nan)
        values[self.where] = self.table[["open", "close"]].to_numpy(np.float64)
        return values


def _bars_of_symbols(bars: pd.DataFrame, spec: FrameSpec) -> Iterator[tuple[str, _Bars]]:
    """Yield the bars of each symbol on its grid; the grids of all symbols are parts of one."""
    first, start = "", 0
    for symbol, rows in rows_of_symbols(bars).items():
        own = _bars_on_grid(symbol, bars.iloc[rows], spec)
        if not first:
            first, start = symbol, int(own.grid[0])
        if late := (int(own.grid[0]) - start) % microseconds(spec.bar_interval):
            raise DataError(
                f"bars: the closes of {symbol} are {late / 6e7:g} minutes after those of {first}, not on "
                "one grid; bring the stamps of one of them to the clock of the other"
            )
        yield symbol, own


def _bars_on_grid(symbol: str, bars: pd.DataFrame, spec: FrameSpec) -> _Bars:
    closes = epochs_us(bars["event_time"])
    late = epochs_us(bars["available_time"]) > closes + microseconds(spec.decision_lag)
    if late.any():
        first = bars.loc[late, ["event_time", "available_time"]].head(3).to_string(index=False)
        raise DataError(
            f"bars: {int(late.sum())} rows of {symbol} become available only after the decision; "
            f"raise `decision_lag` or mask them:\n{first}"
        )
    step = microseconds(spec.bar_interval)
    if ((closes - closes[0]) % step).any() or (np.diff(closes) <= 0).any():
        raise DataError(f"bars: the closes of {symbol} do not ascend on a grid of {step / 6e7:g} minutes")
    grid = np.arange(closes[0], closes[-1] + step, step, dtype=np.int64)
    return _Bars(bars, grid, (closes - closes[0]) // step)


def arrivals(join: TableJoin, table: pd.DataFrame, rows: NDArray[np.intp]) -> tuple[Ints, Ints, Floats]:
    """Return the rows of one symbol as a join takes them, in the order in which they became known.

    Parameters
    ----------
    join
        Join of the table.
    table, rows
        The table, and the positions of the rows.

    Returns
    -------
    available, events : ndarray of int64, shape (n,)
        Microseconds since 1970.
    amounts : ndarray of float64, shape (n, amounts)
    """
    wanted = ["available_time", *dict.fromkeys(["event_time", *join.join.columns])]
    own = table[[name for name in wanted if name in table]].iloc[rows]
    available, events = epochs_us(own["available_time"]), epochs_us(own["event_time"])
    unknown = np.full(len(own), np.nan)  # an optional column that this venue does not publish
    amounts = join.join.amounts(
        {
            name: events if name == "event_time" else own[name].to_numpy() if name in own else unknown
            for name in join.join.columns
        }
    )
    order = np.lexsort((events, available))
    return available[order], events[order], amounts[order]


def _a_day_before(prices: Floats, spec: FrameSpec) -> Floats:
    """Return the close 24 h before each bar of a grid; NaN where there is none."""
    bars = spec.bars_per_day
    out = np.full(len(prices), np.nan)
    if 0 < bars < len(prices):
        out[bars:] = prices[:-bars]
    return out


def _others(grids: Sequence[Ints], prices: Sequence[Floats], spec: FrameSpec) -> list[Floats]:
    """Return the moves of the other symbols at each row, shape (n_rows, 4) per symbol; NaN where there is no bar.

    Symbols ascend, and so do the closes of each; `prices` are open and close.
    """
    closes, both = np.concatenate(grids), np.concatenate(prices)
    before = np.concatenate([_a_day_before(own[:, 1], spec) for own in prices])
    bars = np.flatnonzero(~np.isnan(both[:, 1]))
    order = bars[np.argsort(closes[bars], kind="stable")]
    own, others, out = np.empty(len(order)), np.empty((len(order), 2)), np.full((len(closes), 4), np.nan)
    opened, closed = both[order].T.copy()
    log_ratios(opened, closed, own)
    returns_of_others(closes[order], own, others)
    out[order, :2] = others
    log_ratios(before[order], closed, own)
    breadth_of_others(closes[order], own, others)
    out[order, 2:] = others
    return np.split(out, np.cumsum([len(grid) for grid in grids])[:-1])
