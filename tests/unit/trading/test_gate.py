"""The gate plans by the rules and refuses with every reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import OrderError, ParameterError
from slackwater.market.contracts import venue_contracts
from slackwater.scoring.manifest import from_plain, to_plain
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import TrackRecord
from slackwater.trading.gate import Gate
from slackwater.trading.rules import BracketRules, DrawdownRules, EntryRules, SizingRules
from slackwater.trading.score import Score
from tests.trading import reason_codes

EMPTY = Account(equity=100_000.0)
HELD = OpenPosition(symbol="ETHUSDT", side=1, quantity=1.0, entry=3_000.0, mark=3_000.0, leverage=3.0, risk_usd=500.0)
OF_THE_BACKTEST = {"no_entry_bar", "path_ends_before_horizon"}
DISCIPLINE_OFF = Gate(drawdown_control=DrawdownRules.off())
LOST_LAST_HOUR = {"last_loss_time": pd.Timestamp("2024-03-01 11:00", tz="UTC"), "loss_streak": 2, "worst_streak": 2}
NAN_EDGE = {"trade_edge": math.nan, "trade_edge_low": math.nan}
NO_EDGE = {"trade_edge": 0.0, "trade_edge_low": 0.0}
NO_DEPTH = {"depth_bid_1pct": math.nan, "depth_ask_1pct": math.nan}


def gate_with(**rules: Any) -> Gate:
    """A gate whose rules differ from the defaults, each handed to the group that has it."""
    groups = {"entry": EntryRules, "bracket": BracketRules, "rules": SizingRules, "drawdown_control": DrawdownRules}
    parts = {}
    for part, kind in groups.items():
        names = {field.name for field in fields(kind)}
        parts[part] = kind(**{name: value for name, value in rules.items() if name in names})
    assert rules.keys() <= {field.name for kind in groups.values() for field in fields(kind)}
    return Gate(**parts)


def planned(decision: TradePlan | Refusal) -> TradePlan:
    assert isinstance(decision, TradePlan), decision
    return decision


def codes(decision: TradePlan | Refusal) -> tuple[str, ...]:
    assert isinstance(decision, Refusal), decision
    return decision.codes


# -- The plan -----------------------------------------------------------------------------------------------------


def test_a_long_after_a_fall(make_score: Callable[..., Score]) -> None:
    """Catches trading with the move, and levels taken from the wrong side or window."""
    score = make_score()
    plan = planned(Gate().decide(score, EMPTY))
    below, above = 50_000 * math.exp(-0.03), 50_000 * math.exp(0.03)
    assert plan.side == 1
    assert below - 0.1 <= plan.stop <= below
    assert above - 0.1 <= plan.target <= above
    assert (plan.levels.stop_level, plan.levels.target_level) == ("sd", "sd")
    assert plan.liquidation_price < plan.stop
    assert plan.expires == score.available_time + timedelta(hours=24)


def test_a_short_after_a_rise(make_score: Callable[..., Score]) -> None:
    """Catches the long's levels used for a short, and a horizon that is not that of the gate."""
    score = make_score(direction=1, distance_to_high_24h=0.01, distance_to_low_72h=0.03, volatility_daily=0.016)
    gate = gate_with(target_sd=1.5, stop_sd=0.75)
    plan = planned(replace(gate, horizon=timedelta(days=4)).decide(score, EMPTY))
    above, low_72h = 50_000 * math.exp(0.75 * 0.032), 50_000 * math.exp(-0.03)
    assert plan.side == -1
    assert above <= plan.stop <= above + 0.1
    assert low_72h + 0.1 * 300 <= plan.target <= low_72h + 0.1 * 300 + 0.1
    assert (plan.levels.stop_level, plan.levels.target_level) == ("sd", "range_72h")
    assert plan.liquidation_price > plan.stop


def test_a_swept_level_and_a_pool_take_precedence(make_score: Callable[..., Score]) -> None:
    """Catches a gate that hands its bracket rules to nobody, or a plan that names other levels than it has."""
    score = make_score(swept_extreme_distance_below=0.031, pool_distance_above=0.06)
    gate = gate_with(stop_buffer_atr=1.0, target_buffer_atr=0.5, target_sd=3.0)
    plan = planned(gate.decide(score, EMPTY))
    assert plan.stop == pytest.approx(50_000 * math.exp(-0.031) - 300, abs=0.1)
    assert plan.target == pytest.approx(50_000 * math.exp(0.06) - 150, abs=0.1)
    assert (plan.levels.stop_level, plan.levels.target_level) == ("swept", "pool")


