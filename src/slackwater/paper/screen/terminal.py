"""A view of paper trading in the terminal: redrawn in place, or plain lines where there is no terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from slackwater.paper.screen.text import UNKNOWN, age, clock, fixed, price, printable
from slackwater.paper.view import PoolView, PositionView, StreamView, SymbolView, View

__all__ = ["TerminalScreen", "drawn"]

SYNTHETIC: Final = "SYNTHETIC market: simulated data, not evidence of a real edge"
_WIDE: Final = 132  # columns from which triggers and the prices of pools and sweeps are shown, too
_LIST: Final = 9  # lines of a list and its head
_ENOUGH: Final = 10_000  # lines of a file
_PROBLEMS: Final = 6
_LATE: Final = 900.0  # seconds for which a fault stands above, before it moves to the end
_TABLE_HEAD: Final = 2
_CELLS: Final = (14, 36)  # columns of a cell: narrow, wide
_NAMED: Final = 4  # symbols that a problem names
_VERDICTS: Final = {"eligible": "green", "paper_only": "yellow"}
_SIDES: Final = {1: ("▲ long", "cyan"), -1: ("▼ short", "dark_orange")}
_MOVES: Final = {1: "rise", -1: "fall"}


def drawn(view: View) -> RenderableType:
    """Return the view as it is drawn on a terminal of 80 columns or more.

    What is unhealthy stands first. On a terminal it fits the height: symbols with a position or a late event stay, and
    the last line of the table counts the others. Nothing in the view can become a control code.
    """
    return _Drawn(view)


class TerminalScreen:
    """Context in which views are shown.

    Parameters
    ----------
    console
        Console of rich; None: stdout. On a terminal each view is drawn over the one before. Anywhere else, as in a
        pipe, there is one plain line per minute and one per changed decision of a symbol.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._minute: int | None = None
        self._decided: dict[str, tuple[float | None, str]] = {}

    def __enter__(self) -> TerminalScreen:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()  # the last view stays

    def show(self, view: View) -> None:
        """Draw a view now."""
        if self._live is not None:
            self._live.update(drawn(view), refresh=True)
            return
        lines = []
        if (minute := math.floor(view.time / 60.0)) != self._minute:
            self._minute = minute
            lines.append(_line(view, _summary(view)))
        for each in view.symbols:
            decided = (each.event_time, each.decision)
            if each.decision and self._decided.get(each.symbol) != decided:
                self._decided[each.symbol] = decided
                lines.append(_line(view, _decision(each)))
        if lines:
            self._console.file.write("".join(f"{line}\n" for line in lines))
            self._console.file.flush()


# -- plain lines -------------------------------------------------------------------------------------------------


def _line(view: View, text: str) -> str:
    return f"{clock(view.time, '%Y-%m-%dT%H:%M:%SZ')} {'SYNTHETIC ' * view.synthetic}{text}"


def _summary(view: View) -> str:
    problems = _problems(view)
    return "; ".join((*(part for part, _ in _account(view)), *problems))


def _decision(each: SymbolView) -> str:
    said = f"probability of a reversal {fixed(each.p_direction, '.2f')}, edge {_edge(each)}"
    symbol = printable(each.symbol)
    return f"{symbol} {_MOVES.get(each.direction, 'event')} at {price(each.price)}: {said}: {printable(each.decision)}"


# -- parts of the view -------------------------------------------------------------------------------------------


def _account(view: View) -> list[tuple[str, str]]:
    """Return facts of the account and the feed, each with its style."""
    still = sum(1 for each in view.positions if each.state == "open")
    healthy = sum(1 for each in view.streams if each.healthy)
    good = healthy == len(view.streams)
    feed = f"feeds {healthy}/{len(view.streams)} healthy" if view.streams else "feeds unknown"
    return [
        (f"equity {fixed(view.equity, ',.2f')} USDT", "bold"),
        (f"drawdown {fixed(100.0 * view.drawdown, '.1f')} %", "bold"),
        (f"{still} open, {len(view.positions) - still} ordered", ""),
        (feed, ("green" if good else "bold red") if view.streams else "bold yellow"),
    ]


