"""The events of a replay in the order of time: candles as they form, trades and liquidations."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, ParameterError, did_you_mean
from slackwater.venue.history import STEPS, Bar, History

__all__ = ["Candle", "Event", "Liquidation", "Tape", "Trade", "trades_between"]

TRADE_IDS_PER_SYMBOL: Final = 1_000_000_000
"""Distance between the ids of the first trades of two symbols."""


class Candle(NamedTuple):
    """Update of the candles of a symbol: the base bar at a place, after a step."""

    place: int
    step: int


class Trade(NamedTuple):
    """Trade; `side` is that of the aggressor, `quantity` in coin."""

    number: int
    side: str
    price: float
    quantity: float


class Liquidation(NamedTuple):
    """Liquidation; `side` is that of the position, `quantity` in coin."""

    side: str
    price: float
    quantity: float


class Event(NamedTuple):
    """What happened to a symbol at a time, in microseconds since 1970."""

    time: int
    symbol: str
    what: Candle | Trade | Liquidation


class Tape:
    """Events of symbols.

    Every update of a bar is a trade too, of the quantity by which its volume grew; the rows of ``large_trades`` come
    on top. The last update of a bar comes at its close, and so does the first one of the next bar.

    Parameters
    ----------
    tables
        Canonical tables.
    symbols
        Symbols to replay; None: all that have bars.

    Raises
    ------
    ParameterError
        If a symbol is not in the tables.
    MissingDataError
        If there is nothing to replay.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], symbols: Iterable[str] | None = None) -> None:
        bars = tables.get("fine_bars", tables.get("bars"))
        if bars is None or bars.empty:
            raise MissingDataError("there is nothing to replay: the tables have neither `fine_bars` nor `bars`")
        held = sorted(set(bars["symbol"].astype(str)))
        wanted = held if symbols is None else list(symbols)
        for name in wanted:
            if name not in held:
                raise ParameterError(f"the tables have no bars of `{name}`{did_you_mean(name, held)}")
        self.histories = {
            name: History(name, tables, first_id=number * TRADE_IDS_PER_SYMBOL) for number, name in enumerate(wanted)
        }
        self.start = min(int(each.opened[0]) for each in self.histories.values())
        self.end = max(int(each.opened[-1]) + each.interval for each in self.histories.values())

    def events(self, start: int, end: int) -> Iterator[Event]:
        """Yield the events with ``start <= time < end``, in the order of time."""
        sources = (
            source
            for history in self.histories.values()
            for source in (_of_bars(history, start), _sided(history, "liquidations", start))
        )
        large = (_sided(history, "large_trades", start) for history in self.histories.values())
        for event in heapq.merge(*sources, *large, key=lambda event: event.time):
            if event.time >= end:
                return
            yield event

    def candle(self, event: Event, interval: int) -> Bar:
        """Return the bar of an interval after an update."""
        assert isinstance(event.what, Candle)  # noqa: S101 -- asked of candles only
        return self.histories[event.symbol].bar_at(event.what.place, event.what.step, interval)


def trades_between(history: History, first: int, last: int) -> list[tuple[int, Trade]]:
    """Return stamp and trade of all trades with ``first <= stamp <= last``, ascending."""
    start = first - history.interval  # a bar that opened before trades on
    merged = heapq.merge(_of_bars(history, start), _sided(history, "large_trades", first), key=lambda event: event.time)
    out = []
    for event in merged:
        if event.time > last:
            break
        if event.time >= first and isinstance(event.what, Trade):
            out.append((event.time, event.what))
    return out


def _of_bars(history: History, start: int) -> Iterator[Event]:
    for place in range(int(np.searchsorted(history.opened, start)), len(history.opened)):
        opened, before = int(history.opened[place]), 0.0
        for step in range(STEPS + 1):
            bar, time = history.state(place, step), opened + history.interval * step // STEPS
            if quantity := bar.volume - before:
                side = "buy" if bar.close >= bar.open else "sell"
                number = history.first_id + place * STEPS + step
                yield Event(time, history.symbol, Trade(number, side, bar.close, quantity))
            before = bar.volume
            yield Event(time, history.symbol, Candle(place, step))


def _sided(history: History, table: str, start: int) -> Iterator[Event]:
    """Yield liquidations, or large trades, whose ids end where those of the next symbol begin."""
    if table not in history.sides:
        return
    held, last_id = history.snapshots[table], history.first_id + TRADE_IDS_PER_SYMBOL
    for place in range(int(np.searchsorted(held.time, start)), len(held.time)):
        price, quantity = float(held.columns["price"][place]), float(held.columns["quantity"][place])
        if np.isnan(quantity):  # a mark of a feed that was not to be trusted, and not an event
            continue
        side = history.sides[table][place]
        what = (
            Liquidation(side, price, quantity)
            if table == "liquidations"
            else Trade(last_id - len(held.time) + place, side, price, quantity)
        )
        yield Event(int(held.time[place]), history.symbol, what)
