"""The market frame: every table joined, as it was known, to the bar closes of one grid.

`MarketFrame.from_tables` does it for history, `slackwater.market.stream.FrameStream` for live rows, with the same
compiled joins (`slackwater.market.joins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import DataError, MissingDataError, SchemaError
from slackwater.market.bar_grids import NO_BARS, bars_on_one_grid, rows_of_symbols, split_rows
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
from slackwater.market.joins import TableJoin, joins_of
from slackwater.market.moves_of_others import others_at
from slackwater.market.schemas import refuse_both_kinds_of_liquidations
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds, timestamps
from slackwater.types import Bools, Floats, Ints

__all__ = ["MarketFrame", "arrivals"]

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
        for symbol, bars in bars_on_one_grid(split_rows(tables["bars"]), spec):
            grids[symbol], values = bars.grid, bars.inputs(spec)
            _join(symbol, bars.grid, values, joined, spec)
            pieces.append(values)
        prices = [values[:, [OPEN, CLOSE]] for values in pieces]
        for values, moves in zip(pieces, others_at(list(grids.values()), prices, spec), strict=True):
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
            Its moves (`slackwater.market.moves_of_others`), shape (n_rows, 4).

        Raises
        ------
        DataError
            As `from_tables`, and if there are bars of several symbols.
        """
        _refuse_tables(tables)
        (symbol, bars), *more = bars_on_one_grid(split_rows(tables["bars"]), spec)
        if more:
            raise DataError(f"the bars of one symbol are wanted, these are of {symbol} and {len(more)} more")
        values = bars.inputs(spec)
        _join(symbol, bars.grid, values, _joined_tables(tables, spec), spec)
        if others.shape != (len(values), len(_OTHERS)):
            raise SchemaError(f"the moves of others are of {others.shape[0]} rows, {symbol} has {len(values)}")
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


def _refuse_tables(tables: Mapping[str, pd.DataFrame]) -> None:
    if "bars" not in tables or tables["bars"].empty:
        raise MissingDataError(NO_BARS)
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
