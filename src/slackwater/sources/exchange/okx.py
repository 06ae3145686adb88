"""OKX, swaps margined in USDT: endpoints, contract terms, messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.contracts import base_asset
from slackwater.sources.exchange.endpoint import MILLISECOND, Ask, Endpoint, at, number
from slackwater.sources.exchange.listing import time_of
from slackwater.sources.exchange.venue import TierRow, Venue
from slackwater.sources.intervals import INTERVALS
from slackwater.times import HOUR, MINUTE

__all__ = ["VENUE"]

_BARS: Final = dict(zip(INTERVALS.values(), ("1m", "5m", "15m", "1H"), strict=True))
_STATISTICS: Final = {5 * MINUTE: "5m", 15 * MINUTE: "15m", HOUR: "1H"}
_PRICES: Final[dict[str, int | str]] = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4}


def _instrument(symbol: str) -> str:
    base = base_asset(symbol)
    return f"{base}-{symbol.removeprefix(base)}-SWAP"


def _older_than(limit: int) -> Callable[[Ask], dict[str, Any]]:
    """Return the parameters for the newest rows of a range by its end alone: `before` and `after` are exclusive."""
    return lambda ask: {
        "instId": ask.instrument,
        "after": ask.last + 1,
        "limit": limit,
        **({"bar": ask.period} if ask.period else {}),
    }


def _statistic(method: str, **columns: int) -> Endpoint:
    return Endpoint(
        method=method,
        # Both ends are excluded.
        params=lambda ask: {
            "instId": ask.instrument,
            "period": ask.period,
            "begin": ask.first - 1,
            "end": ask.last + 1,
            "limit": 100,
        },
        rows=at("data"),
        columns={"time": 0, **columns},
        periods=_STATISTICS,
        limit=100,
    )


def _candles(method: str, limit: int, **columns: int) -> Endpoint:
    return Endpoint(
        method=method,
        params=_older_than(limit),
        rows=at("data"),
        columns=_PRICES | columns,
        periods=_BARS,
        limit=limit,
        stamp="start",
        finish=_confirmed,
    )


def _confirmed(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out bars that the venue marks as unfinished."""
    return table[table["confirm"] != 0.0].drop(columns="confirm")


def _paid(table: pd.DataFrame) -> pd.DataFrame:
    """Take the paid rate, which differs from the announced one by rounding; old rows lack it."""
    return table.assign(funding_rate=table["realized_rate"].fillna(table["funding_rate"]))[["time", "funding_rate"]]


def _read_listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    for row in answer["data"]:
        if row["instId"] == instrument and row["instType"] == "SWAP" and row["settleCcy"] == "USDT":
            size = number(row["ctVal"]) * number(row.get("ctMult") or 1)
            return {
                "contract_size": size,
                "listed": time_of(row.get("listTime")),
                "tick_size": number(row["tickSz"]),
                "lot_size": size * number(row["lotSz"]),
                "min_quantity": size * number(row["minSz"]),
                "min_notional_usd": 0.0,
            }
    return None


def _read_tiers(answer: Any) -> list[TierRow]:
    return [(number(row["maxSz"]), number(row["mmr"]), number(row["maxLever"])) for row in answer["data"]]


def _read_funding(answer: Any, instrument: str) -> dict[str, float]:
    row = answer["data"][0]
    return {
        "funding_interval_hours": (number(row["nextFundingTime"]) - number(row["fundingTime"])) / (HOUR // MILLISECOND),
        "funding_floor": number(row.get("minFundingRate")),
        "funding_cap": number(row.get("maxFundingRate")),
    }


def _read_message(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the ``liquidation-orders``, whose side is that of the position; in net mode that of the order."""
    if message.get("arg", {}).get("channel") != "liquidation-orders":
        return
    for each in message.get("data", ()):
        if not str(each["instId"]).endswith("-USDT-SWAP"):
            continue
        symbol = str(each["instId"]).removesuffix("-SWAP").replace("-", "")
        if symbol not in contract_sizes:
            raise SchemaError(f"OKX counts contracts: name the coins per contract of {symbol} ({base_asset(symbol)})")
        for detail in each["details"]:
            by_order = {"sell": "long", "buy": "short"}[detail["side"]]
            position = detail.get("posSide", "net")
            yield (
                "liquidations",
                {
                    "symbol": symbol,
                    "side": position if position in ("long", "short") else by_order,
                    "price": number(detail["bkPx"]),
                    "quantity": number(detail["sz"]) * contract_sizes[symbol],
                    "time": detail["ts"],
                    "sent": detail["ts"],
                },
            )


VENUE: Final = Venue(
    name="okx",
    read_message=_read_message,
    instrument=_instrument,
    listing=lambda instrument: ("publicGetPublicInstruments", {"instType": "SWAP", "instId": instrument}),
    read_listing=_read_listing,
    tiers=lambda instrument: (
        "publicGetPublicPositionTiers",
        {"instType": "SWAP", "tdMode": "isolated", "instFamily": instrument.removesuffix("-SWAP")},
    ),
    read_tiers=_read_tiers,
    tiers_in_contracts=lambda instrument: ("publicGetPublicMarkPrice", {"instType": "SWAP", "instId": instrument}),
    read_mark_price=lambda answer: number(answer["data"][0]["markPx"]),
    funding=lambda instrument: ("publicGetPublicFundingRate", {"instId": instrument}),
    read_funding=_read_funding,
    tables={
        # The sixth column counts contracts, the seventh coin.
        "bars": (_candles("publicGetMarketHistoryCandles", 300, contracts=5, volume=6, confirm=8),),
        "mark_price": (_candles("publicGetMarketHistoryMarkPriceCandles", 100, confirm=5),),
        "funding": (
            Endpoint(
                method="publicGetPublicFundingRateHistory",
                params=_older_than(100),
                rows=at("data"),
                columns={"time": "fundingTime", "funding_rate": "fundingRate", "realized_rate": "realizedRate"},
                limit=100,
                finish=_paid,
            ),
        ),
        "open_interest": (_statistic("publicGetRubikStatContractsOpenInterestHistory", contracts=1, open_interest=2),),
        "long_short_ratio": (
            _statistic("publicGetRubikStatContractsLongShortPositionRatioContractTopTrader", top_trader_ratio=1),
            _statistic("publicGetRubikStatContractsLongShortAccountRatioContract", account_ratio=1),
            _statistic("publicGetRubikStatContractsLongShortAccountRatioContractTopTrader", top_trader_account_ratio=1),
        ),
    },
    absent={
        "premium_index": "OKX publishes no bars of its premium",
        "liquidations": "OKX publishes liquidations on its websocket alone, and not all of them",
        "liquidation_totals": "OKX publishes no totals of liquidations",
    },
)
