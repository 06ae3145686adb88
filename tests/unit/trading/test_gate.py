"""The gate plans by the rules and refuses with every reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.market.contracts import venue_contracts
from slackwater.trading.gate import Account, Gate, OpenPosition, Refusal, TradePlan
from slackwater.trading.score import Score

EMPTY = Account(equity=100_000.0)
HELD = OpenPosition(symbol="ETHUSDT", side=1, quantity=1.0, entry=3_000.0, mark=3_000.0, leverage=3.0, risk_usd=500.0)


def planned(decision: TradePlan | Refusal) -> TradePlan:
    assert isinstance(decision, TradePlan), decision
    return decision


def codes(decision: TradePlan | Refusal) -> tuple[str, ...]:
    assert isinstance(decision, Refusal), decision
    return decision.codes


def test_a_long_after_a_fall(make_score: Callable[..., Score]) -> None:
    """Catches trading with the move, and levels taken from the wrong side or window."""
    score = make_score()
    plan = planned(Gate().decide(score, EMPTY))
    low_24h, high_72h = 50_000 * math.exp(-0.02), 50_000 * math.exp(0.08)
    assert plan.side == 1
    assert plan.stop == pytest.approx(low_24h - 0.25 * 300, abs=0.1)
    assert plan.stop <= low_24h - 0.25 * 300
    assert plan.target == pytest.approx(high_72h - 0.1 * 300, abs=0.1)
    assert plan.target <= high_72h - 0.1 * 300
    assert plan.liquidation_price < plan.stop
    assert plan.expires == score.available_time + timedelta(hours=24)


def test_a_short_after_a_rise(make_score: Callable[..., Score]) -> None:
    """Catches the long's levels used for a short."""
    score = make_score(direction=1, distance_to_high_24h=0.02, distance_to_low_24h=0.06, distance_to_low_72h=0.09)
    plan = planned(Gate().decide(score, EMPTY))
    high_24h, low_72h = 50_000 * math.exp(0.02), 50_000 * math.exp(-0.09)
    assert plan.side == -1
    assert high_24h + 0.25 * 300 <= plan.stop <= high_24h + 0.25 * 300 + 0.1
    assert low_72h + 0.1 * 300 <= plan.target <= low_72h + 0.1 * 300 + 0.1
    assert plan.liquidation_price > plan.stop


def test_the_plan_is_consistent_with_itself(make_score: Callable[..., Score]) -> None:
    """Catches a number in the journal that is not the one that was used."""
    plan = planned(Gate().decide(make_score(), EMPTY))
    assert plan.notional_usd == pytest.approx(plan.quantity * plan.entry)
    assert plan.risk_fraction == pytest.approx(plan.risk_usd / 100_000)
    assert plan.margin_usd == pytest.approx(plan.notional_usd / plan.leverage, rel=1e-3)
    fill = plan.entry * (1 + plan.entry_slippage)
    assert plan.bankruptcy_price == pytest.approx(fill * (1 - 1 / plan.leverage))
    assert plan.bankruptcy_price < plan.liquidation_price
    assert plan.leverage_cap == 5.0
    assert plan.contract_confirmed


@pytest.mark.parametrize("depth", [300.0, math.nan])
def test_the_journal_is_plain_json(make_score: Callable[..., Score], depth: float) -> None:
    """Catches a Timestamp or NaN in the journal, and a plan that hides that depth is unknown."""
    score = make_score(depth_bid_1pct=depth, depth_ask_1pct=depth, p_hit=math.nan)
    row = json.loads(json.dumps(planned(Gate().decide(score, EMPTY)).to_dict(), allow_nan=False))
    assert row["event_time"] == "2024-03-01T12:00:00+00:00"
    assert row["p_hit"] is None
    assert row["depth_known"] is (depth == 300.0)
    refusal = Gate().decide(make_score(p_direction=0.5), EMPTY)
    assert isinstance(refusal, Refusal)
    assert json.loads(json.dumps(refusal.to_dict(), allow_nan=False))["reasons"][0]["message"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"direction": 0, "p_direction": math.nan}, "no_event"),
        ({"p_direction": math.nan}, "no_probability"),
        ({"p_direction": 0.5499}, "probability_below_threshold"),
        ({"missing_features": ("funding_rate",)}, "missing_features"),
        ({"distance_to_low_24h": 0.085}, "stop_too_far"),
        ({"distance_to_low_24h": 0.0, "atr_1h": 1e-5}, "stop_in_noise"),
        ({"distance_to_high_72h": 0.0005}, "no_target"),
        ({"distance_to_high_72h": 0.02}, "reward_risk_too_low"),
        ({"symbol": "DOGEUSDT"}, "unknown_contract"),
        ({"volume_24h": 1.0}, "below_minimum_size"),
        ({"p_direction": 1.2}, "bad_input"),
        ({"p_hit": -0.1}, "bad_input"),
        ({"depth_bid_1pct": math.nan}, "bad_input"),
        ({"depth_ask_1pct": -1.0}, "bad_input"),
        *(
            ({name: value}, "bad_input")
            for name in ("close", "volatility_daily", "atr_1h", "atr_bar", "volume_24h")
            for value in (0.0, -1.0, math.nan, math.inf, 1e18)
        ),
        *(
            ({name: value}, "bad_input")
            for name in ("distance_to_low_24h", "distance_to_high_72h", "distance_to_low_72h")
            for value in (-0.01, math.nan, math.inf)
        ),
    ],
)
def test_every_reason_of_the_score(make_score: Callable[..., Score], changes: dict[str, Any], expected: str) -> None:
    """Catches a rule that is not asked, and a hostile number that gets a size."""
    assert expected in codes(Gate().decide(make_score(**changes), EMPTY))


