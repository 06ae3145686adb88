"""The market frame: history at once, and the same rows one push and one close at a time.

Run ``make bench``, or ``pytest benchmarks/bench_frame.py -s`` for this part. Nothing is asserted about time; that live
and history agree is.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import Recorder, cpu_seconds, microseconds
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from tests.small_market import DECISION_LAG, small_market

BAR = timedelta(minutes=5)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
SPEC = FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG)


def test_history(record: Recorder) -> None:
    """Two years of four symbols."""
    tables = small_market(SYMBOLS, days=729, interval=BAR)
    frame = MarketFrame.from_tables(tables, SPEC)
    assert len(frame.table) == len(tables["bars"])
    assert np.isnan(frame.values).mean() < 0.01
    taken = cpu_seconds({"frame": lambda: MarketFrame.from_tables(tables, SPEC)})
    record(name="frame: history, rows a CPU-second", value=len(frame.table) / taken["frame"], unit="rows/s")


def test_live(record: Recorder) -> None:
    tables = small_market(SYMBOLS, days=8, interval=BAR)
    frame = MarketFrame.from_tables(tables, SPEC)
    history = {(row.symbol, row.event_time): row.values for symbol in SYMBOLS for row in frame.rows(symbol)}
    rows = [(name, row) for name, table in tables.items() for row in table.to_dict("records")]
    rows.sort(key=lambda item: item[1]["available_time"])
    stream = FrameStream(SPEC)
    # What this test holds ready is not for the collector to walk through while a close is timed.
    gc.collect()
    gc.freeze()
    times: dict[str, list[float]] = defaultdict(list)
    at = 0
    for close in pd.DatetimeIndex(tables["bars"]["event_time"].unique()).sort_values():
        while at < len(rows) and rows[at][1]["available_time"] <= close + DECISION_LAG:
            name, row = rows[at]
            times[f"push {name}"].append(microseconds(lambda name=name, row=row: stream.push(name, row)))
            at += 1
        live: dict[str, Any] = {}
        times["close"].append(microseconds(lambda close=close, live=live: live.update(stream.close(close))))
        for symbol, made in live.items():
            np.testing.assert_array_equal(made.values, history.pop((symbol, close)))
    gc.unfreeze()
    assert not history
    closes = times.pop("close")
    pushes = [taken for of_table in times.values() for taken in of_table]
    for what, taken in ((f"close of {len(SYMBOLS)} symbols", closes), ("push of a row", pushes)):
        for name, value in zip(("p50", "p99"), np.percentile(taken, [50, 99]), strict=True):
            record(name=f"frame: {what}, {name}", value=value, unit="µs", at_least=False)
    print()
    for what, taken in times.items():
        print(f"{what}: p50 {np.percentile(taken, 50):.1f} µs, p99 {np.percentile(taken, 99):.1f} µs")
