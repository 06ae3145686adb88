"""Each cap binds where it should, and the loss at the stop is what was budgeted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, contract, liquidation_price
from slackwater.trading.account import Account, Exposure, OpenPosition
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import SizingRules
from slackwater.trading.score import Score
from slackwater.trading.sizing import Sizing, size_position

BTC = contract("binance", "BTCUSDT")
LONG = Bracket(side=1, entry=50_000.0, stop=49_000.0, target=53_000.0)
SHORT = Bracket(side=-1, entry=50_000.0, stop=51_000.0, target=47_000.0)
FREE = CostModel(multiple=0.0)
NO_ODDS = {"min_expectancy": None, "kelly_fraction": None}
CAN_BE_OFF = {"depth_fraction", "min_expectancy", "kelly_fraction"}


def size(
    score: Score,
    bracket: Bracket = LONG,
    *,
    facts: Contract = BTC,
    rules: SizingRules | None = None,
    costs: CostModel | None = None,
    equity: float = 100_000.0,
    exposure: Exposure | None = None,
    risk_multiplier: float = 1.0,
) -> Sizing | tuple[Reason, ...]:
    return size_position(
        bracket,
        score=score,
        contract=facts,
        rules=rules or SizingRules(),
        costs=costs or CostModel(),
        equity=equity,
        exposure=exposure or Exposure(),
        risk_multiplier=risk_multiplier,
    )


def sized(score: Score, *arguments: Any, **options: Any) -> Sizing:
    sizing = size(score, *arguments, **options)
    assert isinstance(sizing, Sizing), sizing
    return sizing


def codes(score: Score, *arguments: Any, **options: Any) -> list[str]:
    sizing = size(score, *arguments, **options)
    assert not isinstance(sizing, Sizing)
    return [reason.code for reason in sizing]


def test_without_costs_the_budget_buys_exactly_the_distance(make_score: Callable[..., Score]) -> None:
    """Catches a budget in the wrong unit: 1 % of 100,000 over 1,000 a coin is one coin, less the lot."""
    sizing = sized(make_score(), costs=FREE)
    assert sizing.binding == "risk"
    assert sizing.quantity == pytest.approx(0.999)  # the cap itself is 1 - 1e-12
    assert dict(sizing.caps)["risk"] == pytest.approx(1.0)
    assert sizing.reward_risk == pytest.approx(3.0)


@pytest.mark.parametrize("bracket", [LONG, SHORT])
def test_fees_and_slippage_are_inside_the_budget(make_score: Callable[..., Score], bracket: Bracket) -> None:
    """Catches a stop loss sized on the distance alone, and impact left out of it."""
    score, costs = make_score(), CostModel()
    sizing = sized(score, bracket)
    order = {"quantity": sizing.quantity, "volume_24h": 20_000.0, "volatility_daily": 0.03}
    loss = sizing.quantity * (
        bracket.stop_distance
        + 0.0005 * (bracket.entry + bracket.stop)
        + bracket.entry * costs.market_slippage(BTC, **order)
        + bracket.stop * costs.stop_slippage(BTC, **order, atr_1h=0.006)
    )
    assert sizing.risk_usd == pytest.approx(loss)
    assert loss <= 1_000.0
    assert loss > 1_000.0 - BTC.lot_size * 1.2 * bracket.stop_distance


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
        ({}, {"facts": contract("binance", "ETHUSDT"), "equity": 1e6}, "margin_tier", 1.0 / 1.02),
        ({}, {"risk_multiplier": 0.5}, "throttled_risk", 0.5),
        # odds of 1:3 at an edge of log 1.2 are 2:5; Kelly stakes 2/7 - 5/7/3 = 1/21 of 100,000
        ({"trade_edge_low": math.log(1.2)}, {"rules": SizingRules(kelly_fraction=0.1)}, "kelly", 100 / 210),
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
    assert sizing.quantity <= min(cap for _, cap in sizing.caps)


def positions(*gains: float) -> tuple[OpenPosition, ...]:
    """Shorts of 5,000 USDT of margin each, with these gains at the mark."""
    of = {"side": -1, "quantity": 250.0, "entry": 100.0, "leverage": 5.0, "risk_usd": 0.0}
    return tuple(OpenPosition(symbol=f"C{n}USDT", mark=100.0 - gain / 250.0, **of) for n, gain in enumerate(gains))


@pytest.mark.parametrize(
    ("cash", "gains", "free"),
    [
        (10_000.0, (0.0, 0.0), 0.0),
        (10_000.0, (5_000.0, 0.0), 0.0),  # all posted, whatever the gain
        (10_150.0, (5_000.0, 4_000.0), 150.0),
        (11_050.0, (-900.0, 0.0), 150.0),  # never above equity less margins
        (11_000.0, (-900.0, 900.0), 1_000.0),
        (5_200.0, (5_000.0,), 200.0),
    ],
)
def test_only_cash_is_free_margin(
    make_score: Callable[..., Score], cash: float, gains: tuple[float, ...], free: float
) -> None:
    """Catches gains at the mark posted as margin: in isolated mode the venue rejects such an order."""
    account = Account(equity=cash + sum(gains), open_positions=positions(*gains))
    exposure = account.exposure("BTCUSDT", 1)
    wide = SizingRules(leverage_cap=10.0, max_open_risk=0.04, **NO_ODDS)
    found = size(make_score(), equity=account.equity, exposure=exposure, rules=wide, costs=FREE)
    if free == 0.0:
        assert not isinstance(found, Sizing)
        assert [reason.code for reason in found] == ["leverage_exceeded"]
    else:
        cap = free * found.leverage / (LONG.entry * (1.0 + found.costs.entry_slippage))
        assert dict(found.caps)["margin"] == pytest.approx(cap)
        assert found.margin_usd <= free


def test_unknown_depth_has_no_size_unless_the_rule_is_off(make_score: Callable[..., Score]) -> None:
    """Catches min() with NaN, which would switch all caps off, and a rule that an absent number switches off."""
    score = make_score(depth_bid_1pct=math.nan, depth_ask_1pct=math.nan, volume_24h=300.0)
    assert codes(score) == ["missing_depth"]
    sizing = sized(score, rules=SizingRules(depth_fraction=None))
    assert sizing.binding == "volume"
    assert "depth" not in dict(sizing.caps)


def test_the_depth_rule_can_be_switched_off(make_score: Callable[..., Score]) -> None:
    """Catches a cap on depth that stays where nobody asks for it."""
    score = make_score(depth_bid_1pct=20.0, depth_ask_1pct=20.0)
    assert sized(score).binding == "depth"
    assert sized(score, rules=SizingRules(depth_fraction=None)).binding == "risk"


@pytest.mark.parametrize("multiplier", [0.0, -1.0])
def test_a_throttle_of_nothing_has_no_size(make_score: Callable[..., Score], multiplier: float) -> None:
    """Catches a budget of zero that is reported as something else, or a negative one that is sized on."""
    assert codes(make_score(), risk_multiplier=multiplier) == ["throttled"]


@pytest.mark.parametrize(
    ("score", "options"),
    [
        ({}, {}),  # the leverage cap is divided by the slippage of a smaller order
        # one billion: the full size allows leverage 1 in its tier, the throttled one 2, and so twice the margin cap
        (
            {"volume_24h": 1e12, "depth_bid_1pct": 1e12, "depth_ask_1pct": 1e12},
            {"equity": 1e9, "bracket": replace(LONG, stop=49_750.0)},
        ),
    ],
)
def test_a_throttle_shrinks_the_budget_and_moves_no_other_cap(
    make_score: Callable[..., Score], score: dict[str, float], options: dict[str, Any]
) -> None:
    """Catches a loss after which another cap, and maybe the size, grows."""
    rules = SizingRules(risk_fraction=0.02, leverage_cap=10.0, kelly_fraction=None)
    full, throttled = (
        sized(make_score(**score), rules=rules, risk_multiplier=multiplier, **options) for multiplier in (1.0, 0.25)
    )
    assert throttled.quantity <= full.quantity
    assert throttled.leverage == full.leverage
    assert set(dict(throttled.caps).items()) - set(dict(full.caps).items()) == {throttled.caps[0]}


def test_a_throttle_lifts_no_refusal_of_slippage(make_score: Callable[..., Score]) -> None:
    """Catches a market too thin for the base size that is traded after a loss."""
    rules = SizingRules(max_entry_slippage=0.0003)
    assert codes(make_score(), rules=rules) == ["slippage_too_high"]
    assert codes(make_score(), rules=rules, risk_multiplier=0.25) == ["slippage_too_high"]


def test_no_multiplier_lifts_the_risk(make_score: Callable[..., Score]) -> None:
    """Catches a winner's bonus: nothing may exceed the base size."""
    assert sized(make_score(), risk_multiplier=3.0) == sized(make_score())


