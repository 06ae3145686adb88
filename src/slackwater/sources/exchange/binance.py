"""Binance, perpetuals margined in USDT: what it has, and how its rows are laid out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from slackwater.sources.exchange.endpoint import HOUR, MINUTE, Ask, Endpoint, number
from slackwater.sources.exchange.listing import moment_of
from slackwater.sources.exchange.venue import Venue

__all__ = ["BINANCE"]

_BARS: Final = {MINUTE: "1m", 5 * MINUTE: "5m", 15 * MINUTE: "15m", HOUR: "1h"}
_STATISTICS: Final = {5 * MINUTE: "5m", 15 * MINUTE: "15m", HOUR: "1h"}
_PRICES: Final[dict[str, int | str]] = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4}


def _bars(ask: Ask) -> dict[str, Any]:
    return {
        "symbol": ask.instrument,
        "interval": ask.period,
        "startTime": ask.first,
        "endTime": ask.last,
        "limit": 1500,
    }


def _statistics(ask: Ask) -> dict[str, Any]:
    return {
        "symbol": ask.instrument,
        "period": ask.period,
        "startTime": ask.first,
        "endTime": ask.last,
        "limit": 500,
    }


def _statistic(method: str, **columns: str) -> Endpoint:
    return Endpoint(
        method=method,
        params=_statistics,
        columns={"time": "timestamp", **columns},
        periods=_STATISTICS,
        limit=500,
        # The venue keeps 30 days; a day less, because it counts them in its own way.
        history=timedelta(days=29),
        too_old=("startTime", "-1130"),
    )


def _read_listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    for row in answer["symbols"]:
        if row["symbol"] == instrument and row["contractType"] == "PERPETUAL" and row["marginAsset"] == "USDT":
            filters = {each["filterType"]: each for each in row["filters"]}
            return {
                "listed": moment_of(row.get("onboardDate")),
                "tick_size": number(filters["PRICE_FILTER"]["tickSize"]),
                "lot_size": number(filters["LOT_SIZE"]["stepSize"]),
                "min_quantity": number(filters["LOT_SIZE"]["minQty"]),
                "min_notional_usd": number(filters.get("MIN_NOTIONAL", {}).get("notional")),
            }
    return None


def _read_funding(answer: Any, instrument: str) -> dict[str, float]:
    """Only contracts whose terms were adjusted are listed."""
    for row in answer:
        if row["symbol"] == instrument:
            return {
                "funding_interval_hours": number(row["fundingIntervalHours"]),
                "funding_floor": number(row["adjustedFundingRateFloor"]),
                "funding_cap": number(row["adjustedFundingRateCap"]),
            }
    return {}


BINANCE: Final = Venue(
    name="binance",
    instrument=lambda symbol: symbol,
    listing=lambda instrument: ("fapiPublicGetExchangeInfo", {}),
    read_listing=_read_listing,
    funding=lambda instrument: ("fapiPublicGetFundingInfo", {}),
    read_funding=_read_funding,
    tables={
        "bars": (
            Endpoint(
                method="fapiPublicGetKlines",
                params=_bars,
                columns=_PRICES | {"volume": 5, "trade_count": 8, "taker_buy_volume": 9},
                periods=_BARS,
                limit=1500,
                stamp="start",
            ),
        ),
        "mark_price": (
            Endpoint(
                method="fapiPublicGetMarkPriceKlines",
                params=_bars,
                columns=_PRICES,
                periods=_BARS,
                limit=1500,
                stamp="start",
            ),
        ),
        "premium_index": (
            Endpoint(
                method="fapiPublicGetPremiumIndexKlines",
                params=_bars,
                columns={"time": 0, "premium_index": 4},
                periods=_BARS,
                limit=1500,
                stamp="start",
            ),
        ),
        "funding": (
            Endpoint(
                method="fapiPublicGetFundingRate",
                params=lambda ask: {
                    "symbol": ask.instrument,
                    "startTime": ask.first,
                    "endTime": ask.last,
                    "limit": 1000,
                },
                columns={"time": "fundingTime", "funding_rate": "fundingRate"},
                limit=1000,
            ),
        ),
        "open_interest": (_statistic("fapiDataGetOpenInterestHist", open_interest="sumOpenInterest"),),
        "long_short_ratio": (
            _statistic("fapiDataGetTopLongShortPositionRatio", top_trader_ratio="longShortRatio"),
            _statistic("fapiDataGetTopLongShortAccountRatio", top_trader_account_ratio="longShortRatio"),
            _statistic("fapiDataGetGlobalLongShortAccountRatio", account_ratio="longShortRatio"),
            _statistic("fapiDataGetTakerlongshortRatio", taker_volume_ratio="buySellRatio"),
        ),
    },
    absent={
        "liquidations": "Binance publishes liquidations on its websocket alone (at most one a second and symbol)",
        "liquidation_totals": "Binance publishes no totals of liquidations",
    },
)
