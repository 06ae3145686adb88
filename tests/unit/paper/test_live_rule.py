"""The rule of the gate on live data: each fault of the data refuses by its own name."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from slackwater.paper.live_rule import LiveDataRule
from slackwater.scoring.quality import DataQuality
from slackwater.scoring.stream import EventScore
from slackwater.times import DAY, HOUR, HOUR_US, SECOND, epoch_us
from slackwater.trading.account import Account
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import TrackRecord
from slackwater.trading.score import Score
from tests.unit.paper.plans import GATE, plan_of

RULE = LiveDataRule(("bars", "funding"))
SCORE = plan_of().score
CLOSE = epoch_us(SCORE.event_time)
SOUND = DataQuality(
    time_us=CLOSE,
    step_us=HOUR_US,
    before=(CLOSE - 100 * HOUR_US, CLOSE - HOUR_US),
    warm_up=4 * DAY,
    limits={"funding": 9 * HOUR, "open_interest": HOUR},
    stated_ages={"funding": HOUR, "open_interest": None},  # the feed does not have open interest
)


def scored(**quality: Any) -> EventScore:
    own = {each.name: getattr(SCORE, each.name) for each in fields(Score)}
    return EventScore(**own, features=np.zeros(1), quality=SOUND._replace(**quality))


def codes(score: Score, late: timedelta = timedelta(0)) -> list[str]:
    decision = replace(GATE, extra_rules=(RULE,)).decide(
        score,
        Account(equity=10_000.0, record=TrackRecord.start(10_000.0, SCORE.available_time)),
        now=SCORE.available_time + late,
    )
    assert isinstance(decision, (TradePlan, Refusal))
    return list(decision.codes) if isinstance(decision, Refusal) else []


def test_sound_data_pass() -> None:
    """Catches a rule that refuses everything, such as for a table that the feed does not have."""
    assert codes(scored()) == []
    assert codes(scored(), 5 * SECOND) == []


@pytest.mark.parametrize(
    ("quality", "code"),
    [
        ({"before": (CLOSE - 90 * HOUR_US, CLOSE - HOUR_US)}, "not_warm"),
        ({"before": (CLOSE - 100 * HOUR_US, CLOSE - 3 * HOUR_US)}, "missing_bars"),
        ({"stated_ages": {"funding": 10 * HOUR, "open_interest": None}}, "silent_tables"),
        ({"stated_ages": {"funding": None, "open_interest": None}}, "silent_tables"),
        ({"notes": ("bars: backfilled",)}, "unproven_rows"),
        ({"refused_rows": 1}, "refused_rows"),
    ],
)
def test_each_fault_refuses_by_its_own_name(quality: dict[str, Any], code: str) -> None:
    """Catches a fault of the data that trades, and one that is refused under another name."""
    assert codes(scored(**quality)) == [code]


def test_a_decision_that_is_late_is_refused() -> None:
    """Catches a trade on a bar that was complete too late."""
    assert codes(scored(), 5 * SECOND + timedelta(microseconds=1)) == ["late_decision"]


def test_every_reason_is_named_at_once() -> None:
    """Catches a rule that stops at the first fault."""
    all_of_them = {"before": (CLOSE - 50 * HOUR_US, CLOSE - 3 * HOUR_US), "notes": ("x",), "refused_rows": 2}
    assert codes(scored(**all_of_them)) == ["not_warm", "missing_bars", "unproven_rows", "refused_rows"]


def test_a_score_that_does_not_state_its_data_is_refused() -> None:
    """Catches unproven data that pass because nothing is said of them."""
    assert codes(SCORE) == ["unproven_rows"]
