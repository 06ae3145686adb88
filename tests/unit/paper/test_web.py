"""The page of paper trading: a server on a real socket, and what a real browser shows of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import logging
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from slackwater.errors import ParameterError
from slackwater.paper.screen import web
from slackwater.paper.screen.text import plain
from slackwater.paper.screen.web import WebScreen
from slackwater.paper.view import Candle, View
from tests.accessibility import serious_faults
from tests.browser import Browser, contrast
from tests.unit.paper import views

PATIENCE = 30.0  # seconds: shared machines are slow


# -- the server ------------------------------------------------------------------------------------------------------


class Shown:
    """A view and candles that a test changes, and the server of them."""

    def __init__(self, view: View | None, port: int = 0) -> None:
        self.view = view
        self.candles: dict[str, list[Any]] = collections.defaultdict(partial(views.candles, "other"))
        self.candles.update({name: views.candles(name) for name in ("BTCUSDT", "ETHUSDT")})
        self.screen = WebScreen(lambda: self.view, lambda symbol: self.candles[symbol], port)


def served(work: Any, view: View | None = None, **headers: str) -> Any:
    """Result of a coroutine function of a server and a client."""

    async def run() -> Any:
        shown = Shown(view)
        async with shown.screen, aiohttp.ClientSession(headers=headers) as client:
            return await asyncio.wait_for(work(shown, client), PATIENCE)

    return asyncio.run(run())


async def events(client: aiohttp.ClientSession, url: str) -> AsyncIterator[str]:
    """Events and comments as they come."""
    async with client.get(f"{url}/events") as answer:
        assert answer.content_type == "text/event-stream"
        async for line in answer.content:
            if line.strip() and not line.startswith(b"retry:"):
                yield line.decode().rstrip("\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", ""])  # noqa: S104 -- to be refused
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    """Catches an account that the whole network can read."""
    with pytest.raises(ParameterError, match="`host` must be an address of the loopback interface"):
        WebScreen(lambda: None, views.candles, 0, host)


def test_a_port_that_is_taken_is_named() -> None:
    """Catches the traceback of a socket."""

    async def second(shown: Shown, _: aiohttp.ClientSession) -> None:
        with pytest.raises(ParameterError, match=f"127.0.0.1:{shown.screen.port} cannot be listened on: "):
            async with WebScreen(lambda: None, views.candles, shown.screen.port):
                pass

    served(second)


@pytest.mark.parametrize("path", ["/", "/page.js", "/lightweight-charts.js", "/events", "/candles?symbol=BTCUSDT"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("[::1", 403),
    ],
)
def test_a_name_that_points_here_reads_nothing(path: str, host: str, status: int) -> None:
    """Catches DNS rebinding: a page of another site that reads the account under a name of its own."""

    async def ask(shown: Shown, client: aiohttp.ClientSession) -> Any:
        async with client.get(f"{shown.screen.url}{path}") as answer:
            text = await answer.text() if status != 200 else ""
            return answer.status, answer.headers, text

    found, headers, text = served(ask, views.whole(), Host=host)
    assert found == status
    assert "main" not in text
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_other_methods_and_paths_are_refused() -> None:
    """Catches a path that is read from the disk, and a server that takes orders."""

    async def ask(shown: Shown, client: aiohttp.ClientSession) -> list[int]:
        asked = [("POST", "/events"), ("PUT", "/"), ("GET", "/page.html"), ("GET", "/..%2f..%2fweb.py"), ("GET", "/x")]
        return [(await client.request(method, f"{shown.screen.url}{path}")).status for method, path in asked]

    assert served(ask, views.whole()) == [405, 405, 404, 404, 404]


def test_a_view_is_sent_when_it_has_changed_and_a_comment_when_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a view that is sent again each second, one that is never sent, and a silent connection that is cut."""
    monkeypatch.setattr(web, "_RHYTHM", 0.02)
    monkeypatch.setattr(web, "_QUIET", 2)

    async def watch(shown: Shown, client: aiohttp.ClientSession) -> list[str]:
        seen, changes = [], iter((views.whole(), replace(views.whole(), equity=5.0)))
        async for line in events(client, shown.screen.url):
            seen.append(line)
            if line.startswith(":"):
                try:
                    shown.view = next(changes)
                except StopIteration:
                    return seen
        return seen

    first, comment, second, _, third, _ = served(watch, None)
    assert (first, comment) == ("data: null", ": nothing new")
    whole = json.loads(json.dumps(views.whole().to_dict()))
    assert json.loads(second.removeprefix("data: ")) == whole
    assert json.loads(third.removeprefix("data: ")) == {**whole, "equity": 5.0}


