"""What a feed makes of trades and liquidations, compared with ccxt's own streams, message by message, without sockets.

Run ``make bench``, or ``pytest benchmarks/bench_feed.py -s`` for this part.
"""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.record import Recorder, cpu_seconds
from slackwater.feed.assembly import Assembly
from slackwater.feed.readers import READERS
from slackwater.feed.record import WEBSOCKET, Raw
from slackwater.feed.settings import FeedSettings
from slackwater.venue.dialects import DIALECTS
from slackwater.venue.dialects.binance import Binance
from slackwater.venue.dialects.dialect import Market, Pushed
from slackwater.venue.history import History
from slackwater.venue.tape import Liquidation, Trade
from tests.minute_market import START, minute_market

MESSAGES = 20_000
FIRST_MS = START.value // 10**6
NAME = "BTC/USDT:USDT"


def pushed(number: int) -> Pushed:
    return Pushed("BTCUSDT", FIRST_MS + number, FIRST_MS + number)


TRADES = [DIALECTS["binance"].trade(pushed(n), Trade(n, "buy", 40_000.0, 1.0 + n % 7)) for n in range(MESSAGES)]
LIQUIDATIONS = [
    DIALECTS["binance"].liquidations([pushed(n)], [Liquidation("long", 40_000.0, 1.0 + n % 7)]) for n in range(MESSAGES)
]


def of_the_feed(messages: list[Any]) -> Assembly:
    """Rows of a feed from messages."""
    assembly = Assembly(FeedSettings(venue="binance", symbols=("BTCUSDT",)), {"BTCUSDT": 1.0}, START.value)
    for number, message in enumerate(messages):
        assembly.take(Raw(START.value + number * 1_000_000, "binance", WEBSOCKET, message))
    return assembly


def ccxt_client() -> Any:
    """ccxt's client with the market of the mock venue, and a memory that holds everything."""
    import ccxt.pro

    options = {**READERS["binance"].options, "tradesLimit": MESSAGES, "liquidationsLimit": MESSAGES}
    client = ccxt.pro.binanceusdm({"options": options})
    history = History("BTCUSDT", minute_market(1))
    market = Market({"BTCUSDT": history}, int(START.value // 1000), FIRST_MS, False)
    listing = Binance().answer("/fapi/v1/exchangeInfo", {}, market).content["symbols"]
    client.set_markets([client.parse_market(each) for each in listing])
    return client


def of_ccxt(client: Any, messages: list[Any]) -> Any:
    """ccxt's memory after messages."""
    client.trades, client.liquidations = {}, None
    connection = client.client("ws://127.0.0.1:9/market/ws/0")
    for message in messages:
        client.handle_message(connection, message)
    return client


def test_messages(record: Recorder) -> None:
    """20,000 aggregated trades, and as many liquidations, of one symbol."""

    async def run() -> tuple[dict[str, float], dict[str, float]]:
        client = ccxt_client()
        calls = {"feed": lambda: of_the_feed(TRADES), "ccxt": lambda: of_ccxt(client, TRADES)}
        assert calls["feed"]().counts["trades", "live"] == len(calls["ccxt"]().trades[NAME]) == MESSAGES
        trades = cpu_seconds(calls)
        calls = {"feed": lambda: of_the_feed(LIQUIDATIONS), "ccxt": lambda: of_ccxt(client, LIQUIDATIONS)}
        assert calls["feed"]().counts["liquidations", "live"] == len(calls["ccxt"]().liquidations) == MESSAGES
        liquidations = cpu_seconds(calls)
        await client.close()
        return trades, liquidations

    for name, taken in zip(("trades", "liquidations"), asyncio.run(run()), strict=True):
        record(
            name=f"feed_{name}_per_cpu_second",
            value=MESSAGES / taken["feed"],
            unit="messages/CPU-s",
        )
        record(
            name=f"feed_{name}_vs_ccxt",
            value=taken["ccxt"] / taken["feed"],
            unit="times as fast",
            peer="ccxt.pro 4.5.90, its own stream",
        )
