"""The market frame: history at once, and the same rows one push and one close at a time.

Run ``pytest benchmarks/bench_frame.py --benchmark-enable -s``. Nothing is asserted about time; that live and history
agree is.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.market.frame import MarketFrame
from tests.small_market import DECISION_LAG, small_market

BAR = timedelta(minutes=5)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
PARAMETERS: dict[str, Any] = {"bar_interval": BAR, "decision_lag": DECISION_LAG}


@pytest.mark.benchmark(group="two years of four symbols at five minutes")
def test_history(benchmark: Any) -> None:
    tables = small_market(SYMBOLS, days=729, interval=BAR)
    frame = benchmark.pedantic(MarketFrame.from_tables, (tables,), PARAMETERS, rounds=3, warmup_rounds=1)
    assert len(frame.table) == len(tables["bars"])
    assert np.isnan(frame.values).mean() < 0.01


def test_live() -> None:
    tables = small_market(SYMBOLS, days=8, interval=BAR)
    frame = MarketFrame.from_tables(tables, **PARAMETERS)
    history = {(row.symbol, row.event_time): row.values for symbol in SYMBOLS for row in frame.rows(symbol)}
    rows = [(name, row) for name, table in tables.items() for row in table.to_dict("records")]
    rows.sort(key=lambda item: item[1]["available_time"])
    stream = MarketFrame.stream(**PARAMETERS)
    times: dict[str, list[float]] = defaultdict(list)
    at = 0
    for close in pd.DatetimeIndex(tables["bars"]["event_time"].unique()).sort_values():
        while at < len(rows) and rows[at][1]["available_time"] <= close + DECISION_LAG:
            name, row = rows[at]
            start = time.perf_counter_ns()
            stream.push(name, row)
            times[f"push {name}"].append((time.perf_counter_ns() - start) / 1e3)
            at += 1
        start = time.perf_counter_ns()
        live = stream.close(close)
        times[f"close of {len(SYMBOLS)} symbols"].append((time.perf_counter_ns() - start) / 1e3)
        for symbol, made in live.items():
            np.testing.assert_array_equal(made.values, history.pop((symbol, close)))
    assert not history
    for what, taken in times.items():
        print(f"\n{what}: p50 {np.percentile(taken, 50):.1f} µs, p99 {np.percentile(taken, 99):.1f} µs", end="")
