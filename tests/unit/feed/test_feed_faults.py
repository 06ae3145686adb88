"""Faults of venues, each against the feed with ccxt's real client: one row per fault, one run per venue and fault."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from slackwater.feed.items import FaultKind, Quality
from slackwater.market.schemas import RowReader
from slackwater.market.venues import EXCHANGES
from tests.feed_run import FeedRun, listen_to_all
from tests.minute_market import START

RHYTHM = timedelta(seconds=40)

FAULTS: dict[str, tuple[str, set[FaultKind]]] = {
    "none": ("", set()),
    "burst": ("burst at=90s", set()),
    "one message": ("one_message at=90s", set()),
    "acknowledged only": ("acknowledge_only at=0s stream=bars", {FaultKind.SILENT, FaultKind.DISCONNECTED}),
    "silence": ("silence at=70s lasts=80s", {FaultKind.SILENT, FaultKind.DISCONNECTED}),
    "abnormal close": ("abnormal_close at=165s", {FaultKind.DISCONNECTED}),
    "duplicates": ("duplicates at=70s", set()),
    "reorder": ("reorder at=70s", set()),
    "clock skew": ("clock_skew at=70s by=48h", {FaultKind.CLOCK}),
    "crossed book": ("crossed_book at=70s", {FaultKind.CROSSED_BOOK}),
    "too many requests": ("too_many_requests at=110s lasts=30s", {FaultKind.REFUSED}),
    "forming, then silence": ("forming_then_silence at=130s", {FaultKind.SILENT, FaultKind.DISCONNECTED}),
    "old ids": ("old_ids at=150s", set()),
}
"""The script of each fault, and the faults that the feed has to name."""

WITHOUT_STREAM = ("burst", "one message")
"""Faults of liquidations, which Gate has no stream of."""

UNSTAMPED = ("okx",)
"""Venues whose messages state when something happened, and not when they were sent."""


def of(venue: str) -> list[str]:
    return [name for name in FAULTS if not (venue == "gate" and name in WITHOUT_STREAM)]


@pytest.fixture(scope="module", params=EXCHANGES)
def venue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runs(venue: str) -> dict[str, FeedRun]:
    scripts = [[FAULTS[name][0]] if FAULTS[name][0] else [] for name in of(venue)]
    rhythms = {"bars": RHYTHM, "trades": RHYTHM}
    # Few requests, so that a dozen feeds at once do not hold each other up; the first run has them all.
    few = ("depth", "liquidations") if venue == "gate" else ("depth",)
    polled = [None if name == "none" else few for name in of(venue)]
    return dict(zip(of(venue), listen_to_all(venue, scripts, polled, rhythms=rhythms), strict=True))


def extra(run: FeedRun) -> int:
    """How many liquidations of a script there are: their quantity is 2, as that of one of the market."""
    return sum(row["quantity"] == 2.0 for row in run.rows("liquidations", Quality.LIVE))


def test_every_bar_is_there_once_in_order_with_its_final_values(runs: dict[str, FeedRun]) -> None:
    """Catches a forming bar that passes for a final one, and bars that a fault takes along, doubles or mixes up."""
    for name, run in runs.items():
        truth = run.tables["bars"].set_index("event_time")
        rows = run.rows("bars")
        assert [row["event_time"] for row in rows] == list(truth.index), name
        for row in rows:
            columns = [
                column for column in ("open", "high", "low", "close", "volume", "taker_buy_volume") if column in row
            ]
            assert [row[each] for each in columns] == pytest.approx(truth.loc[row["event_time"], columns].tolist()), (
                name
            )
            assert row["available_time"] >= row["event_time"]


def test_what_goes_wrong_is_named_and_nothing_else(venue: str, runs: dict[str, FeedRun]) -> None:
    """Catches a fault without a word, and a false alarm."""
    for name, run in runs.items():
        told = {item.kind for item in run.items if not hasattr(item, "quality")} - {FaultKind.SHALLOW_BOOK}
        expected = FAULTS[name][1] - ({FaultKind.CLOCK} if venue in UNSTAMPED else set())
        assert expected <= told, name
        texts = [item.text for item in run.items if not hasattr(item, "quality")]
        assert told <= expected | {FaultKind.GAP}, (name, texts)  # a gap follows from others, and is named with them


def test_every_usable_row_is_canonical(runs: dict[str, FeedRun]) -> None:
    """Catches a row that a session would refuse."""
    for run in runs.values():
        for item in run.items:
            if hasattr(item, "quality") and item.quality.usable:
                RowReader(item.table)(item.row)


def test_a_burst_is_counted_whole(venue: str, runs: dict[str, FeedRun]) -> None:
    """Catches the loss of ccxt's own streams, which keep what comes while somebody waits, or the first of a message."""
    assert ("burst" in runs) == (venue != "gate"), "Gate has no stream of liquidations"
    for name, many in {"burst": 1500, "one message": 40}.items():
        if name in runs:
            assert extra(runs[name]) - extra(runs["none"]) == many


