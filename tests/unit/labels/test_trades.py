"""The outcome of the trade that an event suggests, on paths written by hand and against the backtest."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError, SchemaError
from slackwater.labels.trades import TRADE_COLUMNS, TradeRules, trade_outcomes
from slackwater.market.contracts import venue_contracts
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import BracketRules, EntryRules, SizingRules
from tests.trading import AT_LEVELS, traded_at_unit_risk

START = pd.Timestamp("2024-03-01", tz="UTC")
HORIZON = pd.Timedelta("4h")
MINUTE = pd.Timedelta("1min")
FREE = TradeRules(bracket=AT_LEVELS, costs=CostModel(multiple=0.0))
DEAR = TradeRules(bracket=AT_LEVELS)


def path(moves: dict[int, dict[str, float]], minutes: int = 24 * 60) -> pd.DataFrame:
    """A market that stands at 50,000, but for the minutes given."""
    opens = START + MINUTE * np.arange(minutes)
    bars = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + MINUTE})
    for name in ("open", "high", "low", "close"):
        bars[name] = 50_000.0
    for minute, prices in moves.items():
        for name, price in prices.items():
            bars.loc[minute, name] = price
    return bars


def event(**changes: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A fall that ended at 01:00: labels and features of it."""
    time = START + pd.Timedelta("1h")
    keys = {"symbol": ["BTCUSDT"], "event_time": [time]}
    labels = pd.DataFrame(keys | {"direction": [-1], "entry_time": [time + MINUTE]})
    context = {
        "close": 50_000.0,
        "volatility_daily": 0.03,
        "atr_1h": 0.004,
        "distance_to_high_24h": math.log(51_000 / 50_000),
        "distance_to_low_24h": math.log(50_000 / 49_550),
        "distance_to_high_72h": math.log(51_020 / 50_000),
        "distance_to_low_72h": 0.02,
        "volume_24h": 20_000.0,
        "depth_bid_1pct": 300.0,
        "depth_ask_1pct": 400.0,
        "swept_extreme_distance_above": np.nan,
        "swept_extreme_distance_below": np.nan,
        "pool_distance_above": np.nan,
        "pool_distance_below": np.nan,
        "trend_efficiency_72h": 0.1,
    }
    features = pd.DataFrame(keys | {"available_time": [time + pd.Timedelta("5s")]}).assign(**(context | changes))
    return labels, features


def outcome(moves: dict[int, dict[str, float]], rules: TradeRules | None = None, **changes: Any) -> pd.Series:
    labels, features = event(**changes)
    out = trade_outcomes(labels, features, price_paths(path(moves)), rules=rules or FREE, horizon=HORIZON)
    assert tuple(out.columns) == TRADE_COLUMNS
    return out.iloc[0]


def test_levels_odds_and_reward_are_those_of_the_plan() -> None:
    """Stop 49,550 - .25 × 200, target 51,020 - .1 × 200: the fair odds are 500 to 1,000."""
    out = outcome({})
    assert (out["trade_stop"], out["trade_target"]) == pytest.approx((49_500.0, 51_000.0))
    assert out["fair_log_odds"] == pytest.approx(math.log(0.5))
    assert out["reward_risk"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("moves", "exit_reason", "minute", "net_r", "payoff", "won"),
    [
        ({90: {"high": 51_000.1}}, "target", 91, 2.0, 1.0, 1.0),
        ({90: {"low": 49_500.0}}, "stop", 91, -1.0, 0.0, 0.0),
        ({90: {"low": 49_500.0, "high": 51_000.1}}, "stop", 91, -1.0, 0.0, 0.0),
        ({61: {"low": 49_400.0}}, "stop", 62, -1.0, 0.0, 0.0),
        ({60: {"low": 49_400.0}}, "time", 301, 0.0, 1 / 3, 0.0),
        ({300: {"close": 50_250.0, "high": 50_250.0}}, "time", 301, 0.5, 0.5, 1.0),
        ({90: {"open": 49_250.0, "low": 49_250.0}}, "stop", 91, -1.5, 0.0, 0.0),
    ],
    ids=["target", "stop", "both in a bar", "entry bar", "before the entry bar", "time exit", "gap"],
)
def test_outcomes_by_hand(
    moves: dict[int, dict[str, float]], exit_reason: str, minute: int, net_r: float, payoff: float, won: float
) -> None:
    out = outcome(moves)
    assert out["trade_exit"] == exit_reason
    assert out["trade_end_time"] == START + MINUTE * minute
    assert (out["net_r"], out["payoff"], out["y_trade"]) == pytest.approx((net_r, payoff, won))
    assert out["trade_net_bps"] == pytest.approx(100.0 * net_r)  # the stop lies 1 % from the entry


