"""Fills and exits of one paper trade, and plans as plain values."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from slackwater.market.contracts import bankruptcy_price, liquidation_price
from slackwater.paper.plan_values import plan_of_values, plan_values, score_of_values, score_values
from slackwater.paper.position import Bar, Ending, Position
from slackwater.times import HOUR_US, MINUTE_US, SECOND_US, microseconds
from slackwater.trading.decision import TradePlan
from tests.unit.paper.plans import ARRIVES, GATE, HORIZON, START_US, bar_of, plan_of

CONTRACT = GATE.contracts["BTCUSDT"]
SIDES = pytest.mark.parametrize("side", [1, -1])


def sent(side: int = 1, plan: TradePlan | None = None) -> Position:
    plan = plan or plan_of(side)
    return Position(trade="t", plan=plan, arrives_us=ARRIVES, horizon_us=microseconds(HORIZON))


def opened(side: int = 1, price: float = 50_000.0, at: int = ARRIVES, plan: TradePlan | None = None) -> Position:
    position = sent(side, plan)
    assert position.meets_print(at, price, math.inf)
    position.fill(at, CONTRACT)
    return position


def mirrored(side: int, bar: Bar) -> Bar:
    """The bar, or its image at 50,000 for a short, whose levels are turned into those of a long by `at`."""
    if side > 0:
        return bar
    return bar._replace(**{name: 100_000.0 - getattr(bar, name) for name in ("open", "close")},
                        high=100_000.0 - bar.low, low=100_000.0 - bar.high)  # fmt: skip


def at(side: int, price: float) -> float:
    return price if side > 0 else 100_000.0 - price


def leveled(side: int) -> TradePlan:
    """A plan with the stop 1,000 and the target 2,000 from 50,000."""
    plan = plan_of(side)
    return replace(plan, bracket=replace(plan.bracket, stop=at(side, 49_000.0), target=at(side, 52_000.0)))


# -- the order -----------------------------------------------------------------------------------------------


@SIDES
def test_an_order_takes_the_worst_price_until_the_market_has_traded_its_quantity(side: int) -> None:
    """Catches a fill at the first price, the last one, the best one, or before enough was traded."""
    position, half = sent(side), plan_of(side).quantity / 2
    assert not position.meets_print(ARRIVES, at(side, 50_010.0), half * 0.9)
    assert not position.meets_print(ARRIVES + 1, at(side, 50_030.0), half * 0.9)
    assert position.meets_print(ARRIVES + 2, at(side, 49_990.0), half)
    position.fill(ARRIVES + 2, CONTRACT)
    assert (position.filled, position.filled_us) == (at(side, 50_030.0), ARRIVES + 2)


def test_an_order_meets_nothing_before_it_arrives() -> None:
    """Catches latency that is left out: a fill, or a share of it, by trades or bars before the arrival."""
    position = sent()
    assert not position.meets_print(ARRIVES - 1, 49_000.0, math.inf)
    assert not position.meets_bar(bar_of(0, 50_000.0, 50_100.0, 49_900.0, 50_000.0))  # it opened half a second before
    assert position.traded == 0.0
    assert math.isnan(position.worst)
    assert position.meets_print(ARRIVES, 50_000.0, position.plan.quantity)


@SIDES
def test_a_bar_without_a_trade_seen_fills_at_its_worst_price(side: int) -> None:
    """Catches a fill at the open or close of a bar of which nobody has seen the trades."""
    position = sent(side)
    assert position.meets_bar(mirrored(side, bar_of(1, 50_000.0, 50_200.0, 49_900.0, 50_050.0)))
    assert position.worst == at(side, 50_200.0)


@SIDES
def test_liquidation_and_bankruptcy_are_those_of_the_actual_fill(side: int) -> None:
    """Catches the prices of the plan, which was made for another entry."""
    position = opened(side, at(side, 50_400.0))
    paid = at(side, 50_400.0) * (1 + side * position.plan.costs.entry_slippage)
    given = {"side": side, "entry": paid, "leverage": position.plan.leverage}
    assert position.liquidation == liquidation_price(CONTRACT, quantity=position.plan.quantity, **given)
    assert position.bankruptcy == bankruptcy_price(**given)
    assert position.liquidation != position.plan.liquidation_price


@pytest.mark.parametrize("tier", [0, 2])
def test_a_larger_position_has_the_margin_of_its_tier(tier: int) -> None:
    """Catches the rate of the first tier for every size, and the end of the tiers, which once ended the process."""
    cap = CONTRACT.tiers[tier].notional_cap_usd
    known = replace(CONTRACT, tiers=CONTRACT.tiers[: tier + 1])
    plan = plan_of()
    plan = replace(plan, sizing=replace(plan.sizing, quantity=cap / 50_000.0 * 0.999))
    inside, beyond = opened(plan=plan), sent(plan=plan)
    paid = 50_000.0 * (1 + plan.costs.entry_slippage)
    given = {"side": 1, "entry": paid, "quantity": plan.quantity, "leverage": plan.leverage}
    assert inside.liquidation == liquidation_price(CONTRACT, **given)
    beyond.meets_print(ARRIVES, 50_500.0, math.inf)
    beyond.fill(ARRIVES, known)  # a worse price: more notional than the known tiers cover
    assert beyond.liquidation == pytest.approx(inside.liquidation * 1.01, rel=2e-3)


# -- exits by trades -----------------------------------------------------------------------------------------


@SIDES
def test_a_stop_ends_at_the_price_of_its_trigger_and_never_better(side: int) -> None:
    """Catches a stop that is filled at its own price after the market has gone through it."""
    position = opened(side, plan=leveled(side))
    assert position.ended_by_print(ARRIVES + 1, at(side, 49_000.01)) is None
    assert position.ended_by_print(ARRIVES + 2, at(side, 48_700.0)) == Ending(
        "stop", ARRIVES + 2, at(side, 48_700.0), ARRIVES + 2, ARRIVES + 2
    )


@SIDES
def test_a_target_is_filled_only_by_a_trade_beyond_it(side: int) -> None:
    """Catches a target that is filled by a touch, or at a better price than its own."""
    position = opened(side, plan=leveled(side))
    assert position.ended_by_print(ARRIVES + 1, at(side, 52_000.0)) is None
    end = position.ended_by_print(ARRIVES + 2, at(side, 52_300.0))
    assert end is not None
    assert (end.reason, end.price) == ("target", at(side, 52_000.0))


def test_the_time_exit_is_counted_from_the_fill() -> None:
    """Catches a horizon that runs from the decision: the order was filled half an hour later."""
    filled = ARRIVES + 30 * MINUTE_US
    position, expires = opened(at=filled), filled + 12 * HOUR_US
    assert position.expires_us == expires
    assert position.ended_by_print(expires - 1, 50_000.0) is None
    end = position.ended_by_print(expires, 50_123.0)
    assert end is not None
    assert (end.reason, end.time_us, end.price) == ("time", expires, 50_123.0)


def test_trades_before_the_fill_end_nothing() -> None:
    """Catches trades that were requested again and come out of order."""
    position = opened(at=ARRIVES + 10)
    assert position.ended_by_print(ARRIVES + 9, 1.0) is None


def test_beyond_bankruptcy_the_margin_is_lost_and_no_more() -> None:
    """Catches a stop, or a time exit, in a gap that costs more than the margin."""
    for late in (0, 12 * HOUR_US):
        position = opened(plan=leveled(1))
        end = position.ended_by_print(ARRIVES + late, 100.0)
        assert end is not None
        assert (end.reason, end.price) == ("liquidation", position.bankruptcy)


# -- exits by bars -------------------------------------------------------------------------------------------


@SIDES
@pytest.mark.parametrize(
    ("prices", "reason", "price"),
    [
        ((50_000.0, 52_500.0, 48_900.0, 50_000.0), "stop", 49_000.0),  # both are touched
        ((48_800.0, 48_900.0, 48_000.0, 48_500.0), "stop", 48_800.0),  # opens beyond the stop
        ((50_000.0, 52_000.5, 49_900.0, 51_000.0), "target", 52_000.0),
        ((52_400.0, 52_500.0, 48_900.0, 50_000.0), "target", 52_000.0),  # the first trade is beyond the target
        ((50_000.0, 52_000.0, 49_000.5, 51_000.0), None, None),
    ],
)
def test_a_bar_ends_a_position_as_in_the_backtest(
    side: int, prices: tuple[float, ...], reason: str | None, price: float | None
) -> None:
    """Catches the better of two levels in one bar, and a stop better than the open that lies beyond it."""
    position = opened(side, plan=leveled(side))
    bar = mirrored(side, bar_of(1, *prices))
    end = position.ended_by_bar(bar)
    if reason is None or price is None:
        assert end is None
    else:
        assert end == Ending(reason, bar.closed_us, at(side, price), bar.opened_us, bar.closed_us)


def test_a_bar_of_which_a_part_came_before_the_fill_ends_nothing() -> None:
    """Catches a stop by the low of the minute before the fill."""
    position = opened(plan=leveled(1))
    assert position.ended_by_bar(bar_of(0, 50_000.0, 50_000.0, 48_000.0, 50_000.0)) is None


@SIDES
def test_after_its_time_a_bar_without_a_trade_seen_ends_it_at_the_worst_price(side: int) -> None:
    """Catches a time exit at the close, or a target, in a bar that opened after the time exit."""
    position = opened(side, plan=leveled(side))
    late = mirrored(side, bar_of(12 * 60 + 1, 51_000.0, 52_500.0, 49_500.0, 51_500.0))
    end = position.ended_by_bar(late)
    assert end is not None
    assert (end.reason, end.price) == ("time", at(side, 49_500.0))
    stopped = position.ended_by_bar(mirrored(side, bar_of(12 * 60 + 1, 51_000.0, 51_000.0, 48_500.0, 51_500.0)))
    assert stopped is not None
    assert (stopped.reason, stopped.price) == ("stop", at(side, 48_500.0))


# -- liquidation ---------------------------------------------------------------------------------------------


@SIDES
def test_the_mark_price_alone_liquidates(side: int) -> None:
    """Catches a liquidation by last trades, one that is missed, and one that leaves some of the margin."""
    far = replace(plan_of(side), bracket=replace(plan_of(side).bracket, stop=at(side, 10_000.0)))
    position = opened(side, plan=far)
    below = position.liquidation - side * 1.0
    assert position.ended_by_print(ARRIVES + 1, below) is None
    wick = bar_of(1, 50_000.0, max(50_000.0, below), min(50_000.0, below), 50_000.0)
    assert position.ended_by_bar(wick) is None
    near = position.liquidation + side * 1.0
    assert position.ended_by_mark(wick._replace(low=min(50_000.0, near), high=max(50_000.0, near))) is None
    end = position.ended_by_mark(wick)
    assert end is not None
    assert (end.reason, end.time_us, end.price) == ("liquidation", wick.closed_us, position.bankruptcy)


def test_of_the_mark_bar_of_the_fill_the_close_counts_alone() -> None:
    """Catches a liquidation by a wick before the fill, and one by the close after it that is missed."""
    position = opened()
    wick = bar_of(0, 50_000.0, 50_000.0, 30_000.0, 50_000.0)
    assert position.ended_by_mark(wick) is None
    assert position.ended_by_mark(wick._replace(close=30_000.0)) is not None
    assert position.ended_by_mark(bar_of(-1, 30_000.0, 30_000.0, 30_000.0, 30_000.0)) is None


def test_an_unknown_mark_price_liquidates_nothing() -> None:
    """Catches a comparison that holds for NaN."""
    assert opened().ended_by_mark(bar_of(1, *[math.nan] * 4)) is None


# -- funding -------------------------------------------------------------------------------------------------


@SIDES
def test_longs_pay_a_positive_rate(side: int) -> None:
    """Catches the sign of funding, and a notional at the entry rather than at the mark."""
    position = opened(side)
    due = pytest.approx(side * 1e-4 * position.plan.quantity * 51_000.0, rel=1e-12)
    assert position.settle(START_US + HOUR_US, 1e-4, 51_000.0) == due
    assert position.funding_usd == due


def test_settlements_are_paid_once_from_after_the_fill_to_the_exit() -> None:
    """Catches a settlement before the fill, one twice (also some milliseconds off), one out of order, one after."""
    position = opened(at=START_US + HOUR_US)
    hours = [1, 3, 3, 2, 2, 4]
    paid = [position.settle(START_US + hour * HOUR_US, 1e-4, 50_000.0) is not None for hour in hours]
    assert paid == [False, True, False, True, False, True]
    assert position.settle(START_US + 4 * HOUR_US + 3_000, 1e-4, 50_000.0) is None
    ends = START_US + 6 * HOUR_US
    position.closed(Ending("time", ends, 50_000.0, ends, ends))
    assert position.settle(ends, 1e-4, 50_000.0) is not None
    assert position.settle(ends + SECOND_US, 1e-4, 50_000.0) is None


def test_before_the_fill_no_funding_is_paid() -> None:
    """Catches an order that pays while it waits."""
    assert sent().settle(START_US + HOUR_US, 1e-4, 50_000.0) is None


@pytest.mark.parametrize(("rate", "paid"), [(1e-4, True), (-1e-4, False)])
def test_in_the_bar_of_the_exit_funding_is_charged_and_not_credited(rate: float, paid: bool) -> None:
    """Catches a receipt that the position may not have lived to see."""
    position = opened(plan=leveled(1))
    bar = bar_of(59, 50_000.0, 50_000.0, 48_000.0, 50_000.0)
    end = position.ended_by_bar(bar)
    assert end is not None
    position.closed(end)
    assert (position.settle(bar.closed_us, rate, 50_000.0) is not None) == paid


# -- what it was worth ---------------------------------------------------------------------------------------


@SIDES
def test_excursions_are_those_while_it_was_open(side: int) -> None:
    """Catches the far side of the bar of the exit, and prices beyond the target that it did not get."""
    position = opened(side, plan=leveled(side))
    position.ended_by_print(ARRIVES + 1, at(side, 49_500.0))
    position.ended_by_bar(mirrored(side, bar_of(1, 50_000.0, 51_000.0, 49_800.0, 50_000.0)))
    end = position.ended_by_print(ARRIVES + 2 * MINUTE_US, at(side, 53_000.0))
    assert end is not None
    unit = position.plan.quantity / position.plan.risk_usd
    assert position.excursions(end) == pytest.approx((500.0 * unit, 2_000.0 * unit), rel=1e-12)


def test_the_value_is_zero_before_the_fill_and_less_its_costs_after() -> None:
    """Catches an order that moves the equity, and an open position without its costs and funding."""
    assert sent().value_usd(1.0) == 0.0
    position = opened()
    position.settle(START_US + HOUR_US, 1e-3, 50_000.0)
    quantity, costs = position.plan.quantity, position.plan.costs
    owed = quantity * 50_000.0 * (costs.fee_fraction + costs.entry_slippage + 1e-3)
    assert position.value_usd(50_700.0) == pytest.approx(700.0 * quantity - owed, rel=1e-12)


# -- plain values --------------------------------------------------------------------------------------------


def test_a_plan_survives_json_to_the_last_bit() -> None:
    """Catches a field that is lost, rounded, or of another type after a restart."""
    plan = plan_of(depth_bid_1pct=1.0 / 3.0, triggers=("cusum", "cascade"))
    caps = (*plan.caps, ("unlimited", math.inf))
    plan = replace(plan, cluster=("ETHUSDT",), sizing=replace(plan.sizing, caps=caps))
    again = plan_of_values(json.loads(json.dumps(plan_values(plan))))
    assert plan.score.context.swept_extreme_distance_above != again.score.context.swept_extreme_distance_above  # NaN
    assert repr(again) == repr(plan)
    assert again.decided_at == plan.decided_at
    assert again.sizing == plan.sizing
    assert again.side is plan.side


def test_a_score_survives_json_to_the_last_bit() -> None:
    """Catches the same of what a refused event is judged by."""
    score = plan_of(triggers=("cusum",), pool_distance_above=0.1 + 0.2).score
    assert repr(score_of_values(json.loads(json.dumps(score_values(score))))) == repr(score)


def test_a_position_survives_json_in_every_state() -> None:
    """Catches a state that is lost: the order, the open position, the one that has ended."""
    states = [sent(), opened(), opened()]
    states[1].settle(START_US + HOUR_US, 1e-4, 50_000.0)
    states[2].closed(Ending("stop", ARRIVES, 49_000.0, ARRIVES, ARRIVES))
    for each in states:
        assert repr(Position.of_values(json.loads(json.dumps(each.values())))) == repr(each)
