"""Gate v4, futures margined in USDT: REST ``/api/v4/futures/usdt``, websocket ``/v4/ws/usdt``.

Quantities are contracts of a ten-thousandth of a coin, whatever the coin; times are seconds. Liquidations have
no public stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slackwater.times import MINUTE_US, SECOND_US
from slackwater.venue.dialects.dialect import Answer, Channel, Market, Pushed, Query, base_and_quote, number, refusal
from slackwater.venue.history import Bar, History
from slackwater.venue.tape import Liquidation, Trade, trades_between

__all__ = ["Gate"]

CONTRACT_SIZE: Final = 0.0001
"""Coins per contract."""

_INTERVALS: Final = {"1m": MINUTE_US, "5m": 5 * MINUTE_US, "15m": 15 * MINUTE_US, "1h": 60 * MINUTE_US}
_NAMES: Final = {length: name for name, length in _INTERVALS.items()}
_LONGEST_PAGE: Final = 1000


class Gate:
    """Formats of Gate."""

    streams = ("bars", "trades")

    def instrument(self, symbol: str) -> str:
        """Return a name such as ``BTC_USDT``."""
        return "_".join(base_and_quote(symbol))

    def subscribe(self, path: str, message: Any, now_ms: int) -> tuple[list[Channel], list[Any]]:
        """Return channels and the answer to a subscription, or to a ping."""
        name, payload = message.get("channel"), [str(each) for each in message.get("payload") or ()]
        reply = {"time": now_ms // 1000, "time_ms": now_ms, "id": message.get("id"), "channel": name}
        if name == "futures.ping":
            return [], [reply | {"channel": "futures.pong", "event": "", "result": None}]
        channels = []
        if name == "futures.trades":
            channels = [Channel("trades", each.replace("_", "")) for each in payload]
        elif name == "futures.candlesticks" and len(payload) == 2 and payload[0] in _INTERVALS:
            channels = [Channel("bars", payload[1].replace("_", ""), _INTERVALS[payload[0]])]
        if not channels:
            error = {"code": 2, "message": f"unknown channel {name} {payload}"}
            return [], [reply | {"event": "subscribe", "error": error, "result": None}]
        return channels, [reply | {"event": "subscribe", "result": {"status": "success"}}]

    def candle(self, pushed: Pushed, bar: Bar) -> Any:
        """Return a ``futures.candlesticks`` message; nothing in it marks the last update of a bar."""
        row = {**_candle(bar), "n": f"{_NAMES[bar.interval]}_{self.instrument(pushed.symbol)}"}
        return _message("futures.candlesticks", pushed, [row])

    def trade(self, pushed: Pushed, trade: Trade) -> Any:
        """Return a ``futures.trades`` message; the size of a sale is negative."""
        row = {**_trade(pushed.time_ms, trade), "contract": self.instrument(pushed.symbol)}
        return _message("futures.trades", pushed, [row])

    def liquidations(self, pushed: Sequence[Pushed], events: Sequence[Liquidation]) -> Any:
        """Return None: liquidations are answered over REST alone."""
        return

    def answer(self, path: str, query: Query, market: Market) -> Answer:
        """Answer the market data of ``/api/v4/futures/usdt``."""
        if path.endswith("/spot/time"):
            return Answer(200, {"server_time": market.clock_ms})
        name = path.removeprefix("/api/v4/futures/usdt/")
        if name == "contracts":
            return Answer(200, [self._listing(each, market) for each in market.histories])
        asked = query.get("contract", "")
        symbol = next((s for s in market.histories if self.instrument(s) == asked.removeprefix("mark_")), None)
        if symbol is None:
            return refusal(400, label="CONTRACT_NOT_FOUND", message="contract not found")
        if name == "order_book":
            bids, asks = ([{"p": number(p), "s": contracts(q)} for p, q in side] for side in market.book(symbol))
            seconds = market.now / SECOND_US
            return Answer(200, {"id": 1, "current": seconds, "update": seconds, "bids": bids, "asks": asks})
        rows = _rows(name, query, market, market.histories[symbol], asked)
        if rows is None:
            return refusal(404, label="NOT_FOUND", message=path)
        return Answer(200, rows)

    def _listing(self, symbol: str, market: Market) -> dict[str, Any]:
        price = number(market.histories[symbol].price(market.now))
        return {
            "name": self.instrument(symbol),
            "type": "direct",
            "quanto_multiplier": number(CONTRACT_SIZE),
            "order_price_round": "0.01",
            "mark_price_round": "0.01",
            "order_size_min": 1,
            "order_size_max": 1_000_000,
            "leverage_min": "1",
            "leverage_max": "100",
            "maintenance_rate": "0.005",
            "maker_fee_rate": "-0.00025",
            "taker_fee_rate": "0.00075",
            "create_time": 1_573_430_400,
            "funding_interval": 28_800,
            "funding_rate_limit": "0.003",
            "in_delisting": False,
            "last_price": price,
            "mark_price": price,
        }


def contracts(quantity: float) -> int:
    """Return a quantity in coin as contracts."""
    return round(quantity / CONTRACT_SIZE)


def _rows(name: str, query: Query, market: Market, history: History, asked: str) -> list[Any] | None:
    """Return the rows of a range; None where there is no such address."""
    now = market.now
    first = int(query.get("from", 0)) * SECOND_US
    last = min(int(query.get("to", now // SECOND_US)) * SECOND_US, now)
    limit = int(query.get("limit", _LONGEST_PAGE))
    if name in ("candlesticks", "premium_index"):
        interval = _INTERVALS[query["interval"]]
        table = "premium_index" if name == "premium_index" else "mark_price" if asked.startswith("mark_") else ""
        if "from" not in query:
            first = now - limit * interval
        if not table:
            return [_candle(bar) for bar in history.bars(interval, first, last, now)]
        return [_prices(bar) for bar in history.priced(table, interval, first, last, now)]
    if name == "trades":
        found = trades_between(history, first, last)[-limit:]
        return [{**_trade(time // 1000, trade), "contract": asked} for time, trade in reversed(found)]
    if name == "funding_rate":
        rates = list(history.rows("funding", first, last))[-limit:]
        return [{"t": time // SECOND_US, "r": number(row["funding_rate"])} for time, row in reversed(rates)]
    if name == "contract_stats":
        held = history.rows("open_interest", first, now)
        return [{"time": t // SECOND_US, "open_interest": contracts(row["open_interest"])} for t, row in held][:limit]
    if name == "liq_orders":
        return _liquidations(history, asked, first, last + SECOND_US - 1)[:limit]
    return None


def _liquidations(history: History, asked: str, first: int, last: int) -> list[dict[str, Any]]:
    """Return liquidations, newest first; the size of a long is positive."""
    held, sides = history.snapshots.get("liquidations"), history.sides.get("liquidations", [])
    out = []
    for place, time in enumerate([] if held is None else held.time.tolist()):
        if held is not None and first <= time <= last:
            price, quantity = (float(held.columns[name][place]) for name in ("price", "quantity"))
            sign = 1 if sides[place] == "long" else -1
            row = {"time": time // SECOND_US, "contract": asked, "size": sign * contracts(quantity), "left": 0}
            out.append(row | {"order_price": number(price), "fill_price": number(price), "order_size": 0})
    return out[::-1]


def _prices(bar: Bar) -> dict[str, Any]:
    prices = {name[0]: number(getattr(bar, name)) for name in ("open", "high", "low", "close")}
    return {"t": bar.opened // SECOND_US, **prices}


def _candle(bar: Bar) -> dict[str, Any]:
    return {**_prices(bar), "v": contracts(bar.volume), "sum": number(bar.volume * bar.close)}


def _trade(time_ms: int, trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.number,
        "create_time": time_ms // 1000,
        "create_time_ms": time_ms,
        "price": number(trade.price),
        "size": contracts(trade.quantity) * (1 if trade.side == "buy" else -1),
    }


def _message(channel: str, pushed: Pushed, rows: list[Any]) -> dict[str, Any]:
    now = pushed.now_ms
    return {"time": now // 1000, "time_ms": now, "channel": channel, "event": "update", "result": rows}
