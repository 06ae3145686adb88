"""The feed and ccxt's real client against the mock venue in Binance's formats."""

from __future__ import annotations

import pandas as pd
import pytest

from slackwater.feed.items import FaultKind, Quality
from tests.feed_run import FeedRun, listen_to_all
from tests.minute_market import START

RHYTHM = pd.Timedelta(seconds=40)

SCRIPTS = {
    "none": (),
    "burst": ("burst at=90s",),
    "one message": ("one_message at=90s",),
    "acknowledged only": ("acknowledge_only at=0s stream=bars",),
    "closed in mid-bar": ("abnormal_close at=135s",),
    "forming": ("forming_then_silence at=130s",),
}


@pytest.fixture(scope="module")
def runs() -> dict[str, FeedRun]:
    rhythms = {"bars": RHYTHM.to_pytimedelta(), "trades": RHYTHM.to_pytimedelta()}
    return dict(zip(SCRIPTS, listen_to_all("binance", SCRIPTS.values(), rhythms=rhythms), strict=True))


def extra(run: FeedRun) -> list[dict[str, object]]:
    """The liquidations of a fault, whose quantity the market does not have."""
    return [row for row in run.rows("liquidations", Quality.LIVE) if row["quantity"] == 2.0]


def test_a_burst_of_1500_liquidations_is_counted_whole(runs: dict[str, FeedRun]) -> None:
    """Catches the loss of ccxt's own stream, which keeps what it returns while somebody waits: about one in ten."""
    own = runs["none"]
    assert len(extra(runs["burst"])) - len(extra(own)) == 1500


def test_forty_liquidations_in_one_message_are_forty(runs: dict[str, FeedRun]) -> None:
    """Catches a reader of the first or the last entry of a message alone."""
    assert len(extra(runs["one message"])) - len(extra(runs["none"])) == 40


def test_a_liquidation_has_the_accumulated_quantity_and_the_side_of_the_position(runs: dict[str, FeedRun]) -> None:
    """Catches `l` (half, in this market) for `z`, and the side of the order for that of the position."""
    run = runs["none"]
    truth = run.tables["liquidations"].set_index("event_time")
    rows = run.rows("liquidations", Quality.LIVE)
    assert len(rows) >= 5
    for row in rows:
        told = truth.loc[row["event_time"]]
        assert (row["quantity"], row["side"], row["price"]) == (told["quantity"], told["side"], told["price"])


def test_an_acknowledgement_is_not_data(runs: dict[str, FeedRun]) -> None:
    """Catches a stream that is trusted because it was acknowledged; the time to the second is the watchdog's test."""
    silent = [each for each in runs["acknowledged only"].faults(FaultKind.SILENT) if each.stream == "bars"]
    assert START + RHYTHM < silent[0].time < START + 2 * RHYTHM
    assert "whatever was acknowledged" in silent[0].text
    assert not runs["none"].faults(FaultKind.SILENT)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_bar_is_there_once_with_its_final_values(name: str, runs: dict[str, FeedRun]) -> None:
    """Catches a forming bar that passes for a final one, and bars that a lost connection takes along."""
    run = runs[name]
    truth = run.tables["bars"].set_index("event_time")
    rows = run.rows("bars")
    assert [row["event_time"] for row in rows] == list(truth.index)
    columns = ["open", "high", "low", "close", "volume", "taker_buy_volume", "trade_count"]
    for row in rows:
        assert [row[column] for column in columns] == truth.loc[row["event_time"], columns].tolist()
        assert row["available_time"] >= row["event_time"]


def test_the_bar_of_a_lost_connection_is_marked_as_backfilled(runs: dict[str, FeedRun]) -> None:
    """Catches a gap that is filled without a word, and one in the liquidations that nobody can fill."""
    run = runs["closed in mid-bar"]
    assert "1006" in run.faults(FaultKind.DISCONNECTED)[0].text
    broken = START + pd.Timedelta(minutes=3)
    assert broken in [row["event_time"] for row in run.rows("bars", Quality.BACKFILLED)]
    marks = [
        row for row in run.rows("liquidations", Quality.GAP) if row["event_time"] > START + pd.Timedelta(minutes=2)
    ]
    assert marks
    assert all(pd.isna(row["quantity"]) for row in marks)


def test_a_forming_bar_never_becomes_final_by_the_clock(runs: dict[str, FeedRun]) -> None:
    """Catches finality by a clock: the stream stops after a bar that is not closed, and nothing live follows."""
    run = runs["forming"]
    last = START + pd.Timedelta(minutes=2)
    assert all(row["event_time"] <= last for row in run.rows("bars", Quality.LIVE, Quality.LATE))
    assert any(each.stream == "bars" for each in run.faults(FaultKind.SILENT))
