"""The parts of a feed by themselves: finality of bars, watchdog, memory of events, depth, clients."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slackwater.feed import polled
from slackwater.feed.assembly import Assembly
from slackwater.feed.bars import BarKeeper, Candle, Final
from slackwater.feed.client import local_urls
from slackwater.feed.events import MEMORY_US, LargeTrades, Seen
from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Quality
from slackwater.feed.record import WEBSOCKET, Raw
from slackwater.feed.settings import FeedSettings
from slackwater.feed.watchdog import Watchdog
from slackwater.simulation.market import simulate
from slackwater.simulation.request import MarketRequest
from slackwater.sources.exchange.venues import VENUES
from slackwater.sources.large_trades import LargeTradeRule
from slackwater.times import HOUR_US, MINUTE_US, SECOND_US

LAG = 5 * SECOND_US


def candle(minute: int, volume: float, *, closed: bool = False) -> Candle:
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    return Candle(minute * MINUTE_US, MINUTE_US, {**prices, "volume": volume}, closed)


def taken(*candles: Candle) -> list[Final]:
    """What a keeper passes on after some updates, just after the last of them."""
    keeper = BarKeeper(MINUTE_US, newest=-MINUTE_US)
    for each in candles:
        keeper.take(each)
    return list(keeper.release(candles[-1].opened, LAG))


def test_a_successor_proves_a_bar_that_is_marked_as_closed() -> None:
    (bar,) = taken(candle(0, 1.0), candle(0, 2.0, closed=True), candle(1, 0.0))
    assert (bar.opened, bar.values["volume"], bar.quality) == (0, 2.0, Quality.LIVE)


@pytest.mark.parametrize(
    "candles",
    [
        (candle(0, 1.0), candle(0, 2.0, closed=True)),  # no successor
        (candle(0, 1.0), candle(0, 2.0), candle(1, 0.0)),  # the last update was lost
        (candle(0, 2.0, closed=True), candle(1, 0.0)),  # the first message of a connection only primes
        (candle(0, 2.0, closed=True), candle(0, 2.0, closed=True), candle(1, 0.0)),  # and so does its repetition
    ],
)
def test_a_bar_that_is_not_proven_is_not_final(candles: tuple[Candle, ...]) -> None:
    """Catches finality by a flag alone, by a successor alone, and by a message out of a cache."""
    assert taken(*candles) == []


def test_updates_in_another_order_change_nothing() -> None:
    """Catches an older update of a bar that replaces a newer one, and a last update that comes after the next bar."""
    ordered = (candle(0, 0.5), candle(0, 1.0), candle(0, 2.0, closed=True), candle(1, 0.0))
    swapped = (candle(0, 0.5), candle(0, 2.0, closed=True), candle(0, 1.0), candle(1, 0.0))
    late = (candle(0, 0.5), candle(0, 1.0), candle(1, 0.0), candle(0, 2.0, closed=True))
    assert [bar.values["volume"] for bar in taken(*ordered)] == [2.0]
    assert taken(*swapped) == taken(*ordered)
    keeper = BarKeeper(MINUTE_US, newest=-MINUTE_US)
    for each in late:
        keeper.take(each)
    assert list(keeper.release(MINUTE_US, LAG)) == taken(*ordered)


def test_a_bar_waits_for_the_one_before_it_and_no_longer_than_its_decision() -> None:
    """Catches bars in the wrong order while there is time, and one missing bar that holds up all that follow."""
    keeper = BarKeeper(MINUTE_US, newest=-MINUTE_US)
    for each in (candle(0, 1.0), candle(1, 1.0), candle(1, 2.0, closed=True), candle(2, 0.0)):
        keeper.take(each)
    closed = 2 * MINUTE_US
    assert keeper.overdue(closed + 3 * SECOND_US, 3 * SECOND_US) == [0]
    assert list(keeper.release(closed + 4 * SECOND_US, LAG)) == []
    assert [bar.opened for bar in keeper.release(closed + LAG, LAG)] == [MINUTE_US]
    assert keeper.overdue(closed + LAG, 3 * SECOND_US) == [0]  # still requested
    keeper.fill(Final(0, {}, Quality.BACKFILLED))
    assert [bar.opened for bar in keeper.release(closed + LAG, LAG)] == [0]
    assert keeper.overdue(closed + LAG, 3 * SECOND_US) == []


def test_a_bar_is_passed_on_once() -> None:
    """Catches a bar that comes from the stream after it was requested."""
    keeper = BarKeeper(MINUTE_US, newest=-MINUTE_US)
    keeper.take(candle(0, 1.0))
    keeper.fill(Final(0, {}, Quality.BACKFILLED))
    assert len(list(keeper.release(MINUTE_US, LAG))) == 1
    for each in (candle(0, 2.0, closed=True), candle(1, 0.0), candle(0, 2.0, closed=True)):
        keeper.take(each)
    keeper.fill(Final(0, {}, Quality.BACKFILLED))
    assert list(keeper.release(MINUTE_US, LAG)) == []


def test_the_watchdog_names_a_silence_once_per_strike_and_later_each_time() -> None:
    """Catches a stream that is never named again, and one that has everything renewed for ever."""
    dog = Watchdog([("bars", "A"), ("liquidations", "A")], {"bars": timedelta(seconds=10)})
    second = 10**9
    dog.listen(0)
    named = [now for now in range(1, 200) if dog.silences(now * second)]
    assert named == [11, 32, 73, 154]  # after 10, 20, 40 and 80 seconds more
    assert not dog.alive(("bars",), 160 * second)
    dog.heard("bars", "A", 200 * second)
    assert dog.alive(("bars",), 205 * second)
    assert not dog.alive(("trades",), 205 * second)
    assert dog.silences(211 * second)[0][:2] == ("bars", "A")


def test_the_memory_of_events_is_bounded_and_says_so() -> None:
    """Catches a repetition that counts again, and a memory that grows for ever."""
    seen = Seen()
    assert seen.judge("a", 0) is None
    assert seen.judge("a", 0) is Quality.DUPLICATE
    assert seen.judge("b", MEMORY_US + 1) is None
    assert "a" not in seen
    assert seen.judge("a", 0) is Quality.STALE


NOW_MS = 1_700_000_000_000


def rows_and_faults(venue: str, *messages: Any) -> tuple[list[FeedRow], list[FeedFault]]:
    """What a feed makes of some messages, a millisecond apart."""
    settings = FeedSettings(venue=venue, symbols=("BTCUSDT",))
    assembly = Assembly(settings, {"BTCUSDT": 0.01 if venue == "okx" else 1.0}, NOW_MS * 10**6)
    raws = [Raw((NOW_MS + number) * 10**6, venue, WEBSOCKET, message) for number, message in enumerate(messages)]
    items = [item for raw in raws for item in assembly.take(raw)]
    rows = [item for item in items if isinstance(item, FeedRow)]
    return rows, [item for item in items if isinstance(item, FeedFault)]


def test_equal_liquidations_of_one_message_are_different_ones_and_those_of_two_are_not() -> None:
    """Catches a cascade that shrinks because two of its liquidations are alike, and one that is told twice."""
    each = {"T": NOW_MS, "s": "BTCUSDT", "S": "Buy", "v": "2", "p": "100"}
    message = {"topic": "allLiquidation.BTCUSDT", "ts": NOW_MS, "data": [each, each]}
    rows, faults = rows_and_faults("bybit", message, message)
    assert [row.quality for row in rows] == [Quality.LIVE] * 2 + [Quality.DUPLICATE] * 2
    assert rows[0].row["side"] == "long"
    assert faults == []


def test_liquidations_of_other_symbols_are_not_rows() -> None:
    """Catches rows that the session of some symbols refuses, from a channel of all."""
    order = {"s": "XYZUSDT", "S": "SELL", "q": "1", "p": "9", "ap": "9", "z": "1", "l": "1", "T": NOW_MS}
    assert rows_and_faults("binance", {"e": "forceOrder", "E": NOW_MS, "o": order}) == ([], [])
    detail = {"side": "sell", "posSide": "long", "bkPx": "9", "sz": "1", "ts": str(NOW_MS)}
    data = [{"instId": name, "details": [detail]} for name in ("XYZ-USDT-SWAP", "XYZ-USD-SWAP", "BTC-USDT-SWAP")]
    (row,), _ = rows_and_faults("okx", {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": data})
    assert (row.row["symbol"], row.row["quantity"]) == ("BTCUSDT", 0.01)


def kline(time: int, **changes: Any) -> dict[str, Any]:
    prices = dict.fromkeys("ohlc", "100")
    values = {"t": time, "i": "5m", "v": "1", "V": "", "n": 1, "x": True, "s": "BTCUSDT", **prices}
    return {"e": "kline", "E": NOW_MS, "s": "BTCUSDT", "k": values | changes}


def trade(time: Any, **changes: Any) -> dict[str, Any]:
    values = {"e": "aggTrade", "E": NOW_MS, "s": "BTCUSDT", "a": 1, "p": "100", "q": "1", "T": time, "m": True}
    return values | changes


@pytest.mark.parametrize(
    "message",
    [
        {"e": "kline"},
        {"e": "forceOrder", "o": []},
        [1],
        {"data": {"e": "aggTrade"}},
        trade(NOW_MS, p="nan", q=None),
        trade("soon"),
        trade(1),
        trade(NOW_MS // 1000),
        trade(NOW_MS + 48 * 3_600_000),
        trade(10**30),
        kline(NOW_MS + 48 * 3_600_000),
        kline(1_699_999_800_001),
        kline(1_699_999_800_000, i="7m"),
        kline(1_699_999_800_000, o="much"),
        kline(1_699_999_800_000, l="101"),
        kline(1_699_999_800_000, c="nan"),
        {"e": "forceOrder", "E": NOW_MS, "o": {"s": "BTCUSDT", "S": "SELL", "q": "x", "p": "9", "T": NOW_MS}},
    ],
)
def test_a_message_that_cannot_be_read_is_a_fault_and_ends_nothing(message: Any) -> None:
    """Catches a message that kills the reader of its connection, and a time that makes all later events look old."""
    good = {**trade(NOW_MS), "a": 2}
    rows, faults = rows_and_faults("binance", message, good)
    assert FaultKind.UNREADABLE in [each.kind for each in faults]
    assert [row.quality for row in rows] == [Quality.GAP]  # it may have been a liquidation
    assert any("large_trades" in each.stream for each in faults)  # the good one was counted: the rule warms up


def test_a_large_trade_is_judged_by_the_hours_before_its_own() -> None:
    """Catches a threshold that a burst of large trades raises against itself."""
    large = LargeTrades(LargeTradeRule(quantile=0.9, floor_usd=10.0, warm_up=timedelta(hours=1)), None)
    assert not any(large.add(n, float(n)) for n in range(1, 11))
    assert large.warming
    assert [large.add(HOUR_US + n, size) for n, size in enumerate((9.0, 50.0, 60.0))] == [False, True, True]
    assert not large.warming
    assert large.add(HOUR_US - 1, 50.0)  # late, of the hour before


@pytest.mark.parametrize(
    ("bids", "asks", "words"),
    [
        ([], [[101.0, 1.0]], "empty"),
        ([[101.0, 1.0]], [[100.0, 1.0]], "not below"),
        ([[99.9, 1.0], [99.5, 1.0]], [[100.1, 1.0], [103.0, 1.0]], "reach 0.5 % from the price"),
    ],
)
def test_a_book_that_states_no_depth_makes_no_row(bids: list[list[float]], asks: list[list[float]], words: str) -> None:
    """Catches a depth of zero where it is unknown."""
    row = polled.depth_row("A", {"bids": bids, "asks": asks}, 0)
    assert isinstance(row, polled.NoDepth)
    assert words in row.reason


def test_the_depth_is_the_quantity_within_one_percent() -> None:
    book = {"bids": [[99.9, 1.0], [99.2, 2.0], [98.0, 4.0]], "asks": [[100.1, 1.0], [100.9, 3.0], [102.0, 5.0]]}
    row = polled.depth_row("A", book, 0)
    assert isinstance(row, dict)
    assert (row["bid_quantity_1pct"], row["ask_quantity_1pct"]) == (3.0, 4.0)
    assert "bid_quantity_5pct" not in row  # unknown


def test_every_address_of_a_client_goes_to_the_mock_venue() -> None:
    """Catches an address of the real venue that is left in: a test would reach it."""
    import ccxt.pro

    for name in ("binanceusdm", "bybit", "okx", "gate"):
        found: list[str] = []
        urls = [local_urls(ccxt.pro.__dict__[name]().urls["api"], "http://127.0.0.1:9")]
        while urls:
            each = urls.pop()
            found += [each] if isinstance(each, str) else []
            urls += list(each.values()) if isinstance(each, dict) else []
        assert found
        assert all(each.partition("://")[2].startswith("127.0.0.1:9") for each in found)
        assert {each.partition("://")[0] for each in found} == {"http", "ws"}


def test_no_feed_can_place_an_order() -> None:
    """Catches keys, and calls of methods that trade, in anything that talks to a venue."""
    import ast
    from pathlib import Path

    import slackwater.feed
    import slackwater.venue

    words = ("order", "apikey", "secret", "withdraw", "transfer", "leverage", "margin")
    allowed = {"fetch_order_book"}
    found = []
    for room in (slackwater.feed, slackwater.venue):
        for path in Path(str(room.__file__)).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    name = node.func.attr
                    if name not in allowed and any(word in name.lower() for word in words):
                        found.append((path.name, name))
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and node.value in ("apiKey", "secret")
                ):
                    found.append((path.name, node.value))
    assert found == []


@pytest.mark.parametrize("name", ["binance", "bybit", "gate"])
def test_a_replay_of_what_a_simulated_market_publishes_is_not_silent(name: str) -> None:
    """Catches a rhythm that a table of the simulator, which a mock venue replays, breaks again and again."""
    start = datetime(2023, 1, 1, tzinfo=UTC)
    request = MarketRequest(symbols=["BTCUSDT"], start=start, end=start + timedelta(days=2), seed=1)
    tables = simulate(request).tables
    minute, bar = timedelta(minutes=1), timedelta(minutes=5)
    rhythms = {poll.table: poll.rhythm for poll in polled.polls_of(VENUES[name], interval=bar, finest=minute)}
    for table in ("mark_price", "premium_index", "open_interest", "funding"):
        if table in rhythms:
            assert tables[table]["event_time"].diff().max() < rhythms[table], table