@pytest.mark.parametrize("bracket", [{}, {"target_sd": 1.3, "stop_sd": 0.7}, {"target_sd": None, "stop_sd": None}])
def test_a_gate_from_the_sections_of_a_bundle_places_the_same_levels(
    make_score: Callable[..., Score], bracket: dict[str, float | None]
) -> None:
    """Catches a distance that the bundle loses, a null that becomes the default, and a horizon of its own."""
    gate = Gate(bracket=BracketRules(**bracket), rules=SizingRules(min_reward_risk=0.0), horizon=timedelta(hours=12))
    parts = ("entry", "bracket", "rules", "drawdown_control", "costs", "horizon")
    sections = json.loads(json.dumps({part: to_plain(plain(getattr(gate, part))) for part in parts}))
    live = Gate.of("simulated", **from_plain(sections))
    assert live == gate
    score = make_score(swept_extreme_distance_below=0.016)
    assert planned(live.decide(score, EMPTY)).levels == planned(gate.decide(score, EMPTY)).levels


def plain(part: Any) -> Any:
    return asdict(part) if is_dataclass(part) else part


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "datetime"])
def test_a_time_exit_is_a_time_as_the_decision(make_score: Callable[..., Score], unit: str) -> None:
    """Catches another resolution or type of the time exit, which is not made by adding what the settings hold."""
    available = pd.Timestamp(make_score().available_time)
    now = available.to_pydatetime() if unit == "datetime" else available.as_unit(unit)
    horizon = timedelta(hours=7, microseconds=5)
    plan = planned(Gate(horizon=horizon).decide(make_score(), EMPTY, now=now))
    wanted = now + horizon
    assert (type(plan.expires), repr(plan.expires)) == (type(wanted), repr(wanted))
    assert getattr(plan.expires, "unit", None) == getattr(wanted, "unit", None)


def test_every_number_of_a_plan_by_hand(
    make_score: Callable[..., Score], make_record: Callable[..., TrackRecord]
) -> None:
    """Catches a number in the journal that is not the one that was used, and any of them on the wrong base."""
    gate = Gate(costs=CostModel(multiple=2.0, latency=timedelta(seconds=54)), horizon=timedelta(hours=8))
    # peak 107,500, now 100,000: 6.98 % lost, of which 15 % leave nothing; three losses in a row halve once
    streak = {"loss_streak": 3, "worst_streak": 3, "last_loss_time": pd.Timestamp("2024-03-01 01:00", tz="UTC")}
    account = Account(
        equity=100_000.0,
        open_positions=(HELD, replace(HELD, symbol="SOLUSDT", side=-1)),
        record=make_record(peak_equity=107_500.0, worst_drawdown=0.08, **streak),
    )
    score = make_score(volume_24h=40_000.0)
    now = score.event_time + pd.Timedelta("1min")
    plan = planned(gate.decide(score, account, now=now, price=49_900.0))

    entry, stop, target = 49_900.0, 49_141.4, 50_873.5  # a third of a day: .03 / sqrt(3) away from the close
    assert (plan.entry, plan.stop, plan.target) == (entry, stop, target)
    multiplier = (1 - (1 - 100_000 / 107_500) / 0.15) * 0.5
    assert plan.throttle.multiplier == pytest.approx(multiplier)
    assert plan.throttle.drawdown == pytest.approx(7_500 / 107_500)
    assert plan.loss_streak == 3

    def slippage(quantity: float) -> float:
        return 2 * (0.00005 + 1.6 * 0.03 * math.sqrt(quantity / 40_000.0))

    def loss(quantity: float) -> float:
        at_entry = 2 * 0.0005 + slippage(quantity) + 2 * 0.03 / 40  # 54 s are 1/1600 of a day
        at_stop = 2 * 0.0005 + slippage(quantity) + 2 * 0.03 * 0.006
        return entry - stop + entry * at_entry + stop * at_stop

    q, budget = plan.quantity, 1_000.0 * multiplier
    assert q * loss(q) <= budget < (q + 0.001) * loss(q + 0.001)
    assert plan.binding == "throttled_risk"
    assert dict(plan.caps)["throttled_risk"] * loss(dict(plan.caps)["throttled_risk"]) == pytest.approx(budget)
    assert plan.risk_usd == pytest.approx(q * loss(q))
    assert plan.sizing.risk_fraction == pytest.approx(q * loss(q) / 100_000)
    assert plan.notional_usd == pytest.approx(q * entry)
    assert plan.costs.entry_slippage == pytest.approx(slippage(q) + 0.0015)
    assert plan.costs.exit_slippage == pytest.approx(slippage(q))
    assert plan.costs.stop_slippage == pytest.approx(slippage(q) + 0.00036)
    assert plan.costs.latency_slippage == pytest.approx(0.0015)
    assert (plan.costs.fee_fraction, plan.costs.cost_multiple) == (0.001, 2.0)

    b = (target - entry - entry * (0.001 + slippage(q) + 0.0015) - target * 0.001) / loss(q)
    odds = (entry - stop) / (target - entry)
    p_low = odds * math.exp(0.7) / (1 + odds * math.exp(0.7))
    assert plan.sizing.reward_risk == pytest.approx(b)
    assert plan.p_fair == pytest.approx(odds / (1 + odds))
    assert plan.sizing.p_trade == pytest.approx(odds * math.exp(0.9) / (1 + odds * math.exp(0.9)))
    assert plan.p_trade_low == pytest.approx(p_low)
    assert plan.expectancy_low == pytest.approx(p_low * b - (1 - p_low))

    caps, fill = dict(plan.caps), entry * (1 + plan.costs.entry_slippage)
    assert caps.keys() == {"throttled_risk", "leverage", "margin", "margin_tier", "volume", "depth", "kelly"}
    assert caps["volume"] == pytest.approx(40.0)
    assert caps["depth"] == pytest.approx(6.0)
    # priced at the size that costs would leave none of, so a little dearer than the fill
    assert caps["leverage"] == pytest.approx((500_000 - 6_000) / fill, rel=1e-3)
    assert caps["margin"] == pytest.approx(98_000 * 5 / fill / (1 + 5 * 0.001), rel=1e-3)
    assert caps["margin"] < 98_000 * 5 / fill
    stake = caps["kelly"] * loss(caps["kelly"]) / 100_000
    gain = target - entry - entry * (0.001 + slippage(caps["kelly"]) + 0.0015) - target * 0.001
    assert stake == pytest.approx(0.25 * (p_low - (1 - p_low) * loss(caps["kelly"]) / gain))

    assert (plan.leverage, plan.sizing.leverage_cap) == (5, 5.0)
    assert plan.sizing.margin_usd == pytest.approx(q * fill / 5)
    assert plan.bankruptcy_price == pytest.approx(fill * 0.8)
    assert plan.liquidation_price == pytest.approx(fill * 0.8 / (1 - 0.004))
    assert plan.cluster == ("ETHUSDT",)
    assert (plan.venue, plan.symbol, plan.score.direction, plan.side) == ("simulated", "BTCUSDT", -1, 1)
    assert (plan.event_time, plan.decided_at, plan.expires) == (score.event_time, now, now + pd.Timedelta("8h"))
    assert (plan.score.p_direction, plan.score.p_hit, plan.equity, plan.score.context.depth_1pct) == (
        0.62,
        0.4,
        100_000.0,
        300.0,
    )
    assert (
        plan.score.context.volatility_daily,
        plan.score.context.atr_1h,
        plan.score.context.volume_24h,
    ) == (0.03, 0.006, 40_000.0)
    assert plan.contract_confirmed


