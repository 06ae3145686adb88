"""The mock venue: ccxt's own answers from it, its script, its address, and the command that serves it."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, OrderError, ParameterError
from slackwater.feed.bars import Candle
from slackwater.feed.client import local_urls
from slackwater.feed.items import FeedRow, Quality
from slackwater.feed.live import Feed
from slackwater.feed.readers import READERS
from slackwater.feed.settings import FeedSettings
from slackwater.market.venues import EXCHANGES
from slackwater.storage import write_tables
from slackwater.venue.dialects import DIALECTS
from slackwater.venue.dialects.dialect import Pushed
from slackwater.venue.history import Bar
from slackwater.venue.script import FAULTS, Fault, fault_of_text, read_script
from slackwater.venue.server import VenueServer
from slackwater.venue.tape import Liquidation, Tape, Trade, trades_between
from tests.minute_market import MINUTE, START, minute_market

NAME = "BTC/USDT:USDT"


def asked_by_ccxt(venue: str, ask: Any, **options: Any) -> Any:
    """What ccxt's own client, untouched but for its addresses, makes of the mock venue after four minutes."""

    async def run() -> Any:
        import ccxt.pro

        async with VenueServer(venue, Tape(minute_market(6)), speed=None, begin="call", **options) as server:
            reader = READERS[venue]
            client = getattr(ccxt.pro, reader.client)({"options": dict(reader.options), "enableRateLimit": False})
            client.has["fetchCurrencies"] = False
            client.urls["api"] = local_urls(client.urls["api"], server.url)
            try:
                await client.load_markets()
                return await ask(client, server)
            finally:
                await client.close()

    return asyncio.run(run())


async def replayed(server: VenueServer, *works: Coroutine[Any, Any, Any]) -> list[Any]:
    """First results of subscriptions, and the whole replay."""
    tasks = [asyncio.ensure_future(work) for work in works]
    while server.channels < len(works):
        await asyncio.sleep(0.01)
    server.begin()
    await server.replayed()
    return [await asyncio.wait_for(task, 5) for task in tasks]