def test_costs_are_inside_of_both_ends_of_the_payoff() -> None:
    """A trade that is stopped loses 1 with its costs, one at its target earns the reward after them."""
    rules = DEAR
    stopped, reached = outcome({90: {"low": 49_400.0}}, rules), outcome({90: {"high": 51_500.0}}, rules)
    assert stopped["net_r"] == pytest.approx(-1.0)
    assert reached["net_r"] == pytest.approx(reached["reward_risk"])
    assert reached["reward_risk"] < 2.0
    assert (stopped["payoff"], reached["payoff"]) == pytest.approx((0.0, 1.0))


def test_a_larger_trade_pays_more_impact() -> None:
    small, large = (replace(DEAR, reference_notional_usd=size) for size in (1e3, 1e7))
    assert outcome({}, large)["reward_risk"] < outcome({}, small)["reward_risk"]


def test_funding_is_paid_by_the_trade() -> None:
    labels, features = event()
    funding = pd.DataFrame({"symbol": "BTCUSDT", "event_time": [START + pd.Timedelta("2h")], "funding_rate": [0.001]})
    out = trade_outcomes(labels, features, price_paths(path({}), funding), rules=FREE, horizon=HORIZON)
    assert out["net_r"].iloc[0] == pytest.approx(-0.001 * 50_000.0 / 500.0)  # a long pays a positive rate


@pytest.mark.parametrize(
    "changes",
    [
        {"distance_to_low_24h": 0.2},
        {"distance_to_high_72h": 0.0},
        {"distance_to_low_24h": 0.0, "atr_1h": 0.00001},
        {"close": np.nan},
        {"atr_1h": -1.0},
        {"volume_24h": 0.0},
        {"depth_bid_1pct": np.nan},
    ],
    ids=["stop too far", "no target", "stop in noise", "no price", "bad range", "no volume", "half a book"],
)
def test_what_the_gate_would_refuse_has_no_outcome(changes: dict[str, float]) -> None:
    out = outcome({90: {"high": 52_000.0}}, **changes)
    assert out["trade_exit"] == ""
    assert out.drop("trade_exit").isna().all()


def test_the_columns_are_of_the_same_kinds_with_a_trade_without_one_and_without_an_event() -> None:
    """Catches a table of all symbols whose numbers are objects as one symbol has no trade."""
    labels, features = event()
    paths = price_paths(path({}))
    some = trade_outcomes(labels, features, paths, rules=FREE, horizon=HORIZON)
    assert some["payoff"].notna().all()
    without = replace(FREE, contracts={"ETHUSDT": venue_contracts("simulated")["ETHUSDT"]})
    none = trade_outcomes(labels, features, paths, rules=without, horizon=HORIZON)
    empty = trade_outcomes(labels[:0], features, paths, rules=FREE, horizon=HORIZON)
    assert dict(some.dtypes) == dict(none.dtypes) == dict(empty.dtypes)
    assert some.dtypes.drop(["trade_exit", "trade_end_time"]).eq("float64").all()