def test_nothing_of_a_plan_can_be_changed(make_score: Callable[..., Score]) -> None:
    """Catches a stop that is widened, or a size that is raised, after the decision."""
    plan = planned(Gate().decide(make_score(), EMPTY))
    refusal = Gate().decide(make_score(p_direction=0.5), EMPTY)
    for thing in (plan, refusal, Gate()):
        for field in fields(thing):
            with pytest.raises(FrozenInstanceError):
                setattr(thing, field.name, getattr(thing, field.name))


JOURNAL = {
    "decision",
    "venue",
    "symbol",
    "triggers",
    "event_time",
    "decided_at",
    "expires",
    "direction",
    "side",
    "p_direction",
    "p_hit",
    "equity",
    "entry",
    "stop",
    "target",
    "stop_level",
    "target_level",
    "quantity",
    "notional_usd",
    "leverage",
    "leverage_cap",
    "margin_usd",
    "liquidation_price",
    "bankruptcy_price",
    "risk_usd",
    "risk_fraction",
    "reward_risk",
    "p_fair",
    "p_trade",
    "p_trade_low",
    "expectancy_low",
    "binding",
    "caps",
    "risk_multiplier",
    "drawdown",
    "loss_streak",
    "cluster",
    "depth_1pct",
    "fee_fraction",
    "entry_slippage",
    "exit_slippage",
    "stop_slippage",
    "latency_slippage",
    "cost_multiple",
    "volatility_daily",
    "atr_1h",
    "volume_24h",
    "contract_confirmed",
}


