"""The report in a browser: what it shows, what its chart does, and what it must never do."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.map_history import MapHistory
from slackwater.liquidity.density import N_LAYERS
from slackwater.report.page.content import Picture, Section, Table
from slackwater.report.page.document import document
from slackwater.report.page.drawing import Axis, Plot
from slackwater.report.page.forest import Row, forest
from slackwater.report.page.price_chart import chart_of_symbol
from tests.accessibility import serious_faults
from tests.browser import Browser, contrast

_START = pd.Timestamp("2024-03-01T00:05Z")
_EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def history(symbol: str = "BTCUSDT", gap: slice | None = None) -> MapHistory:
    """Ten days of five-minute bars around 100, with a band of the map that brightens; `gap` has no bars."""
    rng = np.random.default_rng(3)
    n = 10 * 288
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.002, n)))
    bars = pd.DataFrame({"event_time": pd.date_range(_START, periods=n, freq="5min"), "open": np.r_[100.0, close[:-1]]})
    bars["close"] = close
    bars["high"] = bars[["open", "close"]].max(axis=1) * 1.001
    bars["low"] = bars[["open", "close"]].min(axis=1) * 0.999
    bars = bars.assign(open_interest=1e4, atr_1d=0.03)
    for name in ("swept_below", "swept_above", "glided_below", "glided_above"):
        bars[name] = False
    bars.loc[[500, 900], "swept_below"] = True
    if gap is not None:
        bars.loc[gap, ["open", "high", "low", "close"]] = np.nan
    rows = np.arange(47, n, 48)
    width, first = 0.0025, int(np.log(80.0) / 0.0025)
    mass = np.zeros((len(rows), 2, N_LAYERS, 180), dtype=np.float32)
    mass[:, 0, :, 60:64] = np.linspace(0.001, 0.01, len(rows), dtype=np.float32)[:, None, None]
    mass[:, 1, :, 120:124] = 0.004
    layers = ("24h", "7d", "30d", "stops")
    return MapHistory(
        symbol=symbol, bar_interval=timedelta(minutes=5), layers=layers, bars=bars, rows=rows, bin_width=width,
        first_bin=first, mass=mass, too_far=np.zeros((2, N_LAYERS)),
    )  # fmt: skip


def trade(symbol: str, hours: int, side: int) -> dict[str, Any]:
    """A trade that enters some hours after the start and leaves twelve hours later by time."""
    entry = int(_START.timestamp()) + 3_600 * hours
    numbers = (
        *("quantity", "notional_usd", "leverage", "risk_usd", "risk_fraction", "reward_risk", "p_direction", "p_trade"),
        *("p_trade_low", "expectancy_low", "risk_multiplier", "drawdown", "gross_usd", "fees_usd", "slippage_usd"),
        *("funding_usd", "net_usd", "net_bps", "equity_after", "p_fair"),
    )
    exits = [("as planned", "time", 101.0), ("without stop", "time", 101.0), ("time exit only", "time", 101.0)]
    return {
        **dict.fromkeys(numbers, 0.5),
        "symbol": symbol, "side": side, "entry": 100.0, "exit": 101.0, "stop": 100.0 - 4.0 * side,
        "target": 100.0 + 4.0 * side, "liquidation_price": 100.0 - 12.0 * side, "binding": "risk",
        "exit_reason": "time",
        "triggers": "cascade", "stop_level": "sd", "target_level": "sd", "net_r": 0.25 * side,
        "event_time": entry - 60, "entry_time": entry, "exit_time": entry + 12 * 3_600, "caps": {},
        "variants": [
            {"name": name, "reason": reason, "price": price, "time": entry + 12 * 3_600, "gross_r": 0.3 * side}
            for name, reason, price in exits
        ],
        "pools": [],
    }  # fmt: skip


def events() -> pd.DataFrame:
    times = pd.date_range(_START, periods=30, freq="7h")
    return pd.DataFrame({"event_time": times, "direction": 1, "triggers": "cascade"})


def chart(symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), *, synthetic: bool = True) -> dict[str, Any]:
    drawn = [chart_of_symbol(history(symbol), events(), timedelta(hours=1)) for symbol in symbols]
    taken = [trade(symbols[0], 50, 1), trade(symbols[-1], 120, -1)]
    return {"dataset": "toy", "synthetic": synthetic, "symbols": drawn, "trades": taken, "left_out": []}


def drawing(*, synthetic: bool = True) -> str:
    axis = Axis(title="R", low=0.0, high=1.0)
    plot = Plot(label="a toy", x=axis, y=axis, synthetic=synthetic)
    plot.line([0.0, 1.0], [0.0, 1.0], kind="plain", name=_EVIL)
    plot.bar(0.2, 0.4, 0.0, 0.5, kind="gain")
    return plot.svg()


def sections(*, synthetic: bool = True) -> list[Section]:
    rows = [["2024-03-03 02:05", "BTCUSDT", "▲ long"], ["2024-03-06 00:05", "ETHUSDT", "▼ short"]]
    trades = Picture(
        title="Trades of the account",
        finding="Two trades.",
        drawing="",
        table=Table(head=["entry (UTC)", "symbol", "side"], rows=rows),
        wide=True,
    )
    toy = Picture(
        title="Toy",
        finding=_EVIL,
        drawing=drawing(synthetic=synthetic),
        table=Table(head=[_EVIL], rows=[[_EVIL], [None], [0.123456]]),
    )
    return [
        Section(name="trust", question="Can I trust this run?", answer=_EVIL, pictures=[toy]),
        Section(name="trades", question="What would it have done?", answer="Two trades.", pictures=[trades]),
    ]


def page_of(content: dict[str, Any], *, synthetic: bool = True) -> str:
    return document(sections(synthetic=synthetic), content, heading=f"Report of a run: {_EVIL}", synthetic=synthetic)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    root = tmp_path_factory.mktemp("browser")
    (root / "page.html").write_text(page_of(chart()), encoding="utf-8")
    with Browser(root / "profile") as opened:
        opened.open(root / "page.html")
        yield opened


def seen(browser: Browser) -> str:
    """What the chart says that it shows."""
    browser.settle()
    return str(browser.ask("document.getElementById('range').textContent"))


def times(browser: Browser) -> list[pd.Timestamp]:
    """The first and the last time that the chart shows."""
    return [pd.Timestamp(each) for each in re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", seen(browser))]


def hours(browser: Browser) -> float:
    """How many hours the chart shows."""
    first, last = times(browser)
    return float((last - first) / timedelta(hours=1))


def focus(browser: Browser) -> None:
    browser.ask("document.getElementById('all').click()")
    browser.ask("document.getElementById('chart').focus()")


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser) -> None:
    """Catches a font, an icon or a script from the net, an error in the script, and markup of a file that runs."""
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in browser.requests) == 1
    assert browser.console == []
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert browser.ask("document.querySelector('h1').textContent") == f"Report of a run: {_EVIL}"


def test_what_a_file_names_never_becomes_a_script(tmp_path: Path) -> None:
    """Catches a symbol or a data set whose name ends the data block, or is written as markup by the script."""
    evil = chart((_EVIL,))
    text = page_of(evil)
    assert "onerror=alert(1)>" not in text
    assert text.count("<script") == 3
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with Browser(tmp_path / "profile") as opened:
        opened.open(tmp_path / "page.html")
        focus(opened)
        opened.key("n")
        opened.wait("document.querySelector('#trade h3')")
        assert _EVIL in opened.ask("document.querySelector('#trade h3').textContent")
        assert opened.ask("document.querySelectorAll('img').length") == 0
        assert opened.console == []


def test_buttons_keys_and_the_wheel_zoom_and_pan(browser: Browser) -> None:
    """Catches a control that does nothing, or that zooms the wrong way."""
    focus(browser)
    whole = hours(browser)
    browser.ask("document.getElementById('zoom-in').click()")
    assert hours(browser) == pytest.approx(whole / 2, abs=3.0)
    browser.key("-")
    assert hours(browser) == pytest.approx(whole, abs=3.0)
    browser.key("+")
    before = times(browser)
    browser.key("ArrowLeft")
    assert times(browser)[0] < before[0]
    focus(browser)
    fitted = seen(browser)
    browser.ask("document.getElementById('chart').scrollIntoView({block: 'center', behavior: 'instant'})")
    x, y = browser.ask(
        "(r => [r.left + r.width / 2, r.top + r.height / 2])(document.getElementById('chart').getBoundingClientRect())"
    )
    browser.wheel(x, y, -240.0)
    browser.wait(f"document.getElementById('range').textContent !== {json.dumps(fitted)}")
    assert hours(browser) < whole


def test_a_trade_is_chosen_by_keys_by_the_list_and_by_a_click_on_the_chart(browser: Browser) -> None:
    """Catches a trade of another symbol, a click that finds nothing, and a panel that stays after Escape."""
    focus(browser)
    browser.key("n")
    browser.wait("document.querySelector('#trade h3')")
    first = browser.ask("document.querySelector('#trade h3').textContent")
    assert first == "SYNTHETIC: ▲ long BTCUSDT, 2024-03-03 02:05 UTC: +0.25 R, ended by time"
    shown = browser.ask("document.getElementById('trade').innerText")
    for each in ("stop", "96 (-4 %)", "without stop", "time exit only", "multiple of volatility"):
        assert each in shown
    browser.key("Escape")
    browser.wait("!document.querySelector('#trade h3')")
    browser.ask("document.getElementById('chart').scrollIntoView({block: 'center', behavior: 'instant'})")
    browser.settle()
    x, y = map(float, browser.ask("document.getElementById('chart').dataset.entry").split(","))
    left, top = browser.ask("(r => [r.left, r.top])(document.getElementById('chart').getBoundingClientRect())")
    browser.click(left + 1 + x, top + 1 + y)
    browser.wait("document.querySelector('#trade h3')")
    assert browser.ask("document.querySelector('#trade h3').textContent") == first

    browser.ask("document.querySelectorAll('#trades-of-the-account tbody tr')[1].click()")
    browser.wait("document.querySelector('#trade h3').textContent.includes('▼ short ETHUSDT')")
    assert "ETHUSDT" in seen(browser)
    assert browser.ask("document.querySelectorAll('tr.chosen').length") == 1


def test_the_page_fits_a_phone(browser: Browser) -> None:
    """Catches a table or a picture that makes the whole page scroll sideways."""
    browser.resize(360, 740, phone=True)
    assert browser.ask("document.documentElement.scrollWidth") == 360
    browser.resize(1280, 900)


@pytest.mark.parametrize(("scheme", "phone"), [("light", False), ("dark", True)])
def test_axe_finds_nothing_serious(browser: Browser, scheme: str, *, phone: bool) -> None:
    """Catches a control without a name, a region that the keyboard cannot reach, and text that cannot be read."""
    browser.resize(360 if phone else 1280, 740, phone=phone)
    browser.media(scheme=scheme)
    focus(browser)
    browser.key("n")
    browser.wait("document.querySelector('#trade h3')")
    assert serious_faults(browser) == []
    browser.key("Escape")
    browser.resize(1280, 900)
    browser.media()


def test_the_keyboard_reaches_everything_in_order_and_leaves_the_chart(browser: Browser) -> None:
    """Catches a keyboard trap, and a control that only a mouse reaches."""
    everything = (
        "[...document.querySelectorAll('a, button, select, input, summary, [tabindex=\"0\"]')]"
        ".filter((each) => !each.closest('details:not([open]) > .scroll'))"
    )
    count = browser.ask(f"{everything}.length")
    browser.ask("document.activeElement.blur(); window.scrollTo(0, 0)")
    places = []
    for _ in range(count + 1):  # once the focus leaves the page
        browser.tab()
        places.append(browser.ask(f"{everything}.indexOf(document.activeElement)"))
    away = places.index(-1)
    assert [*places[away + 1 :], *places[:away]] == list(range(count))


@pytest.mark.parametrize(("scheme", "kind"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
def test_text_has_contrast_in_light_in_dark_and_on_paper(browser: Browser, scheme: str, kind: str) -> None:
    """Catches a colour that cannot be read: each text has a contrast of at least 4.5 to its card."""
    browser.media(scheme=scheme, kind=kind)
    names = ("ink", "dim", "plain", "gain", "loss", "warn")
    found = browser.ask(
        f"(s => Object.fromEntries({json.dumps(['card', 'warn-paper', *names])}"
        ".map((n) => [n, s.getPropertyValue('--' + n).trim()])))(getComputedStyle(document.documentElement))"
    )
    for name in names:
        assert contrast(found[name], found["card"]) >= 4.5, name
    assert contrast(found["warn"], found["warn-paper"]) >= 4.5
    assert browser.ask("getComputedStyle(document.querySelector('svg rect.bar')).display") != "none"
    assert browser.ask("document.querySelector('.tools').getClientRects().length > 0") is (kind == "screen")
    browser.media()


@pytest.mark.parametrize("synthetic", [True, False])
def test_every_picture_says_whether_the_market_was_simulated(synthetic: bool) -> None:
    """Catches a picture of a simulated market that could be passed on without the word, or real data with it."""
    pictures = [drawing(synthetic=synthetic)]
    rows = [Row.of("a", 0.1, -0.2, 0.3), Row.of("b", None, None, None, "not measured")]
    pictures.append(forest(rows, title="R", label="toy", synthetic=synthetic))
    for picture in pictures:
        texts = [each.text for each in ElementTree.fromstring(picture).iter() if each.tag.endswith("text")]  # noqa: S314
        assert ("SYNTHETIC" in texts) is synthetic
    text = page_of(chart(synthetic=synthetic), synthetic=synthetic)
    assert ('<div id="stamp">SYNTHETIC</div>' in text) is synthetic
    assert ('class="banner"' in text) is synthetic


def test_a_forest_tells_a_gain_from_a_loss_by_shape() -> None:
    """Catches marks that differ by colour alone, and a value without an interval that is drawn at 0."""
    rows = [Row.of("gain", 0.2, 0.1, 0.3), Row.of("loss", -0.2, -0.3, -0.1), Row.of("neither", 0.0, -0.1, 0.1)]
    assert [row.shape for row in rows] == ["up", "down", "circle"]
    lost = forest([Row.of("lost", None, None, None, "left out")], title="R", label="toy", synthetic=False)
    assert "left out" in lost
    assert 'class="mark' not in lost


def test_labels_at_the_edge_are_whole() -> None:
    """Catches a tick at the right end whose label is cut off by the edge of the picture."""
    axis = Axis(title="USDT", low=0.0, high=1e6, ticks=[(0.0, "0"), (1e6, "1,000,000")])
    svg = Plot(label="toy", x=axis, y=Axis(title="", low=0.0, high=1.0), synthetic=False).svg()
    (place,) = re.findall(r'x="([\d.]+)"[^>]*>1,000,000<', svg)
    assert float(place) + 0.5 * 7.0 * len("1,000,000") <= 520.0


def test_unknown_values_are_named_and_not_zero() -> None:
    """Catches an empty cell, or None and NaN as 0."""
    text = page_of(chart())
    assert "<td>not known</td>" in text
    assert "<td class=n>0.1235</td>" in text


def test_candles_and_the_map_survive_the_file() -> None:
    """Catches prices that drift by rounding, a gap that is filled, and a map that is turned or shifted."""
    original = history(gap=slice(600, 660))
    packed = chart_of_symbol(original, events(), timedelta(hours=1))
    text = page_of({"dataset": "toy", "synthetic": False, "symbols": [packed], "trades": [], "left_out": []})
    block = re.search(r'id="data">([^<]+)<', text)
    assert block is not None
    (found,) = json.loads(gzip.decompress(base64.b64decode(block[1])))["symbols"]
    closes, level = [], 0
    for change in found["candles"]["c"]:
        level += change or 0
        closes.append(np.nan if change is None else np.exp(level / 1e5))
    bars = original.bars.set_index(original.bars["event_time"] - timedelta(minutes=5))["close"]
    expected = bars.resample("1h").last()
    assert len(closes) == len(expected)
    np.testing.assert_allclose(closes, expected.to_numpy(), rtol=1e-5)
    assert np.isnan(closes).sum() == 5
    shape = (found["map"]["columns"], found["map"]["bins"])
    cells = np.frombuffer(zlib.decompress(base64.b64decode(found["map"]["cells"])), dtype=np.uint8).reshape(shape)
    assert shape == (len(original.rows), 180)
    assert (np.diff(cells[:, 61].astype(int)) >= 0).all()
    assert cells[-1, 61] == 15
    assert not cells[:, 64:120].any()
    assert found["marks"][0][1:3] == ["swept", 1]
