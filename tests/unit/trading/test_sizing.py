"""Each cap binds where it should, and the loss at the stop is what was budgeted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, contract, liquidation_price
from slackwater.trading.account import Exposure
from slackwater.trading.costs import CostModel
from slackwater.trading.geometry import Geometry
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score
from slackwater.trading.sizing import Sizing, SizingRules, size_position

BTC = contract("binance", "BTCUSDT")
LONG = Geometry(side=1, entry=50_000.0, stop=49_000.0, target=53_000.0)
SHORT = Geometry(side=-1, entry=50_000.0, stop=51_000.0, target=47_000.0)
FREE = CostModel(multiple=0.0)


def size(
    score: Score,
    geometry: Geometry = LONG,
    *,
    facts: Contract = BTC,
    rules: SizingRules | None = None,
    costs: CostModel | None = None,
    equity: float = 100_000.0,
    exposure: Exposure | None = None,
) -> Sizing | tuple[Reason, ...]:
    return size_position(
        geometry,
        score=score,
        contract=facts,
        rules=rules or SizingRules(),
        costs=costs or CostModel(),
        equity=equity,
        exposure=exposure or Exposure(),
    )


def sized(score: Score, *arguments: Any, **options: Any) -> Sizing:
    sizing = size(score, *arguments, **options)
    assert isinstance(sizing, Sizing), sizing
    return sizing


def codes(score: Score, *arguments: Any, **options: Any) -> list[ReasonCode]:
    sizing = size(score, *arguments, **options)
    assert not isinstance(sizing, Sizing)
    return [reason.code for reason in sizing]


def test_without_costs_the_budget_buys_exactly_the_distance(make_score: Callable[..., Score]) -> None:
    """Catches a budget in the wrong unit: 1 % of 100,000 over 1,000 a coin is one coin, less the lot."""
    sizing = sized(make_score(), costs=FREE)
    assert sizing.binding == "risk"
    assert sizing.quantity == pytest.approx(0.999)  # the cap itself is 1 - 1e-12
    assert sizing.unrounded_quantity == pytest.approx(1.0)
    assert sizing.reward_risk == pytest.approx(3.0)


@pytest.mark.parametrize("geometry", [LONG, SHORT])
def test_fees_and_slippage_are_inside_the_budget(make_score: Callable[..., Score], geometry: Geometry) -> None:
    """Catches a stop loss sized on the distance alone, and impact left out of it."""
    score, costs = make_score(), CostModel()
    sizing = sized(score, geometry)
    order = {"quantity": sizing.quantity, "volume_24h": 20_000.0, "volatility_daily": 0.03}
    loss = sizing.quantity * (
        geometry.stop_distance
        + 0.0005 * (geometry.entry + geometry.stop)
        + geometry.entry * costs.market_slippage(BTC, **order)
        + geometry.stop * costs.stop_slippage(BTC, **order, atr_bar=0.0015)
    )
    assert sizing.risk_usd == pytest.approx(loss)
    assert loss <= 1_000.0
    assert loss > 1_000.0 - BTC.lot_size * 1.2 * geometry.stop_distance


@pytest.mark.parametrize(
    ("changes", "options", "binding", "quantity"),
    [
        ({"depth_bid_1pct": 20.0}, {}, "depth", 0.4),
        ({"depth_ask_1pct": 20.0}, {}, "depth", 0.4),
        ({"volume_24h": 300.0}, {}, "volume", 0.3),
        ({}, {"exposure": Exposure(notional_usd=480_000.0)}, "leverage", 0.4),
        ({}, {"exposure": Exposure(margin_usd=99_000.0)}, "margin", 0.1),
        ({}, {"exposure": Exposure(cluster_risk_usd=1_800.0, risk_usd=1_800.0)}, "cluster_risk", 0.2),
        ({}, {"exposure": Exposure(cluster_risk_usd=0.0, risk_usd=3_900.0)}, "open_risk", 0.1),
        ({}, {"facts": contract("binance", "ETHUSDT"), "equity": 1e6}, "margin_tier", 1.0),
    ],
)
def test_every_cap_can_bind(
    make_score: Callable[..., Score],
    changes: dict[str, float],
    options: dict[str, Any],
    binding: str,
    quantity: float,
) -> None:
    """Catches a cap that is computed and not used, or on the wrong base."""
    sizing = sized(make_score(**changes), costs=FREE, **options)
    assert sizing.binding == binding
    assert quantity - 0.0011 <= sizing.quantity < quantity


def test_unknown_depth_leaves_the_volume_cap(make_score: Callable[..., Score]) -> None:
    """Catches min() with NaN, which would switch all caps off or refuse every venue without depth."""
    score = make_score(depth_bid_1pct=math.nan, depth_ask_1pct=math.nan, volume_24h=300.0)
    assert sized(score).binding == "volume"


@pytest.mark.parametrize("geometry", [LONG, SHORT])
def test_leverage_is_the_largest_that_outlives_the_stop(make_score: Callable[..., Score], geometry: Geometry) -> None:
    """Catches leverage left at its cap, or lowered more than needed."""
    wide = replace(geometry, stop=geometry.entry * (1 - 0.07 * geometry.side), target=geometry.target)
    rules = SizingRules(leverage_cap=10.0, min_reward_risk=0.0)
    sizing = sized(make_score(), wide, rules=rules)
    assert 1 < sizing.leverage < 10
    buffer = 0.5 * wide.stop_distance

    def room(leverage: int) -> float:
        fill = wide.entry * (1 + wide.side * sizing.entry_slippage)
        price = liquidation_price(BTC, side=wide.side, entry=fill, quantity=sizing.quantity, leverage=leverage)
        return wide.side * (wide.stop - price)

    assert room(sizing.leverage) >= buffer
    assert room(sizing.leverage + 1) < buffer
    assert wide.side * (wide.stop - sizing.liquidation_price) >= buffer


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, 10),
        ({"liquidation_buffer_atr": 4.0}, 9),  # 4 x .025 of 50,000; at 10 x there are 4,720 USDT of room
        ({"liquidation_buffer_price": 0.1}, 9),
        ({"liquidation_buffer_stop": 50.0}, 9),
    ],
)
def test_each_buffer_lowers_the_leverage(
    make_score: Callable[..., Score], rules: dict[str, float], expected: int
) -> None:
    """Catches a buffer that is left out of the largest."""
    near, score = replace(LONG, stop=49_900.0), make_score(atr_1h=0.025)
    assert sized(score, near, rules=SizingRules(leverage_cap=10.0, **rules)).leverage == expected


def test_costs_can_push_a_size_below_the_smallest_order(make_score: Callable[..., Score]) -> None:
    """Catches a smallest order that is only asked of the size before costs: .00205 coins become .0019."""
    assert sized(make_score(), equity=205.0, costs=FREE).quantity == 0.002
    assert codes(make_score(), equity=205.0) == [ReasonCode.BELOW_MINIMUM_SIZE]


def test_lower_leverage_never_makes_the_size_larger_than_the_margin(
    make_score: Callable[..., Score],
) -> None:
    """Catches a margin cap computed at the leverage cap instead of the lowered leverage."""
    rules = SizingRules(liquidation_buffer_price=0.4, min_reward_risk=0.0)  # forces leverage 2 or less
    score = make_score(depth_bid_1pct=1e6, depth_ask_1pct=1e6, volume_24h=1e7)
    near = replace(LONG, stop=49_900.0)
    sizing = sized(score, near, rules=replace(rules, risk_fraction=0.02))
    assert sizing.leverage <= 2
    assert sizing.quantity * near.entry / sizing.leverage <= 100_000.0


def test_no_leverage_outlives_the_stop(make_score: Callable[..., Score]) -> None:
    """Catches a plan whose liquidation comes first: the smallest leverage is tried, then it is refused."""
    rules = SizingRules(liquidation_buffer_price=1.5)
    assert ReasonCode.LIQUIDATION_BEFORE_STOP in codes(make_score(), SHORT, rules=rules)


def test_the_tier_limits_the_leverage(make_score: Callable[..., Score]) -> None:
    """Catches a venue's own leverage limit ignored."""
    tier = replace(BTC.tiers[0], max_leverage=3.0)
    assert sized(make_score(), facts=replace(BTC, tiers=(tier,))).leverage == 3


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({}, {"exposure": Exposure(risk_usd=4_000.0)}, ReasonCode.OPEN_RISK_EXCEEDED),
        ({}, {"exposure": Exposure(cluster_risk_usd=2_000.0)}, ReasonCode.OPEN_RISK_EXCEEDED),
        ({}, {"exposure": Exposure(notional_usd=500_000.0)}, ReasonCode.LEVERAGE_EXCEEDED),
        ({}, {"exposure": Exposure(margin_usd=100_000.0)}, ReasonCode.LEVERAGE_EXCEEDED),
        ({}, {"equity": 10.0}, ReasonCode.BELOW_MINIMUM_SIZE),
        ({"depth_bid_1pct": 0.0}, {}, ReasonCode.BELOW_MINIMUM_SIZE),
        ({}, {"equity": 190.0}, ReasonCode.BELOW_MINIMUM_SIZE),  # one lot is less than 100 USDT
        ({}, {"costs": CostModel(multiple=10.0, impact_coefficient=10.0)}, ReasonCode.SLIPPAGE_TOO_HIGH),
        ({}, {"rules": SizingRules(min_reward_risk=4.0)}, ReasonCode.REWARD_RISK_TOO_LOW),
    ],
)
def test_what_cannot_be_sized_is_refused(
    make_score: Callable[..., Score], changes: dict[str, float], options: dict[str, Any], expected: ReasonCode
) -> None:
    """Catches a size rounded up to the smallest order, and room that is not there."""
    assert expected in codes(make_score(**changes), **options)


