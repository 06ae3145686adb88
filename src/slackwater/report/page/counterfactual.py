"""One trade walked again without some of its levels, on the fine bars that it met."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from slackwater.times import epoch_us, timestamp
from slackwater.trading.price_path import PricePath

__all__ = ["VARIANTS", "walked"]

VARIANTS: Final = {"as planned": (), "without stop": ("stop",), "time exit only": ("stop", "target")}
"""Levels that a variant of a trade lacks, by its name."""


def walked(
    name: str, row: Mapping[Any, Any], *, bankruptcy_price: float, horizon: timedelta, path: PricePath
) -> dict[str, Any]:
    """Return how a variant of a trade ends, before costs, in types of JSON.

    Parameters
    ----------
    name
        One of `VARIANTS`.
    row
        The trade: `side`, `entry` (USDT), `entry_time`, `stop`, `target`, `liquidation_price`, `quantity`, `risk_usd`.
    bankruptcy_price
        Price at which the margin is lost, USDT.
    horizon
        Time exit.
    path
        Fine bars of the symbol; the walk begins with the first bar that opens at or after the entry.

    Returns
    -------
    dict
        ``name``, ``reason``, ``price`` (USDT), ``time`` (seconds since 1970), ``gross_r`` (in planned losses).
    """
    side, without = int(row["side"]), VARIANTS[name]
    found = path.exit(
        side=side,
        stop=-side * math.inf if "stop" in without else float(row["stop"]),
        target=side * math.inf if "target" in without else float(row["target"]),
        liquidation_price=float(row["liquidation_price"]),
        entry_bar=path.first_bar_from(epoch_us(row["entry_time"])),
        horizon=horizon,
    )
    reason, price = found.reason, found.price
    if reason == "liquidation" or side * price < side * bankruptcy_price:
        reason, price = "liquidation", bankruptcy_price
    gross_r = side * float(row["quantity"]) * (price - float(row["entry"])) / float(row["risk_usd"])
    time = int(timestamp(found.time_us).timestamp())
    return {"name": name, "reason": reason, "price": price, "time": time, "gross_r": gross_r}
