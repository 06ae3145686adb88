"""Binance, perpetuals margined in USDT: endpoints, contract terms, messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from slackwater.sources.exchange.endpoint import Ask, Endpoint, number
from slackwater.sources.exchange.listing import time_of
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.intervals import INTERVALS
from slackwater.times import DAY, HOUR, MINUTE

__all__ = ["VENUE"]

_BARS: Final = {duration: name for name, duration in INTERVALS.items()}
_STATISTICS: Final = {5 * MINUTE: "5m", 15 * MINUTE: "15m", HOUR: "1h"}
_PRICES: Final[dict[str, int | str]] = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4}


def _range(ask: Ask, limit: int) -> dict[str, Any]:
    return {"symbol": ask.instrument, "startTime": ask.first, "endTime": ask.last, "limit": limit}


def _kline(method: str, columns: dict[str, int | str]) -> Endpoint:
    return Endpoint(
        method=method,
        params=lambda ask: _range(ask, 1500) | {"interval": ask.period},
        columns=columns,
        periods=_BARS,
        limit=1500,
        stamp="start",
    )


def _statistic(method: str, **columns: str) -> Endpoint:
    return Endpoint(
        method=method,
        params=lambda ask: _range(ask, 500) | {"period": ask.period},
        columns={"time": "timestamp", **columns},
        periods=_STATISTICS,
        limit=500,
        # The venue keeps 30 days; one day less, because it counts days in its own way.
        history=29 * DAY,
        too_old=("startTime", "-1130"),
    )


def _read_listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    for row in answer["symbols"]:
        if row["symbol"] == instrument and row["contractType"] == "PERPETUAL" and row["marginAsset"] == "USDT":
            filters = {each["filterType"]: each for each in row["filters"]}
            return {
                "listed": time_of(row.get("onboardDate")),
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


def _read_message(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the liquidation of a ``forceOrder``, whose side is that of the order, or a trade."""
    content = message.get("data", message)
    if not isinstance(content, dict):
        return
    if content.get("e") == "forceOrder":
        order = content["o"]
        # The filled quantity at its mean price, not the order.
        quantity, price = number(order.get("z", order["q"])), number(order.get("ap", order["p"]))
        yield (
            "liquidations",
            {
                "symbol": order["s"],
                "side": {"SELL": "long", "BUY": "short"}[order["S"]],
                "price": price if price > 0.0 else number(order["p"]),
                "quantity": quantity if quantity > 0.0 else number(order["q"]),
                "time": order["T"],
                "sent": content["E"],
            },
        )
    elif content.get("e") in ("trade", "aggTrade") and content.get("X", "MARKET") == "MARKET":
        yield (
            "trades",
            {
                "symbol": content["s"],
                "side": "sell" if content["m"] else "buy",  # the buyer was the maker: the seller crossed
                "price": number(content["p"]),
                "quantity": number(content["q"]),
                "time": content["T"],
                "sent": content["E"],
                "id": _trade_id(content),
            },
        )


def _trade_id(content: Mapping[str, Any]) -> str | None:
    """Return the id of a trade with its kind, since aggregated trades are numbered on their own."""
    number_of = content.get("a" if content["e"] == "aggTrade" else "t")
    return None if number_of is None else f"{content['e']} {number_of}"


VENUE: Final = Venue(
    name="binance",
    archive=True,
    read_message=_read_message,
    listing=lambda instrument: ("fapiPublicGetExchangeInfo", {}),
    read_listing=_read_listing,
    funding=lambda instrument: ("fapiPublicGetFundingInfo", {}),
    read_funding=_read_funding,
    tables={
        "bars": (_kline("fapiPublicGetKlines", _PRICES | {"volume": 5, "trade_count": 8, "taker_buy_volume": 9}),),
        "mark_price": (_kline("fapiPublicGetMarkPriceKlines", _PRICES),),
        "premium_index": (_kline("fapiPublicGetPremiumIndexKlines", {"time": 0, "premium_index": 4}),),
        "funding": (
            Endpoint(
                method="fapiPublicGetFundingRate",
                params=lambda ask: _range(ask, 1000),
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
        "liquidations": "Binance publishes liquidations on its websocket alone (at most one per second and symbol)",
        "liquidation_totals": "Binance publishes no totals of liquidations",
    },
)
