"""Views of paper trading: with everything known, nothing known, hostile text, and fifty symbols."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from slackwater.paper.view import Candle, PoolView, PositionView, StreamView, SymbolView, View

NOW = 1_717_243_500.0  # 2024-06-01 12:05:00 UTC
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
EVIL = 20 * f"\x1b[2J[red]e[/red]{MARKUP}\x1b]0;owned\x07\x9b31m\u202e & \"'"


def symbol(name: str, price: float, direction: int) -> SymbolView:
    return SymbolView(
        symbol=name, price=price, time=NOW - 2.0,
        pool_above=PoolView(price=price * 1.012, distance=math.log(1.012)),
        pool_below=PoolView(price=price * 0.979, distance=-math.log(0.979)),
        swept_above=None, swept_below=price * 0.97, direction=direction, triggers=("cascade", "extended_move"),
        event_time=NOW - 1_800.0, p_direction=0.61, trade_edge=0.124, trade_edge_low=-0.031,
        decision="refused: the lower bound of the edge, -0.03, is not above the costs", bar_time=NOW - 300.0,
    )  # fmt: skip


def position(name: str, price: float, side: int, state: str = "open") -> PositionView:
    return PositionView(
        trade=f"{name}-1", symbol=name, side=side, state=state, quantity=0.42, entry=0.998 * price,
        stop=price * (1 - 0.02 * side), target=price * (1 + 0.03 * side), liquidation_price=price * (1 - 0.2 * side),
        opened=NOW - 900.0 if state == "open" else None, expires=NOW + 40_000.0,
        r=0.37 * side if state == "open" else None,
    )  # fmt: skip


def whole() -> View:
    """Everything is known; one stream of four is unhealthy."""
    return View(
        time=NOW, venue="binance", account="main", synthetic=True, verdict="paper_only",
        sentence="3 of 21 clauses do not hold: net_bps_low is -94.6, threshold 0. The market is simulated.",
        equity=10_123.4, drawdown=0.0123,
        symbols=(symbol("BTCUSDT", 67_123.4, -1), symbol("ETHUSDT", 3_512.35, 1)),
        positions=(position("BTCUSDT", 67_123.4, 1), position("ETHUSDT", 3_512.35, -1, "ordered")),
        streams=(
            StreamView(symbol="BTCUSDT", table="bars", age=12.0, healthy=True),
            StreamView(symbol="BTCUSDT", table="funding", age=3_700.0, healthy=True),
            StreamView(symbol="ETHUSDT", table="bars", age=200.0, healthy=False),
            StreamView(symbol="ETHUSDT", table="funding", age=None, healthy=True),
        ),
        recent=((NOW - 60.0, "plan of BTCUSDT: long at 67,000"), (NOW - 120.0, "score of ETHUSDT")),
        faults=((NOW - 200.0, "bars of ETHUSDT are silent since 12:01:40"),),
    )  # fmt: skip


def unknown() -> View:
    """A process that has just begun."""
    return replace(
        whole(), synthetic=False, verdict="not_evaluable", sentence="", drawdown=0.0, equity=10_000.0,
        symbols=(SymbolView(symbol="BTCUSDT"), SymbolView(symbol="ETHUSDT")), positions=(), streams=(), recent=(),
        faults=(),
    )  # fmt: skip


def hostile() -> View:
    """Every text is an attack, and numbers are as odd as floats can be."""
    known, held = symbol(EVIL, math.nan, 7), position(EVIL, 67_123.4, 0, EVIL)
    wild = replace(
        known, price=math.inf, time=1e300, event_time=-1e300, triggers=(EVIL,) * 3, decision=EVIL, p_direction=math.nan,
        quality=(EVIL, EVIL), trade_edge=1e300, pool_below=PoolView(price=1e300, distance=1e300),
    )  # fmt: skip
    return replace(
        whole(), venue=EVIL, account=EVIL, verdict=EVIL, sentence=EVIL, equity=math.nan, drawdown=math.inf,
        symbols=(wild, symbol("BTCUSDT", 5e-324, 1)),
        positions=(replace(held, entry=1e300, r=math.nan, expires=math.nan),),
        streams=(StreamView(symbol=EVIL, table=EVIL, age=math.nan, healthy=False),),
        recent=((1e300, EVIL), (math.nan, EVIL)), faults=((NOW, EVIL),),
    )  # fmt: skip


def fifty() -> View:
    """Fifty symbols; four tables of each are silent, the fortieth has a position, and the last the latest event."""
    names = [f"COIN{number:02d}USDT" for number in range(50)]
    symbols = tuple(symbol(name, 10.0 ** (number % 9 - 4), 1 - 2 * (number % 2)) for number, name in enumerate(names))
    last = replace(symbols[-1], event_time=NOW - 5.0)
    tables = ("bars", "fine_bars", "funding", "open_interest")
    streams = tuple(StreamView(symbol=name, table=table, age=None, healthy=False) for name in names for table in tables)
    return replace(whole(), symbols=(*symbols[:-1], last), positions=(position(names[40], 1.0, -1),), streams=streams)


def candles(name: str) -> list[Candle]:
    """Three hundred five-minute candles that end at the price of `whole`."""
    draws, close, rows = random.Random(name), {"BTCUSDT": 67_123.4, "ETHUSDT": 3_512.35}.get(name, 1.0), []
    for number in range(300):
        begin = close * math.exp(draws.gauss(0.0, 0.0015))
        high, low = (
            max(begin, close) * (1.0 + draws.random() / 900.0),
            min(begin, close) * (1.0 - draws.random() / 900.0),
        )
        rows.append(Candle(time=int(NOW) - 300 * (number + 1), open=begin, high=high, low=low, close=close))
        close = begin
    return rows[::-1]
