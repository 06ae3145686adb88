"""Trades and refusals in lists, pictures and words, of a run and of an account alike."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from slackwater.metrics.performance import refusals_by_reason
from slackwater.report.page.content import Picture, Table, number, percent, words
from slackwater.report.page.drawing import Axis, rows_plot

__all__ = [
    "CHART_TABLES",
    "SIDES",
    "TRADE_FIELDS",
    "TRADE_HEAD",
    "plain_cell",
    "range_of_results",
    "refusals_picture",
    "sides_and_ends",
    "trade_cells",
]

CHART_TABLES: Final = ("bars", "open_interest", "liquidations", "liquidation_totals")
"""Tables that the price chart is made of, where they are there."""
SIDES: Final = {1: "▲ long", -1: "▼ short"}
"""Sides in words, with the mark of their shape."""
TRADE_FIELDS: Final = (
    *("symbol", "triggers", "side", "entry", "exit", "stop", "target", "liquidation_price", "quantity", "notional_usd"),
    *("leverage", "binding", "risk_usd", "risk_fraction", "reward_risk", "p_direction", "p_trade", "p_trade_low"),
    *("expectancy_low", "stop_level", "target_level", "risk_multiplier", "drawdown", "exit_reason", "gross_usd"),
    *("fees_usd", "slippage_usd", "funding_usd", "net_usd", "net_bps", "net_r", "equity_after", "funding_known"),
)
"""Fields of a trade that the price chart shows, beside its times."""
TRADE_HEAD: Final = (
    *("entry (UTC)", "symbol", "side", "trigger", "entry", "stop", "target", "exit", "ended by", "net (R)"),
    "net (USDT)",
)
"""Head of a list of trades."""
_SHOWN: Final = 14


def plain_cell(value: Any) -> Any:
    """Return a cell of a table in types of JSON; what is not known is None."""
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, str) else float(f"{value:.9g}")


def trade_cells(row: Any) -> list[Any]:
    """Return the cells of a trade below `TRADE_HEAD`, from a row of a table of trades as a named tuple."""
    return [
        *(f"{row.entry_time:%Y-%m-%d %H:%M}", row.symbol, SIDES[row.side], words(str(row.triggers)), row.entry),
        *(row.stop, row.target, row.exit, row.exit_reason, row.net_r, row.net_usd),
    ]


def sides_and_ends(trades: pd.DataFrame) -> str:
    """Return how many trades were long and short, and how they ended."""
    long, short = (int((trades["side"] == side).sum()) for side in (1, -1))
    ends = ", ".join(f"{count} by {reason}" for reason, count in trades["exit_reason"].value_counts().items())
    return f"{long} long (▲) and {short} short (▼), ended {ends}"


def range_of_results(trades: pd.DataFrame) -> str:
    """Return the number of trades with the best and the worst result, of trades of which one at least is known."""
    best, worst = (trades.loc[at] for at in (trades["net_r"].idxmax(), trades["net_r"].idxmin()))
    low, high = (
        f"{number(float(each['net_r']))} R ({each['symbol']}, {each['entry_time']:%Y-%m-%d})" for each in (worst, best)
    )
    return f"{len(trades):,} trades, from {low} to {high}."


def refusals_picture(refusals: pd.DataFrame, planned: pd.DataFrame, refused: int, *, synthetic: bool) -> Picture:
    """Return the share of events that the gate refused, by reason.

    Parameters
    ----------
    refusals, planned
        As `slackwater.metrics.performance.refusals_by_reason` takes them.
    refused
        Number of events that were refused.
    synthetic
        Whether the market was simulated.
    """
    title = "Refusals of the gate"
    rows = refusals_by_reason(refusals, planned).to_dict("records")
    shown = rows[:_SHOWN]
    x = Axis.around("Share of all events (%)", [100.0 * row["share"] for row in shown], include=[0.0])
    plot = rows_plot([words(row["code"]) for row in shown], x, label=title, synthetic=synthetic, left=190.0)
    for place, row in enumerate(shown):
        plot.bar(0.0, 100.0 * row["share"], -place - 0.32, -place + 0.32, kind="plain")
    first = f", most often for {words(rows[0]['code'])} ({percent(rows[0]['share'])} of all events)" if rows else ""
    columns = {"code": "reason", "events": "events", "share": "share of all events", "all_events_of": "all events of"}
    return Picture(
        title=title,
        finding=f"The gate refused {refused:,} events{first}.",
        drawing=plot.svg() if rows else "",
        table=Table.of(rows, columns),
        note="An event with several reasons counts under each of them.",
    )
