"""Settings of the gate: their switches, what the documentation says of them, and a rule from outside the library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.evidence.ablation import rule_ablation
from slackwater.evidence.resampling import Resampling
from slackwater.trading.account import Account
from slackwater.trading.backtest import Backtest
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from slackwater.trading.reasons import CODES, Reason
from slackwater.trading.rules import DrawdownRules, EntryRules, SizingRules, Switch, switches
from slackwater.trading.score import Score
from tests.trading import reason_codes, row_of

PAGE = (Path(__file__).parents[3] / "docs/gate.md").read_text(encoding="utf-8")
SWITCHES = [
    (rules, name, switch) for rules in (EntryRules, SizingRules, DrawdownRules) for name, switch in switches(rules)
]
HORIZON = timedelta(hours=4)


@pytest.mark.parametrize(("rules", "name", "switch"), SWITCHES)
def test_every_switch_is_on_the_page_of_the_gate(rules: type, name: str, switch: Switch) -> None:
    """Catches a rule whose parameter, value of off or reason the page does not name."""
    off = "null" if switch.off is None else f"{switch.off:g}" if isinstance(switch.off, float) else "false"
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"{name}`" in line]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[3].split()[0] == off
    assert all(f"`{code}`" in cells[4] for code in switch.reasons)


def test_every_reason_is_on_the_page_of_the_gate() -> None:
    """Catches a code that no reader can look up, and a switch with a code that no check gives."""
    assert not [code for code in reason_codes() if f"`{code}`" not in PAGE]
    assert {code for _, _, switch in SWITCHES for code in switch.reasons} <= reason_codes()


@pytest.mark.parametrize(("rules", "name", "switch"), SWITCHES)
def test_a_rule_can_be_off_and_on(rules: type, name: str, switch: Switch) -> None:
    """Catches a value of off or on that the settings refuse, and one that is both."""
    default = asdict(rules())[name]
    assert switch.off != (default if switch.on is None else switch.on)
    for value in (switch.off, default if switch.on is None else switch.on):
        replace(rules(), **{name: value})


def test_risk_limits_must_rise() -> None:
    """Catches a cluster cap below the risk of one trade, which would bind silently."""
    with pytest.raises(ParameterError, match="`risk_fraction` <= `max_cluster_risk` <= `max_open_risk` must hold"):
        SizingRules(risk_fraction=0.02, max_cluster_risk=0.01)


@dataclass(frozen=True)
class NoWeekends:
    """A toy rule, written as a user would."""

    name: str = "no_weekends"

    def reasons(self, score: Score, account: Account, now: datetime) -> Iterator[Reason]:
        if now.weekday() >= 5:
            yield Reason("weekend", f"{now:%A} is not traded, equity {account.equity:,.0f}")


class TestRuleFromOutside:
    def test_it_refuses_with_its_own_reason(self, make_score: Callable[..., Score]) -> None:
        """Catches an extra rule that is not asked, and one that hides the reasons of the library."""
        gate, account = Gate(extra_rules=(NoWeekends(),)), Account(equity=100_000.0)
        friday = make_score()
        assert isinstance(gate.decide(friday, account), TradePlan)
        saturday = friday.event_time + timedelta(days=1)
        times = {"event_time": saturday, "available_time": saturday + timedelta(seconds=5)}
        refused = gate.decide(make_score(**times, p_direction=0.5), account)
        assert isinstance(refused, Refusal)
        assert refused.codes == ("probability_below_threshold", "weekend")
        assert refused.to_dict()["reasons"][1]["message"] == "Saturday is not traded, equity 100,000"

    def test_it_sees_no_bad_input(self, make_score: Callable[..., Score]) -> None:
        """Catches a rule from outside that must cope with NaN."""
        saturday = make_score().event_time + timedelta(days=1)
        times = {"event_time": saturday, "available_time": saturday}
        refused = Gate(extra_rules=(NoWeekends(),)).decide(make_score(**times, atr_1h=-1.0), Account(equity=1e5))
        assert isinstance(refused, Refusal)
        assert refused.codes == ("bad_input",)

    def test_the_ablation_toggles_it(self, make_score: Callable[..., Score]) -> None:
        """Catches a rule from outside whose effect is not measured: it refuses three of nine events here."""
        start = make_score().event_time
        days = [start + timedelta(days=day) for day in range(9)]
        scores = pd.DataFrame([row_of(make_score(event_time=day, available_time=day)) for day in days])
        opens = pd.date_range(start, periods=24 * 10, freq="h").as_unit("us")
        bars = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + timedelta(hours=1)})
        bars = bars.assign(open=50_000.0, high=50_000.0, low=50_000.0, close=50_000.0)
        timing: dict[str, Any] = {"horizon": HORIZON, "fine_bar_interval": timedelta(hours=1)}
        backtest = Backtest.of(scores, price_paths(bars), initial_equity=1e5, decision_lag=timedelta(0), **timing)
        gate = Gate(horizon=HORIZON, extra_rules=(NoWeekends(),))
        trades = backtest.unit_risk_trades(gate)
        table = rule_ablation(backtest, gate, Resampling(draws=100), configured=trades).set_index("rule")
        assert table.loc["no_weekends", "toggled"] == "off"
        assert table.loc[["as configured", "no_weekends"], "n_trades"].tolist() == [6, 9]

    def test_names_must_differ(self) -> None:
        """Catches two rows of the ablation that cannot be told apart."""
        with pytest.raises(ParameterError, match="`extra_rules` must have different names"):
            Gate(extra_rules=(NoWeekends(), NoWeekends()))


class Gives:
    """A rule that returns what it was made with, or calls it."""

    def __init__(self, given: Any, name: Any = "gives") -> None:
        self.given, self.name = given, name

    def reasons(self, score: Score, account: Account, now: datetime) -> Any:
        return self.given() if callable(self.given) else self.given


def _raises_after_one() -> Iterator[Reason]:
    yield Reason("mine", "first")
    raise ZeroDivisionError("by zero")


class NoReasons:
    name = "no_reasons"


class TestRuleThatFails:
    @pytest.mark.parametrize(
        ("given", "codes", "said"),
        [
            (None, ("rule_failed",), "TypeError"),
            (7, ("rule_failed",), "TypeError"),
            ("weekend", ("rule_failed",), "must yield Reason, yielded 'w'"),
            ([None], ("rule_failed",), "must yield Reason, yielded None"),
            ([("code", "message")], ("rule_failed",), "must yield Reason"),
            ([Reason("stale", "too old")], ("rule_failed",), "`stale` of the library with: too old"),
            ([Reason("Not Snake", "x")], ("rule_failed",), "codes in snake case, gave 'Not Snake'"),
            ([Reason(3, "x")], ("rule_failed",), "gave 3"),  # type: ignore[arg-type]
            ([Reason("mine", "")], ("rule_failed",), "must give a sentence with the code `mine`"),
            (_raises_after_one, ("mine", "rule_failed"), "raised ZeroDivisionError: by zero"),
            (lambda: iter(lambda: Reason("mine", "again"), None), ("mine", "rule_failed"), "more than 100 reasons"),
        ],
    )
    def test_the_score_is_refused_and_the_rule_is_named(
        self, make_score: Callable[..., Score], given: Any, codes: tuple[str, ...], said: str
    ) -> None:
        """Catches a decision that is lost in an exception, and a trade past a rule that did not work."""
        decision = Gate(extra_rules=(Gives(given),)).decide(make_score(), Account(equity=100_000.0))
        assert isinstance(decision, Refusal)
        assert decision.codes == codes
        assert "the rule `gives` (Gives)" in decision.reasons[-1].message
        assert said in decision.reasons[-1].message

    @pytest.mark.parametrize(
        ("rules", "message"),
        [
            ([NoWeekends()], "must be a tuple of rules"),
            (NoWeekends(), "must be a tuple of rules"),
            ((NoWeekends,), r"not the class NoWeekends: give NoWeekends\(\)"),
            ((NoReasons(),), "NoReasons must have a `name` and a method `reasons"),
            ((Gives([], name=""),), "must be text in snake case, such as no_weekends, was ''"),
            ((Gives([], name=3),), "was 3"),
            ((Gives([], name="as configured"),), "snake case"),
            ((Gives([], name="kelly_fraction"),), "must not be that of a rule of the library"),
            ((Gives([], name="trade_odds"),), "must not be that of a rule of the library"),
        ],
    )
    def test_a_gate_with_a_rule_that_cannot_be_asked_is_refused(self, rules: Any, message: str) -> None:
        """Catches a fault that would show at the first signal event."""
        with pytest.raises(ParameterError, match=message):
            Gate(extra_rules=rules)


def test_the_codes_of_the_library_are_listed() -> None:
    """Catches a new code that a rule from outside could give too."""
    assert reason_codes() == CODES
