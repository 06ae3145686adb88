"""Liquidations of coin-margined contracts."""

from __future__ import annotations

from typing import Final

import numpy as np

from slackwater.sources.binance_archive.bars import contract_usd
from slackwater.sources.binance_archive.csv_rows import Columns, Layout
from slackwater.sources.binance_archive.screening import Screening

__all__ = ["LIQUIDATIONS", "parse_liquidations"]

LIQUIDATIONS: Final = Layout(
    {
        "time": "time",
        "side": "text",
        "order_type": "unused",
        "time_in_force": "unused",
        "original_quantity": "unused",
        "price": "number",
        "average_price": "number",
        "order_status": "unused",
        "last_fill_quantity": "unused",
        "accumulated_fill_quantity": "number",
    }
)


def parse_liquidations(rows: Columns, screening: Screening) -> Columns:
    """Return liquidations: side of the position, average fill, and coin that was filled.

    The archive gives the side of the order: a sale closes a long. It counts contracts, and holds every row twice; what
    is not read here may differ between the copies.
    """
    columns = rows | {"event_time": rows["time"]}
    columns = screening.inside_period(columns, 0)
    unknown = ~np.isin(columns["side"], ["BUY", "SELL"])
    columns = screening.mask(columns, unknown, "unknown_side", "a side is BUY or SELL")
    numbers = ("price", "average_price", "accumulated_fill_quantity")
    columns = screening.finite(columns, numbers)
    impossible = np.logical_or.reduce([columns[name] < 0.0 for name in numbers])
    columns = screening.mask(columns, impossible, "negative_value", "a price or a quantity is negative")
    unfilled = columns["accumulated_fill_quantity"] == 0.0
    columns = screening.without(columns, unfilled, "not_filled", "an order that was not filled closes nothing")
    far = np.abs(np.log(np.maximum(columns["average_price"], 1e-12) / np.maximum(columns["price"], 1e-12))) > 1.0
    columns = screening.mask(columns, far, "impossible_price", "fill and order are further apart than a factor e")
    columns.pop("time")
    keys = [name for name in columns if name != "event_time"]
    columns = screening.once(screening.in_order(columns, *keys), tuple(columns))
    price = columns["average_price"]
    return {
        "event_time": columns["event_time"],
        "side": np.where(columns["side"] == "SELL", "long", "short").astype(object),
        "price": price,
        "quantity": columns["accumulated_fill_quantity"] * contract_usd(screening.file.symbol) / price,
    }