def test_the_journal_is_plain_json(make_score: Callable[..., Score]) -> None:
    """Catches a Timestamp or NaN in the journal, and a number of the plan that is missing there or has another name."""
    account = Account(equity=100_000.0, open_positions=(HELD,))
    gate = gate_with(depth_fraction=None, min_expectancy=None, kelly_fraction=None)
    plan = planned(gate.decide(make_score(**NO_DEPTH, **NAN_EDGE, p_hit=math.nan), account))
    row = json.loads(json.dumps(plan.to_dict(), allow_nan=False))
    assert set(row) == JOURNAL
    assert row == plan.to_dict()  # JSON has nothing to translate
    assert row["decision"] == "plan"
    assert row["event_time"] == "2024-03-01T12:00:00+00:00"
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {"p_hit", "p_trade", "p_trade_low", "expectancy_low", "depth_1pct"}
    assert row["caps"] == dict(plan.caps)
    assert row["cluster"] == ["ETHUSDT"]
    assert row["quantity"] == plan.quantity
    refusal = json.loads(json.dumps(Gate().decide(make_score(p_direction=0.5), EMPTY).to_dict(), allow_nan=False))
    assert refusal["decision"] == "refusal"
    assert refusal["decided_at"] == "2024-03-01T12:00:05+00:00"
    assert [reason["code"] for reason in refusal["reasons"]] == ["probability_below_threshold"]
    assert refusal["reasons"][0]["message"]


def test_the_price_moves_size_and_risk_but_no_level(make_score: Callable[..., Score]) -> None:
    """Catches a stop that follows the price, and a size that does not."""
    gate, score = Gate(), make_score()
    near, far = (planned(gate.decide(score, EMPTY, price=price)) for price in (49_900.0, 50_100.0))
    assert (near.stop, near.target) == (far.stop, far.target)
    assert near.entry == 49_900.0
    assert near.quantity > far.quantity
    assert max(near.risk_usd, far.risk_usd) <= 1_000.0


def test_direction_probability_opens_the_gate_and_sizes_nothing(make_score: Callable[..., Score]) -> None:
    """Catches p_direction or p_hit in the place of the odds of the trade."""
    base = planned(Gate().decide(make_score(), EMPTY))
    sure = planned(Gate().decide(make_score(p_direction=0.99, p_hit=0.99), EMPTY))
    assert replace(sure, score=base.score) == base


def test_the_venue_decides_by_its_contracts(make_score: Callable[..., Score]) -> None:
    """Catches a gate that sizes every venue on the simulated one's facts."""
    plan = planned(Gate(contracts=venue_contracts("okx")).decide(make_score(), Account(equity=10_000.0)))
    assert plan.venue == "okx"
    assert not plan.contract_confirmed


# -- The reasons --------------------------------------------------------------------------------------------------


class Raises:
    """A rule from outside that does not work."""

    name = "raises"

    def reasons(self, score: Score, account: Account, now: datetime) -> Any:
        raise KeyError(score.symbol)


PROVOKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # code: (changes of the score, what else: `gate`, `record`, `positions`, `equity`, `price`, `after`)
    "rule_failed": ({}, {"gate": Gate(extra_rules=(Raises(),))}),
    "no_event": ({"direction": 0}, {}),
    "no_probability": ({"p_direction": math.nan}, {}),
    "probability_below_threshold": ({"p_direction": 0.5499}, {}),
    "no_trade_probability": (NAN_EDGE, {}),
    "expected_value_too_low": (NO_EDGE, {}),
    "missing_features": ({"missing_features": ("funding_rate",)}, {}),
    "out_of_distribution": ({"out_of_range_features": ("funding_rate",)}, {}),
    "clear_trend": ({"trend_efficiency_72h": -0.6}, {"gate": gate_with(max_trend_efficiency=0.5)}),
    "no_swept_level": ({}, {"gate": gate_with(require_sweep=True)}),
    "stale": ({}, {"after": timedelta(seconds=301)}),
    "not_yet_available": ({}, {"after": timedelta(seconds=4)}),
    "bad_input": ({"atr_1h": math.nan}, {}),
    "bad_equity": ({}, {"equity": math.nan}),
    "missing_depth": (NO_DEPTH, {}),
    "unknown_contract": ({"symbol": "DOGEUSDT"}, {}),
    "throttled": ({}, {"record": {"peak_equity": 118_000.0}, "gate": gate_with(max_drawdown=0.5)}),
    "drawdown_stop": ({}, {"record": {"worst_drawdown": 0.15}}),
    "daily_halt": ({}, {"record": {"day_start_equity": 103_200.0}}),
    "weekly_halt": ({}, {"record": {"week_start_equity": 106_500.0}}),
    "cooling_off": ({}, {"record": LOST_LAST_HOUR}),
    "position_open": ({}, {"positions": (replace(HELD, symbol="BTCUSDT"),)}),
    "no_target": ({"distance_to_high_72h": 0.0005}, {"gate": gate_with(target_sd=None)}),
    "stop_too_far": ({"volatility_daily": 0.085, "distance_to_high_72h": 0.2}, {}),
    "stop_in_noise": ({}, {"gate": gate_with(min_stop_atr=5.5)}),
    "price_moved_through": ({}, {"price": 48_500.0}),
    "open_risk_exceeded": ({}, {"positions": (replace(HELD, risk_usd=2_000.0),)}),
    "leverage_exceeded": ({}, {"positions": (replace(HELD, quantity=170.0, leverage=10.0),)}),
    "slippage_too_high": ({}, {"gate": gate_with(max_entry_slippage=0.0003)}),
    "liquidation_before_stop": ({}, {"gate": gate_with(liquidation_buffer_price=1.5)}),
    "reward_risk_too_low": ({"distance_to_high_72h": 0.025}, {}),
    "below_minimum_size": ({"volume_24h": 1.0}, {}),
}


