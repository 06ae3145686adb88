"""What a score must show before a trade is sized, and each of these rules switched off."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from slackwater.errors import ParameterError
from slackwater.trading.entry import entry_reasons
from slackwater.trading.rules import EntryRules
from slackwater.trading.score import Score

FADE = EntryRules(max_trend_efficiency=0.5)
SWEEP = EntryRules(require_sweep=True)


def codes(score: Score, rules: EntryRules | None = None, *, after: timedelta = timedelta(seconds=5)) -> list[str]:
    """Reasons a while after the bar has closed."""
    return [reason.code for reason in entry_reasons(score, score.event_time + after, rules or EntryRules())]


def test_a_sound_score_is_not_refused(make_score: Callable[..., Score]) -> None:
    """Catches a rule that always fires, or one that should be off by default."""
    assert codes(make_score()) == []
    assert codes(make_score(trend_efficiency_72h=1.0, direction=1)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"direction": 0, "p_direction": math.nan}, "no_event"),
        ({"p_direction": math.nan}, "no_probability"),
        ({"p_direction": 0.5499}, "probability_below_threshold"),
        ({"missing_features": ("funding_rate",)}, "missing_features"),
        ({"out_of_range_features": ("funding_rate",)}, "out_of_distribution"),
    ],
)
def test_each_reason_of_a_score_stands_alone(
    make_score: Callable[..., Score], changes: dict[str, Any], expected: str
) -> None:
    """Catches a rule that is not asked, or one that drags another along."""
    assert codes(make_score(**changes)) == [expected]


def test_the_threshold_itself_is_traded(make_score: Callable[..., Score]) -> None:
    """Catches `<=`."""
    assert codes(make_score(p_direction=0.55)) == []


@pytest.mark.parametrize(
    ("changes", "on", "off", "code"),
    [
        ({"p_direction": 0.01}, EntryRules(), EntryRules(probability_threshold=0.0), "probability_below_threshold"),
        ({"missing_features": ("a",)}, EntryRules(), EntryRules(complete_features=False), "missing_features"),
        ({"out_of_range_features": ("a",)}, EntryRules(), EntryRules(in_range_features=False), "out_of_distribution"),
        ({"trend_efficiency_72h": -0.9}, FADE, EntryRules(max_trend_efficiency=None), "clear_trend"),
        ({"trend_efficiency_72h": math.nan}, FADE, EntryRules(max_trend_efficiency=None), "clear_trend"),
        ({}, SWEEP, EntryRules(require_sweep=False), "no_swept_level"),
    ],
)
def test_each_rule_can_be_switched_off(
    make_score: Callable[..., Score], changes: dict[str, Any], on: EntryRules, off: EntryRules, code: str
) -> None:
    """Catches a switch that is not connected."""
    assert codes(make_score(**changes), on) == [code]
    assert codes(make_score(**changes), off) == []


def test_age_is_counted_from_the_close_of_the_bar(make_score: Callable[..., Score]) -> None:
    """Catches a score that is used before it could be known, one that is old, and `>=` at the limit."""
    rules = EntryRules(max_score_age=timedelta(minutes=2))
    assert codes(make_score(), rules, after=timedelta(seconds=4)) == ["not_yet_available"]
    assert codes(make_score(), rules, after=timedelta(seconds=5)) == []
    assert codes(make_score(), rules, after=timedelta(seconds=120)) == []
    assert codes(make_score(), rules, after=timedelta(seconds=121)) == ["stale"]
    assert codes(make_score(), EntryRules(max_score_age=None), after=timedelta(days=30)) == []


@pytest.mark.parametrize(
    ("direction", "efficiency", "refused"),
    [
        (1, 0.51, True),  # a rise in a clear rise
        (-1, -0.51, True),  # a fall in a clear fall
        (1, 0.5, False),  # the limit itself is allowed
        (1, -0.9, False),  # a rise against a clear fall: the trade would go with the trend
        (-1, 0.9, False),
        (1, math.nan, True),  # unknown is not allowed where it is asked for
    ],
)
def test_a_clear_trend_is_not_faded(
    make_score: Callable[..., Score], direction: int, efficiency: float, refused: bool
) -> None:
    """Catches the absolute efficiency, or the one of the trade instead of the move."""
    score = make_score(direction=direction, trend_efficiency_72h=efficiency)
    assert codes(score, FADE) == (["clear_trend"] if refused else [])


@pytest.mark.parametrize(
    ("direction", "above", "below", "refused"),
    [
        (-1, math.nan, 0.01, False),
        (-1, 0.01, math.nan, True),  # swept on the side of the target
        (-1, math.nan, -0.01, True),  # passed again since
        (-1, math.nan, 0.0, False),
        (1, 0.01, math.nan, False),
        (1, math.nan, 0.01, True),
        (1, -0.01, 0.01, True),
    ],
)
def test_the_sweep_must_stand_on_the_losing_side(
    make_score: Callable[..., Score], direction: int, above: float, below: float, refused: bool
) -> None:
    """Catches the swept level of the other side."""
    score = make_score(direction=direction, swept_extreme_distance_above=above, swept_extreme_distance_below=below)
    assert codes(score, SWEEP) == (["no_swept_level"] if refused else [])


def test_all_reasons_are_named(make_score: Callable[..., Score]) -> None:
    """Catches a list that ends at its first reason, and a message without the features' names."""
    score = make_score(
        p_direction=0.1, missing_features=("a", "b"), out_of_range_features=("c",), trend_efficiency_72h=-0.9
    )
    rules = EntryRules(max_trend_efficiency=0.5, require_sweep=True)
    reasons = [*entry_reasons(score, score.event_time + timedelta(hours=1), rules)]
    assert [reason.code for reason in reasons] == [
        "stale",
        "missing_features",
        "out_of_distribution",
        "probability_below_threshold",
        "clear_trend",
        "no_swept_level",
    ]
    assert "a, b" in reasons[1].message
    assert "0.1000" in reasons[3].message
    assert all(reason.message for reason in reasons)


@pytest.mark.parametrize(
    "bad",
    [
        {"probability_threshold": 1.1},
        {"probability_threshold": -0.1},
        {"probability_threshold": math.nan},
        {"max_score_age": timedelta(0)},
        {"max_score_age": timedelta(seconds=-1)},
        {"max_trend_efficiency": 1.1},
        {"max_trend_efficiency": -0.1},
        {"max_trend_efficiency": math.nan},
    ],
)
def test_impossible_rules_are_refused(bad: dict[str, Any]) -> None:
    """Catches a threshold in percent, and a check that NaN passes."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        EntryRules(**bad)


def test_rules_cannot_be_changed_afterwards() -> None:
    """Catches a threshold that is lowered while the gate is in use."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        EntryRules().probability_threshold = 0.0
