"""A reconciliation of three symbols by bars of five minutes: causes that finer bars of one symbol do not show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from campaigns.paper_month import bundle, market
from slackwater.paper.reconcile.differences import Cause
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.paper.reconcile.replayed import Replayed, replayed
from slackwater.paper.reconcile.trades import paper_trades, trade_differences
from slackwater.paper.stored_account import SETTINGS
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_json
from slackwater.times import epoch_us
from slackwater.trading.price_path import price_paths
from tests.paper_line import PaperLine
from tests.paper_run import AFTER

pytestmark = pytest.mark.filterwarnings(
    "ignore::slackwater.errors.DefectWarning", "ignore::slackwater.errors.UniverseWarning"
)
Traded = tuple[PaperLine, ReversalScorer, Mapping[str, pd.DataFrame]]


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """Five hours without sockets."""
    place = tmp_path_factory.mktemp("coarse")
    scorer, tables = ReversalScorer.load(bundle(place / "bundle", 3)), market(1, 3)
    start = tables["bars"]["event_time"].max() - AFTER - timedelta(days=1)
    line = PaperLine(place, scorer, tables, start, fine_interval="5m")
    line.run(epoch_us(start + timedelta(hours=5)))
    line.account.end()
    return line, scorer, tables


def test_a_delay_that_the_backtest_charges_is_a_cause(traded: Traded) -> None:
    """Catches a gate without that charge in the comparison, which leaves these decisions unexplained."""
    line, scorer, tables = traded
    answer = reconcile(line.settings.directory, line.settings.journal, scorer, tables)
    assert not [each for each in answer.differences if each.cause is Cause.UNEXPLAINED]
    assert [each for each in answer.differences if "which charges a delay of 5 s" in each.text]


@pytest.fixture
def account(traded: Traded) -> Replayed:
    line, scorer, _ = traded
    return replayed(line.settings.directory, read_json(line.settings.directory / SETTINGS), scorer)


def test_a_fill_where_nobody_has_traded_is_unexplained(traded: Traded, account: Replayed) -> None:
    """Catches a check that waits for the exit, that looks at another symbol's bars, or for bars which are not there."""
    trades, paths = paper_trades(account), price_paths(traded[2]["bars"], traded[2]["funding"])
    assert {symbol for symbol, _ in trades} >= {"ETHUSDT"}
    for key, trade in trades.items():
        held = replace(account, open={key: trade.entered})
        assert not list(trade_differences(held, {}, {}, paths))
        better = replace(account, open={key: trade.entered._replace(price=1.05 * trade.entered.price)})
        (found,) = trade_differences(better, {}, {}, paths)
        assert (found.cause, found.what, found.symbol) == (Cause.UNEXPLAINED, "entry", key[0])
