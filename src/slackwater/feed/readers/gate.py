"""Gate, futures margined in USDT: candles and trades on one connection; liquidations are requested.

Nothing marks the last update of a candle, so every bar is requested after its close.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from slackwater.feed.bars import Candle
from slackwater.feed.readers.reader import Reader, Told, candle_values
from slackwater.sources.exchange.gate import VENUE
from slackwater.sources.intervals import INTERVALS
from slackwater.times import SECOND_US, microseconds

__all__ = ["READER"]


def _subscribe(client: Any, symbols: Sequence[str], intervals: Sequence[str]) -> list[Coroutine[Any, Any, Any]]:
    return [
        *(client.watch_ohlcv(symbol, interval) for symbol in symbols for interval in intervals),
        client.watch_trades_for_symbols(list(symbols)),
    ]


def _is_data(message: Any) -> bool:
    return isinstance(message, dict) and message.get("event") == "update"


def _read(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[Told]:
    sent = int(message.get("time_ms", message["time"] * 1000))
    for each in message["result"]:
        if message["channel"] == "futures.candlesticks":
            interval, _, instrument = each["n"].partition("_")
            size = contract_sizes[instrument.replace("_", "")]
            values = candle_values([each[name] for name in "ohlc"], float(each["v"]) * size)
            length = microseconds(INTERVALS[interval])
            yield Told("bars", instrument, sent, Candle(int(each["t"]) * SECOND_US, length, values, False))
        else:
            size, signed = contract_sizes[each["contract"].replace("_", "")], float(each["size"])
            row = {"side": "buy" if signed > 0.0 else "sell", "price": each["price"], "quantity": abs(signed) * size}
            time = int(each.get("create_time_ms", each["create_time"] * 1000))
            yield Told("trades", each["contract"], sent, row | {"time": time, "id": each["id"]})


READER: Final = Reader(
    venue=VENUE,
    client="gate",
    options={"fetchMarkets": {"types": ["swap"]}, "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}}},
    is_data=_is_data,
    read=_read,
    subscribe=_subscribe,
    marks_closed=False,
    has_liquidations=False,
)
