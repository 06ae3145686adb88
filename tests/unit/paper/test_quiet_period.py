"""A period in which nothing was to be decided: it is reconciled like any other."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from slackwater.errors import MissingDataError
from slackwater.feed.items import FeedRow, Quality
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.paper.stored_account import PaperSettings, StoredAccount
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epoch_us
from tests.paper_run import before, paper_bundle, paper_market

pytestmark = pytest.mark.filterwarnings("ignore::slackwater.errors.DefectWarning")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ReversalScorer:
    return ReversalScorer.load(paper_bundle(tmp_path_factory.mktemp("quiet") / "bundle"))


def account(place: Path, scorer: ReversalScorer, tables: dict[str, pd.DataFrame], minutes: int) -> PaperSettings:
    """An account that has taken bars of a minute, of too short a time for a decision."""
    symbols = tuple(sorted(set(tables["bars"]["symbol"])))
    settings = PaperSettings(directory=place / "paper", journal=place / "journal.db", venue="binance", symbols=symbols)
    start = tables["bars"]["event_time"].max() - timedelta(hours=4)
    stored = StoredAccount(settings, scorer)
    stored.open(start, before(tables, start))
    fine = tables["fine_bars"]
    came = fine[(fine["open_time"] >= start) & (fine["event_time"] <= start + timedelta(minutes=minutes))]
    with closing(stored):
        for row in came.sort_values("available_time").to_dict("records"):
            stored.take(epoch_us(row["available_time"]), FeedRow("fine_bars", row, Quality.LIVE))
    return settings


@pytest.mark.parametrize("with_history", [False, True])
def test_a_period_without_an_event_is_reconciled(tmp_path: Path, scorer: ReversalScorer, with_history: bool) -> None:
    """Catches a backtest of no scores that asks for the columns of a score."""
    tables = paper_market()
    settings = account(tmp_path, scorer, tables, minutes=3)
    found = reconcile(settings.directory, settings.journal, scorer, tables if with_history else None)
    assert (found.scores, found.decisions, found.trades, found.open) == (0, 0, 0, 0)
    assert found.inputs == 6
    assert not found.differences


def test_an_account_that_has_seen_nothing_is_named(tmp_path: Path, scorer: ReversalScorer) -> None:
    """Catches an error about tables that the user never gave."""
    settings = account(tmp_path, scorer, paper_market(), minutes=0)
    with pytest.raises(MissingDataError, match="has seen no `fine_bars` yet"):
        reconcile(settings.directory, settings.journal, scorer)