@pytest.mark.parametrize("bracket", [LONG, SHORT])
def test_fair_odds_are_refused(make_score: Callable[..., Score], bracket: Bracket) -> None:
    """Catches costs left out of the expectancy: without an edge every trade loses them."""
    fair = make_score(trade_edge=0.0, trade_edge_low=0.0)
    for off in ({}, {"kelly_fraction": None}, {"min_expectancy": None}, {"min_expectancy": 0.0}):
        assert codes(fair, bracket, rules=SizingRules(**off)) == ["expected_value_too_low"]
    assert sized(fair, bracket, rules=SizingRules(**NO_ODDS)).expectancy_low < 0.0


def test_the_required_worth_itself_is_refused(make_score: Callable[..., Score]) -> None:
    """Catches `<`: without costs fair odds are worth exactly 0, and odds of 1:1 on a payoff of 1:1 as well."""
    even = replace(LONG, target=51_000.0)
    fair = make_score(trade_edge=0.0, trade_edge_low=0.0)
    rules = SizingRules(min_expectancy=0.0, kelly_fraction=None, min_reward_risk=0.0)
    assert codes(fair, even, costs=FREE, rules=rules) == ["expected_value_too_low"]
    assert sized(make_score(trade_edge_low=0.01), even, costs=FREE, rules=rules).expectancy_low > 0.0


