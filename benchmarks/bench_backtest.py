"""The backtest on two years of one-minute bars, and a plain loop over bars, in the same run.

Run ``make bench``, or ``pytest benchmarks/bench_backtest.py -s`` for this part. The tables are asserted equal on
the slice that the loop can walk in reasonable time; times are not asserted.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.record import Recorder, cpu_seconds
from slackwater.trading.account import Account
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from slackwater.trading.score import Score
from tests.oracle.naive_backtest import NaiveBacktest
from tests.oracle.test_backtest_oracle import assert_all_same
from tests.trading import traded

SYMBOL = "BTCUSDT"
START = pd.Timestamp("2023-01-01", tz="UTC")
DAY = 24 * 60
SPACINGS = {"an event each 10 h": 600, "an event each 2 h": 120}
"""Bars from one event to the next: about as on the default data set (855 events a symbol and year), and as dense as
its cooldown allows."""
SLICE = 21 * DAY


class TimedGate(Gate):
    """A gate that counts its calls and the CPU seconds they take."""

    calls = 0
    seconds = 0.0

    def decide(
        self, score: Score, account: Account, *, now: datetime | None = None, price: float | None = None
    ) -> TradePlan | Refusal:
        start = time.process_time()
        decision = super().decide(score, account, now=now, price=price)
        TimedGate.seconds += time.process_time() - start
        TimedGate.calls += 1
        return decision


def market(bars: int, every: int, seed: int = 0) -> dict[str, Any]:
    """Draw last trades, mark price, funding and events; the price drifts for a day, and most events know where.

    Without that edge the account would soon stand still, and a halted account is a fast one.
    """
    rng = np.random.default_rng(seed)
    sd = 0.03 / np.sqrt(DAY)
    drift = rng.permutation(np.tile([-0.03, 0.03], bars // DAY // 2 + 1)).repeat(DAY)[:bars]
    close = 30_000.0 * np.exp(np.cumsum(rng.standard_t(4, bars) * sd / np.sqrt(2.0) + drift / DAY))
    open_ = np.append(30_000.0, close[:-1])
    wicks = np.abs(rng.standard_normal((2, bars))) * 0.4 * sd
    high, low = np.maximum(open_, close) * np.exp(wicks[0]), np.minimum(open_, close) * np.exp(-wicks[1])
    opens = pd.date_range(START, periods=bars, freq="1min", unit="us")
    path = pd.DataFrame({"symbol": SYMBOL, "open_time": opens, "event_time": opens + pd.Timedelta("1min")})
    path = path.assign(open=open_, high=high, low=low, close=close)
    basis = np.exp(rng.normal(0.0, 1e-4, bars))
    mark = path[["symbol", "open_time"]].assign(open=open_ * basis, high=high * basis, low=low * basis)
    settled = pd.date_range(START, periods=bars // 480, freq="8h", unit="us")
    funding = pd.DataFrame({"symbol": SYMBOL, "event_time": settled, "funding_rate": 1e-4})
    at = np.arange(3 * DAY, bars - DAY, every)
    to = {}
    for hours in (24, 72):
        top = pd.Series(high).rolling(60 * hours).max().to_numpy()[at]
        bottom = pd.Series(low).rolling(60 * hours).min().to_numpy()[at]
        to[f"distance_to_high_{hours}h"] = np.log(top / close[at])
        to[f"distance_to_low_{hours}h"] = np.log(close[at] / bottom)
    right = np.where(rng.random(len(at)) < 0.8, 1.0, -1.0)
    times = pd.DatetimeIndex(path["event_time"])[at]
    constants = {"p_hit": 0.5, "volatility_daily": 0.03, "atr_1h": 0.006, "volume_24h": 2e4}
    constants |= {"depth_bid_1pct": 300.0, "depth_ask_1pct": 400.0, "trade_edge": 0.9, "trade_edge_low": 0.7}
    scores = pd.DataFrame(
        {"symbol": SYMBOL, "event_time": times, "available_time": times + pd.Timedelta("5s")}
        | {"direction": -right * np.sign(drift[at]), "close": close[at]}
        | {"p_direction": rng.uniform(0.5, 0.8, len(at)), "trend_efficiency_72h": 0.0}
        | {f"pool_distance_{side}": np.nan for side in ("above", "below")}
        | {f"swept_extreme_distance_{side}": rng.choice([np.nan, 0.01], len(at)) for side in ("above", "below")}
        | to
        | constants
    )
    return {"scores": scores, "fine_bars": path, "mark": mark, "funding": funding}


def first(tables: dict[str, Any], bars: int) -> dict[str, Any]:
    """Return the first part of a market."""
    end = tables["fine_bars"]["open_time"].iloc[bars]
    cut = {name: table[table["event_time" if name != "mark" else "open_time"] < end] for name, table in tables.items()}
    return cut | {"scores": cut["scores"][cut["scores"]["event_time"] < end - pd.Timedelta("25h")]}


@pytest.fixture(scope="module", params=SPACINGS)
def two_years(request: pytest.FixtureRequest) -> dict[str, Any]:
    return market(730 * DAY, SPACINGS[request.param])


def options(gate: type[Gate] = Gate) -> dict[str, Any]:
    rules = gate()
    return {
        "gate": rules,
        "initial_equity": 100_000.0,
        "decision_lag": timedelta(seconds=5),
        "horizon": rules.horizon,
        "fine_bar_interval": timedelta(minutes=1),
    }


def test_bars(record: Recorder, two_years: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Measure bars per CPU-second, with everything: reading the tables, the gate at every event, and the books."""
    name = f"backtest, {request.node.callspec.id}"
    short = first(two_years, SLICE) | options()
    assert_all_same(traded(**short), NaiveBacktest(**short), f"the first {SLICE:,} bars")
    assert len(traded(**short).trades) >= 5

    full = two_years | options()
    bars = len(two_years["fine_bars"])
    taken = cpu_seconds({"engine": lambda: traded(**full)})["engine"]
    record(name=f"{name}: path bars a CPU-second", value=bars / taken, unit="bars/s", goal=1e6)

    TimedGate.calls, TimedGate.seconds = 0, 0.0
    timed = traded(**two_years, **options(TimedGate))
    calls, trades = TimedGate.calls, len(timed.trades)
    record(name=f"{name}: a call of the gate", value=1e6 * TimedGate.seconds / calls, unit="CPU µs", at_least=False)
    reading = cpu_seconds(
        {"paths": lambda: price_paths(two_years["fine_bars"], two_years["funding"], [SYMBOL], mark=two_years["mark"])}
    )["paths"]
    exits = ", ".join(f"{reason} {count}" for reason, count in timed.trades["exit_reason"].value_counts().items())
    print(
        f"{name}: {bars:,} bars, {calls:,} calls of the gate, {trades:,} trades ({exits}) in {taken:.2f} CPU s; with "
        f"clocks around it the gate takes {TimedGate.seconds:.2f}, and reading the tables {reading:.2f}"
    )

    both = cpu_seconds({"engine": lambda: traded(**short), "naive": lambda: NaiveBacktest(**short)})
    record(
        name=f"{name}: against a loop over bars",
        value=both["naive"] / both["engine"],
        unit="times as fast",
        peer=f"tests/oracle/naive_backtest.py, {SLICE:,} bars, the same gate",
    )
