"""The columns of a market-frame row: what the feature kernels read, in their order.

Kernels address a row by these positions, so the order is part of the features' fingerprint.
"""

from __future__ import annotations

from typing import Final

__all__ = ["INPUTS", "INPUT_TABLES"]

OPEN: Final = 0
HIGH: Final = 1
LOW: Final = 2
CLOSE: Final = 3
VOLUME: Final = 4
TAKER_BUY_VOLUME: Final = 5
OTHERS_RETURN: Final = 6
OTHERS_ABSOLUTE_RETURN: Final = 7
OPEN_INTEREST: Final = 8
OPEN_INTEREST_TIME_HOURS: Final = 9
FUNDING_RATE: Final = 10
FUNDING_INTERVAL_HOURS: Final = 11
FUNDING_TIME_HOURS: Final = 12
PREMIUM_INDEX: Final = 13
LIQUIDATED_LONG: Final = 14
LIQUIDATED_SHORT: Final = 15
LIQUIDATED_LONG_ESTIMATE: Final = 16
LIQUIDATED_SHORT_ESTIMATE: Final = 17
WHALE_TO_EXCHANGE: Final = 18
WHALE_FROM_EXCHANGE: Final = 19
LARGE_BUY: Final = 20
LARGE_SELL: Final = 21
TOP_TRADER_RATIO: Final = 22
DEPTH_BID_1PCT: Final = 23
DEPTH_ASK_1PCT: Final = 24

INPUTS: Final[tuple[str, ...]] = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "taker_buy_volume",
    "others_return",
    "others_absolute_return",
    "open_interest",
    "open_interest_time_hours",
    "funding_rate",
    "funding_interval_hours",
    "funding_time_hours",
    "premium_index",
    "liquidated_long",
    "liquidated_short",
    "liquidated_long_estimate",
    "liquidated_short_estimate",
    "whale_to_exchange",
    "whale_from_exchange",
    "large_buy",
    "large_sell",
    "top_trader_ratio",
    "depth_bid_1pct",
    "depth_ask_1pct",
)
"""Prices in quote currency; volumes, open interest, liquidations, transfers, large trades and depth in coin; the
funding rate as a fraction of notional an interval; times in hours since 1970; the premium index as a
fraction; the ratio of top traders as longs over shorts. The returns of the others are the mean of ``log(close /
open)``, and of its absolute value, over the bars of all other symbols that close at the same time. The estimates of
what was liquidated correct a feed that reports one event a second (`slackwater.market.frame`)."""

INPUT_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "bars": INPUTS[:8],
    "open_interest": ("open_interest", "open_interest_time_hours"),
    "funding": ("funding_rate", "funding_interval_hours", "funding_time_hours"),
    "premium_index": ("premium_index",),
    "liquidations": (
        "liquidated_long",
        "liquidated_short",
        "liquidated_long_estimate",
        "liquidated_short_estimate",
    ),
    "liquidation_totals": ("liquidated_long", "liquidated_short"),
    "whale_transfers": ("whale_to_exchange", "whale_from_exchange"),
    "large_trades": ("large_buy", "large_sell"),
    "long_short_ratio": ("top_trader_ratio",),
    "depth": ("depth_bid_1pct", "depth_ask_1pct"),
}
"""Which canonical table feeds which inputs. Liquidations come as events or as totals of a bucket, not as both."""