def test_texts_are_sent_without_control_codes_and_numbers_as_json() -> None:
    """Catches NaN, which a browser cannot read, and signs that hide or turn text."""

    async def first(shown: Shown, client: aiohttp.ClientSession) -> str:
        return await anext(events(client, shown.screen.url))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    line = served(first, views.hostile())
    content = json.loads(line.removeprefix("data: "), parse_constant=refuse)
    assert content == plain(views.hostile().to_dict())
    assert content["equity"] is None
    assert "\u202e" not in content["symbols"][0]["symbol"]


def test_browsers_that_go_away_leave_nothing_behind() -> None:
    """Catches connections that pile up until the process has no file left."""

    async def visit(shown: Shown, client: aiohttp.ClientSession) -> int:
        streams = [events(client, shown.screen.url) for _ in range(30)]
        assert {await anext(stream) for stream in streams} == {await anext(events(client, shown.screen.url))}
        most = shown.screen.watching
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        while shown.screen.watching:
            await asyncio.sleep(0.02)
        return most

    assert served(visit, views.whole()) >= 30


def test_the_end_of_the_server_is_the_end_of_every_stream() -> None:
    """Catches a process that cannot end while a browser looks at it."""

    async def close(shown: Shown, client: aiohttp.ClientSession) -> None:
        streams = [events(client, shown.screen.url) for _ in range(5)]
        for stream in streams:
            await anext(stream)
        await asyncio.wait_for(shown.screen.close(), 10.0)  # aiohttp itself would wait for 60 s
        for stream in streams:
            with contextlib.suppress(aiohttp.ClientError):
                assert [line async for line in stream] == []
        assert shown.screen.watching == 0
        await shown.screen.close()

    served(close, views.whole())


def test_a_browser_that_stops_reading_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches views that pile up in memory for a browser that is asleep, and a server that waits for it to end."""
    monkeypatch.setattr(web, "_RHYTHM", 0.005)
    asked = []

    def view() -> View:
        asked.append(replace(views.fifty(), equity=float(len(asked))))
        return asked[-1]

    async def stall() -> int:
        async with WebScreen(view, views.candles, 0) as screen:
            with socket.socket() as asleep:
                asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                asleep.connect((screen.host, screen.port))
                asleep.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                before = -1
                while len(asked) != before:  # until its buffers are full
                    before = len(asked)
                    await asyncio.sleep(0.5)
                await asyncio.wait_for(screen.close(), 10.0)
            return screen.watching

    assert asyncio.run(stall()) == 0


def test_candles_of_a_symbol_of_the_view_and_of_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches candles of another symbol, NaN, an unknown name that reaches the process, and an error that is hidden."""
    # Whatever the libraries under other tests of this process have set at the logger.
    logger = logging.getLogger("aiohttp.server")
    for name, value in (("disabled", False), ("level", logging.ERROR), ("handlers", [caplog.handler])):
        monkeypatch.setattr(logger, name, value)
    monkeypatch.setattr(logging.root.manager, "disable", 0)
    logger._cache.clear()  # type: ignore[attr-defined]

    async def ask(shown: Shown, client: aiohttp.ClientSession) -> list[Any]:
        shown.candles["ETHUSDT"] = [Candle(time=1, open=math.nan, high=2.0, low=1.0, close=1.5)]
        found: list[Any] = []
        for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT\x1b", ""):
            async with client.get(f"{shown.screen.url}/candles", params={"symbol": symbol}) as answer:
                found.append((answer.status, await answer.json()))
        shown.candles["ETHUSDT"] = [views.NOW]
        async with client.get(f"{shown.screen.url}/candles", params={"symbol": "ETHUSDT"}) as answer:
            found.append(answer.status)
        return found

    whole, gap, unknown, none, failed = served(ask, views.whole())
    first, last = views.candles("BTCUSDT")[0], views.candles("BTCUSDT")[-1]
    assert whole[0] == 200
    assert whole[1]["candles"][0] == [first.time, first.open, first.high, first.low, first.close]
    assert whole[1]["candles"][-1][4] == last.close == 67_123.4
    assert gap == (200, {"symbol": "ETHUSDT", "candles": [[1, None, 2.0, 1.0, 1.5]]})
    assert unknown == (404, {"error": "there is no symbol 'XRPUSDT\ufffd' here"})
    assert none[0] == 404
    assert failed == 500
    assert "'float' object has no attribute 'time'" in caplog.text