def _problems(view: View) -> list[str]:
    """Return what is unhealthy now, one sentence per table and per lack of the data."""
    found: dict[str, list[str]] = {}
    for stream in view.streams:
        if not stream.healthy:
            found.setdefault(f"unhealthy feed of {printable(stream.table)}", []).append(_silence(stream))
    for each in view.symbols:
        for lack in each.quality:
            found.setdefault(printable(lack), []).append(printable(each.symbol))
    return [f"{what}, {len(of)} symbol{'s' * (len(of) > 1)}: {_names(of)}" for what, of in found.items()]


def _silence(stream: StreamView) -> str:
    return f"{printable(stream.symbol)} ({'no row so far' if stream.age is None else age(stream.age)})"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _edge(each: SymbolView) -> str:
    if each.trade_edge is None and each.trade_edge_low is None:
        return UNKNOWN
    return f"{fixed(each.trade_edge, '+.2f')} ({fixed(each.trade_edge_low, '+.2f')})"


@dataclass(frozen=True)
class _Drawn:
    view: View

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view, wide = self.view, options.max_width >= _WIDE
        head = [_title(view), *_complaints(view), _verdict(view), Text("  ").join(_facts(view))]
        if view.positions:
            head.append(_positions(view, wide))
        yield from head
        shown: Sequence[SymbolView] = view.symbols
        left = _ENOUGH
        if console.is_terminal:
            left = options.max_height - 1 - sum(len(console.render_lines(each, options)) for each in head)
            rows = max(left - _TABLE_HEAD - min(_below(view), left // 3), 2)
            if len(shown) > rows:
                shown = _foremost(view, rows - 1)
            left -= _TABLE_HEAD + min(len(view.symbols), rows)
        yield _symbols(view, shown, wide)
        if more := len(view.symbols) - len(shown):
            yield _one_line(f"and {more} more symbols that do not fit on this terminal", "bold")
        yield from _lists(view, left)


def _facts(view: View) -> Iterable[Text]:
    return (Text(part, style) for part, style in _account(view))


def _title(view: View) -> RenderableType:
    names = f"{printable(view.account)} on {printable(view.venue)}"
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(Text.assemble(("Paper trading ", "bold"), names), f" {clock(view.time, '%Y-%m-%d %H:%M:%S')} UTC")
    if not view.synthetic:
        return grid
    whole = Table.grid(expand=True)
    whole.add_column(no_wrap=True, overflow="ellipsis", justify="center", style="bold black on yellow")
    whole.add_row(SYNTHETIC)
    whole.add_row(grid, style="not bold default on default")
    return whole


def _complaints(view: View) -> Iterable[Text]:
    problems = _problems(view)
    for each in problems[:_PROBLEMS]:
        yield _one_line(f"✗ {each}", "bold red")
    if len(problems) > _PROBLEMS:
        yield _one_line(f"✗ and {len(problems) - _PROBLEMS} more", "bold red")
    late = [each for each in view.faults if not view.time - each[0] > _LATE]
    for time, fault in late[:2]:
        yield _one_line(f"! {clock(time)} ({age(view.time - time)} ago) {printable(fault)}", "yellow")


def _one_line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _verdict(view: View) -> Text:
    colour = _VERDICTS.get(view.verdict, "red")
    name = printable(view.verdict, 20).replace("_", " ").upper() or "UNKNOWN"
    label = (f" VERDICT ON THE MODEL: {name} ", f"bold black on {colour}")
    return Text.assemble(label, f" {printable(view.sentence) or 'No reason is known.'}")


def _table(names: Sequence[str], numbers: Sequence[str], *, longest: int) -> Table:
    """Return a table whose rows are one line each: names to the left, then numbers; no cell longer than `longest`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    for name in (*names, *numbers):
        side: Literal["left", "right"] = "left" if name in names else "right"
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify=side, max_width=longest)
    return table


def _positions(view: View, wide: bool) -> Table:
    extra = ("quantity", "liquidation", "since") if wide else ()
    table = _table(
        ("position", "side", "state"), ("entry", "stop", "target", "result R", "left", *extra), longest=_CELLS[wide]
    )
    for each in view.positions:
        side, colour = _SIDES.get(each.side, (UNKNOWN, ""))
        left = "due" if each.expires <= view.time else age(each.expires - view.time)
        cells: list[RenderableType] = [price(each.entry), price(each.stop), price(each.target), _result(each), left]
        if wide:
            since = UNKNOWN if each.opened is None else age(view.time - each.opened)
            cells += [price(each.quantity), price(each.liquidation_price), since]
        table.add_row(Text(printable(each.symbol)), Text(side, colour), Text(printable(each.state)), *cells)
    return table


def _result(each: PositionView) -> Text:
    colour = "" if each.r is None or not each.r else "green" if each.r > 0.0 else "red"
    return Text(fixed(each.r, "+.2f"), colour)


def _symbols(view: View, shown: Sequence[SymbolView], wide: bool) -> Table:
    table = _table(
        ("symbol", "event"), ("price", "age", "↓pool%", "↑pool%", "swept", "P rev", "edge (low)"), longest=_CELLS[wide]
    )
    for each in shown:
        cells = [price(each.price), age(None if each.time is None else view.time - each.time)]
        cells += [_pool(each.pool_below, -1, wide), _pool(each.pool_above, 1, wide), _swept(each, wide)]
        cells += [fixed(each.p_direction, ".2f"), _edge(each)]
        table.add_row(Text(printable(each.symbol)), _event(view, each, wide), *cells)
    return table


def _decisions(view: View) -> list[tuple[float | None, str]]:
    """Return what the gate said of the last event of each symbol, newest first."""
    decided = sorted((each for each in view.symbols if each.decision), key=lambda each: -(each.event_time or 0.0))
    return [(each.event_time, f"{each.symbol}: {each.decision}") for each in decided]


def _pool(pool: PoolView | None, side: int, wide: bool) -> str:
    if pool is None:
        return UNKNOWN
    distance = fixed(100.0 * math.expm1(side * min(pool.distance, 50.0)), "+.1f")
    return f"{price(pool.price)} ({distance})" if wide else distance


def _swept(each: SymbolView, wide: bool) -> str:
    sides = {"↓": each.swept_below, "↑": each.swept_above}
    known = [f"{sign}{price(at) if wide else ''}" for sign, at in sides.items() if at is not None]
    return " ".join(known) or UNKNOWN


def _event(view: View, each: SymbolView, wide: bool) -> Text:
    if each.direction not in _MOVES:
        return Text("none")
    since = None if each.event_time is None else view.time - each.event_time
    triggers = f" {printable(', '.join(each.triggers)).replace('_', ' ')}" if wide and each.triggers else ""
    return Text(f"{_MOVES[each.direction]} {age(since)}{triggers}")


def _foremost(view: View, most: int) -> list[SymbolView]:
    """Return the symbols with a position, then those with the latest events, as many as fit, in their own order."""
    held = {each.symbol for each in view.positions}
    ranked = sorted(view.symbols, key=lambda each: (each.symbol not in held, -(each.event_time or 0.0)))
    chosen = {each.symbol for each in ranked[:most]}
    return [each for each in view.symbols if each.symbol in chosen]


def _below(view: View) -> int:
    """Return the number of lines that the lists below the symbols would take."""
    return sum(1 for _ in _lists(view, _ENOUGH))


def _lists(view: View, left: int) -> Iterable[Text]:
    """Return decisions, journal and faults of before under their heads, in so many lines at most."""
    old = [each for each in view.faults if view.time - each[0] > _LATE]
    lists = {"Decisions on the last events": _decisions(view), "Journal": view.recent, "Faults of before": old}
    filled = {name: rows for name, rows in lists.items() if rows}
    for number, (name, rows) in enumerate(filled.items()):
        lines = min(left // (len(filled) - number), len(rows) + 1, _LIST)
        if lines < 2:
            continue
        left -= lines
        yield Text(name, "bold")
        for time, text in rows[: lines - 1]:
            yield _one_line(f"{clock(time)} {printable(text)}")
