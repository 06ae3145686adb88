"""Trading on paper at 2,000 messages per second on one core: from the receipt of a message to the events of a decision.

Run ``make bench``, or ``pytest benchmarks/bench_paper.py -s`` for this part. Market and bundle are those of the tests,
random and SYNTHETIC. Binance's messages and the answers to requests go through assembly, log, desk and journal in one
thread, without sockets. Trades fill up the busiest seconds: from two after the close of a bar, when tables are
requested, to one after its decision. An input waits for those before it, as in a process that has fallen behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.bench_feed import NAME, ccxt_client, of_ccxt
from benchmarks.record import Recorder, cpu_seconds
from slackwater.feed.record import WEBSOCKET
from slackwater.journal.event import Event, Kind
from slackwater.journal.store import reading
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import microseconds
from slackwater.venue.dialects import DIALECTS
from slackwater.venue.dialects.dialect import Pushed
from slackwater.venue.tape import Trade
from tests.paper_line import PaperLine
from tests.paper_run import AFTER, paper_bundle, paper_market

pytestmark = pytest.mark.filterwarnings("ignore::slackwater.errors.UniverseWarning")
RATE = 2_000
HOURS = 8.0
MESSAGES = 20_000
GOAL_MS = 5.0
SECOND_US = 1_000_000


class Queue:
    """Times from arrival to the end of the work, milliseconds, in a thread that does one thing after another."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.decisions: list[float] = []
        self.events = 0
        self._free_us = 0.0

    def __call__(self, arrived_us: int, work: Callable[[], list[Event]]) -> None:
        """Do some work that is due since a time, microseconds since 1970, and note how long its input has waited."""
        begin = time.perf_counter_ns()
        events = work()
        took_us = (time.perf_counter_ns() - begin) / 1e3
        self._free_us = max(self._free_us, float(arrived_us)) + took_us
        self.events += len(events)
        waited = (self._free_us - arrived_us) / 1e3
        self.waits.append(waited)
        if any(event.kind is Kind.SCORE for event in events):
            self.decisions.append(waited)


def trades(line: PaperLine, first_us: int, number: int) -> Iterator[tuple[int, Any]]:
    """Yield times and messages of `RATE` trades of a second at the prices of now."""
    names = line.settings.symbols
    prices = {name: line.tape.histories[name].price(first_us) for name in names}
    for place in range(RATE):
        at_us, symbol = first_us + place * SECOND_US // RATE, names[place % len(names)]
        trade = Trade(number + place, "buy", prices[symbol], 0.001)
        yield at_us, DIALECTS["binance"].trade(Pushed(symbol, at_us // 1000, at_us // 1000), trade)


def traded(line: PaperLine, hours: float) -> int:
    """Let hours of a market happen, with `RATE` trades in each of the busiest seconds; return their number."""
    step = microseconds(line.desk.session.scorer.spec.bar_interval)
    numbers = count(10**11, RATE)
    sent = 0
    for close in range(line.now_us + step, line.now_us + int(hours * 3600 * SECOND_US), step):
        for second in range(2, 7):
            at_us = close + second * SECOND_US
            line.run(at_us)
            for time_us, message in list(trades(line, at_us, next(numbers))):
                line.receive(time_us, WEBSOCKET, message)
                sent += 1
    return sent


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReversalScorer, dict[str, pd.DataFrame]]:
    """A scorer, and the market of the tests."""
    return ReversalScorer.load(paper_bundle(tmp_path_factory.mktemp("paper") / "bundle")), paper_market()


def begun(place: Path, market: Any, hours: float, **options: Any) -> PaperLine:
    """A line that begins so many hours before the end of a market."""
    scorer, tables = market
    start = tables["bars"]["event_time"].max() - AFTER - timedelta(hours=hours)
    return PaperLine(place, scorer, tables, start, **options)


@pytest.mark.parametrize("disk", [True, False], ids=["log and journal on disk", "without them"])
def test_message_to_decision(record: Recorder, tmp_path: Path, market: Any, disk: bool) -> None:
    """Eight hours of two symbols, with a decision after each bar of five minutes that has an event."""
    queue = Queue()
    line = begun(tmp_path, market, HOURS, disk=disk, around=queue)
    sent = traded(line, HOURS)
    assert line.assembly.counts["trades", "live"] >= sent
    assert queue.decisions
    line.account.close()
    if disk:
        with reading(line.settings.journal) as journal:
            assert journal.rows("SELECT count(*) FROM event WHERE kind != 'watch'") == [(queue.events,)]
    name = f"paper trading, {'log and journal on disk' if disk else 'without disk'}"
    for what, waits in (("message", queue.waits), ("decision", queue.decisions)):
        for percent in (50, 99):
            value, goal = float(np.percentile(waits, percent)), GOAL_MS if percent == 99 else None
            record(name=f"{name}: {what}, p{percent}", value=value, unit="ms", goal=goal, at_least=False)
    print(
        f"\n{sent:,} trades, {len(queue.waits):,} inputs, {len(queue.decisions):,} decisions, {queue.events:,} events"
    )


def test_messages_beside_ccxt(record: Recorder, tmp_path: Path, market: Any) -> None:
    """20,000 trades of one symbol through the whole line, and through ccxt's own stream."""
    line = begun(tmp_path, market, 1, disk=False)
    numbers = count(10**11, MESSAGES)

    def of_the_line() -> int:
        first, before = next(numbers), line.assembly.counts["trades", "live"]
        for message in messages(first):
            line.receive(line.now_us, WEBSOCKET, message)
        return line.assembly.counts["trades", "live"] - before

    def messages(first: int) -> list[Any]:
        pushed = Pushed("BTCUSDT", line.now_us // 1000, line.now_us // 1000)
        each = (Trade(first + n, "buy", 10_000.0, 1.0 + n % 7) for n in range(MESSAGES))
        return [DIALECTS["binance"].trade(pushed, trade) for trade in each]

    async def run() -> dict[str, float]:
        client = ccxt_client()
        calls = {"line": of_the_line, "ccxt": lambda: of_ccxt(client, messages(next(numbers)))}
        assert calls["line"]() == len(calls["ccxt"]().trades[NAME]) == MESSAGES
        taken = cpu_seconds(calls)
        await client.close()
        return taken

    taken = asyncio.run(run())
    record(name="paper trading: trades per CPU second", value=MESSAGES / taken["line"], unit="messages/CPU-s")
    record(
        name="paper trading: trades, vs ccxt",
        value=taken["ccxt"] / taken["line"],
        unit="times as fast",
        peer="ccxt.pro 4.5.90, its own stream",
    )