def test_liquidations_have_the_side_of_the_position_and_the_quantity_in_coin(runs: dict[str, FeedRun]) -> None:
    """Catches the side of the order, contracts for coin, and the last fill (half, here) for the whole."""
    for name in ("none", "duplicates", "reorder", "old ids"):
        run = runs[name]
        truth = run.tables["liquidations"].set_index("event_time")
        rows = run.rows("liquidations", Quality.LIVE, Quality.POLLED)
        assert sorted(row["event_time"] for row in rows) == list(truth.index), name
        for row in rows:
            expected = truth.loc[row["event_time"]]
            assert row["side"] == expected["side"]
            assert (row["price"], row["quantity"]) == pytest.approx((expected["price"], expected["quantity"]))


def test_trades_count_once(runs: dict[str, FeedRun]) -> None:
    """Catches trades that are counted again when they are sent again, at once or with old ids."""
    for name, fault in (("duplicates", "duplicate"), ("old ids", "duplicate")):
        run = runs[name]
        assert run.counts["trades", fault] > 0, name
        assert run.counts["trades", "live"] == runs["none"].counts["trades", "live"], name


def test_what_a_lost_connection_takes_is_backfilled_and_marked(venue: str, runs: dict[str, FeedRun]) -> None:
    """Catches a gap that is filled without a word, and one in the liquidations that nobody can fill."""
    run = runs["abnormal close"]
    assert "1006" in run.faults(FaultKind.DISCONNECTED)[0].text
    requested = Quality.POLLED if venue == "gate" else Quality.BACKFILLED
    assert START + pd.Timedelta(minutes=3) in [row["event_time"] for row in run.rows("bars", requested)]
    marks = [
        row for row in run.rows("liquidations", Quality.GAP) if row["event_time"] > START + pd.Timedelta(minutes=2)
    ]
    assert bool(marks) == (venue != "gate")
    assert all(pd.isna(row["quantity"]) for row in marks)
    assert [each.stream for each in run.faults(FaultKind.GAP)] == ["large_trades"]  # not known for another reason


def test_a_forming_bar_never_becomes_final_by_the_clock(runs: dict[str, FeedRun]) -> None:
    """Catches finality by a clock: after a bar that is not closed the stream ends, and nothing from it follows."""
    rows = runs["forming, then silence"].rows("bars", Quality.LIVE, Quality.LATE)
    assert all(row["event_time"] <= START + pd.Timedelta(minutes=2) for row in rows)


def test_an_acknowledgement_is_not_data(runs: dict[str, FeedRun]) -> None:
    """Catches a stream that is trusted because it was acknowledged: named within its rhythm and five seconds."""
    silent = [each for each in runs["acknowledged only"].faults(FaultKind.SILENT) if each.stream == "bars"]
    assert START + RHYTHM < silent[0].time <= START + RHYTHM + timedelta(seconds=5)
    assert "whatever was acknowledged" in silent[0].text


def test_a_crossed_book_makes_no_row(runs: dict[str, FeedRun]) -> None:
    """Catches a depth that is read from a book whose best bid is above its best ask."""
    crossed = START + pd.Timedelta(seconds=75)  # the clocks of the two differ by some seconds of the replay
    assert all(row["event_time"] < crossed for row in runs["crossed book"].rows("depth"))
    assert any(row["event_time"] > crossed for row in runs["none"].rows("depth"))


def test_polled_rows_are_those_of_history(runs: dict[str, FeedRun]) -> None:
    """Catches a table whose live rows have other values than those that the models learned from."""
    run = runs["none"]
    depth = run.tables["depth"].set_index("event_time")
    for row in run.rows("depth"):
        held = depth[depth.index <= row["event_time"] + timedelta(seconds=5)]  # the book is read a little before
        columns = ["bid_quantity_1pct", "ask_quantity_1pct", "bid_quantity_5pct", "ask_quantity_5pct"]
        assert [row[each] for each in columns] in (
            pytest.approx(held[columns].iloc[place].tolist()) for place in (-1, -2) if len(held) >= -place
        )
    for table in ("mark_price", "premium_index"):
        truth = run.tables[table].set_index("event_time")
        rows = run.rows(table, Quality.POLLED)
        columns = [each for each in ("open", "high", "low", "close", "premium_index") if each in truth]
        for row in rows:
            assert [row[each] for each in columns] == pytest.approx(truth.loc[row["event_time"], columns].tolist())
    assert run.rows("mark_price")
    assert run.rows("funding")
