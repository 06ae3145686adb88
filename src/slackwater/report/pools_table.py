"""The pools of the liquidation map as a table for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console
from rich.table import Table

from slackwater.liquidity.density import LAYERS, STOPS

if TYPE_CHECKING:
    from slackwater.evidence.map_history import MapHistory

__all__ = ["print_pools"]


def print_pools(history: MapHistory, pools: pd.DataFrame, *, synthetic: bool, console: Console | None = None) -> None:
    """Print the result of `MapHistory.pools` from the highest price to the lowest, the price between them.

    The title contains SYNTHETIC where the market is simulated. Without a console they go to standard output.
    """
    end = history.bars.iloc[-1]
    close = float(end["close"])
    decimals = max(5 - math.floor(math.log10(close)) - 1, 0)
    mark = "  SYNTHETIC market" if synthetic else ""
    table = Table(
        title=f"{history.symbol} at {end['event_time']:%Y-%m-%d %H:%M} UTC{mark}",
        caption=f"One daily true range (ATR) is {100.0 * end['atr_1d']:.2f} % (log),\n"
        f"open interest {end['open_interest']:,.1f} coin.\n"
        "Shares and ranks are estimated from open interest,\n"
        "they are not amounts in dollars; #1 is the largest pool\n"
        "of its layer (a half-life of memory, or the stops).\n"
        "Listed are the largest and the densest of each side.\n"
        "Too far to be placed, est. % of OI, longs and shorts:\n"
        f"{_too_far(history)}.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("side")
    for name in ("price", "distance", "in ATR", "est. % of OI", "rank"):
        table.add_column(name, justify="right")
    table.add_column("layer")
    names = dict(zip(LAYERS, history.layers, strict=True))
    ordered = pools.sort_values("price", ascending=False)
    for side, colour in (("above", "green"), ("below", "red")):
        for pool in ordered[ordered["side"] == side].itertuples():
            table.add_row(
                side,
                f"{pool.price:,.{decimals}f}",
                f"{100.0 * float(pool.distance_fraction):+.2f} %",
                f"{pool.distance_atr:+.2f}",
                f"{100.0 * float(pool.mass_fraction):.2f}",
                f"#{pool.rank}",
                names[str(pool.layer)],
                style=colour,
            )
        if side == "above":
            table.add_row("price", f"{close:,.{decimals}f}", style="bold")
    (console or Console()).print(table)


def _too_far(history: MapHistory) -> str:
    """Return what each layer of liquidations has beyond the grid."""
    percent = 100.0 * history.too_far[:, :STOPS]
    return ", ".join(
        f"{name} {longs:.0f} and {shorts:.0f}" for name, longs, shorts in zip(history.layers, *percent, strict=False)
    )