def test_the_lower_bound_decides_and_not_the_estimate(make_score: Callable[..., Score]) -> None:
    """Catches the odds of the model used where those of their lower bound belong."""
    doubtful = make_score(trade_edge=3.0, trade_edge_low=0.0)
    assert codes(doubtful) == ["expected_value_too_low"]
    rules = SizingRules(kelly_fraction=0.02)
    known, unsure = (sized(make_score(trade_edge=0.9, trade_edge_low=low), rules=rules) for low in (0.9, 0.5))
    assert known.binding == unsure.binding == "kelly"
    assert known.quantity > unsure.quantity
    assert known.p_trade == unsure.p_trade
    assert unsure.p_trade > unsure.p_trade_low > unsure.p_fair


@pytest.mark.parametrize("rules", [SizingRules(kelly_fraction=None), SizingRules(min_expectancy=None)])
def test_no_odds_are_refused_while_a_rule_asks_for_them(make_score: Callable[..., Score], rules: SizingRules) -> None:
    """Catches NaN that passes `worth <= required`, and one switch that turns both rules off."""
    unknown = make_score(trade_edge=math.nan, trade_edge_low=math.nan)
    assert codes(unknown, rules=rules) == ["no_trade_probability"]
    sizing = sized(unknown, rules=SizingRules(**NO_ODDS))
    assert "kelly" not in dict(sizing.caps)
    assert math.isnan(sizing.p_trade)
    assert math.isnan(sizing.p_trade_low)
    assert math.isnan(sizing.expectancy_low)
    assert sizing.p_fair == pytest.approx(0.25)


