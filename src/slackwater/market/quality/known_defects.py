"""Spans of public market data that are known to be wrong, with what is wrong about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

__all__ = ["KNOWN_DEFECTS", "KnownDefect"]


@dataclass(frozen=True, kw_only=True)
class KnownDefect:
    """Rows of one table of one venue and symbol that must not be used, both ends included."""

    venue: str
    symbol: str
    table: str
    start: pd.Timestamp
    end: pd.Timestamp
    reason: str


KNOWN_DEFECTS: Final[tuple[KnownDefect, ...]] = (
    KnownDefect(
        venue="bybit",
        symbol="BTCUSDT",
        table="open_interest",
        start=pd.Timestamp("2021-05-19T15:00Z"),
        end=pd.Timestamp("2021-05-19T16:00Z"),
        reason="the venue recounted: open interest jumps 5.5k, 13.7k, 19.8k without trades that explain it",
    ),
    KnownDefect(
        venue="bybit",
        symbol="BTCUSDT",
        table="open_interest",
        start=pd.Timestamp("2020-07-01T00:00Z"),
        end=pd.Timestamp("2020-08-04T07:59Z"),
        reason="sparse after the listing",
    ),
    KnownDefect(
        venue="binance",
        symbol="BTCUSDT",
        table="open_interest",
        start=pd.Timestamp("2022-03-07T00:00Z"),
        end=pd.Timestamp("2022-03-08T23:59Z"),
        reason="published as zero",
    ),
)
