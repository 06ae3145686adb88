"""Bybit, linear perpetuals: candles, trades and all liquidations, on one connection."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from slackwater.feed.bars import Candle
from slackwater.feed.readers.reader import Reader, Told, candle_values
from slackwater.sources.exchange.bybit import VENUE
from slackwater.times import MINUTE_US

__all__ = ["READER"]


def _subscribe(client: Any, symbols: Sequence[str], intervals: Sequence[str]) -> list[Coroutine[Any, Any, Any]]:
    pairs = [[symbol, interval] for symbol in symbols for interval in intervals]
    return [
        client.watch_ohlcv_for_symbols(pairs),
        client.watch_trades_for_symbols(list(symbols)),
        *(client.watch_liquidations(symbol) for symbol in symbols),
    ]


def _is_data(message: Any) -> bool:
    return isinstance(message, dict) and "topic" in message and "data" in message


def _read(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[Told]:
    stream, _, rest = message["topic"].partition(".")
    sent = int(message["ts"])
    if stream == "kline":
        for bar in message["data"]:
            values = candle_values([bar[name] for name in ("open", "high", "low", "close")], bar["volume"])
            interval = int(bar["interval"]) * MINUTE_US
            candle = Candle(int(bar["start"]) * 1000, interval, values, bool(bar["confirm"]))
            yield Told("bars", rest.partition(".")[2], sent, candle)
    elif stream == "publicTrade":
        for each in message["data"]:
            row = {"side": each["S"].lower(), "price": each["p"], "quantity": each["v"], "time": each["T"]}
            yield Told("trades", each["s"], sent, row | {"id": each["i"]})
    else:
        assert VENUE.read_message is not None  # noqa: S101 -- it is defined beside
        for table, row in VENUE.read_message(message, contract_sizes):
            yield Told(table, row["symbol"], sent, row)


READER: Final = Reader(
    venue=VENUE,
    client="bybit",
    options={"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}},
    is_data=_is_data,
    read=_read,
    subscribe=_subscribe,
)
