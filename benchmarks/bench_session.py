"""A live session: one row pushed, one bar of four symbols closed, and a month of fifty symbols with faults in the feed.

Run ``make bench``, or ``pytest benchmarks/bench_session.py -s`` for this part. Bundle and market are those of the
tests, random and SYNTHETIC: the scores mean nothing. They are asserted equal to those of `ReversalScorer.score`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import slackwater as sw
from benchmarks.bench_live import clock_reading
from benchmarks.record import Recorder
from slackwater.errors import OrderError
from slackwater.market.schemas import SCHEMAS
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.scoring.stream import EventScore
from tests.small_bundle import SPEC, TRAINER, make_bundle, market
from tests.small_market import DECISION_LAG

pytestmark = pytest.mark.filterwarnings(
    "ignore::slackwater.errors.UniverseWarning", "ignore::slackwater.errors.DefectWarning"
)
FOUR = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
BAR = timedelta(minutes=5)
NEWEST: dict[str, Any] = {"by": "symbol", "on": "event_time"}
OUTPUTS = ("direction", "p_direction", "p_hit", "trade_edge", "trade_edge_low")


class Arrival(NamedTuple):
    """A row of a table, and when it becomes available."""

    time: pd.Timestamp
    table: str
    row: dict[str, Any]


def arrivals(tables: dict[str, pd.DataFrame]) -> list[Arrival]:
    rows = [
        Arrival(row["available_time"], name, row) for name, table in tables.items() for row in table.to_dict("records")
    ]
    return sorted(rows, key=lambda arrival: (arrival.time, arrival.row["event_time"]))


def closes(tables: dict[str, pd.DataFrame], bar: timedelta) -> pd.DatetimeIndex:
    times = tables["bars"]["event_time"]
    return pd.date_range(times.min(), times.max(), freq=bar)


def test_push_and_close(record: Recorder, tmp_path: Path) -> None:
    """CPU time of each row that is pushed and of each bar that is closed, through all tables of four symbols."""
    model = ModelParameters(min_child_samples=10)
    scorer = sw.ReversalScorer.load(make_bundle(tmp_path / "scorer", replace(TRAINER, model=model)))
    tables = market(40, FOUR)
    rows, session, clock = arrivals(tables), sw.Session(scorer, FOUR), time.thread_time_ns
    pushed, closed, scores, position = [], [], [], 0
    for close in closes(tables, SPEC.bar_interval):
        while position < len(rows) and rows[position].time <= close + DECISION_LAG:
            start = clock()
            session.push(rows[position].table, rows[position].row)
            pushed.append((clock() - start) / 1e3)
            position += 1
        start = clock()
        made = session.close(close)
        closed.append((clock() - start) / 1e3)
        scores.extend(made.values())
    assert_equal(scores, scorer.score(tables))
    reading = clock_reading()
    for name, taken, goal in (("push of one row", pushed, 5.0), ("close of a bar of four symbols", closed, 60.0)):
        p50 = float(np.median(taken)) - reading
        record(name=f"session: {name}, p50", value=p50, unit="CPU µs", goal=goal, at_least=False)


def assert_equal(live: list[EventScore], history: pd.DataFrame) -> None:
    expected = history.sort_values(["event_time", "symbol"], kind="stable")
    assert [(s.event_time, s.symbol) for s in live] == list(
        expected[["event_time", "symbol"]].itertuples(index=False, name=None)
    )
    for name in OUTPUTS:
        np.testing.assert_array_equal([getattr(s, name) for s in live], expected[name], err_msg=name)
    assert expected["direction"].ne(0).any()


def resident() -> float:
    """Return the resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def faulty(tables: dict[str, pd.DataFrame], seed: int) -> dict[str, pd.DataFrame]:
    """Take bars away, a day of one symbol among them, and let a tenth of the other rows come up to four hours late."""
    rng = np.random.default_rng(seed)
    bars = tables["bars"]
    lost = (rng.random(len(bars)) < 0.01) | ((bars["symbol"] == "S07USDT") & bars["event_time"].dt.day.eq(9))
    made = {"bars": bars[~lost].reset_index(drop=True)}
    for name in tables.keys() - {"bars", "depth"}:
        table = tables[name]
        if "price" in table:  # at that of the market: `score` masks others, and no live session can know of that
            table = table.sort_values("event_time", kind="stable")
            now = pd.merge_asof(table, bars[["symbol", "event_time", "close"]].sort_values("event_time"), **NEWEST)
            table = table.assign(price=now["close"].bfill().to_numpy()).sort_values("symbol", kind="stable")
        late = np.where(rng.random(len(table)) < 0.1, rng.integers(0, 4 * 3600, len(table)), 0)
        made[name] = table.assign(available_time=table["available_time"] + pd.to_timedelta(late, unit="s"))
    return made


def fed(session: sw.Session, rows: list[Arrival], times: pd.DatetimeIndex, memory: list[float]) -> Iterator[EventScore]:
    """Yield the scores of a session that gets some keyed rows twice; note its memory at the end of each day."""
    position = 0
    for close in times:
        while position < len(rows) and rows[position].time <= close + DECISION_LAG:
            repeated = position % 100 == 0 and bool(SCHEMAS[rows[position].table].key)
            for _ in range(1 + repeated):
                try:
                    session.push(rows[position].table, rows[position].row)
                except OrderError:  # a repeat, or a snapshot that a newer one has overtaken
                    continue
            position += 1
        yield from session.close(close).values()
        if close.hour == close.minute == 0:
            memory.append(resident())


def test_a_month_of_fifty_symbols(record: Recorder, tmp_path: Path) -> None:
    """Bars of five minutes with gaps, repeats and late rows; scores of events are kept, as a user's journal does."""
    validation = WalkForward(min_train=timedelta(days=20), test=timedelta(days=10), embargo=timedelta(days=1))
    trainer = replace(TRAINER, validation=validation)
    spec = replace(SPEC, bar_interval=BAR)
    scorer = sw.ReversalScorer.load(make_bundle(tmp_path / "scorer", trainer, days=60, spec=spec))
    symbols = tuple(f"S{i:02d}USDT" for i in range(50))
    tables = faulty(market(30, symbols, BAR), seed=1)
    rows, memory = arrivals(tables), []
    session = sw.Session(scorer, symbols)
    begin, bars = time.process_time(), 0
    events = []
    for score in fed(session, rows, closes(tables, BAR), memory):
        bars += 1
        if score.direction:
            events.append(score)
    spent = time.process_time() - begin
    history = scorer.score(tables)
    assert_equal(events, history[history["direction"].ne(0)])
    assert bars == len(history)
    name = "session of 50 symbols"
    session.save(tmp_path / "session.npz")
    size = (tmp_path / "session.npz").stat().st_size / 2**20
    record(name=f"{name}: its state after 30 days, saved", value=size, unit="MiB", goal=100.0, at_least=False)
    grown = memory[-1] / memory[4]
    record(name=f"{name}: process after 30 days over 5", value=grown, unit="times", goal=1.1, at_least=False)
    record(name=f"{name}: a bar of one symbol with its rows", value=spent / bars * 1e6, unit="CPU µs")
    print(f"\n{bars:,} bars, {len(rows):,} rows, {len(events):,} events; MiB by day {[round(each) for each in memory]}")
