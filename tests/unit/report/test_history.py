"""Whether the history is long enough, before a stage runs long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from slackwater.errors import DataError
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.model_selection.walk_forward import PurgedWalkForward
from slackwater.models.parameters import WalkForward
from slackwater.report.history import event_warm_up, history_sentences

FIRST, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1)
RULES = WalkForward(min_train=20 * DAY, test=5 * DAY, embargo=2 * DAY)


def last_sentence(days: float) -> str:
    return list(history_sentences(RULES, DAY, FIRST, FIRST + days * DAY))[-1]


def blocks(days: int) -> int:
    """Test blocks of events every hour from the first bar on, as the splitter makes them."""
    count = (days - 1) * 24 + 1
    events = np.datetime64("2024-01-01", "us") + np.arange(count) * np.timedelta64(1, "h")
    splitter = PurgedWalkForward(
        event_times=events,
        label_end_times=events + np.timedelta64(1, "D"),
        embargo=RULES.embargo,
        min_train=RULES.min_train,
        test=RULES.test,
    )
    try:
        return sum(1 for _ in splitter.split(np.zeros((count, 1))))
    except DataError:
        return 0


@pytest.mark.parametrize("days", [1, 10, 20])
def test_too_short_is_where_the_splitter_finds_no_block(days: int) -> None:
    assert blocks(days) == 0
    assert "too short, there will be no test block and training will stop" in last_sentence(days)


@pytest.mark.parametrize(("days", "whole"), [(26, 1), (31, 2), (46, 5)])
def test_long_enough_is_where_the_splitter_finds_that_many(days: int, whole: int) -> None:
    assert last_sentence(days).endswith(f"about {whole} test blocks")
    assert blocks(days) - whole in (0, 1)  # the splitter also begins a last block


def test_between_them_a_block_is_not_whole() -> None:
    said = "less than one whole test block; bring more, or shorten `validation: {min_train: 20d"
    assert all(said in last_sentence(days) and blocks(days) == 1 for days in (21, 23))


def test_the_warm_up_is_that_of_the_features() -> None:
    engine = FeatureEngine(default_families(timedelta(minutes=5)))
    first, _ = history_sentences(RULES, DAY, FIRST, FIRST + DAY, engine=engine)
    warm_up = event_warm_up(engine)
    assert timedelta(0) < warm_up < engine.warm_up
    assert f"{warm_up.days}d of warm-up before the first events" in first
    assert first.endswith(f"all features are known after {engine.warm_up.days}d")
