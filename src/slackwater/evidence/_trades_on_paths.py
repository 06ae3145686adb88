"""Trades and the price paths of their symbols, one symbol after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from slackwater.evidence._intervals import require_symbols
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath

__all__ = ["on_their_paths"]

Result = TypeVar("Result")


def on_their_paths(
    function: Callable[[ClosedTrade, PricePath], Result],
    trades: Sequence[ClosedTrade],
    paths: Mapping[str, PricePath],
) -> list[Result]:
    """Return what a function makes of each trade and the path of its symbol, in the order of the trades.

    A path is asked for once, and let go before the next one: `paths` may read them from files.

    Raises
    ------
    MissingDataError
        If a symbol has no path.
    """
    require_symbols("paths", paths, trades)
    places: dict[str, list[int]] = {}
    for place, trade in enumerate(trades):
        places.setdefault(trade.plan.symbol, []).append(place)
    found: dict[int, Result] = {}
    for symbol in sorted(places):
        path = paths[symbol]
        found |= {place: function(trades[place], path) for place in places[symbol]}
    return [found[place] for place in range(len(trades))]
