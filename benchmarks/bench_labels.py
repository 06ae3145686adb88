"""Labels at four horizons on two years of one-minute bars, and a plain loop over bars, in the same run.

Run ``make bench``, or ``pytest benchmarks/bench_labels.py -s`` for this part. The labels are asserted equal on the
slice that the loop can walk in reasonable time; times are not asserted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import Recorder, cpu_seconds
from slackwater.durations import duration_name
from slackwater.labels.barriers import triple_barrier
from slackwater.trading.price_path import PricePath, price_paths

DAY = 24 * 60
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
EVERY = 600
"""Bars from one event to the next: about as on the default data set."""
HORIZONS = [timedelta(hours=hours) for hours in (1, 4, 24, 48)]
OPTIONS = {
    "horizon": timedelta(hours=24),
    "horizons": HORIZONS,
    "decision_lag": timedelta(seconds=5),
    "fine_bar_interval": timedelta(minutes=1),
}


def market(bars: int, symbols: tuple[str, ...] = SYMBOLS) -> tuple[dict[str, PricePath], pd.DataFrame]:
    """Draw fine bars and events of each symbol."""
    rng = np.random.default_rng(0)
    opens = pd.date_range("2023-01-01", periods=bars, freq="1min", tz="UTC", unit="us")
    tables, events = [], []
    at = np.arange(2 * DAY, bars - 3 * DAY, EVERY)
    for symbol in symbols:
        close = np.cumsum(rng.normal(0.0, 0.03 / np.sqrt(DAY), bars))
        open_ = np.append(0.0, close[:-1])
        wick = np.abs(rng.normal(0.0, 0.01 / np.sqrt(DAY), (2, bars)))
        prices = {"open": open_, "high": np.maximum(open_, close) + wick[0], "low": np.minimum(open_, close) - wick[1]}
        table = pd.DataFrame({name: 100.0 * np.exp(log) for name, log in {**prices, "close": close}.items()})
        tables.append(table.assign(symbol=symbol, open_time=opens, event_time=opens + pd.Timedelta("1min")))
        own = pd.DataFrame({"symbol": symbol, "event_time": opens[at], "available_time": opens[at]})
        events.append(own.assign(direction=rng.choice([-1, 1], len(at)), volatility_daily=0.03))
    return price_paths(pd.concat(tables, ignore_index=True)), pd.concat(events, ignore_index=True)


def plain_loop(events: pd.DataFrame, paths: dict[str, PricePath]) -> dict[str, list[float]]:
    """Walk every horizon of every event on its own, bar by bar; return codes and log returns."""
    found: dict[str, list[float]] = {}
    for horizon in HORIZONS:
        codes, returns = [], []
        for event in events.itertuples():
            path, d = paths[event.symbol], event.direction
            bar = first = int(np.searchsorted(path.open_time, event.event_time.value // 1000 + 5_000_000))
            barrier = event.volatility_daily * np.sqrt(horizon / timedelta(days=1))
            start, end = np.log(path.open[first]), first + round(horizon / timedelta(minutes=1))
            code = 0
            while bar < end and code == 0:
                up, down = np.log(path.high[bar]) - start, start - np.log(path.low[bar])
                adverse, favourable = (up, down) if d > 0 else (down, up)
                opened = d * (np.log(path.open[bar]) - start)
                if -opened >= barrier or (favourable >= barrier and adverse < barrier):
                    code, value = 1, barrier
                elif adverse >= barrier:
                    code, value = -1, -max(barrier, opened)
                bar += 1
            codes.append(code)
            returns.append(value if code else -d * (np.log(path.close[end - 1]) - start))
        found |= {f"code_{duration_name(horizon)}": codes, f"log_return_{duration_name(horizon)}": returns}
    return found


def assert_same(labels: pd.DataFrame, found: dict[str, list[float]]) -> None:
    """Compare the labels with those of the loop, whose logarithms are taken one by one."""
    for name, expected in found.items():
        column = name.removesuffix("_24h")
        np.testing.assert_allclose(labels[column], expected, rtol=1e-12, atol=1e-15, err_msg=name)


def test_bars(record: Recorder) -> None:
    """Measure bars of all symbols per CPU-second, with the checks of the events and the table at the end."""

    def labelled(of: tuple[dict[str, PricePath], pd.DataFrame]) -> Any:
        return triple_barrier(of[1], of[0], **OPTIONS)

    short = market(30 * DAY, SYMBOLS[:1])
    labels, report = labelled(short)
    assert set(labels["code"]) == {-1, 0, 1}
    assert report.labelled == len(short[1]) > 50
    assert_same(labels, plain_loop(short[1], short[0]))

    full = market(730 * DAY)
    bars = sum(len(path.open) for path in full[0].values())
    taken = cpu_seconds({"labels": lambda: labelled(full)})["labels"]
    record(name="labels: fine bars a CPU-second, four horizons", value=bars / taken, unit="bars/s", goal=30e6)
    single = cpu_seconds({"one": lambda: triple_barrier(full[1], full[0], **{**OPTIONS, "horizons": []})})["one"]
    record(name="labels: four horizons against one", value=taken / single, unit="times the CPU time", at_least=False)
    both = cpu_seconds({"engine": lambda: labelled(short), "loop": lambda: plain_loop(short[1], short[0])})
    record(
        name="labels: against a loop over bars",
        value=both["loop"] / both["engine"],
        unit="times as fast",
        peer="a plain loop per event and horizon, 30 days, the same labels",
    )