@pytest.mark.parametrize("equity", [0.0, -1.0, math.nan, math.inf, 1e13])
def test_equity_that_cannot_be(make_score: Callable[..., Score], equity: float) -> None:
    """Catches a size on an account that is empty, indebted or absurd."""
    assert codes(Gate().decide(make_score(), Account(equity=equity))) == ("bad_equity",)


def test_the_account_can_refuse(make_score: Callable[..., Score]) -> None:
    """Catches a second position in a symbol, and the cluster of a direction left out."""
    btc = replace(HELD, symbol="BTCUSDT")
    assert "position_open" in codes(Gate().decide(make_score(), Account(equity=100_000.0, open_positions=(btc,))))
    full = replace(HELD, risk_usd=2_000.0)
    assert codes(Gate().decide(make_score(), Account(equity=100_000.0, open_positions=(full,)))) == (
        "open_risk_exceeded",
    )
    opposite = replace(full, side=-1)  # another cluster, inside of the total
    plan = planned(Gate().decide(make_score(), Account(equity=100_000.0, open_positions=(opposite,))))
    assert plan.binding == "risk"


def test_time_can_refuse(make_score: Callable[..., Score]) -> None:
    """Catches a score used before it could be known, and one that is old."""
    score, gate = make_score(), Gate(max_score_age=timedelta(minutes=2))
    assert codes(gate.decide(score, EMPTY, now=score.event_time + pd.Timedelta("4s"))) == ("not_yet_available",)
    assert codes(gate.decide(score, EMPTY, now=score.event_time + pd.Timedelta("121s"))) == ("stale",)
    plan = planned(gate.decide(score, EMPTY, now=score.event_time + pd.Timedelta("120s")))
    assert plan.decided_at == score.event_time + pd.Timedelta("120s")
    with pytest.raises(ParameterError, match="time zone"):
        gate.decide(score, EMPTY, now=pd.Timestamp("2024-03-01 12:01"))


def test_the_price_moves_size_and_risk_but_no_level(make_score: Callable[..., Score]) -> None:
    """Catches a stop that follows the price, and a size that does not."""
    gate, score = Gate(), make_score()
    near, far = (planned(gate.decide(score, EMPTY, price=price)) for price in (49_800.0, 50_200.0))
    assert (near.stop, near.target) == (far.stop, far.target)
    assert near.entry == 49_800.0
    assert near.quantity > far.quantity
    assert max(near.risk_usd, far.risk_usd) <= 1_000.0


@pytest.mark.parametrize("price", [48_000.0, 54_500.0])
def test_a_price_beyond_stop_or_target_is_refused(make_score: Callable[..., Score], price: float) -> None:
    """Catches an entry after the trade has already happened."""
    found = codes(Gate().decide(make_score(), EMPTY, price=price))
    assert found[0] == "price_moved_through"
    assert set(found) <= {"price_moved_through", "stop_too_far"}  # far beyond the target, the stop is far


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_hostile_prices_are_refused(make_score: Callable[..., Score], price: float) -> None:
    """Catches a quote that is no price."""
    assert codes(Gate().decide(make_score(), EMPTY, price=price)) == ("bad_input",)


def test_all_reasons_are_listed(make_score: Callable[..., Score]) -> None:
    """Catches a gate that stops at the first reason, or at the end of one group of rules."""
    score = make_score(p_direction=0.5, missing_features=("a", "b"), distance_to_low_24h=0.1)
    account = Account(equity=100_000.0, open_positions=(replace(HELD, symbol="BTCUSDT", risk_usd=3_000.0),))
    decision = Gate().decide(score, account, now=score.event_time + pd.Timedelta("1h"))
    assert set(codes(decision)) == {
        "stale",
        "missing_features",
        "probability_below_threshold",
        "position_open",
        "stop_too_far",
        "open_risk_exceeded",
        "reward_risk_too_low",
    }
    empty = Gate().decide(make_score(direction=0, close=math.nan), Account(equity=math.nan))
    assert codes(empty) == ("no_event", "bad_input", "bad_equity")
    assert all(reason.message for reason in decision.reasons)


def test_missing_reward_is_not_hidden_by_a_bad_account(make_score: Callable[..., Score]) -> None:
    """Catches levels that are not judged when the account cannot be sized on."""
    decision = Gate().decide(make_score(distance_to_low_24h=0.1), Account(equity=0.0))
    assert codes(decision) == ("bad_equity", "stop_too_far")


def test_the_venue_decides_by_its_contracts(make_score: Callable[..., Score]) -> None:
    """Catches a gate that sizes every venue on the simulated one's facts."""
    plan = planned(Gate(contracts=venue_contracts("okx")).decide(make_score(), Account(equity=10_000.0)))
    assert plan.venue == "okx"
    assert not plan.contract_confirmed


@pytest.mark.parametrize(
    "bad",
    [
        {"probability_threshold": 1.1},
        {"probability_threshold": math.nan},
        {"horizon": timedelta(0)},
        {"horizon": timedelta(days=31)},
        {"max_score_age": timedelta(0)},
    ],
)
def test_impossible_gates_are_refused(bad: dict[str, Any]) -> None:
    """Catches a threshold in percent, and a position without an end."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        Gate(**bad)
