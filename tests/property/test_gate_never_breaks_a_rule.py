"""Whatever goes in: a plan that obeys every rule comes out, or a refusal, or a named error.

The rules are recomputed here from the plan's prices and quantity, not with the code that made the plan.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slackwater.errors import SlackwaterError
from slackwater.market.contracts import Contract, maintenance_margin, venue_contracts
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Account, Gate, OpenPosition, Refusal, TradePlan
from slackwater.trading.score import Score
from slackwater.trading.sizing import SizingRules

T = pd.Timestamp("2024-03-01 12:00", tz="UTC")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
VENUES = ("binance", "bybit", "okx", "gate", "simulated")
SLACK = 1e-9  # relative, for sums taken in another order than in the code under test
quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def between(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(min_value=low, max_value=high)


def spread(low: float, high: float) -> st.SearchStrategy[float]:
    """Evenly in the logarithm: as many small numbers as large ones."""
    return between(math.log10(low), math.log10(high)).map(lambda exponent: 10.0**exponent)


hostile = st.one_of(
    st.sampled_from([0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1e308, -1e308, 1e-12]),
    st.floats(),
)
sound_numbers = {
    "p_direction": between(0.5, 1.0),
    "p_hit": between(0.0, 1.0),
    "close": spread(1e-2, 1e5),
    "volatility_daily": spread(1e-3, 0.25),
    "atr_1h": spread(1e-4, 0.05),
    "atr_bar": spread(1e-5, 0.02),
    "distance_to_high_24h": between(0.0, 0.07),
    "distance_to_low_24h": between(0.0, 0.07),
    "distance_to_high_72h": between(0.07, 0.5),
    "distance_to_low_72h": between(0.07, 0.5),
    "volume_24h": spread(1.0, 1e10),
}
depths = st.one_of(st.just((math.nan, math.nan)), st.tuples(spread(1e-2, 1e8), spread(1e-2, 1e8)))


@st.composite
def scores(draw: st.DrawFn, *, hostile_fields: int = 0) -> Score:
    numbers = {name: draw(strategy) for name, strategy in sound_numbers.items()}
    numbers["depth_bid_1pct"], numbers["depth_ask_1pct"] = draw(depths)
    for _ in range(hostile_fields):
        numbers[draw(st.sampled_from(sorted(numbers)))] = draw(hostile)
    return Score(
        symbol=draw(st.sampled_from(SYMBOLS)),
        event_time=T,
        available_time=T + pd.Timedelta("5s"),
        direction=draw(st.sampled_from([-1, 1])),
        **numbers,
    )


EQUITIES = spread(100.0, 1e8)


@st.composite
def accounts(draw: st.DrawFn, equity: st.SearchStrategy[float] = EQUITIES) -> Account:
    value = draw(equity)
    scale = value if 1.0 < value < 1e12 else 1.0
    positions = []
    for symbol in draw(st.sets(st.sampled_from(["AAAUSDT", "BBBUSDT", *SYMBOLS]), max_size=3)):
        entry = draw(spread(1e-2, 1e5))
        positions.append(
            OpenPosition(
                symbol=symbol,
                side=draw(st.sampled_from([-1, 1])),
                quantity=scale * draw(between(0.01, 3)) / entry,
                entry=entry,
                mark=entry * draw(between(0.5, 2.0)),
                leverage=draw(between(1.0, 10.0)),
                risk_usd=scale * draw(between(0.0, 0.03)),
            )
        )
    return Account(equity=value, open_positions=tuple(positions))


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    rules = SizingRules(
        risk_fraction=draw(between(1e-4, 0.02)),
        leverage_cap=draw(between(1.0, 10.0)),
        depth_fraction=draw(between(0.01, 1.0)),
        volume_fraction=draw(between(1e-4, 0.1)),
        min_reward_risk=draw(between(0.0, 2.0)),
        stop_buffer_atr=draw(between(0.0, 1.0)),
        liquidation_buffer_price=draw(between(0.0, 0.3)),
    )
    costs = CostModel(
        multiple=draw(between(0.0, 3.0)),
        impact_coefficient=draw(between(0.0, 2.0)),
        stop_slippage_atr=draw(between(0.0, 1.0)),
        latency=timedelta(seconds=draw(st.integers(min_value=0, max_value=60))),
    )
    return Gate(contracts=venue_contracts(draw(st.sampled_from(VENUES))), rules=rules, costs=costs)


def margin_left(plan: TradePlan, contract: Contract, price: float) -> float:
    """Isolated margin above what the venue wants at a mark price, by its own definition."""
    fill = plan.entry * (1 + plan.side * plan.entry_slippage)
    value = plan.quantity * (fill if contract.venue == "bybit" else price)
    fee = contract.taker_fee * value if contract.venue in ("okx", "gate") else 0.0
    posted = plan.quantity * fill / plan.leverage
    return posted + plan.side * plan.quantity * (price - fill) - maintenance_margin(contract, value) - fee


def check(plan: TradePlan, score: Score, account: Account, gate: Gate) -> None:
    rules, contract, equity = gate.rules, gate.contracts[plan.symbol], account.equity
    others = account.open_positions
    assert plan.symbol not in {position.symbol for position in others}

    # the right side, and beyond the extreme
    assert plan.side == -score.direction
    if plan.side > 0:
        extreme = score.close * math.exp(-score.distance_to_low_24h)
    else:
        extreme = score.close * math.exp(score.distance_to_high_24h)
    assert plan.side * (extreme - plan.stop) >= 0
    assert plan.side * (plan.entry - plan.stop) > 0
    assert plan.side * (plan.target - plan.entry) > 0
    assert abs(plan.entry - plan.stop) <= 0.08 * plan.entry

    # a whole number of lots, no more than any cap
    assert Decimal(repr(plan.quantity)) % Decimal(repr(contract.lot_size)) == 0
    assert plan.quantity >= contract.min_quantity
    assert plan.quantity * plan.entry >= contract.min_notional_usd * (1 - SLACK)
    assert plan.quantity <= rules.volume_fraction * score.volume_24h
    if not math.isnan(score.depth_bid_1pct):
        assert plan.quantity <= rules.depth_fraction * min(score.depth_bid_1pct, score.depth_ask_1pct)
    else:
        assert not plan.depth_known

    # leverage and notional, at the worse of quote and fill
    fill = plan.entry * (1 + plan.side * plan.entry_slippage)
    notional = plan.quantity * max(plan.entry, fill)
    assert plan.leverage == int(plan.leverage)
    assert 1 <= plan.leverage <= min(10, rules.leverage_cap)
    total = notional + sum(position.quantity * position.mark for position in others)
    assert total <= min(10, rules.leverage_cap) * equity * (1 + SLACK)
    posted = sum(position.quantity * position.entry / position.leverage for position in others)
    assert posted + notional / plan.leverage <= equity * (1 + SLACK)

    # risk with fees and slippage inside
    costs = gate.costs
    impact = costs.impact_coefficient * score.volatility_daily * math.sqrt(plan.quantity / score.volume_24h)
    market = contract.half_spread + 1.6 * impact
    delay = score.volatility_daily * math.sqrt(costs.latency.total_seconds() / 86_400)
    loss = plan.side * (plan.entry - plan.stop) + costs.multiple * (
        plan.entry * (contract.taker_fee + market + delay)
        + plan.stop * (contract.taker_fee + market + costs.stop_slippage_atr * score.atr_bar)
    )
    risk = plan.quantity * loss
    assert plan.risk_usd == pytest.approx(risk, rel=1e-6)
    assert risk <= min(0.02, rules.risk_fraction) * equity * (1 + SLACK)
    cluster = sum(position.risk_usd for position in others if position.side == plan.side)
    assert cluster + risk <= 0.02 * equity * (1 + SLACK)
    assert sum(position.risk_usd for position in others) + risk <= 0.04 * equity * (1 + SLACK)

    # liquidation beyond the stop, by the venue's definition of it
    buffer = max(0.5 * abs(plan.entry - plan.stop), 0.2 * score.atr_1h * score.close, 0.003 * plan.entry)
    assert plan.side * (plan.stop - plan.liquidation_price) >= buffer * (1 - SLACK)
    if plan.liquidation_price > 0:
        left = margin_left(plan, contract, plan.liquidation_price)
        assert left == pytest.approx(0.0, abs=1e-6 * notional)
    assert margin_left(plan, contract, plan.stop) > 0
    assert all(math.isfinite(value) for value in plan.to_dict().values() if isinstance(value, float))


def decide(gate: Gate, score: Score, account: Account, **options: Any) -> TradePlan | Refusal:
    decision = gate.decide(score, account, **options)
    assert isinstance(decision, TradePlan) or decision.reasons
    return decision


@settings(quick, max_examples=800)
@given(score=scores(), account=accounts(), gate=gates(), drift=between(-0.01, 0.01))
def test_every_plan_obeys_every_rule(score: Score, account: Account, gate: Gate, drift: float) -> None:
    """Catches any cap left out, any rounding up, any sign, any cost outside of the budget."""
    price = score.close * (1 + drift)
    decision = decide(gate, score, account, price=price)
    if isinstance(decision, TradePlan):
        assert decision.entry == price
        check(decision, score, account, gate)


@settings(quick, max_examples=600)
@given(
    score=scores(hostile_fields=2),
    account=accounts(equity=st.one_of(hostile, spread(100.0, 1e9))),
    price=st.one_of(st.none(), hostile),
)
def test_hostile_input_never_gets_a_size(score: Score, account: Account, price: float | None) -> None:
    """Catches NaN that passes a comparison, a division by zero, an overflow."""
    gate = Gate(rules=SizingRules(min_reward_risk=0.0), probability_threshold=0.0)
    try:
        decision = decide(gate, score, account, price=price)
    except SlackwaterError:
        return
    if isinstance(decision, TradePlan):
        check(decision, score, account, gate)


@settings(quick, max_examples=500)
@given(score=scores(), account=accounts(), gate=gates())
def test_dearer_trading_never_grows_a_size(score: Score, account: Account, gate: Gate) -> None:
    """Catches leverage, or a refusal, that is lifted because costs shrank the position."""
    sizes = []
    for multiple in (gate.costs.multiple, 2 * gate.costs.multiple):
        dear = replace(gate, costs=replace(gate.costs, multiple=multiple))
        decision = decide(dear, score, account)
        sizes.append(decision.quantity if isinstance(decision, TradePlan) else 0.0)
    assert sizes[1] <= sizes[0]


def test_sound_input_does_get_a_size() -> None:
    """The properties above would hold of a gate that refuses everything: this one must not."""
    planned = []

    @settings(quick, max_examples=200, derandomize=True, database=None)
    @given(score=scores(), account=accounts(), gate=gates())
    def collect(score: Score, account: Account, gate: Gate) -> None:
        planned.append(isinstance(gate.decide(score, account), TradePlan))

    collect()
    assert sum(planned) >= 8