def provoke(
    make_score: Callable[..., Score],
    make_record: Callable[..., TrackRecord],
    code: str,
    gate: Gate | None = None,
) -> TradePlan | Refusal:
    changes, options = PROVOKED[code]
    score = make_score(**changes)
    account = Account(
        equity=options.get("equity", 100_000.0),
        open_positions=options.get("positions", ()),
        record=make_record(**options["record"]) if "record" in options else None,
    )
    now = score.event_time + options["after"] if "after" in options else None
    return (gate or options.get("gate", Gate())).decide(score, account, now=now, price=options.get("price"))


def test_every_reason_of_the_gate_is_provoked_here() -> None:
    """Catches a reason that no test has ever seen."""
    assert PROVOKED.keys() == reason_codes() - OF_THE_BACKTEST


@pytest.mark.parametrize("code", PROVOKED)
def test_every_reason_alone(
    make_score: Callable[..., Score], make_record: Callable[..., TrackRecord], code: str
) -> None:
    """Catches a rule that is not asked, one that fires with another, and a reason without numbers."""
    decision = provoke(make_score, make_record, code)
    assert codes(decision) == (code,)
    assert decision.reasons[0].message


@pytest.mark.parametrize(
    ("code", "off"),
    [
        ("probability_below_threshold", gate_with(probability_threshold=0.0)),
        ("no_trade_probability", gate_with(min_expectancy=None, kelly_fraction=None)),
        ("expected_value_too_low", gate_with(min_expectancy=None, kelly_fraction=None)),
        ("missing_features", gate_with(complete_features=False)),
        ("out_of_distribution", gate_with(in_range_features=False)),
        ("clear_trend", gate_with(max_trend_efficiency=None)),
        ("no_swept_level", gate_with(require_sweep=False)),
        ("stale", gate_with(max_score_age=None)),
        ("missing_depth", gate_with(depth_fraction=None)),
        ("throttled", gate_with(throttle_drawdown=None, max_drawdown=None)),
        ("drawdown_stop", gate_with(max_drawdown=None)),
        ("daily_halt", gate_with(max_daily_loss=None)),
        ("weekly_halt", gate_with(max_weekly_loss=None)),
        ("cooling_off", gate_with(cool_off=None)),
        ("stop_in_noise", gate_with(min_stop_atr=0.0, min_stop_ticks=0.0)),
        ("slippage_too_high", gate_with(max_entry_slippage=0.05)),
        ("liquidation_before_stop", gate_with(liquidation_buffer_price=0.0)),
        ("reward_risk_too_low", gate_with(min_reward_risk=0.0)),
    ],
)
def test_each_rule_can_be_switched_off(
    make_score: Callable[..., Score], make_record: Callable[..., TrackRecord], code: str, off: Gate
) -> None:
    """Catches a switch that is not connected: what stood alone in the way is gone, so there is a plan."""
    assert isinstance(provoke(make_score, make_record, code), Refusal)
    planned(provoke(make_score, make_record, code, gate=off))


@pytest.mark.parametrize("code", ["no_trade_probability", "expected_value_too_low"])
@pytest.mark.parametrize("rules", [{"min_expectancy": None}, {"kelly_fraction": None}, {}])
def test_either_rule_on_the_odds_is_enough_to_refuse(
    make_score: Callable[..., Score],
    make_record: Callable[..., TrackRecord],
    code: str,
    rules: dict[str, None],
) -> None:
    """Catches two rules that only refuse together."""
    assert codes(provoke(make_score, make_record, code, gate=gate_with(**rules))) == (code,)


