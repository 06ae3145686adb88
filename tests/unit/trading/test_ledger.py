"""The books add up, and have the same columns when they are empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.trading.account import Account
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, Ledger, trades_table
from slackwater.trading.score import Score

START = pd.Timestamp("2024-03-01 12:01", tz="UTC")


@pytest.fixture
def plan(make_score: Callable[..., Score]) -> TradePlan:
    decision = Gate().decide(make_score(), Account(equity=100_000.0))
    assert isinstance(decision, TradePlan)
    return decision


def closed(plan: TradePlan, *, price: float, reason: str, funding: float = 0.0) -> ClosedTrade:
    return ClosedTrade(
        plan=plan,
        entry_time=START,
        exit_time=START + pd.Timedelta("1h"),
        exit_price=price,
        exit_reason=reason,
        funding_usd=funding,
    )


def test_a_stop_at_its_price_loses_exactly_one_r(plan: TradePlan) -> None:
    """Catches sizing and books that disagree on a cost."""
    trade = closed(plan, price=plan.stop, reason="stop")
    assert trade.net_usd == pytest.approx(-plan.risk_usd)
    assert trade.to_row()["net_r"] == pytest.approx(-1.0)


def test_a_target_pays_the_reward_that_was_promised(plan: TradePlan) -> None:
    """Catches a reward-to-risk ratio that is not the one earned."""
    assert closed(plan, price=plan.target, reason="target").to_row()["net_r"] == pytest.approx(plan.sizing.reward_risk)


def test_net_is_gross_less_every_cost(plan: TradePlan) -> None:
    """Catches a cost counted twice or not at all, and a time exit without slippage."""
    row = closed(plan, price=plan.entry, reason="time", funding=7.0).to_row()
    assert row["gross_usd"] == 0.0
    assert row["fees_usd"] == pytest.approx(2 * 0.0005 * plan.notional_usd)
    assert row["slippage_usd"] == pytest.approx(2 * plan.costs.entry_slippage * plan.notional_usd)
    assert row["net_usd"] == pytest.approx(-row["fees_usd"] - row["slippage_usd"] - 7.0)
    assert row["net_bps"] == pytest.approx(1e4 * row["net_usd"] / plan.notional_usd)


@pytest.mark.parametrize("reason", ["target", "stop", "time", "liquidation"])
def test_what_an_exit_costs_depends_on_how_it_came(plan: TradePlan, reason: str) -> None:
    """Catches a resting target that slips, a stop that does not, and a market order at the price of another."""
    at_exit = {"target": 0.0, "stop": plan.costs.stop_slippage, "time": plan.costs.exit_slippage, "liquidation": 0.0}[
        reason
    ]
    row = closed(plan, price=40_000.0, reason=reason).to_row()
    entry = plan.notional_usd * plan.costs.entry_slippage
    assert row["slippage_usd"] == pytest.approx(entry + plan.quantity * 40_000.0 * at_exit)
    assert row["fees_usd"] == pytest.approx(0.0005 * plan.quantity * (plan.entry + 40_000.0))


def test_the_signs_of_a_short(make_score: Callable[..., Score]) -> None:
    """Catches a short that earns when the price rises, and funding that is added."""
    short = Gate().decide(
        make_score(direction=1, distance_to_high_24h=0.02, distance_to_low_72h=0.09), Account(equity=100_000.0)
    )
    assert isinstance(short, TradePlan)
    row = closed(short, price=short.target, reason="target", funding=-5.0).to_row()
    assert row["side"] == -1
    assert row["gross_usd"] == pytest.approx(short.quantity * (short.entry - short.target))
    assert row["net_usd"] == pytest.approx(row["gross_usd"] - row["fees_usd"] - row["slippage_usd"] + 5.0)
    assert row["net_r"] == pytest.approx(row["net_usd"] / short.risk_usd)


def test_latency_is_a_part_of_the_slippage(make_score: Callable[..., Score]) -> None:
    """Catches a delay that is charged twice, or on the exit too."""
    gate = Gate(costs=CostModel(latency=timedelta(seconds=30)))
    late = gate.decide(make_score(), Account(equity=100_000.0))
    assert isinstance(late, TradePlan)
    row = closed(late, price=late.entry, reason="time").to_row()
    latency = late.notional_usd * 0.03 * np.sqrt(30 / 86_400)
    assert row["latency_usd"] == pytest.approx(latency)
    assert row["slippage_usd"] == pytest.approx(2 * late.notional_usd * late.costs.exit_slippage + latency)


def test_the_table_shows_what_the_plan_was_made_of(plan: TradePlan) -> None:
    """Catches a column of the plan that is lost or filled from another."""
    ledger = Ledger(initial_equity=100_000.0, start=START)
    shrunk = replace(
        plan,
        throttle=replace(plan.throttle, multiplier=0.25, drawdown=0.07),
        levels=replace(plan.levels, stop_level="swept", target_level="pool"),
    )
    ledger.record_trade(closed(shrunk, price=plan.stop, reason="stop"))
    row = ledger.trades().iloc[0]
    same = (
        "symbol event_time side entry stop target liquidation_price quantity notional_usd leverage binding risk_usd "
        "risk_fraction reward_risk p_direction p_trade p_trade_low expectancy_low stop_level target_level "
        "risk_multiplier drawdown"
    )
    assert {name: row[name] for name in same.split()} == {name: shrunk.flat()[name] for name in same.split()}
    assert row["exit"] == plan.stop
    assert row["equity_after"] == ledger.cash


def test_equity_follows_the_trades(plan: TradePlan) -> None:
    """Catches a drawdown against the first value instead of the peak."""
    ledger = Ledger(initial_equity=100_000.0, start=START)
    for price, reason in ((plan.target, "target"), (plan.stop, "stop"), (plan.stop, "stop")):
        ledger.record_trade(closed(plan, price=price, reason=reason))
    trades, equity = ledger.trades(), ledger.equity()
    assert trades["equity_after"].to_numpy() == pytest.approx(100_000 + trades["net_usd"].cumsum())
    assert equity["equity_usd"].iloc[-1] == ledger.cash
    peak = equity["equity_usd"].iloc[1]
    assert equity["drawdown"].to_numpy() == pytest.approx(
        np.maximum(0, [0.0, 0.0, 1 - equity["equity_usd"].iloc[2] / peak, 1 - ledger.cash / peak])
    )


def test_one_row_a_reason(make_score: Callable[..., Score]) -> None:
    """Catches a refusal of which only the first reason is kept."""
    ledger = Ledger(initial_equity=1.0, start=START)
    decision = Gate().decide(make_score(p_direction=0.1, missing_features=("a",)), Account(equity=100_000.0))
    assert isinstance(decision, Refusal)
    ledger.record_refusal(decision)
    table = ledger.refusals()
    assert table["code"].tolist() == ["missing_features", "probability_below_threshold"]
    assert table["symbol"].unique().tolist() == ["BTCUSDT"]


def test_empty_tables_have_the_columns_of_full_ones(plan: TradePlan, make_score: Callable[..., Score]) -> None:
    """Catches an empty run whose parquet files cannot be read by the next stage."""
    empty, full = (Ledger(initial_equity=1.0, start=START) for _ in range(2))
    full.record_trade(closed(plan, price=plan.stop, reason="stop"))
    refusal = Gate().decide(make_score(p_direction=0.1), Account(equity=100_000.0))
    assert isinstance(refusal, Refusal)
    full.record_refusal(refusal)
    pd.testing.assert_series_equal(empty.trades().dtypes, full.trades().dtypes)
    pd.testing.assert_series_equal(empty.refusals().dtypes, full.refusals().dtypes)
    pd.testing.assert_series_equal(empty.equity().dtypes, full.equity().dtypes)
    assert str(full.trades()["exit_time"].dtype) == "datetime64[us, UTC]"


def test_trades_without_an_account_have_the_same_table(plan: TradePlan) -> None:
    """Catches a sample of trades whose columns differ from those of the account, or that is sorted anew."""
    trades = [closed(plan, price=price, reason="time") for price in (51_000.0, 49_000.0, 50_500.0)]
    ledger = Ledger(initial_equity=100_000.0, start=START)
    for trade in trades:
        ledger.record_trade(trade)
    expected = ledger.trades().drop(columns="equity_after")
    pd.testing.assert_frame_equal(trades_table(trades), expected)
    pd.testing.assert_series_equal(trades_table([]).dtypes, expected.dtypes)


def test_nonsense_is_refused(plan: TradePlan) -> None:
    """Catches a mistyped exit reason, which would silently cost no slippage."""
    with pytest.raises(ParameterError, match="exit_reason"):
        closed(plan, price=1.0, reason="stopped")
    with pytest.raises(ParameterError, match="initial_equity"):
        Ledger(initial_equity=float("nan"), start=START)
