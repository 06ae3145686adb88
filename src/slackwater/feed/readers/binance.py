"""Binance, perpetuals margined in USDT: candles, aggregated trades and liquidations, on one connection."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from slackwater.feed.bars import Candle
from slackwater.feed.readers.reader import Reader, Told, candle_values
from slackwater.sources.exchange.binance import VENUE
from slackwater.sources.intervals import INTERVALS
from slackwater.times import microseconds

__all__ = ["READER"]


def _subscribe(client: Any, symbols: Sequence[str], intervals: Sequence[str]) -> list[Coroutine[Any, Any, Any]]:
    pairs = [[symbol, interval] for symbol in symbols for interval in intervals]
    return [
        client.watch_ohlcv_for_symbols(pairs),
        client.watch_trades_for_symbols(list(symbols), params={"name": "aggTrade"}),
        client.watch_liquidations_for_symbols(list(symbols)),
    ]


def _is_data(message: Any) -> bool:
    return isinstance(message, list) or (isinstance(message, dict) and "e" in message.get("data", message))


def _read(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[Told]:
    for each in message if isinstance(message, list) else [message]:
        content = each.get("data", each)
        if content["e"] == "kline":
            yield _candle(content)
        assert VENUE.read_message is not None  # noqa: S101 -- it is defined beside
        for table, row in VENUE.read_message(content, contract_sizes):
            yield Told(table, row["symbol"], int(row["sent"]), row)


def _candle(content: Mapping[str, Any]) -> Told:
    bar = content["k"]
    # Unlike ccxt's rows, the message has the volume that takers bought.
    more = {"taker_buy_volume": bar["V"]} if bar["V"] != "" else {}
    values = candle_values([bar[name] for name in "ohlc"], bar["v"], trade_count=bar["n"], **more)
    interval = microseconds(INTERVALS[bar["i"]])
    return Told("bars", bar["s"], int(content["E"]), Candle(int(bar["t"]) * 1000, interval, values, bool(bar["x"])))


READER: Final = Reader(
    venue=VENUE,
    client="binanceusdm",
    # One stream index, so that all subscriptions share one connection.
    options={"fetchMarkets": {"types": ["linear"]}, "streamLimits": {"linear": 1}},
    is_data=_is_data,
    read=_read,
    subscribe=_subscribe,
)
