"""Tasks that need the events and prices of one symbol: a worker holds those of no other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TypeVar

from slackwater.parallel import run_tasks
from slackwater.trading.backtest import Backtest, Progress, in_exit_order
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath
from slackwater.trading.read_paths import PathsThatAreRead
from slackwater.trading.sent_paths import paths_for_workers

__all__ = ["of_each_symbol", "unit_risk_trades_of_gates"]

Result = TypeVar("Result")


def of_each_symbol(
    function: Callable[[Backtest], Result], backtest: Backtest, *, progress: Progress | None = None
) -> dict[str, Result]:
    """Return what a function makes of the events and prices of each symbol, by symbol in the order of their names.

    Parameters
    ----------
    function
        As for `slackwater.parallel.run_tasks`; what it returns must not depend on other symbols.
    backtest
        Events and prices of all symbols.
    progress
        Called after each symbol with (events done, events in all).

    Raises
    ------
    Exception
        As `slackwater.parallel.run_tasks`; the message names the symbol.
    """
    found, done = {}, 0
    with paths_for_workers(backtest.paths, sorted({order.score.symbol for order in backtest.orders})) as paths:
        parts = _Parts(replace(backtest, paths=paths))
        for symbol, made in zip(parts, run_tasks(function, parts), strict=True):
            found[symbol] = made
            done += parts.orders(symbol)
            if progress is not None:
                progress(done, len(backtest.orders))
    return found


class _Parts(Mapping[str, Backtest]):
    """The events and prices of each symbol that has an order, put together when they are asked for, and not kept."""

    def __init__(self, backtest: Backtest) -> None:
        self._backtest = backtest
        self._orders, self._events, self._untradable = defaultdict(list), defaultdict(list), defaultdict(list)
        for order in backtest.orders:
            self._orders[order.score.symbol].append(order)
        for event in backtest.events:
            self._events[event.symbol].append(event)
        for refusal in backtest.untradable:
            self._untradable[refusal.symbol].append(refusal)

    def __getitem__(self, symbol: str) -> Backtest:
        return replace(
            self._backtest,
            paths=_of_symbol(self._backtest.paths, symbol),
            hourly={},
            events=tuple(self._events[symbol]),
            orders=tuple(self._orders[symbol]),
            untradable=tuple(self._untradable[symbol]),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._orders))

    def __len__(self) -> int:
        return len(self._orders)

    def orders(self, symbol: str) -> int:
        return len(self._orders[symbol])


def _of_symbol(paths: Mapping[str, PricePath], symbol: str) -> Mapping[str, PricePath]:
    """Return what a task needs of the paths: prices in memory are sent to it, those in files it reads itself."""
    return paths.only(symbol) if isinstance(paths, PathsThatAreRead) else {symbol: paths[symbol]}


def unit_risk_trades_of_gates(
    backtest: Backtest, gates: Sequence[Gate], *, progress: Progress | None = None
) -> list[list[ClosedTrade]]:
    """Return what `Backtest.unit_risk_trades` does under each of several gates; the trades of each symbol are a task.

    They meet no other trade, so none depends on another symbol. An extra rule of a gate must not remember what it was
    asked before. Under one gate alone, reading the prices takes longer than the trades.
    """
    found = of_each_symbol(partial(_trades_of_gates, gates), backtest, progress=progress).values()
    return [in_exit_order(chain.from_iterable(of_symbol[at] for of_symbol in found)) for at in range(len(gates))]


def _trades_of_gates(gates: Sequence[Gate], backtest: Backtest) -> list[list[ClosedTrade]]:
    return [backtest.unit_risk_trades(gate) for gate in gates]
