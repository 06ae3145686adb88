"""Trades that need no other symbol, as tasks: the same trades in the same order, whoever makes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.evidence.ablation import rule_ablation
from slackwater.evidence.brackets import suggested_trades
from slackwater.evidence.resampling import Resampling
from slackwater.labels.trades import TradeRules
from slackwater.parallel import VARIABLE
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import EntryRules
from slackwater.trading.symbol_tasks import of_each_symbol, unit_risk_trades_of_gates
from tests.trading import AT_LEVELS, SOUND_SCORE

START = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = timedelta(hours=1)
HORIZON = 4 * HOUR
DAYS = 20
SYMBOLS = ("ETHUSDT", "BTCUSDT", "XRPUSDT")
GATE = Gate(horizon=HORIZON, bracket=AT_LEVELS)
GATES = [GATE, replace(GATE, entry=EntryRules(probability_threshold=0.6)), replace(GATE, entry=EntryRules())]
RESAMPLING = Resampling(draws=100, mean_block=timedelta(days=2))


@pytest.fixture(params=["serial", "2"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)


def backtest_of(*symbols: str) -> Backtest:
    """Random prices and scores: the events of all symbols come at the same hours, and the last has no horizon left."""
    opens = pd.date_range(START, periods=24 * DAYS, freq=HOUR).as_unit("us")
    bars, scores = [], []
    for symbol in symbols:
        rng = np.random.default_rng(SYMBOLS.index(symbol))
        close = 50_000.0 * np.exp(np.cumsum(rng.normal(size=len(opens)) * 0.01))
        open_ = np.r_[50_000.0, close[:-1]]
        prices = {"open": open_, "close": close, "high": np.maximum(open_, close), "low": np.minimum(open_, close)}
        bars.append(pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + HOUR, **prices}))
        events = opens[15::6]
        table = pd.DataFrame([SOUND_SCORE] * len(events)).assign(
            symbol=symbol, event_time=events, available_time=events + timedelta(seconds=5)
        )
        table = table.assign(close=open_[15::6], p_direction=rng.uniform(0.4, 0.8, len(events)))
        scores.append(table.assign(direction=rng.choice([-1, 1], len(events))))
    timing = {"decision_lag": timedelta(seconds=5), "horizon": HORIZON, "fine_bar_interval": HOUR}
    return Backtest.of(pd.concat(scores, ignore_index=True), price_paths(pd.concat(bars)), initial_equity=1e5, **timing)


def test_trades_at_unit_risk_are_those_of_one_process(workers: str) -> None:
    """Catches trades in the order of symbols, and an account that is not the same for all of them."""
    backtest, seen = backtest_of(*SYMBOLS), list[tuple[int, int]]()
    wanted = [backtest.unit_risk_trades(gate) for gate in GATES]
    found = unit_risk_trades_of_gates(backtest, GATES, progress=lambda done, total: seen.append((done, total)))
    assert repr(found) == repr(wanted)
    assert len({trade.plan.symbol for trade in found[0]}) == 3
    assert len(wanted[1]) < len(wanted[0])
    orders = len(backtest.orders)
    assert seen == [(orders // 3, orders), (orders * 2 // 3, orders), (orders, orders)]
    with pytest.raises(ParameterError, match="BTCUSDT: `horizon` must be that of the gate"):
        unit_risk_trades_of_gates(backtest, [replace(GATE, horizon=HOUR)])


def test_suggested_trades_are_those_of_each_symbol_in_the_order_of_events(workers: str) -> None:
    """Catches a trade that is given to another event: the events of a symbol come back together."""
    backtest = backtest_of(*SYMBOLS)
    table = suggested_trades(backtest, TradeRules())
    brackets = table["bracket"].unique()
    first = table[table["bracket"] == brackets[0]]
    assert [*zip(first["symbol"], first["event_time"], strict=True)] == [
        (order.score.symbol, order.score.event_time) for order in backtest.orders
    ]
    assert table["bracket"].tolist() == [*brackets] * len(backtest.orders)
    assert (first["reason"] == "").sum() > 100
    for symbol in SYMBOLS:
        alone = suggested_trades(backtest_of(symbol), TradeRules())
        pd.testing.assert_frame_equal(table[table["symbol"] == symbol].reset_index(drop=True), alone, check_exact=True)


def test_the_rows_of_the_ablation_are_those_of_the_trades_of_each_gate(workers: str) -> None:
    backtest = backtest_of(*SYMBOLS)
    configured = backtest.unit_risk_trades(GATE)
    table = rule_ablation(backtest, GATE, RESAMPLING, configured=configured).set_index("rule")
    off = replace(GATE, entry=replace(GATE.entry, probability_threshold=0.0))
    assert table.loc["as configured", "n_trades"] == len(configured)
    assert table.loc["probability_threshold", "n_trades"] == len(backtest.unit_risk_trades(off)) > len(configured)


def test_a_task_holds_the_prices_and_events_of_its_symbol_alone() -> None:
    """Catches a worker that is sent the market."""
    backtest = backtest_of(*SYMBOLS)
    assert len(backtest.untradable) == 3
    parts = of_each_symbol(lambda part: part, backtest)
    assert list(parts) == sorted(SYMBOLS)
    for symbol, part in parts.items():
        assert {*part.paths, *(order.score.symbol for order in part.orders)} == {symbol}
        assert {each.symbol for each in (*part.events, *part.untradable)} == {symbol}
        assert (len(part.orders), len(part.untradable)) == (len(backtest.orders) // 3, 1)
    assert of_each_symbol(len, replace(backtest, orders=())) == {}