@pytest.mark.parametrize("venue", EXCHANGES)
def test_ccxt_reads_the_answers_of_the_venue(venue: str) -> None:
    """Catches a format that only our own readers understand."""

    async def ask(client: Any, server: VenueServer) -> Any:
        await replayed(server)
        bars = await client.fetch_ohlcv(NAME, "1m", since=int(START.value // 10**6), limit=6)
        longer = await client.fetch_ohlcv(NAME, "5m", since=int(START.value // 10**6), limit=2)
        size = client.market(NAME)["contractSize"]
        return bars, longer, await client.fetch_order_book(NAME), await client.fetch_trades(NAME), size

    bars, longer, book, trades, size = asked_by_ccxt(venue, ask)
    market = minute_market(6)["bars"]
    volume = 1.0 if venue in ("binance", "bybit") else size
    for bar, row in zip(bars, market.to_dict("records"), strict=True):
        assert pd.Timestamp(bar[0], unit="ms", tz="UTC") == row["open_time"]
        assert bar[1:5] == [row[name] for name in ("open", "high", "low", "close")]
        # ccxt gives contracts where the venue counts them, and coin for OKX.
        assert bar[5] * (1.0 if venue == "okx" else volume) == pytest.approx(row["volume"])
    five = market.iloc[:5]
    assert longer[0][1:5] == [five["open"].iloc[0], five["high"].max(), five["low"].min(), five["close"].iloc[-1]]
    assert book["bids"][0][0] < book["asks"][0][0]
    assert sum(each["amount"] * volume for each in trades) == pytest.approx(market["volume"].sum())
    assert len({each["id"] for each in trades}) == len(trades)
    bought = {each["timestamp"] for each in trades if each["side"] == "buy"}
    history = Tape(minute_market(6)).histories["BTCUSDT"]
    made = trades_between(history, history.opened[0], int(history.opened[-1]) + 60_000_000)
    assert bought == {time // 1000 for time, trade in made if trade.side == "buy"}
    assert 0 < len(bought) < len(trades)


@pytest.mark.parametrize("venue", EXCHANGES)
def test_a_reader_reads_what_a_dialect_writes(venue: str) -> None:
    """Catches contracts for coin, seconds for milliseconds, and a side that is turned, in a message of each kind."""
    dialect, reader = DIALECTS[venue], READERS[venue]
    sizes = {"BTCUSDT": {"okx": 0.01, "gate": 0.0001}.get(venue, 1.0)}
    time = int(START.value // 10**6) + 7_000
    pushed = Pushed("BTCUSDT", time, time + 5)
    for side in ("buy", "sell"):
        message = dialect.trade(pushed, Trade(7, side, 40_000.5, 1.25))
        assert reader.is_data(message)
        (told,) = reader.read(message, sizes)
        assert isinstance(told.content, Mapping)
        assert (told.content["side"], int(told.content["time"])) == (side, time)
        assert float(told.content["price"]) == 40_000.5
        assert float(told.content["quantity"]) == pytest.approx(1.25)
    bar = Bar(int(START.value // 1000), 300_000_000, 1.0, 4.0, 0.5, 2.0, 3.25, 1.5, 9, True)
    (told,) = reader.read(dialect.candle(pushed, bar), sizes)
    assert isinstance(told.content, Candle)
    assert (told.content.opened, told.content.interval) == (bar.opened, bar.interval)
    assert told.content.closed == reader.marks_closed
    assert [told.content.values[name] for name in ("open", "high", "low", "close")] == [1.0, 4.0, 0.5, 2.0]
    assert told.content.values["volume"] == pytest.approx(3.25)
    for side in ("long", "short") if reader.has_liquidations else ():
        (told,) = reader.read(dialect.liquidations([pushed], [Liquidation(side, 39_000.5, 0.75)]), sizes)
        assert isinstance(told.content, Mapping)
        assert (told.content["side"], told.content["price"], int(told.content["time"])) == (side, 39_000.5, time)
        assert told.content["quantity"] == pytest.approx(0.75)
    assert reader.has_liquidations == ("liquidations" in dialect.streams)


@pytest.mark.parametrize("venue", EXCHANGES)
def test_ccxt_reads_the_streams_of_the_venue(venue: str) -> None:
    async def ask(client: Any, server: VenueServer) -> Any:
        return await replayed(
            server, client.watch_ohlcv(NAME, "1m"), client.watch_trades_for_symbols([NAME], params=params)
        )

    params = {"name": "aggTrade"} if venue == "binance" else {}
    bars, trades = asked_by_ccxt(venue, ask)
    assert bars[0][1] == 40_000.0
    assert trades[0]["side"] in ("buy", "sell")


@pytest.mark.parametrize(("path", "data"), [("market", True), ("public", False)])
def test_the_other_path_of_binance_acknowledges_and_stays_silent(path: str, data: bool) -> None:
    """Catches a mock that is politer than the venue, which split its paths in April 2026."""

    async def run() -> list[Any]:
        tape = Tape(minute_market(2))
        async with (
            VenueServer("binance", tape, speed=None, begin="call") as server,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/{path}/ws/0") as socket,
        ):
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 7})
            heard = [await socket.receive_json()]
            server.begin()
            await server.replayed()
            try:
                while True:
                    heard.append(await asyncio.wait_for(socket.receive_json(), 0.1))
            except TimeoutError:
                return heard

    first, *rest = asyncio.run(run())
    assert first == {"result": None, "id": 7}
    assert bool(rest) == data


def test_a_replay_has_every_event_in_order() -> None:
    tables = minute_market(5, symbols=("BTCUSDT", "ETHUSDT"))
    tables["large_trades"] = tables["liquidations"].assign(side="buy")
    tape = Tape(tables)
    events = list(tape.events(tape.start, tape.end + 1))
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert sum(isinstance(event.what, Liquidation) for event in events) == 10
    numbers = [event.what.number for event in events if isinstance(event.what, Trade)]
    assert len(set(numbers)) == len(numbers)
    sold = sum(event.what.quantity for event in events if isinstance(event.what, Trade))
    assert sold == pytest.approx(tables["bars"]["volume"].sum() + tables["large_trades"]["quantity"].sum())


def test_data_that_cannot_be_replayed_are_named() -> None:
    tables = minute_market(5)
    with pytest.raises(ParameterError, match="no bars of `BTCUSD`; did you mean `BTCUSDT`"):
        Tape(tables, ["BTCUSD"])
    with pytest.raises(MissingDataError, match="neither `fine_bars` nor `bars`"):
        Tape({"funding": tables["funding"]})
    longer = tables["bars"].assign(
        open_time=tables["bars"]["open_time"].where(tables["bars"].index > 0, START - MINUTE)
    )
    with pytest.raises(OrderError, match="must have one length"):
        Tape({"bars": longer})


# -- script ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_of_fault_can_be_written(kind: str) -> None:
    more = {"acknowledge_only": " stream=bars", "clock_skew": " by=-48h"}.get(kind, "")
    fault = fault_of_text(f"{kind} at=1m30s{more}")
    assert (fault.kind, fault.at) == (kind, timedelta(seconds=90))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no fault ``"),
        ("brust at=5s", "there is no fault `brust`; did you mean `burst`"),
        ("burst 5s", "`5s` must be NAME=VALUE"),
        ("burst at=5", r"\(burst\): `at` must be a duration such as 24h"),
        ("burst at=5s at=6s", "`at` is there twice"),
        ("burst at=5s lasts=6s", r"\(burst\): there is no field `lasts`"),
        ("burst count=0", "`count` must be 1 to 1,000,000"),
        ("burst count=many", "`count` must be a whole number, was 'many'"),
        ("silence lasts=0s", "`lasts` must be above 0"),
        ("acknowledge_only at=5s", "`stream` must be one of bars, trades, liquidations"),
        ("acknowledge_only stream=candles", "`stream` must be one of bars, trades, liquidations"),
        ("clock_skew at=5s", "`by` must be given"),
    ],
)
def test_a_fault_that_is_wrong_names_what(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        fault_of_text(text)


def test_a_script_is_a_list_of_faults(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- fault: burst\n  at: 90s\n  count: 1500\n- {fault: clock_skew, at: 2m, by: -3s}\n")
    assert read_script(path) == (
        Fault(kind="burst", at=timedelta(seconds=90), count=1500),
        Fault(kind="clock_skew", at=timedelta(minutes=2), by=timedelta(seconds=-3)),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fault: burst", "must be a list of faults, was dict"),
        ("- burst", "fault 1 must be a mapping"),
        (
            "- {fault: burst, at: 5s}\n- {fault: burst, att: 5s}",
            r"fault 2 \(burst\): there is no field `att`; did you mean `at`",
        ),
        ("- {fault: burst, at: 90}", r"fault 1 \(burst\): `at` must be a duration"),
        ("- [", "is not YAML"),
        ("- !!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_script_that_is_wrong_names_the_entry(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=words):
        read_script(path)


def test_a_script_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"faults\.yaml cannot be read"):
        read_script(tmp_path / "faults.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "0.0.0.0"}, "loopback interface"),  # noqa: S104 -- it has to be refused
        ({"host": "example.com"}, "loopback interface"),
        ({"speed": 0.5}, "`speed` must be 1 to 1000"),
        ({"speed": 1001.0}, "`speed` must be 1 to 1000"),
        ({"venue": "okex"}, "did you mean `okx`"),
        ({"start": 0}, "must begin within the data"),
        ({"venue": "gate", "faults": [fault_of_text("burst")]}, "gate has no stream of liquidations"),
    ],
)
def test_what_cannot_be_served_is_named(changes: dict[str, Any], words: str) -> None:
    """Catches above all a mock venue that listens to the network."""

    async def run() -> None:
        VenueServer(**{"venue": "binance", "tape": Tape(minute_market(2))} | changes)

    with pytest.raises(ParameterError, match=words):
        asyncio.run(run())


def test_a_port_that_is_taken_is_named() -> None:
    async def run() -> None:
        tape = Tape(minute_market(2))
        async with VenueServer("okx", tape) as first, VenueServer("okx", tape, port=first.port):
            pass

    with pytest.raises(ParameterError, match=r"127\.0\.0\.1:\d+ cannot be listened on"):
        asyncio.run(run())


def test_a_replay_that_fails_is_not_taken_for_one_that_ended() -> None:
    """Catches a server that says nothing any more, and a client that takes that for a quiet market."""

    async def run() -> None:
        tables = minute_market(2)
        tape = Tape(tables)
        tape.histories["BTCUSDT"].sides["liquidations"].clear()  # as if the memory were damaged
        async with VenueServer("okx", tape, speed=None, begin="call") as server:
            server.begin()
            await server.replayed()

    with pytest.raises(IndexError):
        asyncio.run(run())


def test_every_venue_can_be_served_and_read() -> None:
    assert set(DIALECTS) == set(READERS) == set(EXCHANGES)


# -- the command -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", ["600", "max"])
def test_the_command_serves_what_a_feed_reads(speed: str, tmp_path: Path) -> None:
    """Catches a clock that a feed in another process cannot follow, and a server that does not end."""
    write_tables(minute_market(5), tmp_path / "tables")
    code = "import sys; sys.argv[0] = 'slackwater'; from slackwater.cli import main; main()"
    arguments = ["venue", "serve", "--venue", "okx", "--tables", str(tmp_path / "tables"), "--speed", speed]
    command = [sys.executable, "-u", "-c", code, *arguments, "--fault", "duplicates at=0s"]
    in_background = ["bash", "-c", 'trap "" INT; exec "$@"', "-", *command]  # as a script starts it: SIGINT is ignored
    with subprocess.Popen(in_background, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert url is not None
            bars = asyncio.run(read_bars(url[0], count=4))
            assert [row.row["event_time"] for row in bars] == [START + n * MINUTE for n in range(1, 5)]
            assert all(row.quality in (Quality.LIVE, Quality.LATE, Quality.BACKFILLED) for row in bars)
            assert "the replay has ended" in server.stdout.readline()
            server.send_signal(signal.SIGINT if speed == "max" else signal.SIGTERM)
            assert server.wait(120) == 0  # a slow machine may take its time; one that never ends is caught
            assert "stopped" in server.stdout.read()
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("module", "code"),
    [
        (
            "aiohttp",
            "from slackwater.cli import main; sys.argv = ['s', 'venue', 'serve', '--tables', sys.argv[1]]; main()",
        ),
        (
            "ccxt",
            "from slackwater.feed.client import tapped_client; from slackwater.feed.readers import READERS\n"
            "tapped_client(READERS['okx'], None, print)",
        ),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(module: str, code: str, tmp_path: Path) -> None:
    write_tables(minute_market(2), tmp_path / "tables")
    blocked = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
    command = [sys.executable, "-c", blocked + code, str(tmp_path / "tables")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    expected = rf'MissingExtraError: {module}\S* is not installed: run `pip install "slackwater\[live\]"`'
    assert re.search(expected, done.stderr)


async def read_bars(url: str, *, count: int) -> list[FeedRow]:
    short = timedelta(seconds=100)  # so that the client is replaced once, too
    asked = FeedSettings(venue="okx", symbols=("BTCUSDT",), interval="1m", server=url, polled=(), rebuild_after=short)
    async with Feed(asked) as feed:
        bars: list[FeedRow] = []
        async for item in feed:
            if isinstance(item, FeedRow) and item.table == "bars":
                bars.append(item)
                if len(bars) == count:
                    return bars
    return []