def test_kelly_alone_still_refuses_a_trade_that_is_worth_nothing(make_score: Callable[..., Score]) -> None:
    """Catches a negative stake that becomes a size, or a message about the smallest order alone."""
    rules = SizingRules(min_expectancy=None)
    poor = make_score(trade_edge=-1.0, trade_edge_low=-1.0)
    assert codes(poor, rules=rules) == ["expected_value_too_low"]


def test_a_kelly_stake_below_the_smallest_order_is_refused_as_too_small(make_score: Callable[..., Score]) -> None:
    """Catches a size of zero that passes because Kelly set it: the trade is worth something, but too little."""
    found = codes(make_score(trade_edge_low=0.3), rules=SizingRules(kelly_fraction=0.01), equity=2_000.0)
    assert found == ["below_minimum_size"]


def test_the_kelly_cap_is_the_stake_at_the_size_itself(make_score: Callable[..., Score]) -> None:
    """Catches a stake computed before costs, or for another size than the one that loses it."""
    score, costs = make_score(trade_edge_low=0.4), CostModel()
    quantity = dict(sized(score).caps)["kelly"]
    order = {"quantity": quantity, "volume_24h": 20_000.0, "volatility_daily": 0.03}
    paid = 50_000.0 * (0.0005 + costs.market_slippage(BTC, **order))
    loss = 1_000.0 + paid + 49_000.0 * (0.0005 + costs.stop_slippage(BTC, **order, atr_1h=0.006))
    b = (3_000.0 - paid - 53_000.0 * 0.0005) / loss
    p = math.exp(0.4) / (math.exp(0.4) + 3.0)
    assert quantity * loss == pytest.approx(0.25 * (p - (1 - p) / b) * 100_000.0)


@pytest.mark.parametrize("bracket", [LONG, SHORT])
def test_leverage_is_the_largest_that_outlives_the_stop(make_score: Callable[..., Score], bracket: Bracket) -> None:
    """Catches leverage left at its cap, or lowered more than needed."""
    wide = replace(bracket, stop=bracket.entry * (1 - 0.07 * bracket.side), target=bracket.target)
    rules = SizingRules(leverage_cap=10.0, min_reward_risk=0.0, **NO_ODDS)
    sizing = sized(make_score(), wide, rules=rules)
    assert 1 < sizing.leverage < 10
    buffer = 0.5 * wide.stop_distance

    def room(leverage: int) -> float:
        fill = wide.entry * (1 + wide.side * sizing.costs.entry_slippage)
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
    assert sized(score, near, rules=SizingRules(leverage_cap=10.0, **NO_ODDS, **rules)).leverage == expected


def test_costs_can_push_a_size_below_the_smallest_order(make_score: Callable[..., Score]) -> None:
    """Catches a smallest order that is only asked of the size before costs: .00205 coins become .0019."""
    assert sized(make_score(), equity=205.0, costs=FREE).quantity == 0.002
    assert codes(make_score(), equity=205.0) == ["below_minimum_size"]


def test_lower_leverage_never_makes_the_size_larger_than_the_margin(
    make_score: Callable[..., Score],
) -> None:
    """Catches a margin cap computed at the leverage cap instead of the lowered leverage."""
    rules = SizingRules(liquidation_buffer_price=0.4, min_reward_risk=0.0, **NO_ODDS)  # forces leverage 2 or less
    score = make_score(depth_bid_1pct=1e6, depth_ask_1pct=1e6, volume_24h=1e7)
    near = replace(LONG, stop=49_900.0)
    sizing = sized(score, near, rules=replace(rules, risk_fraction=0.02))
    assert sizing.leverage <= 2
    assert sizing.quantity * near.entry / sizing.leverage <= 100_000.0


def test_no_leverage_outlives_the_stop(make_score: Callable[..., Score]) -> None:
    """Catches a plan whose liquidation comes first: the smallest leverage is tried, then it is refused."""
    rules = SizingRules(liquidation_buffer_price=1.5)
    assert "liquidation_before_stop" in codes(make_score(), SHORT, rules=rules)


