"""OKX, swaps margined in USDT: candles on one connection, trades and liquidations on another.

Its messages state when something happened, and not when they were sent.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final

from slackwater.feed.bars import Candle
from slackwater.feed.readers.reader import Reader, Told, candle_values
from slackwater.sources.exchange.okx import VENUE
from slackwater.sources.intervals import INTERVALS
from slackwater.times import microseconds

__all__ = ["READER"]


def _subscribe(client: Any, symbols: Sequence[str], intervals: Sequence[str]) -> list[Coroutine[Any, Any, Any]]:
    pairs = [[symbol, interval] for symbol in symbols for interval in intervals]
    return [
        client.watch_ohlcv_for_symbols(pairs),
        client.watch_trades_for_symbols(list(symbols)),
        client.watch_liquidations_for_symbols(list(symbols)),
    ]


def _is_data(message: Any) -> bool:
    return isinstance(message, dict) and "arg" in message and "data" in message


def _read(message: Any, contract_sizes: Mapping[str, float]) -> Iterator[Told]:
    channel, instrument = message["arg"]["channel"], message["arg"].get("instId", "")
    if channel.startswith("candle"):
        interval = microseconds(INTERVALS[channel.removeprefix("candle").lower()])
        for bar in message["data"]:
            # The sixth value counts contracts, the seventh coin.
            candle = Candle(int(bar[0]) * 1000, interval, candle_values(bar[1:5], bar[6]), bar[8] == "1")
            yield Told("bars", instrument, 0, candle)
    elif channel == "trades":
        for each in message["data"]:
            quantity = float(each["sz"]) * contract_sizes[_symbol(each["instId"])]
            row = {"side": each["side"], "price": each["px"], "quantity": quantity, "time": each["ts"]}
            yield Told("trades", each["instId"], 0, row | {"id": each["tradeId"]})
    else:
        assert VENUE.read_message is not None  # noqa: S101 -- it is defined beside
        # The channel is that of all swaps.
        own = [each for each in message["data"] if _symbol(each["instId"]) in contract_sizes]
        for table, row in VENUE.read_message({**message, "data": own}, contract_sizes):
            yield Told(table, VENUE.instrument(row["symbol"]), 0, row)


def _symbol(instrument: str) -> str:
    return instrument.removesuffix("-SWAP").replace("-", "")


READER: Final = Reader(
    venue=VENUE,
    client="okx",
    options={"defaultType": "swap", "fetchMarkets": {"types": ["swap"]}},
    is_data=_is_data,
    read=_read,
    subscribe=_subscribe,
    beside_liquidations=("trades",),
)
