"""Bybit, linear perpetuals: what it has, and how its rows are laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pandas as pd

from slackwater.errors import SourceError
from slackwater.sources.exchange.endpoint import HOUR, MINUTE, Ask, Endpoint, at, number
from slackwater.sources.exchange.listing import moment_of
from slackwater.sources.exchange.venue import TierRow, Venue

__all__ = ["BYBIT"]

_BARS: Final = {MINUTE: "1", 5 * MINUTE: "5", 15 * MINUTE: "15", HOUR: "60"}
_PRICES: Final[dict[str, int | str]] = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4}


def _range(ask: Ask) -> dict[str, Any]:
    return {"category": "linear", "symbol": ask.instrument, "startTime": ask.first, "endTime": ask.last}


def _bars(ask: Ask) -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": ask.instrument,
        "interval": ask.period,
        "start": ask.first,
        "end": ask.last,
        "limit": 1000,
    }


def _kline(method: str, columns: dict[str, int | str]) -> Endpoint:
    return Endpoint(
        method=method,
        params=_bars,
        rows=at("result", "list"),
        columns=columns,
        periods=_BARS,
        limit=1000,
        stamp="start",
    )


def _with(name: str, *, limit: int) -> Callable[[Ask], dict[str, Any]]:
    return lambda ask: _range(ask) | {name: ask.period, "limit": limit}


def _ratio(table: pd.DataFrame) -> pd.DataFrame:
    # No account short: no ratio.
    short = table["short_share"].where(table["short_share"] > 0.0)
    return table.assign(account_ratio=table["long_share"] / short)[["time", "account_ratio"]]


def _read_listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    for row in answer["result"]["list"]:
        if row["symbol"] == instrument and row["contractType"] == "LinearPerpetual" and row["settleCoin"] == "USDT":
            lots = row["lotSizeFilter"]
            return {
                "listed": moment_of(row.get("launchTime")),
                "tick_size": number(row["priceFilter"]["tickSize"]),
                "lot_size": number(lots["qtyStep"]),
                "min_quantity": number(lots["minOrderQty"]),
                "min_notional_usd": number(lots.get("minNotionalValue")),
                "funding_interval_hours": number(row.get("fundingInterval")) / 60.0,
                "funding_floor": number(row.get("lowerFundingRate")),
                "funding_cap": number(row.get("upperFundingRate")),
            }
    return None


def _read_tiers(answer: Any) -> list[TierRow]:
    out = []
    for row in answer["result"]["list"]:
        rate, initial, leverage = (number(row[name]) for name in ("maintenanceMargin", "initialMargin", "maxLeverage"))
        # Rates have come as fractions and as percent; the initial one is one over the leverage.
        unit = initial * leverage
        if 90.0 < unit < 110.0:
            rate /= 100.0
        elif not 0.9 < unit < 1.1:
            raise SourceError(f"bybit: a tier with initial margin {initial} and leverage {leverage} makes no sense")
        out.append((number(row["riskLimitValue"]), rate, leverage))
    return out


BYBIT: Final = Venue(
    name="bybit",
    instrument=lambda symbol: symbol,
    listing=lambda instrument: (
        "publicGetV5MarketInstrumentsInfo",
        {"category": "linear", "symbol": instrument},
    ),
    read_listing=_read_listing,
    tiers=lambda instrument: ("publicGetV5MarketRiskLimit", {"category": "linear", "symbol": instrument}),
    read_tiers=_read_tiers,
    tables={
        "bars": (_kline("publicGetV5MarketKline", _PRICES | {"volume": 5}),),
        "mark_price": (_kline("publicGetV5MarketMarkPriceKline", _PRICES),),
        "premium_index": (_kline("publicGetV5MarketPremiumIndexPriceKline", {"time": 0, "premium_index": 4}),),
        "funding": (
            Endpoint(
                method="publicGetV5MarketFundingHistory",
                params=lambda ask: _range(ask) | {"limit": 200},
                rows=at("result", "list"),
                columns={"time": "fundingRateTimestamp", "funding_rate": "fundingRate"},
                limit=200,
            ),
        ),
        "open_interest": (
            Endpoint(
                method="publicGetV5MarketOpenInterest",
                params=_with("intervalTime", limit=200),
                rows=at("result", "list"),
                columns={"time": "timestamp", "open_interest": "openInterest"},
                periods={5 * MINUTE: "5min", 15 * MINUTE: "15min", HOUR: "1h"},
                limit=200,
            ),
        ),
        "long_short_ratio": (
            Endpoint(
                method="publicGetV5MarketAccountRatio",
                params=_with("period", limit=500),
                rows=at("result", "list"),
                columns={"time": "timestamp", "long_share": "buyRatio", "short_share": "sellRatio"},
                periods={5 * MINUTE: "5min", 15 * MINUTE: "15min", HOUR: "1h"},
                limit=500,
                finish=_ratio,
            ),
        ),
    },
    absent={
        "liquidations": "Bybit publishes liquidations on its websocket alone",
        "liquidation_totals": "Bybit publishes no totals of liquidations",
    },
)
