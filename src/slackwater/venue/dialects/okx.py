"""OKX v5, swaps margined in USDT: REST ``/api/v5``, websocket ``/ws/v5/public`` and ``/ws/v5/business`` (candles).

Quantities are contracts of a hundredth of a coin, whatever the coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slackwater.times import HOUR_US, MINUTE_US
from slackwater.venue.dialects.dialect import Answer, Channel, Market, Pushed, Query, base_and_quote, number, refusal
from slackwater.venue.history import Bar
from slackwater.venue.tape import Liquidation, Trade, trades_between

__all__ = ["Okx"]

CONTRACT_SIZE: Final = 0.01
"""Coins per contract."""

_INTERVALS: Final = {"1m": MINUTE_US, "5m": 5 * MINUTE_US, "15m": 15 * MINUTE_US, "1H": 60 * MINUTE_US}
_NAMES: Final = {length: name for name, length in _INTERVALS.items()}
_LONGEST_PAGE: Final = 100


class Okx:
    """Formats of OKX."""

    streams = ("bars", "trades", "liquidations")

    def instrument(self, symbol: str) -> str:
        """Return a name such as ``BTC-USDT-SWAP``."""
        return "-".join((*base_and_quote(symbol), "SWAP"))

    def subscribe(self, path: str, message: Any, now_ms: int) -> tuple[list[Channel], list[Any]]:
        """Return channels and the answers to a subscription, one per channel, or to a ping."""
        if message == "ping":
            return [], ["pong"]
        channels, replies = [], []
        for arg in message.get("args", ()):
            channel = _channel(path, arg)
            if channel is None:
                replies.append({"event": "error", "code": "60018", "msg": f"Wrong URL or channel: {arg}"})
            else:
                channels.append(channel)
                replies.append({"event": "subscribe", "arg": arg, "connId": "mock"})
        return channels, replies

    def candle(self, pushed: Pushed, bar: Bar) -> Any:
        """Return a message of a channel such as ``candle1m``; the sixth value counts contracts, the seventh coin."""
        return self._message(f"candle{_NAMES[bar.interval]}", pushed.symbol, [_candle(bar)])

    def trade(self, pushed: Pushed, trade: Trade) -> Any:
        """Return a ``trades`` message."""
        row = {"instId": self.instrument(pushed.symbol), **_trade(pushed.time_ms, trade), "count": "1"}
        return self._message("trades", pushed.symbol, [row])

    def liquidations(self, pushed: Sequence[Pushed], events: Sequence[Liquidation]) -> Any:
        """Return a ``liquidation-orders`` message; `posSide` is that of the position, `side` that of the order."""
        details = [
            {
                "bkLoss": "0",
                "bkPx": number(event.price),
                "ccy": "",
                "posSide": event.side,
                "side": "sell" if event.side == "long" else "buy",
                "sz": contracts(event.quantity),
                "ts": str(each.time_ms),
            }
            for each, event in zip(pushed, events, strict=True)
        ]
        name = self.instrument(pushed[0].symbol)
        family = name.removesuffix("-SWAP")
        row = {"details": details, "instFamily": family, "instId": name, "instType": "SWAP", "uly": family}
        return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [row]}

    def answer(self, path: str, query: Query, market: Market) -> Answer:
        """Answer the market data of ``/api/v5``."""
        name = path.removeprefix("/api/v5/")
        if name == "public/time":
            return _data([{"ts": str(market.clock_ms)}])
        if name == "public/instruments":
            return _data([self._listing(each) for each in market.histories])
        symbol = next((each for each in market.histories if self.instrument(each) == query.get("instId")), None)
        if symbol is None:
            return Answer(200, {"code": "51001", "msg": "Instrument ID doesn't exist.", "data": []})
        if name.startswith("market/books"):
            bids, asks = ([[number(p), contracts(q), "0", "1"] for p, q in side] for side in market.book(symbol))
            return _data([{"bids": bids, "asks": asks, "ts": str(market.now // 1000)}])
        rows = _rows(name, query, market, symbol)
        if rows is None:
            return refusal(404, code="404", msg=f"no {path}", data=[])
        return _data(rows[::-1][: int(query.get("limit", _LONGEST_PAGE))])

    def _message(self, channel: str, symbol: str, rows: list[Any]) -> dict[str, Any]:
        return {"arg": {"channel": channel, "instId": self.instrument(symbol)}, "data": rows}

    def _listing(self, symbol: str) -> dict[str, Any]:
        base, quote = base_and_quote(symbol)
        return {
            "instType": "SWAP",
            "instId": self.instrument(symbol),
            "uly": f"{base}-{quote}",
            "instFamily": f"{base}-{quote}",
            "baseCcy": "",
            "quoteCcy": "",
            "settleCcy": quote,
            "ctVal": number(CONTRACT_SIZE),
            "ctMult": "1",
            "ctValCcy": base,
            "ctType": "linear",
            "listTime": "1611916828000",
            "expTime": "",
            "lever": "100",
            "tickSz": "0.01",
            "lotSz": "0.01",
            "minSz": "0.01",
            "state": "live",
        }


def contracts(quantity: float) -> str:
    """Return a quantity in coin as contracts."""
    return number(round(quantity / CONTRACT_SIZE, 8))


def _channel(path: str, arg: Any) -> Channel | None:
    name, instrument = str(arg.get("channel")), str(arg.get("instId", ""))
    symbol = instrument.removesuffix("-SWAP").replace("-", "")
    if name == "liquidation-orders" and path.endswith("/public"):
        return Channel("liquidations", "*")
    if name == "trades" and path.endswith("/public"):
        return Channel("trades", symbol)
    interval = name.removeprefix("candle")
    if name.startswith("candle") and interval in _INTERVALS and path.endswith("/business"):
        return Channel("bars", symbol, _INTERVALS[interval])
    return None


def _rows(name: str, query: Query, market: Market, symbol: str) -> list[Any] | None:
    """Return the rows of a range, ascending, without its ends; None where there is no such address."""
    history, now = market.histories[symbol], market.now
    last = min(int(query.get("after", query.get("end", now // 1000 + 1))) * 1000 - 1, now)
    first = int(query.get("begin", query.get("before", -1))) * 1000 + 1
    if name.endswith("candles"):
        interval = _INTERVALS[query["bar"]]
        if "after" in query:  # a page that ends there
            first = max(first, last - int(query.get("limit", _LONGEST_PAGE)) * interval)
        if "mark-price" in name:
            return [
                [*_prices(bar), "1" if bar.closed else "0"]
                for bar in history.priced("mark_price", interval, first, last, now)
            ]
        return [_candle(bar) for bar in history.bars(interval, first, last, now)]
    if name == "public/funding-rate-history":
        return [
            {
                "fundingTime": str(time // 1000),
                "fundingRate": number(row["funding_rate"]),
                "realizedRate": number(row["funding_rate"]),
            }
            for time, row in history.rows("funding", first, last)
        ]
    if name == "rubik/stat/contracts/open-interest-history":
        return [
            [str(time // 1000), contracts(row["open_interest"]), number(row["open_interest"]), "0"]
            for time, row in history.rows("open_interest", first, last)
        ]
    if name == "market/trades":
        return [_trade(time // 1000, trade) for time, trade in trades_between(history, now - HOUR_US, now)]
    return None


def _prices(bar: Bar) -> list[str]:
    return [str(bar.opened // 1000), *(number(value) for value in bar[2:6])]


def _candle(bar: Bar) -> list[str]:
    amounts = [contracts(bar.volume), number(bar.volume), number(bar.volume * bar.close)]
    return [*_prices(bar), *amounts, "1" if bar.closed else "0"]


def _trade(time_ms: int, trade: Trade) -> dict[str, Any]:
    return {
        "tradeId": str(trade.number),
        "px": number(trade.price),
        "sz": contracts(trade.quantity),
        "side": trade.side,
        "ts": str(time_ms),
    }


def _data(rows: list[Any]) -> Answer:
    return Answer(200, {"code": "0", "msg": "", "data": rows})
