"""Bybit, linear perpetuals: endpoints, contract terms, messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from slackwater.errors import SourceError
from slackwater.sources.exchange.endpoint import Ask, Endpoint, at, number
from slackwater.sources.exchange.listing import time_of
from slackwater.sources.exchange.venue import TierRow, Venue
from slackwater.sources.intervals import INTERVALS
from slackwater.times import HOUR, MINUTE

__all__ = ["VENUE"]

_BARS: Final = dict(zip(INTERVALS.values(), ("1", "5", "15", "60"), strict=True))
_STATISTICS: Final = {5 * MINUTE: "5min", 15 * MINUTE: "15min", HOUR: "1h"}
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


def _history(method: str, period: str, limit: int, columns: dict[str, int | str], **changes: Any) -> Endpoint:
    """Return an endpoint of rows by time; `period` is the name of that parameter, empty where rows are irregular."""
    return Endpoint(
        method=method,
        params=lambda ask: _range(ask) | {"limit": limit} | ({period: ask.period} if period else {}),
        rows=at("result", "list"),
        columns=columns,
        periods=_STATISTICS if period else {},
        limit=limit,
        **changes,
    )


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


def _ratio(table: pd.DataFrame) -> pd.DataFrame:
    # Without a short account there is no ratio.
    short = table["short_share"].where(table["short_share"] > 0.0)
    return table.assign(account_ratio=table["long_share"] / short)[["time", "account_ratio"]]


def _read_listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    for row in answer["result"]["list"]:
        if row["symbol"] == instrument and row["contractType"] == "LinearPerpetual" and row["settleCoin"] == "USDT":
            lots = row["lotSizeFilter"]
            return {
                "listed": time_of(row.get("launchTime")),
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
        # Rates are published as fractions or as percent; the initial one is 1 / leverage.
        unit = initial * leverage
        if 90.0 < unit < 110.0:
            rate /= 100.0
        elif not 0.9 < unit < 1.1:
            raise SourceError(
                f"bybit: a tier has initial margin {initial} and leverage {leverage}, which contradict each other"
            )
        out.append((number(row["riskLimitValue"]), rate, leverage))
    return out


def _read_message(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the liquidations of ``allLiquidation`` or ``liquidation``, whose side is that of the position."""
    topic = str(message.get("topic", ""))
    if topic.startswith("allLiquidation."):
        for each in message["data"]:
            yield "liquidations", _liquidation(each["s"], each["S"], each["p"], each["v"], each["T"], message["ts"])
    elif topic.startswith("liquidation."):
        each = message["data"]
        symbol, side, price, size = (each[name] for name in ("symbol", "side", "price", "size"))
        yield "liquidations", _liquidation(symbol, side, price, size, each["updatedTime"], message["ts"])


def _liquidation(symbol: str, side: str, price: Any, quantity: Any, time: Any, sent: Any) -> dict[str, Any]:
    row = {"symbol": symbol, "side": {"Buy": "long", "Sell": "short"}[side], "time": time, "sent": sent}
    return row | {"price": number(price), "quantity": number(quantity)}


VENUE: Final = Venue(
    name="bybit",
    read_message=_read_message,
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
            _history(
                "publicGetV5MarketFundingHistory",
                "",
                200,
                {"time": "fundingRateTimestamp", "funding_rate": "fundingRate"},
            ),
        ),
        "open_interest": (
            _history(
                "publicGetV5MarketOpenInterest",
                "intervalTime",
                200,
                {"time": "timestamp", "open_interest": "openInterest"},
            ),
        ),
        "long_short_ratio": (
            _history(
                "publicGetV5MarketAccountRatio",
                "period",
                500,
                {"time": "timestamp", "long_share": "buyRatio", "short_share": "sellRatio"},
                finish=_ratio,
            ),
        ),
    },
    absent={
        "liquidations": "Bybit publishes liquidations on its websocket alone",
        "liquidation_totals": "Bybit publishes no totals of liquidations",
    },
)