def test_without_aiohttp_the_extra_is_named() -> None:
    """Catches the bare name of a module that is missing."""
    code = "import sys; sys.modules['aiohttp'] = None; import slackwater.paper.screen.web"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'MissingExtraError: aiohttp is not installed: run `pip install "slackwater[live]"`' in done.stderr


# -- the page --------------------------------------------------------------------------------------------------------


class Loop:
    """An event loop in a thread, as the process of paper trading has one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser") / "profile", loopback=True) as browser:
        yield browser


@pytest.fixture
def shown(loop: Loop) -> Iterator[Shown]:
    made = Shown(views.whole())
    loop.run(made.screen.__aenter__())
    yield made
    loop.run(made.screen.close())


@pytest.fixture
def browser(opened: Browser, shown: Shown) -> Browser:
    """A browser that shows the page of `shown`, and that has seen nothing else so far."""
    opened.send("Page.navigate", url="about:blank")
    opened.wait("location.href === 'about:blank'")
    opened.requests.clear()
    opened.console.clear()
    opened.visit(shown.screen.url)
    return opened


def text(browser: Browser, selector: str) -> str:
    return str(browser.ask(f"document.querySelector({json.dumps(selector)}).innerText"))


def cells(browser: Browser, selector: str) -> list[str]:
    return list(browser.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.innerText)"))


def test_the_page_shows_everything_and_asks_nobody_else(browser: Browser, shown: Shown) -> None:
    """Catches a value that is left out or wrong, an error of the script, and a request to another host."""
    assert text(browser, "#synthetic").startswith("SYNTHETIC market")
    assert text(browser, "#stamp") == "SYNTHETIC"
    assert browser.ask("document.title") == "SYNTHETIC 1 open, 10,123 USDT"
    assert text(browser, "#names") == "main on binance"
    assert text(browser, "#verdict").startswith("Verdict on the model: paper only. 3 of 21 clauses do not hold")
    assert cells(browser, "#facts dd") == ["10,123.40", "1.2 %", "+0.37 R", "1 open, 1 ordered", "3 of 4 healthy"]
    assert cells(browser, "#problems li") == [
        "unhealthy feed of bars, 1 symbol: ETHUSDT (3 m)",
        "12:01:40 (3 m ago) bars of ETHUSDT are silent since 12:01:40",
    ]
    assert cells(browser, "#positions tbody tr:nth-child(1) td") == [
        "BTCUSDT", "▲ long", "open", "+0.37", "67,123.4", "66,989.2", "65,780.9", "69,137.1", "53,698.7", "0.42000",
        "15 m", "11 h",
    ]  # fmt: skip
    assert cells(browser, "#positions tbody tr:nth-child(2) td")[:4] == ["ETHUSDT", "▼ short", "ordered", "–"]
    assert cells(browser, "#symbols tbody tr:nth-child(1) td") == [
        "BTCUSDT", "67,123.4", "2 s", "65,713.8 (-2.1 %)", "67,928.9 (+1.2 %)", "↓65,109.7",
        "fall, 30 m ago: cascade, extended move", "0.61", "+0.12 (-0.03)",
        "refused: the lower bound of the edge, -0.03, is not above the costs", "5 m",
    ]  # fmt: skip
    assert text(browser, "#levels") == (
        "price 67,123.4 · pool of shorts 67,928.9 · pool of longs 65,713.8 · swept ↓ 65,109.7 · ▲ entry 66,989.2 · "
        "▲ stop 65,780.9 · ▲ target 69,137.1 · ▲ liquidation 53,698.7"
    )
    assert cells(browser, "#feeds tbody tr:nth-child(1) td") == ["ETHUSDT", "bars", "✗ unhealthy", "3 m"]
    assert cells(browser, "#recent li")[0] == "12:04:00 plan of BTCUSDT: long at 67,000"
    assert "BTCUSDT, 2024-05-31" in text(browser, "#range")
    assert "candles of 5 m" in text(browser, "#range")
    assert [url for url in browser.requests if not url.startswith((f"{shown.screen.url}/", "data:"))] == []
    assert browser.console == []


def test_updates_arrive_and_the_focus_stays(browser: Browser, shown: Shown) -> None:
    """Catches a page that shows the first view for ever, and a table that is built anew under the hands of the user."""
    browser.ask("document.querySelector('#symbols tbody tr:nth-child(2) button').focus()")
    later = replace(views.whole().symbols[1], price=3_600.0, decision="plan: short")
    shown.view = replace(views.whole(), equity=9.0, symbols=(views.whole().symbols[0], later), positions=())
    browser.wait("document.getElementById('equity').textContent === '9.00'")
    assert cells(browser, "#symbols tbody tr:nth-child(2) td")[1] == "3,600.00"
    assert text(browser, "#no-positions") == "There is no position and no order."
    assert "stop" not in text(browser, "#levels")
    assert browser.ask("document.activeElement.value") == "ETHUSDT"
    assert browser.console == []


def test_candles_grow_with_the_bars(browser: Browser, shown: Shown) -> None:
    """Catches a chart that stands still while the prices beside it move."""
    browser.wait("document.getElementById('range').textContent.includes('to 2024-06-01 12:00 UTC')")
    last = shown.candles["BTCUSDT"][-1]
    shown.candles["BTCUSDT"][-1] = replace(last, close=last.close + 1.0)
    shown.candles["BTCUSDT"].append(replace(last, time=last.time + 300))
    later = replace(views.whole().symbols[0], bar_time=views.NOW)
    shown.view = replace(views.whole(), symbols=(later, views.whole().symbols[1]))
    browser.wait("document.getElementById('range').textContent.includes('to 2024-06-01 12:05 UTC')")
    assert browser.console == []


def test_a_symbol_is_chosen_by_its_button_by_keys_and_by_the_list(browser: Browser) -> None:
    """Catches a chart that keeps the levels or the candles of another symbol, and a key that does nothing."""

    def chosen(symbol: str, level: str) -> None:
        """Wait for its candles; its levels must have come before."""
        browser.wait(f"document.getElementById('range').textContent.startsWith('{symbol},')")
        assert text(browser, "#levels").startswith(f"price {level}")
        assert cells(browser, "#symbols tr.chosen button") == [symbol]

    browser.ask("document.querySelector('#symbols tbody tr:nth-child(2) button').click()")
    chosen("ETHUSDT", "3,512.35")
    assert "▼ stop 3,582.60" in text(browser, "#levels")
    browser.key("n")
    chosen("BTCUSDT", "67,123.4")
    browser.key("p")
    chosen("ETHUSDT", "3,512.35")
    browser.ask(
        "(s => { s.value = 'BTCUSDT'; s.dispatchEvent(new Event('change')); })(document.getElementById('symbol'))"
    )
    chosen("BTCUSDT", "67,123.4")
    before = text(browser, "#range")
    browser.ask("document.getElementById('chart').focus()")
    browser.key("-")
    browser.wait(f"document.getElementById('range').textContent !== {json.dumps(before)}")
    assert browser.console == []


def test_candles_that_fail_leave_no_others_under_the_name(browser: Browser, shown: Shown) -> None:
    """Catches a chart of one symbol under the name of another, and an error that nobody sees."""
    shown.candles["ETHUSDT"] = [views.NOW]  # which is not a candle
    browser.key("n")
    browser.wait("document.getElementById('legend').textContent.includes('the server answers 500')")
    assert text(browser, "#range") == "ETHUSDT: no candles so far"
    assert browser.ask("document.getElementById('chart').dataset.candles") == "0"
    browser.key("n")
    browser.wait("document.getElementById('chart').dataset.candles === '300'")
    assert text(browser, "#legend") == ""
    shown.candles["BTCUSDT"] = shown.candles["BTCUSDT"][::-1]  # the library of the chart would draw them
    browser.wait("document.getElementById('legend').textContent.startsWith('The candles of this chart are not up to')")


def test_hostile_text_is_inert(browser: Browser, shown: Shown) -> None:
    """Catches a symbol, a reason or an account that becomes an element or a script of the page."""
    shown.view = views.hostile()
    browser.wait("document.getElementById('names').textContent.includes('onerror')")
    browser.ask("document.querySelector('#symbols tbody button').click()")
    browser.wait("document.getElementById('range').textContent.includes('onerror')")  # its candles
    browser.settle()
    assert views.MARKUP in text(browser, "#symbols tbody button")
    assert browser.ask("document.querySelectorAll('img, #problems *:not(li), main script').length") == 0
    assert browser.ask("[...document.scripts].every((each) => each.src)") is True
    assert browser.ask("document.documentElement.scrollWidth <= innerWidth") is True
    assert cells(browser, "#facts dd")[:2] == ["–", "–"]
    assert browser.console == []


def test_what_is_not_known_is_never_a_number(browser: Browser, shown: Shown) -> None:
    """Catches null that becomes 0, and the word SYNTHETIC on a page of a real market."""
    shown.view = views.unknown()
    browser.wait("document.getElementById('equity').textContent === '10,000.00'")
    row = cells(browser, "#symbols tbody tr:nth-child(1) td")
    assert row == ["BTCUSDT", "–", "–", "–", "–", "–", "none so far", "–", "–", "–", "–"]
    assert cells(browser, "#facts dd")[2:] == ["none open", "0 open, 0 ordered", "unknown"]
    assert "SYNTHETIC" not in text(browser, "body")
    assert browser.ask("document.title") == "0 open, 10,000 USDT"


def test_fifty_symbols_are_listed(browser: Browser, shown: Shown) -> None:
    """Catches a list that is cut without a word, and symbols of before that stay."""
    shown.view = views.fifty()
    browser.wait("document.querySelectorAll('#symbols tbody tr').length === 50")
    assert browser.ask("document.querySelectorAll('#symbol option').length") == 50
    assert len(cells(browser, "#feeds tbody tr")) == 200
    assert cells(browser, "#problems li")[0].startswith("unhealthy feed of bars, 50 symbols: COIN00USDT (no row so")
    browser.wait("document.getElementById('range').textContent.startsWith('COIN40USDT,')")  # the one with a position


def test_an_end_of_the_stream_is_said_and_the_page_comes_back(browser: Browser, shown: Shown, loop: Loop) -> None:
    """Catches numbers that look alive after the process has ended, and a page that has to be loaded again."""
    assert browser.ask("document.getElementById('lost').hidden") is True
    loop.run(shown.screen.close())
    browser.wait("!document.getElementById('lost').hidden")
    lost = text(browser, "#lost")
    assert lost.startswith("Disconnected since ")
    assert "What is shown is of 12:05:00. Trying again." in lost
    assert browser.ask("document.title").startswith("✗ disconnected: SYNTHETIC")
    assert float(browser.ask("getComputedStyle(document.querySelector('main')).opacity")) < 1.0
    again = Shown(replace(views.whole(), equity=7.0), shown.screen.port)
    loop.run(again.screen.__aenter__())
    browser.wait("document.getElementById('lost').hidden && document.getElementById('equity').textContent === '7.00'")
    assert browser.ask("document.title") == "SYNTHETIC 1 open, 7 USDT"
    loop.run(again.screen.close())


def test_a_silent_stream_is_said(browser: Browser) -> None:
    """Catches a process that hangs while its connection lives."""
    browser.ask("Date.now = ((now) => () => now() + 40_000)(Date.now)")
    browser.wait("!document.getElementById('silent').hidden")
    assert text(browser, "#silent").startswith("Connected, but nothing has changed for 4")


@pytest.mark.parametrize("view", [views.whole, views.hostile, views.fifty])
def test_the_page_fits_a_phone(browser: Browser, shown: Shown, view: Any) -> None:
    """Catches a table, a name or a level that makes the whole page scroll sideways."""
    shown.view = replace(view(), equity=3.0)
    browser.resize(360, 740, phone=True)
    browser.wait("document.getElementById('equity').textContent === '3.00'")
    assert browser.ask("document.documentElement.scrollWidth") == 360
    browser.resize(1280, 900)


@pytest.mark.parametrize(("scheme", "phone"), [("light", False), ("dark", True)])
def test_axe_finds_nothing_serious(browser: Browser, scheme: str, *, phone: bool) -> None:
    """Catches a control without a name, a region that the keyboard cannot reach, and text that cannot be read."""
    browser.resize(360 if phone else 1280, 740, phone=phone)
    browser.media(scheme=scheme)
    browser.settle()
    assert serious_faults(browser) == []
    browser.resize(1280, 900)
    browser.media()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_in_dark(browser: Browser, scheme: str) -> None:
    """Catches a colour that cannot be read: each text has a contrast of at least 4.5 to its card."""
    browser.media(scheme=scheme)
    style = "getComputedStyle(document.documentElement)"
    find = lambda name: browser.ask(f"{style}.getPropertyValue('--{name}').trim()")  # noqa: E731
    for name in ("ink", "dim", "gain", "loss", "warn", "long", "short", "sweep"):
        assert contrast(find(name), find("card")) >= 4.5, name
    assert contrast(find("loss"), find("paper")) >= 4.5  # the bar of a lost connection
    browser.media()


def test_a_page_that_is_only_waiting_says_so(opened: Browser, loop: Loop) -> None:
    """Catches an empty page before the first view, with a price or an account of nobody."""
    waiting = Shown(None)
    loop.run(waiting.screen.__aenter__())
    opened.send("Page.navigate", url=waiting.screen.url)
    opened.wait("document.getElementById('time')?.textContent === 'Waiting for the first view.'")
    until = time.monotonic() + PATIENCE
    while not waiting.screen.watching and time.monotonic() < until:
        time.sleep(0.05)
    assert opened.ask("document.getElementById('facts').hidden && document.getElementById('lost').hidden") is True
    waiting.view = views.whole()
    opened.wait("document.getElementById('equity').textContent === '10,123.40'")
    loop.run(waiting.screen.close())


def test_the_library_of_the_chart_stands_once() -> None:
    """Catches a second copy of it, which somebody would forget to renew."""
    root = Path(web.__file__).parents[2]
    assert [path.parent.name for path in root.rglob("lightweight-charts.js")] == ["assets"]
