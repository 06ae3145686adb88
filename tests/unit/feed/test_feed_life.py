"""The life of a feed: what it refuses to start with, what it records, renews and requests; by one venue."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, ParameterError, SchemaError, SourceError
from slackwater.feed.assembly import replay
from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Quality
from slackwater.feed.live import Feed
from slackwater.feed.record import Raw, read_raw
from slackwater.feed.settings import FeedSettings
from slackwater.market.inputs import INPUTS
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.market.venues import EXCHANGES
from slackwater.sources.large_trades import LargeTradeRule, TradeSizes
from slackwater.times import HOUR_US, MINUTE
from slackwater.venue.script import fault_of_text
from slackwater.venue.server import VenueServer
from slackwater.venue.tape import Tape
from tests.feed_run import FeedRun, listen_to_all
from tests.minute_market import START, minute_market

LAG = timedelta(seconds=5)


def entered(venue: str = "binance", *faults: str, symbols: tuple[str, ...] = ("BTCUSDT",), **settings: Any) -> None:
    """Enter a feed and leave it again."""

    async def run() -> None:
        script = [fault_of_text(each) for each in faults]
        async with VenueServer(venue, Tape(minute_market(2)), faults=script) as server:
            asked = FeedSettings(venue=venue, symbols=symbols, server=server.url, **settings)
            async with Feed(asked):
                pass

    asyncio.run(run())


@pytest.mark.parametrize(("by", "words"), [("3s", "behind"), ("-48h", "ahead of")])
def test_a_clock_that_is_off_is_named_before_anything_starts(by: str, words: str) -> None:
    """Catches a feed that stamps every row by a wrong clock."""
    with pytest.raises(SourceError, match=rf"the clock of this machine is [\d,.]+ s {words} that of binance.*NTP"):
        entered("binance", f"clock_skew at=0s by={by}")


def test_a_clock_that_is_off_by_half_a_second_is_good_enough() -> None:
    entered()


@pytest.mark.parametrize(
    ("venue", "symbol", "near"), [("binance", "BTCUSD", "BTCUSDT"), ("okx", "BTCUSDC", "BTC-USDT-SWAP")]
)
def test_a_symbol_that_the_venue_lacks_is_named(venue: str, symbol: str, near: str) -> None:
    """Catches a feed that waits for ever for a symbol that does not exist."""
    with pytest.raises(ParameterError, match=f"{venue} has no perpetual .*did you mean `{near}`"):
        entered(venue, symbols=(symbol,))


def test_a_venue_that_refuses_is_named() -> None:
    with pytest.raises(SourceError, match="binance cannot be asked for its markets and time"):
        entered("binance", "too_many_requests at=0s")


def test_a_table_that_the_venue_lacks_is_named() -> None:
    with pytest.raises(ParameterError, match="`polled` names `premium_index`: OKX publishes no bars of its premium"):
        entered("okx", polled=("premium_index",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"venue": "binence"}, "did you mean `binance`"),
        ({"symbols": ()}, "`symbols` must be different names"),
        ({"symbols": ("A", "A")}, "`symbols` must be different names"),
        ({"symbols": "BTCUSDT"}, "`symbols` must be different names"),
        ({"interval": "2m"}, "`interval` must be one of 1m, 5m"),
        ({"interval": "1m", "fine_interval": "5m"}, "`fine_interval` must be shorter"),
        ({"server": "http://example.com:80"}, "a loopback address and a port, was"),
        ({"server": "https://127.0.0.1:80"}, "a loopback address and a port, was"),
        ({"rhythms": {"depth": MINUTE}}, "`rhythms` must name bars, trades"),
        ({"decision_lag": timedelta(0)}, "`decision_lag` must be above 0"),
        ({"attempts": 0}, "`attempts` must be at least 1"),
    ],
)
def test_settings_name_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        FeedSettings(**{"venue": "binance", "symbols": ("BTCUSDT",)} | changes)


# -- records and replays ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeedRun, Path]:
    path = tmp_path_factory.mktemp("raw") / "raw.jsonl"
    script = ["abnormal_close at=165s", "one_message at=90s", "duplicates at=3m"]
    (run,) = listen_to_all("binance", [script], raw_path=path, decision_lag=LAG)
    return run, path


def texts(items: list[FeedRow | FeedFault]) -> list[str]:
    """Rows, and faults of messages, as texts; NaN equals NaN in them."""
    return [repr(each) for each in items if isinstance(each, FeedRow) or each.kind is not FaultKind.SILENT]


def test_the_record_of_raw_messages_makes_the_same_rows(recorded: tuple[FeedRun, Path]) -> None:
    """Catches a row that depends on anything but the recorded messages: it could not be explained afterwards."""
    run, path = recorded
    settings = FeedSettings(venue="binance", symbols=("BTCUSDT",), interval="1m", decision_lag=LAG)
    again = list(replay(settings, read_raw(path)))
    assert texts(again)[: len(run.items)] == texts(run.items)
    assert len(run.rows("liquidations")) > 40


def test_a_feed_that_was_started_again_goes_on_in_the_record(recorded: tuple[FeedRun, Path]) -> None:
    """Catches rows of the second run that depend on the first one: the feed had forgotten it."""
    settings = FeedSettings(venue="binance", symbols=("BTCUSDT",), interval="1m", decision_lag=LAG)
    raws = list(read_raw(recorded[1]))
    again = [
        raw._replace(message={**raw.message, "start_ns": raw.message["start_ns"] + 1})
        if raw.stream == "connected"
        else raw
        for raw in raws
    ]
    once = texts(list(replay(settings, raws)))
    assert texts(list(replay(settings, [*raws, *again]))) == [*once, *once]


def test_a_record_that_was_cut_or_damaged(recorded: tuple[FeedRun, Path], tmp_path: Path) -> None:
    """Catches a killed recorder whose record cannot be read, and a damaged line that is passed over."""
    lines = recorded[1].read_text().splitlines(keepends=True)[:5]
    path = tmp_path / "raw.jsonl"
    path.write_text("".join(lines) + lines[0][:30])
    assert len(list(read_raw(path))) == 5
    path.write_text(lines[0] + "{}\n" + lines[1])
    with pytest.raises(SchemaError, match="line 2 is not a raw message"):
        list(read_raw(path))
    with pytest.raises(MissingDataError):
        list(read_raw(tmp_path / "absent"))


def test_a_record_of_another_venue_or_without_its_beginning_is_refused(recorded: tuple[FeedRun, Path]) -> None:
    settings = FeedSettings(venue="okx", symbols=("BTCUSDT",))
    with pytest.raises(SchemaError, match="messages of binance, and the settings are of okx"):
        list(replay(settings, read_raw(recorded[1])))
    with pytest.raises(SchemaError, match="begins with `tick`"):
        list(replay(settings, [Raw(1, "okx", "tick", None)]))


def test_live_rows_make_the_frame_of_history(recorded: tuple[FeedRun, Path]) -> None:
    """Catches rows that a live frame refuses, and live inputs that differ from those of history."""
    run, _ = recorded
    spec = FrameSpec(bar_interval=MINUTE, decision_lag=LAG)
    frames, live = FrameStream(spec), {}
    waiting = [
        each for each in run.items if isinstance(each, FeedRow) and each.quality.usable and each.table != "mark_price"
    ]
    for close in pd.date_range(START + MINUTE, periods=4, freq="min"):
        for item in [each for each in waiting if each.row["available_time"] <= close + LAG]:
            frames.push(item.table, item.row)
            waiting.remove(item)
        live[close] = dict(zip(INPUTS, frames.close(close)["BTCUSDT"].values, strict=True))
    names = ["open", "high", "low", "close", "volume", "taker_buy_volume"]
    for row in run.tables["bars"].to_dict("records"):
        assert [live[row["event_time"]][name] for name in names] == [row[name] for name in names]
    first, second, third, last = (row["liquidated_long"] for row in live.values())
    assert first == 0.0  # a short one alone
    assert second == 1.0 + 40 * 2.0  # the market's, and forty in one message
    assert np.isnan(third)  # the connection was lost in this bar, and nobody knows
    assert last == 2.0


# -- what it renews and requests -------------------------------------------------------------------------------


def test_the_client_is_replaced_when_it_grows_old() -> None:
    """Catches connections of which all fail after days; and bars that a replacement takes along."""
    (run,) = listen_to_all("bybit", [[]], rebuild_after=timedelta(seconds=100), polled=[("depth",)])
    assert any("replaced at the age of" in each.text for each in run.faults(FaultKind.DISCONNECTED))
    assert [row["event_time"] for row in run.rows("bars")] == run.tables["bars"]["event_time"].tolist()


def test_what_a_refusing_venue_did_not_answer_is_requested_later() -> None:
    """Catches rows of requested tables, and liquidations of Gate, that are lost while requests fail."""
    script = ["too_many_requests at=50s lasts=290s"]
    few = ("liquidations", "mark_price")
    (run,) = listen_to_all("gate", [script], [few], minutes=7, attempts=3)
    assert [row["event_time"] for row in run.rows("mark_price")] == run.tables["mark_price"]["event_time"].tolist()
    happened = run.rows("liquidations", Quality.POLLED)
    assert [row["event_time"] for row in happened] == run.tables["liquidations"]["event_time"].tolist()
    marked = {row["event_time"].floor("min") for row in run.rows("liquidations", Quality.GAP)}
    assert {START + n * MINUTE for n in (3, 4, 5)} <= marked  # nobody knew them then
    assert START + 6 * MINUTE not in marked


def test_a_table_without_new_rows_is_named_whatever_was_answered() -> None:
    """Catches an answer that is right in form and old in content: the features would grow stale in silence."""
    old = minute_market(1)["mark_price"]
    (run,) = listen_to_all("gate", [[]], [("mark_price", "premium_index")], more={"mark_price": old}, minutes=7)
    silent = [(each.stream, each.time) for each in run.faults(FaultKind.SILENT)]
    assert [stream for stream, _ in silent] == ["mark_price"]
    assert START + 5 * MINUTE < silent[0][1] < START + 6 * MINUTE  # four minutes after the last row was read
    assert len(run.rows("premium_index")) >= 6


def test_a_clock_that_goes_wrong_later_is_named_and_ends_nothing() -> None:
    """Catches a feed that stops for good at its daily renewal, because a clock has drifted."""
    (run,) = listen_to_all("bybit", [["clock_skew at=100s by=5s", "abnormal_close at=165s"]], [()])
    assert any("behind that of bybit" in each.text for each in run.faults(FaultKind.CLOCK))
    assert [row["event_time"] for row in run.rows("bars")] == run.tables["bars"]["event_time"].tolist()


def test_bars_since_the_last_known_one_are_backfilled() -> None:
    """Catches a restart that leaves a hole."""

    async def run() -> list[FeedRow | FeedFault]:
        tables = minute_market(30)
        start = int((START + 20 * MINUTE).value // 1000)
        async with VenueServer("okx", Tape(tables), speed=20.0, start=start) as server:
            since = {("bars", "BTCUSDT"): START + 5 * MINUTE}
            settings = FeedSettings(venue="okx", symbols=("BTCUSDT",), interval="1m", server=server.url, since=since)
            async with Feed(settings) as feed:
                items: list[FeedRow | FeedFault] = []
                async for item in feed:
                    items.append(item)
                    if sum(isinstance(each, FeedRow) and each.table == "bars" for each in items) == 15:
                        return items
        return []

    bars = [each for each in asyncio.run(run()) if isinstance(each, FeedRow) and each.table == "bars"]
    assert [each.row["event_time"] for each in bars] == list(pd.date_range(START + 6 * MINUTE, periods=15, freq="min"))
    assert {each.quality for each in bars} == {Quality.BACKFILLED}


def test_bars_that_the_venue_has_lost_are_given_up_and_named() -> None:
    """Catches a feed that asks for ever, and one that closes a gap in silence."""

    async def run() -> list[FeedRow | FeedFault]:
        tables = minute_market(30)
        bars = tables["bars"]
        tables["bars"] = bars[(bars["event_time"] <= START + 3 * MINUTE) | (bars["event_time"] > START + 5 * MINUTE)]
        async with VenueServer(
            "binance", Tape(tables), speed=60.0, start=int((START + 6 * MINUTE).value // 1000)
        ) as server:
            since = {("bars", "BTCUSDT"): START + 2 * MINUTE}
            settings = FeedSettings(
                venue="binance",
                symbols=("BTCUSDT",),
                interval="1m",
                server=server.url,
                since=since,
                attempts=3,
                polled=(),
            )
            items: list[FeedRow | FeedFault] = []
            async with Feed(settings) as feed:
                async for item in feed:
                    items.append(item)
                    if isinstance(item, FeedFault) and "stay missing" in item.text:
                        return items
        return []

    items = asyncio.run(run())
    assert (
        "2 bars from 2024-03-01 00:03:00+00:00 stay missing: 3 answers of the venue do not have them" in items[-1].text
    )


@pytest.mark.parametrize(("venue", "whole"), [("binance", True), ("bybit", False)])
def test_many_trades_of_a_lost_connection_are_requested_page_by_page(venue: str, whole: bool) -> None:
    """Catches the first page for all of them; Bybit has no pages, and what is missing there has to be named."""
    many = 3_500
    times = START + timedelta(seconds=165.2) + pd.to_timedelta(np.arange(many) * 200, unit="us")
    trades = {"symbol": "BTCUSDT", "event_time": times, "available_time": times, "side": "buy", "price": 40_000.0}
    more = {"large_trades": pd.DataFrame({**trades, "quantity": 1.0})}
    quiet, lost = listen_to_all(venue, [[], ["abnormal_close at=165s"]], [(), ()], more=more)
    all_of = [sum(run.counts.get(("trades", each), 0) for each in ("live", "backfilled")) for run in (quiet, lost)]
    named = [each.text for each in lost.faults(FaultKind.GAP) if each.stream == "trades"]
    assert (all_of[0] == all_of[1]) == whole
    assert [("does not reach back" in each) for each in named] == [True] * (not whole)


def test_both_ends_of_a_gap_in_the_liquidations_are_marked() -> None:
    """Catches a bar whose liquidations count as none: the connection is lost in one and found again in another."""
    script = ["abnormal_close at=165s", "too_many_requests at=160s lasts=40s"]
    (run,) = listen_to_all("binance", [script], [()])
    marked = {row["event_time"].floor("min") for row in run.rows("liquidations", Quality.GAP)}
    assert {START + 2 * MINUTE, START + 3 * MINUTE} <= marked
    lost = run.faults(FaultKind.DISCONNECTED)
    assert "1006" in lost[0].text
    assert all("429" in each.text or "Too many" in each.text for each in lost[1:])


@pytest.mark.parametrize("venue", EXCHANGES)
def test_fine_bars_and_bars_of_several_symbols(venue: str) -> None:
    """Catches bars of one interval or symbol that are taken for those of another."""
    symbols = ("BTCUSDT", "ETHUSDT")
    polled = ("liquidations",) if venue == "gate" else ()
    (run,) = listen_to_all(venue, [[]], [polled], interval="5m", fine_interval="1m", symbols=symbols, minutes=6)
    truth = run.tables["bars"].set_index(["symbol", "event_time"])
    fine = run.rows("fine_bars")
    assert {(row["symbol"], row["event_time"]) for row in fine} == set(truth.index)
    for row in fine:
        assert row["close"] == truth.loc[(row["symbol"], row["event_time"]), "close"]
    bars = run.rows("bars")
    assert [(row["symbol"], row["event_time"]) for row in bars] == [(each, START + 5 * MINUTE) for each in symbols]
    for row in bars:
        five = truth.loc[row["symbol"]].loc[: START + 5 * MINUTE]
        expected = (five["open"].iloc[0], five["high"].max(), five["low"].min(), five["close"].iloc[-1])
        assert tuple(row[name] for name in ("open", "high", "low", "close")) == expected
        assert row["volume"] == pytest.approx(five["volume"].sum())
    happened = run.tables["liquidations"][["symbol", "event_time", "quantity"]]
    told = {
        (row["symbol"], row["event_time"]): row["quantity"]
        for row in run.rows("liquidations", Quality.LIVE, Quality.POLLED)
    }
    assert told == pytest.approx(
        {(symbol, time): quantity for symbol, time, quantity in happened.itertuples(index=False)}
    )


def test_large_trades_are_rows_once_their_sizes_are_known() -> None:
    """Catches a rule that is not applied to live trades, and one that is not told to be warming up."""
    hours = np.arange(-30, 0) * HOUR_US + START.value // 1000
    sizes = TradeSizes.of(np.repeat(hours, 10), np.tile(np.linspace(1_000.0, 20_000.0, 10), 30))
    rule = LargeTradeRule(quantile=0.9, floor_usd=50_000.0)
    settings = {"large_trades": rule, "trade_sizes": {"BTCUSDT": sizes}}
    (run,) = listen_to_all("okx", [["duplicates at=0s"]], [()], **settings)
    rows = run.rows("large_trades")
    assert rows
    # A quarter of each bar's volume per trade.
    assert {row["quantity"] for row in rows} <= {(4.0 + n) / 4.0 for n in range(5)}
    assert all(row["quantity"] * row["price"] >= 50_000.0 for row in rows)
    assert len({(row["event_time"], row["price"]) for row in rows}) == len(rows)
    assert not run.faults(FaultKind.GAP)