def test_the_tier_limits_the_leverage(make_score: Callable[..., Score]) -> None:
    """Catches a venue's own leverage limit ignored."""
    tier = replace(BTC.tiers[0], max_leverage=3.0)
    assert sized(make_score(), facts=replace(BTC, tiers=(tier,))).leverage == 3


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({}, {"exposure": Exposure(risk_usd=4_000.0)}, "open_risk_exceeded"),
        ({}, {"exposure": Exposure(cluster_risk_usd=2_000.0)}, "open_risk_exceeded"),
        ({}, {"exposure": Exposure(notional_usd=500_000.0)}, "leverage_exceeded"),
        ({}, {"exposure": Exposure(margin_usd=100_000.0)}, "leverage_exceeded"),
        ({}, {"equity": 10.0}, "below_minimum_size"),
        ({"depth_bid_1pct": 0.0}, {}, "below_minimum_size"),
        ({}, {"equity": 190.0}, "below_minimum_size"),  # one lot is less than 100 USDT
        ({}, {"costs": CostModel(multiple=10.0, impact_coefficient=10.0)}, "slippage_too_high"),
        ({}, {"rules": SizingRules(min_reward_risk=4.0)}, "reward_risk_too_low"),
    ],
)
def test_what_cannot_be_sized_is_refused(
    make_score: Callable[..., Score], changes: dict[str, float], options: dict[str, Any], expected: str
) -> None:
    """Catches a size rounded up to the smallest order, and room that is not there."""
    assert expected in codes(make_score(**changes), **options)


def test_reasons_add_up(make_score: Callable[..., Score]) -> None:
    """Catches a gate that stops at the first reason."""
    full = Exposure(risk_usd=5_000.0, notional_usd=600_000.0)
    found = codes(make_score(), exposure=full, rules=SizingRules(min_reward_risk=4.0))
    assert found == [
        "open_risk_exceeded",
        "leverage_exceeded",
        "reward_risk_too_low",
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
        {"depth_fraction": 1.1},
        {"volume_fraction": 0.2},
        {"depth_fraction": 0.0},
        {"volume_fraction": 0.0},
        {"min_reward_risk": -0.1},
        {"min_expectancy": -0.01},
        {"min_expectancy": 1.1},
        {"kelly_fraction": 0.0},
        {"kelly_fraction": 1.1},
        {"liquidation_buffer_stop": -0.1},
        {"liquidation_buffer_atr": -0.1},
        {"liquidation_buffer_price": -0.1},
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


def test_rules_and_sizes_cannot_be_changed_afterwards(make_score: Callable[..., Score]) -> None:
    """Catches a limit that is lifted, or a size that is raised, once it has been set."""
    with pytest.raises(FrozenInstanceError):
        SizingRules().risk_fraction = 0.1
    with pytest.raises(FrozenInstanceError):
        sized(make_score()).quantity = 10.0


def test_three_rules_can_be_switched_off() -> None:
    """Catches a switch that is refused, and `needs_odds` that follows one of its two rules only."""
    off = SizingRules(**dict.fromkeys(CAN_BE_OFF))
    assert not off.needs_odds
    assert replace(off, min_expectancy=0.0).needs_odds
    assert replace(off, kelly_fraction=0.5).needs_odds


@pytest.mark.parametrize(("stop", "target"), [(46_396.3, 55_021.5), (47_269.9, 52_875.3), (48_812.6, 51_479.0)])
def test_a_kelly_stake_of_nothing_is_a_refusal(make_score: Callable[..., Score], stop: float, target: float) -> None:
    """Catches a root finder between two zeros: fair odds without costs are worth nothing, give or take a last bit."""
    rules = SizingRules(min_reward_risk=0.0, min_expectancy=None)
    plan = Bracket(side=1, entry=50_000.0, stop=stop, target=target)
    assert not isinstance(size(make_score(trade_edge=0.0, trade_edge_low=0.0), plan, costs=FREE, rules=rules), Sizing)
