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
OPEN_INTEREST: Final = 6
FUNDING_RATE: Final = 7
FUNDING_INTERVAL_HOURS: Final = 8
FUNDING_TIME_HOURS: Final = 9
PREMIUM_INDEX: Final = 10
LIQUIDATED_LONG: Final = 11
LIQUIDATED_SHORT: Final = 12
WHALE_TO_EXCHANGE: Final = 13
WHALE_FROM_EXCHANGE: Final = 14
DEPTH_BID_1PCT: Final = 15
DEPTH_ASK_1PCT: Final = 16

INPUTS: Final[tuple[str, ...]] = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "taker_buy_volume",
    "open_interest",
    "funding_rate",
    "funding_interval_hours",
    "funding_time_hours",
    "premium_index",
    "liquidated_long",
    "liquidated_short",
    "whale_to_exchange",
    "whale_from_exchange",
    "depth_bid_1pct",
    "depth_ask_1pct",
)
"""Prices in quote currency; volumes, open interest, liquidations, transfers and depth in coin; the funding rate as
a fraction of notional an interval; the funding time in hours since 1970; the premium index as a fraction."""

INPUT_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "bars": INPUTS[:6],
    "open_interest": ("open_interest",),
    "funding": ("funding_rate", "funding_interval_hours", "funding_time_hours"),
    "premium_index": ("premium_index",),
    "liquidations": ("liquidated_long", "liquidated_short"),
    "whale_transfers": ("whale_to_exchange", "whale_from_exchange"),
    "depth": ("depth_bid_1pct", "depth_ask_1pct"),
}
"""Which canonical table feeds which inputs."""