def test_a_symbol_without_a_contract_has_no_outcome() -> None:
    rules = replace(FREE, contracts={"ETHUSDT": venue_contracts("simulated")["ETHUSDT"]})
    assert math.isnan(outcome({}, rules)["payoff"])


@pytest.mark.parametrize("bracket", [BracketRules(target_sd=1.5), AT_LEVELS], ids=["sd", "levels"])
def test_it_is_the_trade_that_the_backtest_makes(bracket: BracketRules) -> None:
    """One law: the same stop, target, exit and net result as the gate's own plan of the reference size."""
    for changes, moves in (
        ({}, {90: {"high": 51_000.1}}),
        ({"swept_extreme_distance_below": 0.006}, {100: {"low": 49_000.0}}),
        ({"pool_distance_above": 0.015}, {200: {"high": 50_900.0}}),
        ({}, {}),
    ):
        labels, features = event(**changes)
        rules = SizingRules(min_reward_risk=0.0, min_expectancy=None, kelly_fraction=None)
        gate = Gate(
            entry=EntryRules(probability_threshold=0.0),
            bracket=bracket,
            rules=rules,
            horizon=HORIZON.to_pytimedelta(),
        )
        scores = features.assign(direction=-1, p_direction=0.6, p_hit=0.4, trade_edge=np.nan, trade_edge_low=np.nan)
        (trade,) = traded_at_unit_risk(
            scores,
            path(moves),
            gate=gate,
            funding=None,
            initial_equity=10_000.0,
            decision_lag=pd.Timedelta("5s").to_pytimedelta(),
            horizon=HORIZON.to_pytimedelta(),
            fine_bar_interval=MINUTE.to_pytimedelta(),
        )
        size = TradeRules(bracket=bracket, reference_notional_usd=trade.plan.notional_usd)
        out = trade_outcomes(labels, features, price_paths(path(moves)), rules=size, horizon=HORIZON).iloc[0]
        assert (out["trade_stop"], out["trade_target"]) == (trade.plan.stop, trade.plan.target)
        assert (out["trade_exit"], out["trade_end_time"]) == (trade.exit_reason, trade.exit_time)
        assert out["net_r"] == pytest.approx(trade.net_usd / trade.plan.risk_usd, rel=1e-9)
        assert out["reward_risk"] == pytest.approx(trade.plan.sizing.reward_risk, rel=1e-9)


def test_without_drift_the_odds_are_fair() -> None:
    """On a walk of small steps the mean payoff is D / (D + T), time exits and all; costs do not move it."""
    rng = np.random.default_rng(11)
    payoffs, fair = [], []
    for _ in range(300):
        steps = rng.normal(0.0, 0.0002, size=(1_440, 6)).cumsum(axis=None).reshape(1_440, 6)
        prices = 50_000.0 * np.exp(steps - steps[60, 0])
        bars = path({})
        bars["open"], bars["close"] = prices[:, 0], prices[:, -1]
        bars["high"], bars["low"] = prices.max(axis=1), prices.min(axis=1)
        labels, features = event()
        out = trade_outcomes(labels, features, price_paths(bars), rules=FREE, horizon=HORIZON).iloc[0]
        payoffs.append(out["payoff"])
        fair.append(1.0 / (1.0 + math.exp(-out["fair_log_odds"])))
    error = np.nanmean(payoffs) - np.nanmean(fair)
    assert abs(error) < 3.0 * np.nanstd(payoffs) / math.sqrt(len(payoffs))


def test_bad_tables_are_refused() -> None:
    labels, features = event()
    with pytest.raises(SchemaError, match="lacks the columns"):
        trade_outcomes(labels, features.drop(columns="atr_1h"), price_paths(path({})), rules=DEAR, horizon=HORIZON)
    for size in (0.0, math.nan, math.inf):
        with pytest.raises(ParameterError, match="reference_notional_usd"):
            replace(DEAR, reference_notional_usd=size)
