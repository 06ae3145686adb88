"""The file of what was read and sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slackwater.alerts.episodes import Notice
from slackwater.alerts.errors import AlertError
from slackwater.alerts.outbox import Outbox, Position

AT = Position(id=9, sha="ab" * 32)


def notices(*events: int) -> list[Notice]:
    return [Notice(event=event, symbols=("BTCUSDT",)) for event in events]


def pending(outbox: Outbox, channel: str) -> tuple[list[Notice], int]:
    waiting, older = outbox.pending(channel)
    return [notice for _, notice in waiting], older


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An outbox of three notices, of which one channel has sent two and the other none."""
    outbox = Outbox(tmp_path / "journal.db.outbox")
    outbox.begin(["fast", "slow"], now=1_000.0)
    outbox.advance(AT, notices(4, 7, 9), {})
    outbox.sent("fast", 2, not_before=1_003.0)
    outbox.postpone("slow", 1_060.0)
    return outbox.path


def test_everything_comes_back(path: Path) -> None:
    """Catches a channel that begins again after a restart, or forgets how long it was asked to wait."""
    outbox = Outbox(path)
    outbox.begin(["fast", "slow"], now=1_001.0)
    assert outbox.position == AT
    assert pending(outbox, "fast") == (notices(9), 0)
    assert pending(outbox, "slow") == (notices(4, 7, 9), 0)
    assert (outbox.not_before("fast"), outbox.not_before("slow")) == (1_003.0, 1_060.0)


def test_a_new_channel_begins_where_the_foremost_is(path: Path) -> None:
    """Catches a renewed token that loses what waits, and a new channel that gets everything again."""
    outbox = Outbox(path)
    outbox.begin(["fast", "new"], now=1_001.0)
    assert pending(outbox, "new") == (notices(9), 0)
    renewed = Outbox(path)
    renewed.begin(["only"], now=1_001.0)
    assert pending(renewed, "only") == (notices(9), 0)


def test_what_all_have_sent_is_no_longer_kept(path: Path) -> None:
    """Catches a file that grows for ever."""
    outbox = Outbox(path)
    outbox.sent("slow", 3, 0.0)
    outbox.sent("fast", 3, 0.0)
    assert json.loads(path.read_text())["notices"] == []
    outbox.advance(AT, notices(9), {})
    assert pending(outbox, "fast") == (notices(9), 0)


def test_a_channel_that_is_away_for_long_keeps_the_newest_and_counts_the_rest(tmp_path: Path) -> None:
    """Catches a file without a limit, and messages that are left out without a word."""
    outbox = Outbox(tmp_path / "outbox", keep=10)
    outbox.begin(["away"], now=0.0)
    for number in range(1, 31):
        outbox.advance(Position(id=number, sha="ab"), notices(number), {})
    assert pending(outbox, "away") == (notices(*range(21, 31)), 20)
    outbox.sent("away", 24, 0.0)
    assert pending(Outbox(outbox.path), "away") == (notices(*range(25, 31)), 0)


def test_what_is_left_out_while_a_message_is_under_way_is_counted(tmp_path: Path) -> None:
    """Catches a record by place: where the oldest went meanwhile, it would pass over others without a word."""
    outbox = Outbox(tmp_path / "outbox", keep=10)
    outbox.begin(["slow"], now=0.0)
    outbox.advance(AT, notices(*range(1, 10)), {})
    last_of_message = outbox.pending("slow")[0][3][0]
    outbox.advance(AT, notices(*[9] * 7), {})
    outbox.sent("slow", last_of_message, 0.0)
    waiting, older = pending(outbox, "slow")
    assert (len(waiting), older) == (10, 2)


def test_a_wait_of_a_clock_that_was_wrong_is_limited(path: Path) -> None:
    """Catches a channel that is silent for years after the clock was set back."""
    outbox = Outbox(path)
    outbox.begin(["fast", "slow"], now=-1e9)
    assert outbox.not_before("slow") <= -1e9 + 86_400.0


def changed(path: Path, **changes: Any) -> str:
    return json.dumps(json.loads(path.read_text()) | changes)


@pytest.mark.parametrize("damage", [
    lambda path: "",
    lambda path: path.read_text()[:-30],
    lambda path: "[1, 2]",
    lambda path: '{"event": 3}',
    lambda path: changed(path, format="slackwater alerts 2"),
    lambda path: changed(path, notices=[[1, {"event": "x"}]]),
    lambda path: changed(path, notices=[[1, {"event": 4, "more": 0, "since_ns": 0, "symbols": []}]]),
    lambda path: changed(path, channels={"fast": {"sent": 99, "not_before": 0.0}}),
    lambda path: changed(path, channels={"fast": None}),
    lambda path: changed(path, channels={"fast": {"sent": 1, "not_before": float("nan")}}),
    lambda path: changed(path, read={"id": 5, "sha": ""}),
    lambda path: changed(path, episodes={"e": {"stated": []}}),
    lambda path: changed(path, episodes=[[]]),
])  # fmt: skip
def test_a_foreign_or_damaged_file_is_named_and_left_alone(path: Path, damage: Any) -> None:
    """Catches an outbox that begins anew without a word, and a trace instead of a sentence."""
    path.write_text(damage(path))
    before = path.read_text()
    with pytest.raises(AlertError, match=r"journal\.db\.outbox is not the outbox of a journal, or is damaged .* move"):
        Outbox(path)
    assert path.read_text() == before


def test_a_directory_is_named(tmp_path: Path) -> None:
    """Catches a trace where the path is not a file."""
    with pytest.raises(AlertError, match="is not the outbox"):
        Outbox(tmp_path)


def test_a_file_that_cannot_be_written_is_named_and_what_was_sent_is_not_forgotten(tmp_path: Path) -> None:
    """Catches a full disk after which the process sends the same message again and again."""
    place = tmp_path / "place"
    outbox = Outbox(place / "outbox")
    outbox.begin(["one"], now=0.0)
    outbox.advance(AT, notices(4, 9), {})
    place.rename(tmp_path / "moved")
    place.write_text("a file where the directory was")
    with pytest.raises(AlertError, match=r"cannot be written .* may be sent again after a restart"):
        outbox.sent("one", 1, 0.0)
    assert pending(outbox, "one") == (notices(9), 0)


def test_a_closed_outbox_writes_no_more(path: Path) -> None:
    """Catches a thread that ends late and overwrites the record of the next process."""
    outbox = Outbox(path)
    outbox.close()
    before = path.read_text()
    outbox.sent("slow", 3, 0.0)
    assert path.read_text() == before
