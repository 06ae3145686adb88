"""The market frame: every table joined, as it was known, to the bar closes of one grid.

`MarketFrame.from_tables` does it for history, `slackwater.market.stream.FrameStream` for live rows, with the same
compiled joins (`slackwater.market.joins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

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
from slackwater.types import Floats, Ints

__all__ = ["MarketFrame", "arrivals", "rows_of_symbols"]


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
    """

    def __init__(
        self, table: pd.DataFrame, *, bar_interval: timedelta, available: frozenset[str], inputs: Sequence[str] = INPUTS
    ) -> None:
        self.table = table
        self.bar_interval = bar_interval
        self.available = available
        self.inputs = tuple(inputs)
        self.values: Floats = np.ascontiguousarray(table[list(inputs)].to_numpy(np.float64))

    def with_table(self, table: pd.DataFrame) -> MarketFrame:
        """Return a frame of the same settings with other rows."""
        return MarketFrame(table, bar_interval=self.bar_interval, available=self.available, inputs=self.inputs)

    def symbols(self) -> Iterator[tuple[str, slice]]:
        """Yield each symbol with the slice of its rows."""
        names = self.table["symbol"].to_numpy()
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]]) if len(names) else np.array([], dtype=int)
        for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
            yield str(names[start]), slice(int(start), int(stop))

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
        if "bars" not in tables or tables["bars"].empty:
            raise MissingDataError("the market frame needs a table `bars` with at least one row")
        refuse_both_kinds_of_liquidations(tables)
        lag = microseconds(spec.decision_lag)
        joined = [
            (join, tables[name], rows_of_symbols(tables[name]))
            for name, join in joins_of(spec).items()
            if name in tables
        ]
        names: list[str] = []
        grids: list[Ints] = []
        pieces: list[Floats] = []
        before: list[Floats] = []
        for symbol, rows in rows_of_symbols(tables["bars"]).items():
            grid, values = _bar_grid(symbol, tables["bars"].iloc[rows], spec)
            if grids and (late := (grid[0] - grids[0][0]) % microseconds(spec.bar_interval)):
                raise DataError(
                    f"bars: the closes of {symbol} are {late / 6e7:g} minutes after those of {names[0]}, not on "
                    "one grid; bring the stamps of one of them to the clock of the other"
                )
            for join, table, of_symbols in joined:
                if symbol in of_symbols:
                    rows_known = arrivals(join, table, of_symbols[symbol])
                    values[:, join.positions] = join.advance(join.start(), *rows_known, grid + lag)
            values[np.isnan(values[:, CLOSE])] = np.nan
            names.append(symbol)
            grids.append(grid)
            pieces.append(values)
            before.append(_a_day_before(values[:, CLOSE], spec))
        closes, values = np.concatenate(grids), np.concatenate(pieces)
        _fill_others(closes, values, np.concatenate(before))
        table = pd.DataFrame(values, columns=list(spec.inputs))
        table.insert(0, "symbol", np.repeat(np.array(names, dtype=object), [len(grid) for grid in grids]))
        table["symbol"] = table["symbol"].astype("str")
        table.insert(1, "event_time", timestamps(closes))
        table.insert(2, "available_time", timestamps(closes + lag))
        available = frozenset(name for i, name in enumerate(spec.inputs) if not np.isnan(values[:, i]).all())
        return cls(table, bar_interval=spec.bar_interval, available=available, inputs=spec.inputs)


def rows_of_symbols(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return the positions of each symbol's rows, in the order of the table; symbols ascend."""
    codes, symbols = pd.factorize(table["symbol"])
    order = np.argsort(codes.astype(np.int32), kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(symbols) + 1))
    parts = {str(symbol): order[starts[i] : starts[i + 1]] for i, symbol in enumerate(symbols)}
    return dict(sorted(parts.items()))


def _bar_grid(symbol: str, bars: pd.DataFrame, spec: FrameSpec) -> tuple[Ints, Floats]:
    """Lay the bars of one symbol on its regular grid of closes; missing bars become rows of NaN."""
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
    where = (closes - closes[0]) // step
    values = np.full((len(grid), len(spec.inputs)), np.nan)
    for position, name in enumerate(INPUTS[:OTHERS_RETURN]):
        if name in bars:
            values[where, position] = bars[name].to_numpy(np.float64)
    return grid, values


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


def _fill_others(closes: Ints, values: Floats, before: Floats) -> None:
    """Fill in the moves of the other symbols at each bar; symbols ascend, and so do the closes of each.

    `before` holds the close 24 h earlier.
    """
    bars = np.flatnonzero(~np.isnan(values[:, CLOSE]))
    order = bars[np.argsort(closes[bars], kind="stable")]
    own, others = np.empty(len(order)), np.empty((len(order), 2))
    log_ratios(values[order, OPEN], values[order, CLOSE], own)
    returns_of_others(closes[order], own, others)
    values[order, OTHERS_RETURN], values[order, OTHERS_ABSOLUTE_RETURN] = others.T
    log_ratios(before[order], values[order, CLOSE], own)
    breadth_of_others(closes[order], own, others)
    values[order, OTHERS_BREADTH], values[order, MARKET_DISPERSION] = others.T
