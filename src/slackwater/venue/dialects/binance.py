"""Binance, perpetuals margined in USDT: REST ``/fapi/v1``, websocket ``/market/ws`` and ``/public/ws``.

The venue serves candles, aggregated trades and liquidations on ``/market`` alone. A subscription to them elsewhere is
acknowledged, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slackwater.times import MINUTE_US
from slackwater.venue.dialects.dialect import Answer, Channel, Market, Pushed, Query, base_and_quote, number, refusal
from slackwater.venue.history import Bar, History
from slackwater.venue.tape import Liquidation, Trade, trades_between

__all__ = ["Binance"]

_INTERVALS: Final = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
_NAMES: Final = {minutes * MINUTE_US: name for name, minutes in _INTERVALS.items()}
_KLINES: Final = {"klines": "", "markPriceKlines": "mark_price", "premiumIndexKlines": "premium_index"}
_ON_MARKET: Final = ("kline", "aggTrade", "forceOrder")
_DAYS_OF_STATISTICS_MS: Final = 30 * 86_400_000


class Binance:
    """Formats of Binance."""

    streams = ("bars", "trades", "liquidations")

    def instrument(self, symbol: str) -> str:
        """Return the symbol: Binance has the canonical names."""
        return symbol

    def subscribe(self, path: str, message: Any, now_ms: int) -> tuple[list[Channel], list[Any]]:
        """Return channels and the acknowledgement of a SUBSCRIBE."""
        if message.get("method") != "SUBSCRIBE":
            return [], [{"result": None, "id": message.get("id")}]
        channels = []
        for name in message.get("params", ()):
            symbol, _, kind = ("*@forceOrder" if name == "!forceOrder@arr" else str(name)).partition("@")
            stream, _, interval = kind.partition("_")
            if stream not in _ON_MARKET or (interval and interval not in _INTERVALS):
                error = {"code": 2, "msg": f"Invalid request: invalid stream {name}"}
                return [], [{"error": error, "id": message.get("id")}]
            if path.startswith("/market/"):
                ours = {"kline": "bars", "aggTrade": "trades", "forceOrder": "liquidations"}[stream]
                channels.append(Channel(ours, symbol.upper(), _INTERVALS.get(interval, 0) * MINUTE_US))
        return channels, [{"result": None, "id": message.get("id")}]

    def candle(self, pushed: Pushed, bar: Bar) -> Any:
        """Return a ``kline`` event."""
        values = {
            "t": bar.opened // 1000,
            "T": (bar.opened + bar.interval) // 1000 - 1,
            "s": pushed.symbol,
            "i": _NAMES[bar.interval],
            **{name: number(value) for name, value in zip("ohlcv", bar[2:7], strict=True)},
            "n": bar.trades,
            "x": bar.closed,
            "q": number(bar.volume * bar.close),
            "V": number(bar.taker_buy) if bar.taker_buy == bar.taker_buy else "",
            "Q": "0",
        }
        return {"e": "kline", "E": pushed.now_ms, "s": pushed.symbol, "k": values}

    def trade(self, pushed: Pushed, trade: Trade) -> Any:
        """Return an ``aggTrade`` event."""
        return {
            "e": "aggTrade",
            "E": pushed.now_ms,
            "s": pushed.symbol,
            "a": trade.number,
            "p": number(trade.price),
            "q": number(trade.quantity),
            "f": trade.number,
            "l": trade.number,
            "T": pushed.time_ms,
            "m": trade.side == "sell",
        }

    def liquidations(self, pushed: Sequence[Pushed], events: Sequence[Liquidation]) -> Any:
        """Return a ``forceOrder`` event, or a list of several; the side is that of the order.

        The last fill is half of the order, so that a client that reads `l` in place of `z` is found out.
        """
        out = []
        for each, event in zip(pushed, events, strict=True):
            order = {
                "s": each.symbol,
                "S": "SELL" if event.side == "long" else "BUY",
                "o": "LIMIT",
                "f": "IOC",
                "q": number(event.quantity),
                "p": number(event.price),
                "ap": number(event.price),
                "X": "FILLED",
                "l": number(event.quantity / 2),
                "z": number(event.quantity),
                "T": each.time_ms,
            }
            out.append({"e": "forceOrder", "E": each.now_ms, "o": order})
        return out[0] if len(out) == 1 else out

    def answer(self, path: str, query: Query, market: Market) -> Answer:
        """Answer the market data of ``/fapi/v1`` and ``/futures/data``."""
        name = path.rsplit("/", 1)[-1]
        if name == "time":
            return Answer(200, {"serverTime": market.clock_ms})
        if name == "exchangeInfo":
            return Answer(200, {"symbols": [_listing(each) for each in market.histories]})
        history = market.histories.get(query.get("symbol", ""))
        if history is None:
            return refusal(400, code=-1121, msg="Invalid symbol.")
        now_ms = market.now // 1000
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", now_ms))
        limit = int(query.get("limit", 500))
        if name in _KLINES:
            interval = _INTERVALS[query["interval"]] * MINUTE_US
            if not _KLINES[name]:
                # Without a start, the newest ones.
                first = first or now_ms - limit * interval // 1000
                bars = history.bars(interval, first * 1000, last * 1000, market.now)
                return Answer(200, [_kline(bar) for bar in bars[:limit]])
            bars = history.priced(_KLINES[name], interval, first * 1000, last * 1000, market.now)
            return Answer(200, [_kline(bar) for bar in bars[:limit]])
        if name == "aggTrades":
            return Answer(200, _trades(history, first * 1000, min(last, now_ms) * 1000)[:limit])
        if name == "depth":
            bids, asks = ([[number(p), number(q)] for p, q in side] for side in market.book(query["symbol"]))
            return Answer(200, {"lastUpdateId": now_ms, "E": now_ms, "T": now_ms, "bids": bids, "asks": asks})
        if name == "fundingRate":
            rates = history.rows("funding", first * 1000, min(last, now_ms) * 1000)
            return Answer(200, [_rate(history.symbol, time, row) for time, row in rows_of(rates, limit)])
        if name == "openInterestHist":
            if first and first < now_ms - _DAYS_OF_STATISTICS_MS:
                return refusal(400, code=-1130, msg="parameter 'startTime' is invalid.")
            held = history.rows("open_interest", first * 1000, min(last, now_ms) * 1000)
            return Answer(200, [_interest(history.symbol, time, row) for time, row in rows_of(held, limit)])
        return refusal(404, code=-1, msg=f"no {path}")


def rows_of(rows: Any, limit: int) -> list[tuple[int, dict[str, float]]]:
    """Return the first rows of a range."""
    return [row for row, _ in zip(rows, range(limit), strict=False)]


def _listing(symbol: str) -> dict[str, Any]:
    base, quote = base_and_quote(symbol)
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
    }


def _kline(bar: Bar) -> list[Any]:
    values = [number(value) for value in bar[2:7]]
    taken = number(bar.taker_buy) if bar.taker_buy == bar.taker_buy else ""
    ends = (bar.opened + bar.interval) // 1000 - 1
    return [bar.opened // 1000, *values, ends, number(bar.volume * bar.close), bar.trades, taken, "0", "0"]


def _rate(symbol: str, time: int, row: dict[str, float]) -> dict[str, Any]:
    return {"symbol": symbol, "fundingTime": time // 1000, "fundingRate": number(row["funding_rate"])}


def _interest(symbol: str, time: int, row: dict[str, float]) -> dict[str, Any]:
    held = number(row["open_interest"])
    return {"symbol": symbol, "timestamp": time // 1000, "sumOpenInterest": held, "sumOpenInterestValue": held}


def _trades(history: History, first: int, last: int) -> list[dict[str, Any]]:
    return [
        {
            "a": trade.number,
            "p": number(trade.price),
            "q": number(trade.quantity),
            "f": trade.number,
            "l": trade.number,
            "T": time // 1000,
            "m": trade.side == "sell",
        }
        for time, trade in trades_between(history, first, last)
    ]
