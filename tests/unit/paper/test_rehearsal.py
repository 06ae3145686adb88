"""A rehearsal: nothing of the desk changes, no rule from outside is asked, and what fails in it stops nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from slackwater.errors import DataError
from slackwater.paper.desk import Desk
from slackwater.paper.rehearsal import rehearse
from slackwater.paper.stored_account import PaperSettings, desk_of
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.trading import sizing
from slackwater.trading.reasons import Reason
from slackwater.trading.size_search import search_size
from tests.paper_run import paper_bundle

START_US = 1_713_500_000_000_000


class Asked:
    """A rule that remembers what it was asked."""

    name: ClassVar[str] = "asked"

    def __init__(self) -> None:
        self.times: list[datetime] = []

    def reasons(self, score: Any, account: Any, now: datetime) -> Iterator[Reason]:
        self.times.append(now)
        yield from ()


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ReversalScorer:
    return ReversalScorer.load(paper_bundle(tmp_path_factory.mktemp("rehearsal") / "bundle"))


def new_desk(scorer: ReversalScorer) -> Desk:
    settings = PaperSettings(directory=Path(), journal=Path(), venue="binance", symbols=("BTCUSDT", "ETHUSDT"))
    return desk_of(settings.facts(scorer, START_US), scorer)


def test_it_loads_the_whole_gate_and_changes_nothing(scorer: ReversalScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a rehearsal that ends before the size, whose code is the slowest to load, or that leaves a trace."""
    desk, rule, sized = new_desk(scorer), Asked(), []

    def sizing_search(*given: Any) -> Any:
        sized.append(given)
        return search_size(*given)

    monkeypatch.setattr(sizing, "search_size", sizing_search)
    desk.gate = replace(desk.gate, extra_rules=(rule,))
    arrays, content = desk.save_state()
    rehearse(desk)
    after, content_after = desk.save_state()
    assert sized
    assert rule.times == []
    assert json.dumps(content, sort_keys=True) == json.dumps(content_after, sort_keys=True)
    assert arrays.keys() == after.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, after[name])


def test_what_fails_in_it_stops_nobody(scorer: ReversalScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a family that cannot read the bar of the rehearsal, and keeps a trader from starting."""

    def refuses(*given: Any) -> Any:
        raise DataError("it cannot read this bar")

    desk = new_desk(scorer)
    monkeypatch.setattr(Session, "close", refuses)
    rehearse(desk)
