"""The joins of a live frame at one bar close: every table of every symbol, in one compiled call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numba import njit

from slackwater.market.ages import NEVER
from slackwater.market.inputs import (
    CLOSE,
    MARKET_DISPERSION,
    OPEN,
    OTHERS_ABSOLUTE_RETURN,
    OTHERS_BREADTH,
    OTHERS_RETURN,
)
from slackwater.market.joins import (
    SLOTS,
    TableJoin,
    breadth_of_others,
    log_ratios,
    newest_row,
    returns_of_others,
    summed_apart_rows,
    summed_rows,
)
from slackwater.market.table_feed import TableFeed
from slackwater.types import Floats, Ints

__all__ = ["JoinedFeeds", "fill_others"]

_KINDS: Final = ("newest", "summed", "summed_apart")
_NEWEST, _SUMMED, _SUMMED_APART = range(3)


class JoinedFeeds:
    """The feeds of a live frame, arranged for one call of their joins at each close.

    The states of the feeds become parts of one array. A feed that is added needs a new arrangement.

    Parameters
    ----------
    feeds
        By table and symbol, those of the bars included.
    joins
        By table.

    Attributes
    ----------
    symbols
        All symbols, sorted.
    bars
        Position of the symbol and feed of each table of bars, in the order of `symbols`.
    """

    def __init__(self, feeds: Mapping[tuple[str, str], TableFeed], joins: Mapping[str, TableJoin]) -> None:
        self.symbols = sorted({symbol for _, symbol in feeds})
        at = {symbol: position for position, symbol in enumerate(self.symbols)}
        self.bars = [(at[symbol], feeds["bars", symbol]) for symbol in self.symbols if ("bars", symbol) in feeds]
        joined = [(joins[table], at[symbol], feed) for (table, symbol), feed in feeds.items() if table in joins]
        self._feeds = [(feed, symbol) for _, symbol, feed in joined]
        self._n_tables = len(joins)
        self._step = next((join.step for join, _, _ in joined), 0)
        self._states = np.concatenate([np.empty(0), *(feed.state for feed, _ in self._feeds)])
        tables, end = list(joins), 0
        layout = []
        for join, symbol, feed in joined:
            start, end = end, end + len(feed.state)
            feed.state = self._states[start:end]
            kind, inputs = _KINDS.index(join.join.kind), join.positions
            place = (start, end, inputs.start, inputs.stop, symbol, tables.index(join.table.name))
            layout.append((kind, *place, join.table.width, join.limit, join.cap))
        self._layout = np.array(layout, dtype=np.int64).reshape(-1, 10)

    def advance(self, decisions: Sequence[int], values: Floats) -> Ints:
        """Take the rows that are available at the decisions, write the inputs, and return the ages of the tables.

        Parameters
        ----------
        decisions
            Of each symbol, microseconds.
        values
            Inputs of each symbol, shape (symbols, inputs), to be filled.

        Returns
        -------
        ndarray of int64, shape (symbols, tables)
            Microseconds at the decision, in the order of the joins; `NEVER` where no row was known yet.
        """
        available: list[int] = []
        events: list[int] = []
        amounts: list[float] = []
        ends: list[int] = []
        for feed, symbol in self._feeds:
            if feed.pending:
                for time, event, own in feed.take(decisions[symbol]):
                    available.append(time)
                    events.append(event)
                    amounts.extend(own)
            ends.append(len(available))
        ages = np.full((len(self.symbols), self._n_tables), NEVER)
        rows = (np.array(available, dtype=np.int64), np.array(events, dtype=np.int64), np.array(amounts, dtype=float))
        at = np.array(decisions, dtype=np.int64)
        _advance(self._states, self._layout, self._step, np.array(ends, dtype=np.int64), *rows, at, values, ages)
        return ages


@njit(cache=True)
def _advance(states, layout, step, ends, available, events, amounts, decisions, values, ages):  # type: ignore[no-untyped-def]
    row = 0
    amount = 0
    for feed in range(layout.shape[0]):
        kind, start, end, first, stop, symbol, table, width, limit, cap = layout[feed]
        state, decision = states[start:end], decisions[symbol : symbol + 1]
        until, amount_until = ends[feed], amount + (ends[feed] - row) * width
        times = available[row:until]
        own = amounts[amount:amount_until].reshape((until - row, width))
        out = values[symbol : symbol + 1, first:stop]
        newest = NEVER
        if kind == _NEWEST:
            newest_row(state, times, events[row:until], own, decision, limit, out)
            if state[0] > 0.0:
                newest = int(state[1])
        elif kind == _SUMMED:
            summed_rows(state, times, own, decision, step, limit, cap, out)
            if state[0] > 0.0:
                newest = int(state[1 + (int(state[0]) - 1) % SLOTS])
        else:
            summed_apart_rows(state, times, own, decision, step, limit, out)
            for j in range(width):
                if state[2 * j] > 0.0:
                    newest = max(newest, int(state[2 * j + 1]))
        if newest != NEVER:
            ages[symbol, table] = decision[0] - newest
        row, amount = until, amount_until


@njit(cache=True)
def fill_others(values, before, bars):  # type: ignore[no-untyped-def]
    """Write the inputs about the other symbols to the rows of `values` of the bars that close at one time.

    `before` holds the close of each of these bars 24 h earlier, NaN where there is none.
    """
    opens, closes = np.empty(bars.shape[0]), np.empty(bars.shape[0])
    for i in range(bars.shape[0]):
        opens[i], closes[i] = values[bars[i], OPEN], values[bars[i], CLOSE]
    at_once = np.zeros(bars.shape[0], dtype=np.int64)
    own, made = np.empty(bars.shape[0]), np.empty((bars.shape[0], 2))
    log_ratios(opens, closes, own)
    returns_of_others(at_once, own, made)
    for i in range(bars.shape[0]):
        values[bars[i], OTHERS_RETURN], values[bars[i], OTHERS_ABSOLUTE_RETURN] = made[i, 0], made[i, 1]
    log_ratios(before, closes, own)
    breadth_of_others(at_once, own, made)
    for i in range(bars.shape[0]):
        values[bars[i], OTHERS_BREADTH], values[bars[i], MARKET_DISPERSION] = made[i, 0], made[i, 1]