def test_an_estimate_without_its_lower_bound_is_no_odds(make_score: Callable[..., Score]) -> None:
    """Catches a gate that falls back to the estimate where its doubt is unknown."""
    score = make_score(trade_edge_low=math.nan)
    assert codes(Gate().decide(score, EMPTY)) == ("no_trade_probability",)
    plan = planned(gate_with(min_expectancy=None, kelly_fraction=None).decide(score, EMPTY))
    assert plan.sizing.p_trade > plan.p_fair
    assert math.isnan(plan.p_trade_low)


@pytest.mark.parametrize(
    ("changes", "on", "off"),
    [
        ({"losing_trades_today": 3}, {}, {"max_daily_losing_trades": None}),
        (
            {"day_start_equity": 103_200.0, "losing_trades_today": 3},
            {},
            {"max_daily_losing_trades": None, "max_daily_loss": None},
        ),
        ({"peak_equity": 118_000.0, "worst_drawdown": 0.1}, {}, {"max_drawdown": None, "throttle_drawdown": None}),
    ],
)
def test_drawdown_control_is_switched_off_rule_by_rule(
    make_score: Callable[..., Score],
    make_record: Callable[..., TrackRecord],
    changes: dict[str, Any],
    on: dict[str, None],
    off: dict[str, None],
) -> None:
    """Catches rules of the record that never reach the gate."""
    account = Account(equity=100_000.0, record=make_record(**changes))
    assert isinstance(gate_with(**on).decide(make_score(), account), Refusal)
    planned(gate_with(**off).decide(make_score(), account))


def test_all_reasons_are_listed(make_score: Callable[..., Score], make_record: Callable[..., TrackRecord]) -> None:
    """Catches a gate that stops at the first reason, or at the end of one group of rules."""
    score = make_score(p_direction=0.5, missing_features=("a", "b"), volatility_daily=0.12, **NO_EDGE)
    account = Account(
        equity=100_000.0,
        open_positions=(replace(HELD, symbol="BTCUSDT", risk_usd=3_000.0),),
        record=make_record(week_start_equity=110_000.0, **LOST_LAST_HOUR),
    )
    decision = Gate().decide(score, account, now=score.event_time + pd.Timedelta("1h"))
    assert codes(decision) == (
        "stale",
        "missing_features",
        "probability_below_threshold",
        "weekly_halt",
        "cooling_off",
        "position_open",
        "stop_too_far",
        "open_risk_exceeded",
        "reward_risk_too_low",
        "expected_value_too_low",
    )
    empty = Gate().decide(make_score(direction=0, close=math.nan, symbol="DOGEUSDT"), Account(equity=math.nan))
    assert codes(empty) == ("no_event", "bad_input", "bad_equity", "unknown_contract")
    assert all(reason.message for reason in decision.reasons)


def test_levels_are_judged_also_where_the_account_is_bad(make_score: Callable[..., Score]) -> None:
    """Catches levels that are not judged when the account cannot be sized on."""
    decision = Gate().decide(make_score(volatility_daily=0.1), Account(equity=0.0))
    assert codes(decision) == ("bad_equity", "stop_too_far")


# -- Input that cannot be right -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"p_direction": 1.2},
        {"p_direction": -0.1},
        {"p_direction": math.inf},
        {"p_hit": -0.1},
        {"p_hit": 1.1},
        {"depth_bid_1pct": math.nan},
        {"depth_ask_1pct": math.nan},
        {"depth_ask_1pct": -1.0},
        {"depth_bid_1pct": math.inf},
        {"depth_bid_1pct": -1.0, "depth_ask_1pct": math.nan},
        {"trade_edge": 31.0},
        {"trade_edge": math.inf},
        {"trade_edge": math.nan},  # its lower bound is known
        {"trade_edge_low": 1.0},  # above the estimate
        {"trade_edge_low": -31.0},
        {"trade_edge_low": -math.inf},
        *(
            {name: value}
            for name in ("close", "volatility_daily", "atr_1h", "volume_24h")
            for value in (0.0, -1.0, math.nan, math.inf, -math.inf, 1e18)
        ),
        *(
            {f"distance_to_{end}_{hours}h": value}
            for end in ("high", "low")
            for hours in (24, 72)
            for value in (-0.01, math.nan, math.inf, 3.1)
        ),
        *(
            {f"{kind}_distance_{side}": value}
            for kind in ("swept_extreme", "pool")
            for side in ("above", "below")
            for value in (-math.inf, math.inf, 3.1, -3.1)
        ),
    ],
)
@pytest.mark.parametrize("direction", [-1, 1])
def test_a_hostile_number_never_gets_a_size(
    make_score: Callable[..., Score], changes: dict[str, Any], direction: int
) -> None:
    """Catches NaN that passes a comparison, and a number that no market can say, on either side of the trade."""
    lenient = Gate(
        entry=EntryRules(probability_threshold=0.0),
        rules=SizingRules(min_reward_risk=0.0, min_expectancy=None, kelly_fraction=None, depth_fraction=None),
    )
    for gate in (Gate(), lenient):
        assert "bad_input" in codes(gate.decide(make_score(direction=direction, **changes), EMPTY))


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e10])
def test_hostile_prices_are_refused(make_score: Callable[..., Score], price: float) -> None:
    """Catches a quote that is no price."""
    assert codes(Gate().decide(make_score(), EMPTY, price=price)) == ("bad_input",)


