"""The market as an account saw it: rows that it refused are not part of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import MissingDataError
from slackwater.feed.items import FeedRow, Quality
from slackwater.paper.seen_market import seen_market
from slackwater.paper.stored_account import PaperSettings, StoredAccount
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epoch_us
from tests.paper_run import BAR, paper_bundle, paper_market

BARS = 20


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ReversalScorer:
    return ReversalScorer.load(paper_bundle(tmp_path_factory.mktemp("seen") / "bundle"))


def rows(table: str) -> list[dict[str, Any]]:
    found = paper_market(2)[table]
    return found[found["symbol"] == "BTCUSDT"].head(BARS).to_dict("records")


def account(place: Path, scorer: ReversalScorer, taken: list[tuple[str, dict[str, Any]]]) -> Path:
    """An account without history that took some rows."""
    settings = PaperSettings(
        directory=place / "paper", journal=place / "journal.db", venue="binance", symbols=("BTCUSDT", "ETHUSDT")
    )
    stored = StoredAccount(settings, scorer)
    stored.open(pd.Timestamp("2024-01-01", tz="UTC"))
    with closing(stored):
        for table, row in taken:
            stored.take(epoch_us(row["available_time"]), FeedRow(table, row, Quality.LIVE))
    return settings.directory


def test_an_account_that_has_seen_no_bar_is_named(tmp_path: Path, scorer: ReversalScorer) -> None:
    """Catches an error about a market frame, of which the user has never heard."""
    with pytest.raises(MissingDataError, match="has seen no bar yet"):
        seen_market(account(tmp_path, scorer, []), scorer)


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("open_interest", {"open_interest": -5.0}),
        ("open_interest", {"open_interest": float("nan")}),
        ("open_interest", {"symbol": "XRPUSDT"}),
        ("liquidations", {"quantity": 0.0}),
        ("bars", {"open_time": -BAR / 2}),
        ("bars", {"symbol": "XRPUSDT"}),
    ],
)
def test_a_row_that_was_refused_is_not_drawn(
    tmp_path: Path, scorer: ReversalScorer, table: str, changes: dict[str, Any]
) -> None:
    """Catches one refused row that prevents the page for as long as the account lives."""
    bars, last = rows("bars"), rows(table)[-1]
    if table == "bars":
        last |= {name: last[name] + BAR for name in ("event_time", "available_time")}
        if shift := changes.get("open_time"):
            changes = {"open_time": last["open_time"] + shift}
        else:
            last |= {"open_time": last["open_time"] + BAR}
    taken = [*(("bars", row) for row in bars), (table, last | changes)]
    frame = seen_market(account(tmp_path, scorer, taken), scorer).frame
    assert set(frame.table["symbol"]) == {"BTCUSDT"}
    assert len(frame.table) == BARS
    assert not frame.available & {"open_interest", "liquidated_long", "liquidated_short"}
