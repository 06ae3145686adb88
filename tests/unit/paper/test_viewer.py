"""Views of a desk: what a person reads of a score, a decision and a position."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from slackwater.journal.event import Event, Kind, Origin
from slackwater.paper.stored_account import PaperSettings, desk_of
from slackwater.paper.viewer import Viewer
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epoch_us

START = pd.Timestamp("2024-03-01T00:00Z")
ORIGIN = Origin(account="paper", synthetic=True)


@pytest.fixture
def viewer(small_bundle: Path, tmp_path: Path) -> Viewer:
    scorer = ReversalScorer.load(small_bundle)
    settings = PaperSettings(
        directory=tmp_path, journal=tmp_path / "journal.db", venue="binance", symbols=("BTCUSDT", "ETHUSDT")
    )
    return Viewer(desk_of(settings.facts(scorer, epoch_us(START)), scorer), "binance")


def event(kind: Kind, **content: object) -> Event:
    given = {"trade": "t", "event_time": START, "triggers": "cusum+sweep", "features": {}, "context": {}, **content}
    return Event(kind=kind, key=str(kind), ts_ns=START.value, symbol="BTCUSDT", origin=ORIGIN, payload=given)


def test_nothing_known_is_a_view_too(viewer: Viewer) -> None:
    assert viewer.latest() is None
    view = viewer.refresh(epoch_us(START))
    assert viewer.latest() is view
    assert view.synthetic
    assert [each.symbol for each in view.symbols] == ["BTCUSDT", "ETHUSDT"]
    assert {each.price for each in view.symbols} == {None}
    assert (view.equity, view.drawdown, view.positions, view.streams) == (10_000.0, 0.0, (), ())
    assert viewer.candles("BTCUSDT") == []


def test_faults_and_what_happened_are_apart(viewer: Viewer) -> None:
    viewer.take([event(Kind.DATA_FAULT, table="bars", rule="gap", message="one is missing")])
    viewer.take([event(Kind.REFUSAL, reasons=[{"code": "stale"}, {"code": "not_warm"}])])
    view = viewer.refresh(epoch_us(START))
    assert [text for _, text in view.faults] == ["one is missing"]
    assert [text for _, text in view.recent] == ["BTCUSDT refused: stale, not_warm"]


def test_a_decision_is_shown_with_its_own_score(viewer: Viewer) -> None:
    """Catches the last score of the symbol beside a decision on an earlier bar, as after an outage."""
    score = {"direction": -1, "p_direction": 0.6, "trade_edge": 0.1, "trade_edge_low": math.nan}
    viewer.take([event(Kind.SCORE, **score), event(Kind.REFUSAL, reasons=[{"code": "stale"}])])
    made = viewer._event("BTCUSDT")
    assert made["direction"] == -1
    assert made["triggers"] == ("cusum", "sweep")
    assert made["event_time"] == START.timestamp()
    assert (made["p_direction"], made["trade_edge_low"]) == (0.6, None)
    assert made["decision"] == "refused: stale"