@pytest.mark.parametrize("price", [5e-324, 1e-300, 1e9])
def test_absurd_prices_that_could_be_are_refused_too(make_score: Callable[..., Score], price: float) -> None:
    """Catches an overflow or a division by a number next to zero."""
    assert isinstance(Gate().decide(make_score(), EMPTY, price=price), Refusal)


@pytest.mark.parametrize("equity", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e13])
def test_equity_that_cannot_be(
    make_score: Callable[..., Score], make_record: Callable[..., TrackRecord], equity: float
) -> None:
    """Catches a size on an account that is empty, indebted or absurd, with a record or without."""
    for record in (None, make_record()):
        assert codes(Gate().decide(make_score(), Account(equity=equity, record=record))) == ("bad_equity",)


@pytest.mark.parametrize("equity", [5e-324, 1e-12, 1.0, 50.0])
def test_an_account_too_small_to_trade_is_refused(make_score: Callable[..., Score], equity: float) -> None:
    """Catches a size rounded up to the smallest order, and a budget that underflows to nothing."""
    found = codes(Gate().decide(make_score(), Account(equity=equity)))
    assert found in (("below_minimum_size",), ("open_risk_exceeded",))


@pytest.mark.parametrize("volume", [5e-324, 1e-9])
def test_a_market_next_to_dead_is_refused(make_score: Callable[..., Score], volume: float) -> None:
    """Catches an impact that overflows, or a cap that is left out."""
    assert codes(Gate().decide(make_score(volume_24h=volume), EMPTY)) == ("below_minimum_size",)


def test_an_empty_book_is_refused(make_score: Callable[..., Score]) -> None:
    """Catches a depth of zero that counts as unknown."""
    assert codes(Gate().decide(make_score(depth_bid_1pct=0.0), EMPTY)) == ("below_minimum_size",)


@pytest.mark.parametrize(
    ("price", "code"),
    [(48_000.0, "price_moved_through"), (48_522.2, "price_moved_through"), (54_500.0, "price_moved_through")],
)
def test_a_price_at_or_beyond_a_level_is_refused(make_score: Callable[..., Score], price: float, code: str) -> None:
    """Catches an entry after the trade has already happened, and a stop at the entry."""
    found = codes(Gate().decide(make_score(), EMPTY, price=price))
    assert found[0] == code
    assert set(found) <= {code, "stop_too_far"}  # beyond the target, the stop is far


def test_an_unknown_venue_is_named() -> None:
    """Catches a venue that is traded on another one's facts."""
    with pytest.raises(ParameterError, match="binance"):
        venue_contracts("binanse")


def test_time_can_refuse(make_score: Callable[..., Score], make_record: Callable[..., TrackRecord]) -> None:
    """Catches a clock without a zone, and one that runs behind the record."""
    score, gate = make_score(), gate_with(max_score_age=timedelta(minutes=2))
    plan = planned(gate.decide(score, EMPTY, now=score.event_time + pd.Timedelta("120s")))
    assert plan.decided_at == score.event_time + pd.Timedelta("120s")
    with pytest.raises(ParameterError, match="time zone"):
        gate.decide(score, EMPTY, now=datetime(2024, 3, 1, 12, 1))
    tomorrow = TrackRecord.start(100_000.0, score.event_time + pd.Timedelta("24h"))
    with pytest.raises(OrderError, match="last observation"):
        gate.decide(score, Account(equity=100_000.0, record=tomorrow))