def test_reasons_add_up(make_score: Callable[..., Score]) -> None:
    """Catches a gate that stops at the first reason."""
    full = Exposure(risk_usd=5_000.0, notional_usd=600_000.0)
    found = codes(make_score(), exposure=full, rules=SizingRules(min_reward_risk=4.0))
    assert found == [
        ReasonCode.OPEN_RISK_EXCEEDED,
        ReasonCode.LEVERAGE_EXCEEDED,
        ReasonCode.REWARD_RISK_TOO_LOW,
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"risk_fraction": 0.021},
        {"risk_fraction": 0.0},
        {"max_cluster_risk": 0.03},
        {"max_open_risk": 0.05},
        {"leverage_cap": 10.5},
        {"leverage_cap": 0.9},
        {"max_stop_distance": 0.09},
        {"depth_fraction": 1.1},
        {"volume_fraction": 0.2},
        {"stop_buffer_atr": -0.1},
        {"max_entry_slippage": 0.06},
    ],
)
def test_rules_can_only_be_made_stricter(bad: dict[str, float]) -> None:
    """Catches a parameter file that lifts a limit of the playbook."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        SizingRules(**bad)


def test_no_rule_takes_nan() -> None:
    """Catches `value < low or value > high`, which NaN passes."""
    for field in fields(SizingRules):
        with pytest.raises(ParameterError, match=field.name):
            SizingRules(**{field.name: math.nan})
