"""The history of a symbol in a mock venue: the arrays of its tables, cut and summed as requests want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, OrderError
from slackwater.times import epochs_us
from slackwater.types import Floats, Ints

__all__ = ["Bar", "History", "Snapshot"]

STEPS: Final = 4
"""Updates of a forming bar: at its open, and after each further quarter of its length."""


class Bar(NamedTuple):
    """A bar as it stands at a time; times in microseconds, quantities in coin, `taker_buy` NaN where unknown."""

    opened: int
    interval: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    taker_buy: float
    trades: int
    closed: bool


class Snapshot(NamedTuple):
    """Rows of one table of a symbol: stamps in microseconds (n,), and columns by name, (n,) each."""

    time: Ints
    columns: Mapping[str, Floats]


class History:
    """Tables of one symbol.

    Parameters
    ----------
    symbol
        Canonical symbol.
    tables
        Canonical tables; rows of other symbols are left alone. ``fine_bars``, or ``bars`` where there is nothing finer,
        make the candles and the trades.
    first_id
        Id of its first trade.

    Raises
    ------
    MissingDataError
        If the symbol has no bars.
    OrderError
        If its bars have several lengths.
    """

    def __init__(self, symbol: str, tables: Mapping[str, pd.DataFrame], *, first_id: int = 0) -> None:
        self.symbol, self.first_id = symbol, first_id
        own = {name: table[table["symbol"] == symbol] for name, table in tables.items() if "symbol" in table}
        bars = next((own[name] for name in ("fine_bars", "bars") if name in own and len(own[name])), None)
        if bars is None:
            raise MissingDataError(f"{symbol} has no rows in the tables `fine_bars` and `bars`: name another symbol")
        self.opened = epochs_us(bars["open_time"])
        lengths = epochs_us(bars["event_time"]) - self.opened
        if len(set(lengths.tolist())) > 1:
            raise OrderError(f"the bars of {symbol} must have one length, have {sorted(set(lengths.tolist()))} us")
        self.interval = int(lengths[0])
        self._prices = bars[["open", "high", "low", "close"]].to_numpy(np.float64)
        self._volume = bars["volume"].to_numpy(np.float64)
        self._taker_buy = _optional(bars, "taker_buy_volume")
        self._trades = np.nan_to_num(_optional(bars, "trade_count"), nan=float(STEPS)).astype(np.int64)
        self.snapshots = {name: _snapshot(table) for name, table in own.items()}
        self.sides = {
            name: own[name]["side"].astype(str).tolist() for name in ("liquidations", "large_trades") if name in own
        }

    def rows(self, table: str, first: int, last: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield stamp and columns of the rows of a table with ``first <= stamp <= last``, ascending."""
        held = self.snapshots.get(table)
        if held is None:
            return
        for place in range(*np.searchsorted(held.time, (first, last + 1))):
            yield int(held.time[place]), {name: float(column[place]) for name, column in held.columns.items()}

    def newest(self, table: str, now: int) -> tuple[int, dict[str, float]] | None:
        """Return stamp and columns of the newest row of a table; None if there is none yet."""
        held = self.snapshots.get(table)
        place = -1 if held is None else int(np.searchsorted(held.time, now, "right")) - 1
        if held is None or place < 0:
            return None
        return int(held.time[place]), {name: float(column[place]) for name, column in held.columns.items()}

    def price(self, now: int) -> float:
        """Return the last price at a time."""
        place = max(int(np.searchsorted(self.opened, now, "right")) - 1, 0)
        return self.state(place, min((now - int(self.opened[place])) * STEPS // self.interval, STEPS)).close

    def state(self, place: int, step: int) -> Bar:
        """Return the bar at a place after so many steps; it is closed after `STEPS`.

        The price goes from the open over low and high (high and low in a falling bar) to the close.
        """
        opened, high, low, close = self._prices[place]
        middle = (low, high) if close >= opened else (high, low)
        path = (opened, *middle, close)[: step + 1]
        share = step / STEPS
        closed = step == STEPS
        return Bar(
            int(self.opened[place]),
            self.interval,
            float(opened),
            float(max(path)),
            float(min(path)),
            float(path[-1]),
            float(self._volume[place]) * share,
            float(self._taker_buy[place]) * share,
            int(self._trades[place]) if closed else step,
            closed,
        )

    def bars(self, interval: int, first: int, last: int, now: int) -> list[Bar]:
        """Return the bars of a length that open in a range, as they stand at a time; the newest may be forming."""
        start = int(np.searchsorted(self.opened, first // interval * interval))
        out: list[Bar] = []
        for place in range(start, len(self.opened)):
            opened = int(self.opened[place])
            if opened > now or opened // interval * interval > last:
                break
            step = min((now - opened) * STEPS // self.interval, STEPS)
            out = joined(out, self.state(place, step), interval)
        return [bar for bar in out if bar.opened >= first]

    def priced(self, table: str, interval: int, first: int, last: int, now: int) -> list[Bar]:
        """Return bars of an interval made of ``mark_price`` or ``premium_index``, as `bars`; they have no volume."""
        out: list[Bar] = []
        for time, row in self.rows(table, first + 1, min(last + interval, now)):
            opened = (time - 1) // interval * interval
            close = row["close"] if "close" in row else row["premium_index"]
            first_price, high, low = (row.get(name, close) for name in ("open", "high", "low"))
            bar = Bar(opened, interval, first_price, high, low, close, 0.0, 0.0, 0, time == opened + interval)
            out = joined(out, bar, interval)
        return [bar for bar in out if first <= bar.opened <= last]

    def bar_at(self, place: int, step: int, interval: int) -> Bar:
        """Return the bar of a longer interval that holds the base bar at a place, after so many of its steps."""
        opened = int(self.opened[place]) // interval * interval
        out: list[Bar] = []
        for each in range(int(np.searchsorted(self.opened, opened)), place):
            out = joined(out, self.state(each, STEPS), interval)
        return joined(out, self.state(place, step), interval)[-1]


def joined(bars: list[Bar], bar: Bar, interval: int) -> list[Bar]:
    """Return bars of an interval with a further, finer bar in them."""
    opened = bar.opened // interval * interval
    closed = bar.closed and bar.opened + bar.interval == opened + interval
    if not bars or bars[-1].opened != opened:
        return [*bars, bar._replace(opened=opened, interval=interval, closed=closed)]
    last = bars[-1]
    bars[-1] = last._replace(
        high=max(last.high, bar.high),
        low=min(last.low, bar.low),
        close=bar.close,
        volume=last.volume + bar.volume,
        taker_buy=last.taker_buy + bar.taker_buy,
        trades=last.trades + bar.trades,
        closed=closed,
    )
    return bars


def _optional(table: pd.DataFrame, name: str) -> Floats:
    return table[name].to_numpy(np.float64) if name in table else np.full(len(table), np.nan)


def _snapshot(table: pd.DataFrame) -> Snapshot:
    table = table.sort_values("event_time", kind="stable")
    numbers = {str(name): table[name].to_numpy(np.float64) for name in table.select_dtypes("number").columns}
    if "open_time" in table:
        numbers["opened"] = epochs_us(table["open_time"]).astype(np.float64)
    return Snapshot(epochs_us(table["event_time"]), numbers)