# -- The account --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positions", "correlations", "cluster", "binding"),
    [
        ({"ETHUSDT": 1}, {("BTCUSDT", "ETHUSDT"): 0.51}, ("ETHUSDT",), "cluster_risk"),
        ({"ETHUSDT": 1}, {("BTCUSDT", "ETHUSDT"): 0.5}, (), "risk"),
        ({"ETHUSDT": 1}, None, ("ETHUSDT",), "cluster_risk"),  # unknown
        ({"ETHUSDT": -1}, None, (), "risk"),
        ({"ETHUSDT": -1}, {("BTCUSDT", "ETHUSDT"): 0.9}, (), "risk"),  # a hedge
        ({"ETHUSDT": -1}, {("BTCUSDT", "ETHUSDT"): -0.9}, ("ETHUSDT",), "cluster_risk"),
        (
            {"ETHUSDT": 1, "SOLUSDT": 1},
            {("BTCUSDT", "ETHUSDT"): 0.9, ("ETHUSDT", "SOLUSDT"): 0.9, ("BTCUSDT", "SOLUSDT"): 0.1},
            ("ETHUSDT", "SOLUSDT"),
            "cluster_risk",
        ),
    ],
)
def test_positions_that_are_one_bet_share_the_cluster_cap(
    make_score: Callable[..., Score],
    positions: dict[str, int],
    correlations: dict[tuple[str, str], float] | None,
    cluster: tuple[str, ...],
    binding: str,
) -> None:
    """Catches a cluster that is computed and not used, and one that is made of the wrong positions."""
    each = 1_600.0 / len(positions)
    held = tuple(replace(HELD, symbol=symbol, side=side, risk_usd=each) for symbol, side in positions.items())
    account = Account(equity=100_000.0, open_positions=held, correlations=correlations)
    plan = planned(Gate().decide(make_score(), account))
    assert plan.cluster == cluster
    assert plan.binding == binding
    assert plan.risk_usd <= (400.0 if binding == "cluster_risk" else 1_000.0)
    assert plan.risk_usd > (390.0 if binding == "cluster_risk" else 990.0)


def test_a_full_cluster_on_one_side_leaves_the_other_open(make_score: Callable[..., Score]) -> None:
    """Catches the total counted as the cluster."""
    full = replace(HELD, risk_usd=2_000.0)
    held = Account(equity=100_000.0, open_positions=(full,))
    assert codes(Gate().decide(make_score(), held)) == ("open_risk_exceeded",)
    opposite = Account(equity=100_000.0, open_positions=(replace(full, side=-1),))
    assert planned(Gate().decide(make_score(), opposite)).binding == "risk"
    total = Account(equity=100_000.0, open_positions=(replace(full, side=-1, risk_usd=3_600.0),))
    assert planned(Gate().decide(make_score(), total)).binding == "open_risk"


def test_a_record_without_a_past_changes_nothing(
    make_score: Callable[..., Score], make_record: Callable[..., TrackRecord]
) -> None:
    """Catches an account that is throttled for being watched."""
    watched = Account(equity=100_000.0, record=make_record())
    assert Gate().decide(make_score(), watched) == Gate().decide(make_score(), EMPTY)


@pytest.mark.parametrize(
    ("record", "fraction"),
    [
        ({"peak_equity": 105_000.0}, 1 - (5 / 105) / 0.15),
        ({"worst_streak": 3}, 0.5),
        ({"worst_streak": 5, "loss_streak": 1}, 0.125),
        ({"peak_equity": 105_000.0, "worst_streak": 4}, 0.25 * (1 - (5 / 105) / 0.15)),
    ],
)
def test_losses_throttle_the_risk(
    make_score: Callable[..., Score], make_record: Callable[..., TrackRecord], record: dict[str, Any], fraction: float
) -> None:
    """Catches a throttle that is reported and not used, or used twice."""
    account = Account(equity=100_000.0, record=make_record(**record))
    plan = planned(Gate().decide(make_score(), account))
    assert plan.throttle.multiplier == pytest.approx(fraction)
    assert 1_000.0 * fraction - 1.5 < plan.risk_usd <= 1_000.0 * fraction
    assert plan.binding == "throttled_risk"
    assert planned(DISCIPLINE_OFF.decide(make_score(), account)).binding == "risk"


def test_kelly_can_set_the_size(make_score: Callable[..., Score]) -> None:
    """Catches a Kelly cap that the gate does not hand on, or a fraction of it that is ignored."""
    score = make_score(trade_edge=0.3, trade_edge_low=0.3)
    half, quarter = (planned(gate_with(kelly_fraction=share).decide(score, EMPTY)) for share in (0.04, 0.02))
    assert half.binding == quarter.binding == "kelly"
    for plan, share in ((half, 0.04), (quarter, 0.02)):
        stake = share * (plan.p_trade_low - (1 - plan.p_trade_low) / plan.sizing.reward_risk)
        assert stake * 0.99 < plan.sizing.risk_fraction <= stake
    assert planned(gate_with(kelly_fraction=None).decide(score, EMPTY)).binding == "risk"


@pytest.mark.parametrize("horizon", [timedelta(0), timedelta(days=31), timedelta(seconds=-1)])
def test_impossible_horizons_are_refused(horizon: timedelta) -> None:
    """Catches a position without an end."""
    with pytest.raises(ParameterError, match="horizon"):
        Gate(horizon=horizon)
