"""The market frame: every table joined, as it was known, to the bar closes of one grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import DataError, MissingDataError, ParameterError, SchemaError
from slackwater.market.inputs import INPUT_TABLES, INPUTS

__all__ = ["STALENESS", "FrameRow", "MarketFrame"]

STALENESS: Final[dict[str, timedelta]] = {
    "open_interest": timedelta(hours=3),
    "funding": timedelta(hours=9),
    "premium_index": timedelta(hours=1),
    "liquidations": timedelta(days=3),
    "whale_transfers": timedelta(days=3),
    "depth": timedelta(hours=1),
}
"""How old the newest row of a table may be, at a decision, before the table counts as silent."""

_AS_OF: Final[dict[str, tuple[str, ...]]] = {
    "open_interest": ("open_interest",),
    "funding": ("funding_rate", "interval_hours"),
    "premium_index": ("premium_index",),
    "depth": ("bid_quantity_1pct", "ask_quantity_1pct"),
}
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

        Returns
        -------
        MarketFrame

        Raises
        ------
        MissingDataError
            If there are no bars.
        DataError
            If a bar becomes available only after its decision, or lies off the grid.
        """
        if "bars" not in tables or tables["bars"].empty:
            raise MissingDataError("the market frame needs a table `bars` with at least one row")
        unknown = sorted(set(staleness or {}) - set(STALENESS))
        if unknown:
            raise ParameterError(f"`staleness` names unknown tables {unknown}; there are {sorted(STALENESS)}")
        limits = STALENESS | dict(staleness or {})
        step = _microseconds(bar_interval)
        lag = _microseconds(decision_lag)
        available: set[str] = set()
        pieces = []
        for symbol, bars in tables["bars"].groupby("symbol", sort=True):
            grid, columns = _bar_grid(str(symbol), bars, step, lag)
            decisions = grid + lag
            present = ~np.isnan(columns["close"])
            for name, table in tables.items():
                own = table[table["symbol"] == symbol] if name in INPUT_TABLES and name != "bars" else None
                if own is None or own.empty:
                    continue
                limit = _microseconds(limits[name])
                if name in _AS_OF:
                    columns |= _as_of(name, own, decisions, limit)
                elif name == "liquidations":
                    columns |= _liquidated(own, decisions, step, limit)
                else:
                    columns |= _transferred(own, decisions, step, limit)
            for name in INPUTS:
                values = columns.setdefault(name, np.full(len(grid), np.nan))
                values[~present] = np.nan
                if not np.isnan(values).all():
                    available.add(name)
            piece = pd.DataFrame({name: columns[name] for name in INPUTS})
            piece.insert(0, "symbol", str(symbol))
            piece.insert(1, "event_time", _timestamps(grid))
            piece.insert(2, "available_time", _timestamps(decisions))
            pieces.append(piece)
        table = pd.concat(pieces, ignore_index=True)
        return cls(table, bar_interval=bar_interval, available=frozenset(available))


def _microseconds(duration: timedelta) -> int:
    return int(duration / timedelta(microseconds=1))


def _times(column: pd.Series) -> NDArray[np.int64]:
    return column.dt.as_unit("us").astype("int64").to_numpy()


def _timestamps(times: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.astype("datetime64[us]")).tz_localize("UTC")


def _bar_grid(
    symbol: str, bars: pd.DataFrame, step: int, lag: int
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Lay the bars of one symbol on its regular grid of closes; missing bars are NaN."""
    closes = _times(bars["event_time"])
    late = _times(bars["available_time"]) > closes + lag
    if late.any():
        first = bars.loc[late, ["event_time", "available_time"]].head(3).to_string(index=False)
        raise DataError(
            f"bars: {int(late.sum())} rows of {symbol} become available only after the decision; "
            f"raise `decision_lag` or mask them:\n{first}"
        )
    if ((closes - closes[0]) % step).any() or (np.diff(closes) <= 0).any():
        raise DataError(f"bars: the closes of {symbol} do not ascend on a grid of {step / 6e7:g} minutes")
    grid = np.arange(closes[0], closes[-1] + step, step, dtype=np.int64)
    where = (closes - closes[0]) // step
    columns = {}
    for name in _BAR_COLUMNS:
        values = np.full(len(grid), np.nan)
        if name in bars:
            values[where] = bars[name].to_numpy(np.float64)
        columns[name] = values
    return grid, columns


def _newest(table: pd.DataFrame, decisions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each decision, the position of the newest row that was available (-1: none), and its age."""
    available = _times(table["available_time"])
    events = _times(table["event_time"])
    order = np.lexsort((events, available))
    # A row that arrives late does not displace a newer one that was already there.
    best = np.maximum.accumulate(events[order])
    holder = np.maximum.accumulate(np.where(events[order] == best, np.arange(len(order)), 0))
    found = np.searchsorted(available[order], decisions, side="right") - 1
    position = np.where(found >= 0, order[holder[found]], -1)
    age = np.where(found >= 0, decisions - events[position], np.iinfo(np.int64).max)
    return position, age


def _as_of(name: str, table: pd.DataFrame, decisions: NDArray[np.int64], limit: int) -> dict[str, NDArray[np.float64]]:
    """Return the inputs that a table of snapshots feeds: its newest available row, unless that is stale."""
    position, age = _newest(table, decisions)
    known = (position >= 0) & (age <= limit)
    columns = [np.where(known, table[c].to_numpy(np.float64)[position], np.nan) for c in _AS_OF[name]]
    if name == "funding":
        hours = _times(table["event_time"])[position] / 3.6e9
        columns.append(np.where(known, hours, np.nan))
    return dict(zip(INPUT_TABLES[name], columns, strict=True))


def _summed(
    table: pd.DataFrame, amounts: NDArray[np.float64], decisions: NDArray[np.int64], step: int, limit: int
) -> NDArray[np.float64]:
    """Sum events into the decision at which they were first available; NaN while the feed is silent."""
    available = _times(table["available_time"])
    slot = np.searchsorted(decisions, available, side="left")
    inside = (slot < len(decisions)) & (available > decisions[0] - step)
    out: NDArray[np.float64] = np.bincount(slot[inside], weights=amounts[inside], minlength=len(decisions)).astype(
        float
    )
    ordered = np.sort(available)
    last = np.searchsorted(ordered, decisions, side="right") - 1
    silent = (last < 0) | (decisions - ordered[last] > limit)
    out[silent] = np.nan
    return out


def _liquidated(
    table: pd.DataFrame, decisions: NDArray[np.int64], step: int, limit: int
) -> dict[str, NDArray[np.float64]]:
    quantity = table["quantity"].to_numpy(np.float64)
    long = (table["side"] == "long").to_numpy()
    return {
        "liquidated_long": _summed(table, np.where(long, quantity, 0.0), decisions, step, limit),
        "liquidated_short": _summed(table, np.where(long, 0.0, quantity), decisions, step, limit),
    }


def _transferred(
    table: pd.DataFrame, decisions: NDArray[np.int64], step: int, limit: int
) -> dict[str, NDArray[np.float64]]:
    amount = table["amount"].to_numpy(np.float64)
    source = (table["from_owner_type"] == "exchange").to_numpy()
    sink = (table["to_owner_type"] == "exchange").to_numpy()
    return {
        "whale_to_exchange": _summed(table, np.where(sink & ~source, amount, 0.0), decisions, step, limit),
        "whale_from_exchange": _summed(table, np.where(source & ~sink, amount, 0.0), decisions, step, limit),
    }
