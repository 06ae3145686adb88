"""Bybit v5, linear perpetuals: REST ``/v5/market``, websocket ``/v5/public/linear``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slackwater.times import HOUR_US, MINUTE_US
from slackwater.venue.dialects.dialect import Answer, Channel, Market, Pushed, Query, base_and_quote, number, refusal
from slackwater.venue.history import Bar
from slackwater.venue.tape import Liquidation, Trade, trades_between

__all__ = ["Bybit"]

_INTERVALS: Final = {"1": MINUTE_US, "5": 5 * MINUTE_US, "15": 15 * MINUTE_US, "60": 60 * MINUTE_US}
_NAMES: Final = {length: name for name, length in _INTERVALS.items()}
_STREAMS: Final = {"kline": "bars", "publicTrade": "trades", "allLiquidation": "liquidations"}
_KLINES: Final = {"kline": "", "mark-price-kline": "mark_price", "premium-index-price-kline": "premium_index"}


class Bybit:
    """Formats of Bybit."""

    streams = ("bars", "trades", "liquidations")

    def instrument(self, symbol: str) -> str:
        """Return the symbol: Bybit has the canonical names."""
        return symbol

    def subscribe(self, path: str, message: Any, now_ms: int) -> tuple[list[Channel], list[Any]]:
        """Return channels and the answer to a subscription, or to a ping."""
        reply = {"success": True, "ret_msg": "", "conn_id": "mock", "op": message.get("op")}
        if message.get("op") != "subscribe":
            return [], [reply | {"ret_msg": "pong"}]
        channels = []
        for topic in message.get("args", ()):
            stream, *interval, symbol = str(topic).split(".")
            if stream not in _STREAMS or not all(each in _INTERVALS for each in interval):
                failure = {"success": False, "ret_msg": f"error:handler not found,topic:{topic}"}
                return [], [reply | failure | {"req_id": message.get("req_id")}]
            channels.append(Channel(_STREAMS[stream], symbol, *(_INTERVALS[each] for each in interval)))
        return channels, [reply | {"req_id": message.get("req_id")}]

    def candle(self, pushed: Pushed, bar: Bar) -> Any:
        """Return a ``kline`` message."""
        name = _NAMES[bar.interval]
        values = {
            "start": bar.opened // 1000,
            "end": (bar.opened + bar.interval) // 1000 - 1,
            "interval": name,
            **{key: number(getattr(bar, key)) for key in ("open", "close", "high", "low", "volume")},
            "turnover": number(bar.volume * bar.close),
            "confirm": bar.closed,
            "timestamp": pushed.now_ms,
        }
        return _message(f"kline.{name}.{pushed.symbol}", pushed, [values])

    def trade(self, pushed: Pushed, trade: Trade) -> Any:
        """Return a ``publicTrade`` message."""
        values = {
            "T": pushed.time_ms,
            "s": pushed.symbol,
            "S": trade.side.capitalize(),
            "v": number(trade.quantity),
            "p": number(trade.price),
            "L": "ZeroTick",
            "i": f"trade-{trade.number}",
            "BT": False,
        }
        return _message(f"publicTrade.{pushed.symbol}", pushed, [values])

    def liquidations(self, pushed: Sequence[Pushed], events: Sequence[Liquidation]) -> Any:
        """Return an ``allLiquidation`` message; the side is that of the position, Buy for a long."""
        rows = [
            {
                "T": each.time_ms,
                "s": each.symbol,
                "S": "Buy" if event.side == "long" else "Sell",
                "v": number(event.quantity),
                "p": number(event.price),
            }
            for each, event in zip(pushed, events, strict=True)
        ]
        return _message(f"allLiquidation.{pushed[0].symbol}", pushed[-1], rows)

    def answer(self, path: str, query: Query, market: Market) -> Answer:
        """Answer the market data of ``/v5/market``."""
        name = path.removeprefix("/v5/market/")
        if name == "time":
            nano = str(market.clock_ms * 1_000_000)
            return _result(market, {"timeSecond": str(market.clock_ms // 1000), "timeNano": nano})
        if name == "instruments-info":
            return _result(market, {"category": "linear", "list": [_listing(each) for each in market.histories]})
        history = market.histories.get(query.get("symbol", ""))
        if history is None:
            return Answer(200, {"retCode": 10001, "retMsg": "params error: Symbol Is Invalid", "result": {}})
        if name == "orderbook":
            bids, asks = ([[number(p), number(q)] for p, q in side] for side in market.book(history.symbol))
            return _result(market, {"s": history.symbol, "b": bids, "a": asks, "ts": market.now // 1000, "u": 1})
        rows = _rows(name, query, market)
        if rows is None:
            return refusal(404, retCode=10001, retMsg=f"no {path}")
        limit = int(query.get("limit", 200))
        return _result(market, {"category": "linear", "symbol": history.symbol, "list": rows[::-1][:limit]})


def _rows(name: str, query: Query, market: Market) -> list[Any] | None:
    """Return the rows of a range, ascending; None where there is no such address."""
    history, now = market.histories[query["symbol"]], market.now
    if name in _KLINES:
        interval = _INTERVALS[query["interval"]]
        first, last = int(query.get("start", 0)) * 1000, int(query.get("end", now // 1000)) * 1000
        if _KLINES[name]:
            return [_prices(bar) for bar in history.priced(_KLINES[name], interval, first, last, now)]
        bars = history.bars(interval, first, last, now)
        return [[*_prices(bar), number(bar.volume), number(bar.volume * bar.close)] for bar in bars]
    if name == "recent-trade":
        return [_trade(history.symbol, *each) for each in trades_between(history, now - HOUR_US, now)]
    first = int(query.get("startTime", 0)) * 1000
    last = min(int(query.get("endTime", now // 1000)) * 1000, now)
    if name == "funding/history":
        return [
            {
                "symbol": history.symbol,
                "fundingRate": number(row["funding_rate"]),
                "fundingRateTimestamp": str(time // 1000),
            }
            for time, row in history.rows("funding", first, last)
        ]
    if name == "open-interest":
        return [
            {"openInterest": number(row["open_interest"]), "timestamp": str(time // 1000)}
            for time, row in history.rows("open_interest", first, last)
        ]
    return None


def _prices(bar: Bar) -> list[str]:
    return [str(bar.opened // 1000), *(number(value) for value in bar[2:6])]


def _trade(symbol: str, time: int, trade: Trade) -> dict[str, Any]:
    return {
        "execId": f"trade-{trade.number}",
        "symbol": symbol,
        "price": number(trade.price),
        "size": number(trade.quantity),
        "side": trade.side.capitalize(),
        "time": str(time // 1000),
        "isBlockTrade": False,
    }


def _message(topic: str, pushed: Pushed, rows: list[Any]) -> dict[str, Any]:
    return {"topic": topic, "type": "snapshot", "ts": pushed.now_ms, "data": rows}


def _result(market: Market, result: Any) -> Answer:
    return Answer(200, {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": market.clock_ms})


def _listing(symbol: str) -> dict[str, Any]:
    base, quote = base_and_quote(symbol)
    return {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": quote,
        "settleCoin": quote,
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.01", "maxPrice": "1999999.80", "tickSize": "0.01"},
        "lotSizeFilter": {"maxOrderQty": "1190.000", "minOrderQty": "0.001", "qtyStep": "0.001"},
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
    }
