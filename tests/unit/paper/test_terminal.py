"""The terminal of paper trading: what it shows, that it fits, and that nothing shown can steer the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from slackwater.paper.screen.terminal import TerminalScreen, drawn
from slackwater.paper.view import View
from tests.unit.paper import views

VIEWS = (views.whole, views.unknown, views.hostile, views.fifty)
XTERM = {"TERM": "xterm-256color"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def shown(view: View, width: int = 80, height: int | None = None) -> list[str]:
    """Lines as they stand on a terminal of a height, or in a file; colours are taken away."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=height is not None, _environ=XTERM)
    console.print(drawn(view))
    assert isinstance(console.file, io.StringIO)
    return COLOURS.sub("", console.file.getvalue()).splitlines()


def read_all(descriptor: int) -> Iterator[bytes]:
    """Read a terminal until its other side is closed."""
    with contextlib.suppress(OSError):
        while piece := os.read(descriptor, 1 << 16):
            yield piece


def line_of(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


@pytest.mark.parametrize("width", [80, 100, 132, 200])
@pytest.mark.parametrize("view", VIEWS)
def test_every_line_fits_and_is_free_of_control_codes(view: Callable[[], View], width: int) -> None:
    """Catches a line that wraps, and an escape of a symbol, a reason or an account that reaches the terminal."""
    for height in (None, 24, 60):
        lines = shown(view(), width, height)
        assert max(map(cell_len, lines)) <= width
        assert [line for line in lines if not line.isprintable()] == []


def test_hostile_text_is_shown_and_neither_markup_nor_code() -> None:
    """Catches text that is dropped in silence, and markup of rich inside of it that is obeyed."""
    whole = f"\ufffd[2J[red]e[/red]{views.MARKUP}\ufffd]0;owned\ufffd\ufffd31m"
    assert any(whole in line for line in shown(views.hostile(), 300))
    rows = [line for line in shown(views.hostile()) if line.startswith(whole[:13])]
    assert len(rows) == 2  # its position and its prices


@pytest.mark.parametrize("view", [views.whole, views.unknown])
def test_the_first_line_says_whether_the_market_is_simulated(view: Callable[[], View]) -> None:
    """Catches a picture of a simulated market without the word, or a real one with it."""
    for synthetic in (True, False):
        lines = shown(replace(view(), synthetic=synthetic))
        assert ("SYNTHETIC" in lines[0]) is synthetic
        assert any("SYNTHETIC" in line for line in lines) is synthetic


def test_everything_known_is_shown() -> None:
    """Catches a value that is left out, rounded away or under the wrong name."""
    lines = shown(views.whole())
    assert "VERDICT ON THE MODEL: PAPER ONLY  3 of 21 clauses do not hold: net_bps_low is" in "".join(lines)
    assert line_of(lines, "equity").split("  ") == [
        "equity 10,123.40 USDT", "drawdown 1.2 %", "1 open, 1 ordered", "feeds 3/4 healthy"
    ]  # fmt: skip
    long, short = (line_of(lines, f"{name} {side}") for name, side in (("BTCUSDT ", "▲ long"), ("ETHUSDT ", "▼ short")))
    assert long.split()[3:] == ["open", "66,989.2", "65,780.9", "69,137.1", "+0.37", "11", "h"]
    assert short.split()[3:] == ["ordered", "3,505.33", "3,582.60", "3,406.98", "–", "11", "h"]
    state = line_of(lines, "BTCUSDT fall")
    assert " ".join(state.split()) == "BTCUSDT fall 30 m 67,123.4 2 s -2.1 +1.2 ↓ 0.61 +0.12 (-0.03)"
    assert any(line.startswith("11:35:00 BTCUSDT: refused: the lower bound") for line in lines)
    assert "12:04:00 plan of BTCUSDT: long at 67,000" in lines
    wide = line_of(shown(views.whole(), 150), "ETHUSDT rise")
    for each in ("cascade, extended move", "3,438.59 (-2.1)", "3,554.50 (+1.2)", "↓3,406.98"):
        assert each in wide


def test_what_is_not_known_is_never_a_number() -> None:
    """Catches None that becomes 0, and a feed without streams that counts as healthy."""
    lines = shown(views.unknown())
    assert line_of(lines, "BTCUSDT").split() == ["BTCUSDT", "none", *"–––––––"]
    assert "feeds unknown" in line_of(lines, "equity")
    assert "No reason is known." in "".join(lines)


def test_what_is_unhealthy_stands_before_everything_else() -> None:
    """Catches a silent feed that is seen only by who looks for it, and a late fault that never leaves the head."""
    view = views.whole()
    lacking = replace(view.symbols[0], quality=("funding is 9 h old",))
    lines = shown(replace(view, symbols=(lacking, view.symbols[1])))
    assert lines[2:5] == [
        "✗ unhealthy feed of bars, 1 symbol: ETHUSDT (3 m)",
        "✗ funding is 9 h old, 1 symbol: BTCUSDT",
        "! 12:01:40 (3 m ago) bars of ETHUSDT are silent since 12:01:40",
    ]
    later = shown(replace(view, time=view.time + 1_000.0))
    assert not any(line.startswith("!") for line in later)
    assert later.index("Faults of before") < later.index("12:01:40 bars of ETHUSDT are silent since 12:01:40")


@pytest.mark.parametrize("height", [24, 40, 100])
def test_on_a_low_terminal_symbols_with_a_position_or_a_late_event_stay(height: int) -> None:
    """Catches a position whose symbol scrolls away, and symbols that are left out without a word."""
    lines = shown(views.fifty(), 80, height)
    assert len(lines) < height
    rows = [line for line in lines if re.match(r"COIN\d\dUSDT (rise|fall) ", line)]
    assert {"COIN40USDT", "COIN49USDT"} <= {row.split()[0] for row in rows}
    more = next((int(line.split()[1]) for line in lines if line.endswith("that do not fit on this terminal")), 0)
    assert len(rows) + more == 50
    assert len(rows) > 3
    assert (more == 0) is (height == 100)


def test_in_a_pipe_there_is_a_line_per_minute_and_per_changed_decision() -> None:
    """Catches control codes in a log, a line per view, and a decision that is lost between two minutes."""
    code = """
from dataclasses import replace
from slackwater.paper.screen.terminal import TerminalScreen
from tests.unit.paper import views
view = views.whole()
with TerminalScreen() as screen:
    for seconds in (0, 1, 59, 60):
        screen.show(replace(view, time=view.time + seconds))
    changed = replace(view.symbols[0], event_time=view.time, decision="plan: long at 67,000\\x1b[2J")
    screen.show(replace(view, time=view.time + 61, symbols=(changed, view.symbols[1])))
    screen.show(views.hostile())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:20] for line in lines[:4]] == ["2024-06-01T12:05:00Z"] * 3 + ["2024-06-01T12:06:00Z"]
    assert "SYNTHETIC equity 10,123.40 USDT; drawdown 1.2 %; 1 open, 1 ordered; feeds 3/4 healthy; unheal" in lines[0]
    assert "BTCUSDT fall at 67,123.4: probability of a reversal 0.61, edge +0.12 (-0.03): refused" in lines[1]
    assert lines[4].endswith("plan: long at 67,000\ufffd[2J")
    assert len(lines) == 7 + 1  # the hostile view: its minute, and the two decisions in it
    assert [line for line in lines if not line.isprintable()] == []


def test_on_a_terminal_a_view_is_drawn_over_the_one_before_and_the_last_stays() -> None:
    """Catches views that scroll the terminal away, and a screen that is empty after the end."""
    master, slave = pty.openpty()
    pieces: list[bytes] = []
    reader = threading.Thread(target=lambda: pieces.extend(read_all(master)))
    reader.start()
    with (
        os.fdopen(slave, "w") as file,
        TerminalScreen(Console(file=file, width=80, height=40, _environ=XTERM)) as screen,
    ):
        screen.show(replace(views.whole(), equity=1.0))
        screen.show(replace(views.whole(), equity=2.0))
    reader.join()
    os.close(master)
    seen = b"".join(pieces).decode()
    first, last = seen.index("equity 1.00 USDT"), seen.rindex("equity 2.00 USDT")
    assert seen[first:last].count("\x1b[1A") >= 10  # up over the lines of the first view
    assert "\x1b[1A" not in seen[last:]
    assert "\x1b[?25h" in seen[last:]  # the cursor is visible again
