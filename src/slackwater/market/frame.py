"""The market frame: every table joined, as it was known, to the bar closes of one grid.

`MarketFrame.from_tables` does it for history, `MarketFrame.stream` for live rows, with the same compiled joins
(`slackwater.market.joins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import DataError, MissingDataError, SchemaError
from slackwater.market.inputs import CLOSE, INPUTS, OPEN, OTHERS_ABSOLUTE_RETURN, OTHERS_RETURN
from slackwater.market.joins import JOINS, STALENESS, Join, Timing, bar_returns, returns_of_others
from slackwater.market.schemas import refuse_both_kinds_of_liquidations

if TYPE_CHECKING:
    from slackwater.market.stream import FrameStream

__all__ = ["STALENESS", "FrameRow", "MarketFrame"]

_BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume", "taker_buy_volume")


@dataclass(frozen=True)
class FrameRow:
    """One symbol at one bar close: what a feature kernel reads.

    Parameters
    ----------
    symbol
        The perpetual.
    event_time
        Close of the bar, UTC.
    values
        The inputs, in the order of `slackwater.market.inputs.INPUTS`; NaN where unknown.
    """

    symbol: str
    event_time: pd.Timestamp
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check shape and time zone."""
        if self.values.shape != (len(INPUTS),):
            raise SchemaError(f"a frame row has {len(INPUTS)} values, got shape {self.values.shape}")
        if self.event_time.tzinfo is None:
            raise SchemaError(f"`event_time` must be timezone-aware (UTC), was {self.event_time}")

    @property
    def time_us(self) -> int:
        """Close of the bar in microseconds since 1970."""
        return int(self.event_time.value // 1_000)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> FrameRow:
        """Build a row from names, such as a row of `MarketFrame.table`; absent inputs are unknown.

        Raises
        ------
        SchemaError
            If `symbol`, `event_time` or a price is missing, or a name is not an input.
        """
        missing = [name for name in ("symbol", "event_time", "open", "high", "low", "close") if name not in row]
        if missing:
            raise SchemaError(f"a frame row needs {missing}")
        unknown = sorted(set(map(str, row.keys())) - {"symbol", "event_time", "available_time", *INPUTS})
        if unknown:
            raise SchemaError(f"a frame row has no inputs {unknown}; there are {', '.join(INPUTS)}")
        values = np.array([row.get(name, np.nan) for name in INPUTS], dtype=np.float64)
        return cls(symbol=str(row["symbol"]), event_time=pd.Timestamp(row["event_time"]), values=values)


class MarketFrame:
    """Tables as-of-joined to bar closes: one row per (symbol, bar close) with what was known at the decision.

    Build it with `from_tables`.

    Parameters
    ----------
    table
        Columns `symbol`, `event_time`, `available_time` (the decision) and the inputs, each symbol on its regular
        grid of bars; a bar that is missing is a row of NaN.
    bar_interval
        Spacing of the grid.
    available
        The inputs that some table fed.
    """

    def __init__(self, table: pd.DataFrame, *, bar_interval: timedelta, available: frozenset[str]) -> None:
        self.table = table
        self.bar_interval = bar_interval
        self.available = available
        self.values: NDArray[np.float64] = np.ascontiguousarray(table[list(INPUTS)].to_numpy(np.float64))

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
                    if not np.isnan(values[3]):
                        yield FrameRow(symbol=name, event_time=time, values=values.copy())
                return
        raise MissingDataError(f"the frame has no rows of {symbol}; it has {[name for name, _ in self.symbols()]}")

    @classmethod
    def from_tables(
        cls,
        tables: Mapping[str, pd.DataFrame],
        *,
        bar_interval: timedelta,
        decision_lag: timedelta,
        staleness: Mapping[str, timedelta] | None = None,
        liquidation_cap: timedelta | None = None,
    ) -> MarketFrame:
        """Join the tables.

        Parameters
        ----------
        tables
            Canonical tables by name; only ``bars`` is required. A table that is absent, or that has no row of a
            symbol, leaves its inputs NaN: unknown is never zero.
        bar_interval
            Spacing of the bars.
        decision_lag
            The row of the bar closing at T uses rows with ``available_time <= T + decision_lag`` and no others.
        staleness
            Overrides of `STALENESS` by table.
        liquidation_cap
            The feed publishes at most one liquidation of a symbol in each of these (Binance: one second). None: it
            publishes every one.

        Returns
        -------
        MarketFrame

        Raises
        ------
        MissingDataError
            If there are no bars.
        DataError
            If a bar becomes available only after its decision, or lies off the grid.
        SchemaError
            If liquidations come both as events and as totals.
        ParameterError
            If a duration is out of range, or `staleness` names an unknown table.

        Notes
        -----
        Events count in the row of the bar in whose step they became known: after the last decision and not after
        this one. Those that became known while a bar was missing are lost with it.

        ``liquidated_*_estimate`` corrects a feed that shows at most one event a slot of `liquidation_cap`. With ``k``
        the number of events of the symbol, both sides, that became available within the last 10 slots (this one
        included, at most 10), the share of slots that held an event is about ``p = k / 11``. If events arrive as a
        Poisson process, a slot holds ``-ln(1 - p)`` of them on average and ``-ln(1 - p) / p`` where it holds any: by
        this factor the event counts, 1.05 for a lone one and 2.64 at most. It is known with the event. At the start
        of a burst ``k`` is still small, so that starts of bursts are corrected too little, and what lies beyond ten
        full slots in a row cannot be seen. Without a cap the factor is 1.

        ``others_return`` of a bar is the mean of ``log(close / open)`` over the bars of all other symbols that close
        at the very same time, and ``others_absolute_return`` that of its absolute value; NaN where there is none.
        """
        if "bars" not in tables or tables["bars"].empty:
            raise MissingDataError("the market frame needs a table `bars` with at least one row")
        refuse_both_kinds_of_liquidations(tables)
        timing = Timing.of(
            bar_interval=bar_interval,
            decision_lag=decision_lag,
            staleness=staleness,
            liquidation_cap=liquidation_cap,
        )
        joined = [
            (join, tables[name], _rows_of_symbols(tables[name])) for name, join in JOINS.items() if name in tables
        ]
        names, grids, pieces = [], [], []
        for symbol, rows in _rows_of_symbols(tables["bars"]).items():
            grid, values = _bar_grid(symbol, tables["bars"].iloc[rows], timing)
            for join, table, of_symbols in joined:
                if symbol in of_symbols:
                    values[:, join.positions] = _joined(join, table, of_symbols[symbol], grid + timing.lag, timing)
            values[np.isnan(values[:, CLOSE])] = np.nan
            names.append(symbol)
            grids.append(grid)
            pieces.append(values)
        closes, values = np.concatenate(grids), np.concatenate(pieces)
        _fill_others(closes, values)
        table = pd.DataFrame(values, columns=list(INPUTS))
        table.insert(0, "symbol", np.repeat(np.array(names, dtype=object), [len(grid) for grid in grids]))
        table["symbol"] = table["symbol"].astype("str")
        table.insert(1, "event_time", _timestamps(closes))
        table.insert(2, "available_time", _timestamps(closes + timing.lag))
        available = frozenset(name for i, name in enumerate(INPUTS) if not np.isnan(values[:, i]).all())
        return cls(table, bar_interval=bar_interval, available=available)

    @staticmethod
    def stream(
        *,
        bar_interval: timedelta,
        decision_lag: timedelta,
        staleness: Mapping[str, timedelta] | None = None,
        liquidation_cap: timedelta | None = None,
    ) -> FrameStream:
        """Return a live frame that has seen nothing; its rows are those of `from_tables`, to the last bit.

        Parameters
        ----------
        bar_interval, decision_lag, staleness, liquidation_cap
            As in `from_tables`.
        """
        from slackwater.market.stream import FrameStream  # it makes rows of this module

        return FrameStream(
            bar_interval=bar_interval,
            decision_lag=decision_lag,
            staleness=staleness,
            liquidation_cap=liquidation_cap,
        )


def _times(column: pd.Series) -> NDArray[np.int64]:
    return column.dt.as_unit("us").astype("int64").to_numpy()


def _timestamps(times: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.astype("datetime64[us]")).tz_localize("UTC")


def _rows_of_symbols(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return the positions of each symbol's rows, in the order of the table; symbols ascend."""
    codes, symbols = pd.factorize(table["symbol"])
    order = np.argsort(codes.astype(np.int32), kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(symbols) + 1))
    parts = {str(symbol): order[starts[i] : starts[i + 1]] for i, symbol in enumerate(symbols)}
    return dict(sorted(parts.items()))


def _bar_grid(symbol: str, bars: pd.DataFrame, timing: Timing) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lay the bars of one symbol on its regular grid of closes; missing bars are NaN, and so is all that is no bar."""
    closes = _times(bars["event_time"])
    late = _times(bars["available_time"]) > closes + timing.lag
    if late.any():
        first = bars.loc[late, ["event_time", "available_time"]].head(3).to_string(index=False)
        raise DataError(
            f"bars: {int(late.sum())} rows of {symbol} become available only after the decision; "
            f"raise `decision_lag` or mask them:\n{first}"
        )
    step = timing.step
    if ((closes - closes[0]) % step).any() or (np.diff(closes) <= 0).any():
        raise DataError(f"bars: the closes of {symbol} do not ascend on a grid of {step / 6e7:g} minutes")
    grid = np.arange(closes[0], closes[-1] + step, step, dtype=np.int64)
    where = (closes - closes[0]) // step
    values = np.full((len(grid), len(INPUTS)), np.nan)
    for position, name in enumerate(_BAR_COLUMNS):
        if name in bars:
            values[where, position] = bars[name].to_numpy(np.float64)
    return grid, values


def _joined(
    join: Join, table: pd.DataFrame, rows: NDArray[np.intp], decisions: NDArray[np.int64], timing: Timing
) -> NDArray[np.float64]:
    """Return the inputs that one symbol's rows of a table feed, at all decisions."""
    wanted = ["available_time", *dict.fromkeys(["event_time", *join.columns])]
    own = table[[name for name in wanted if name in table]].iloc[rows]
    available, events = _times(own["available_time"]), _times(own["event_time"])
    unknown = np.full(len(own), np.nan)  # an optional column that this venue does not publish
    amounts = join.amounts(
        {
            name: events if name == "event_time" else own[name].to_numpy() if name in own else unknown
            for name in join.columns
        }
    )
    order = np.lexsort((events, available))
    return join.advance(join.start(), available[order], events[order], amounts[order], decisions, timing)


def _fill_others(closes: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Fill in what the other symbols did in each bar; symbols ascend, and so do the closes of each."""
    bars = np.flatnonzero(~np.isnan(values[:, CLOSE]))
    order = bars[np.argsort(closes[bars], kind="stable")]
    returns, others = np.empty(len(order)), np.empty((len(order), 2))
    bar_returns(values[order, OPEN], values[order, CLOSE], returns)
    returns_of_others(closes[order], returns, others)
    values[order, OTHERS_RETURN], values[order, OTHERS_ABSOLUTE_RETURN] = others.T
