"""Signs of life, and the alarm where they end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from slackwater.alerts.channels import CHANNELS, Channel, channels_of
from slackwater.alerts.heartbeat import HEARTBEAT, Heartbeat, heartbeat_path, last_beat
from slackwater.alerts.silence import check_silence
from slackwater.errors import ParameterError
from tests.alert_service import AT_NS, AlertService, Reply

# apprise reads all of its services at the first use, one of which imports imghdr.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "s3cr3tT0ken"  # noqa: S105 made up
LONGEST = timedelta(minutes=15)


@pytest.fixture
def service() -> Iterator[AlertService]:
    with AlertService() as running:
        yield running


@pytest.fixture
def channel(service: AlertService) -> tuple[Channel, ...]:
    return channels_of({CHANNELS: service.url()})


class Hand:
    """Clock of the machine that a test sets."""

    def __init__(self) -> None:
        self.now = 1_710_000_000.0

    def __call__(self) -> float:
        return self.now


def heart(path: Path, service: AlertService | None, clock: Hand) -> Heartbeat:
    environment = {HEARTBEAT: f"http://127.0.0.1:{service.port}/{SECRET}"} if service else {}
    return Heartbeat(path, environment=environment, clock=clock)


def beaten(path: Path, clock: Hand, *, feed_ns: int = AT_NS) -> None:
    """A sign of life whose file has the time of the test's clock."""
    heart(path, None, clock).beat(feed_ns)
    os.utime(heartbeat_path(path), (clock.now, clock.now))


def beat_text(*, feed_ns: str = "1", machine_ns: str = "1") -> str:
    return f'{{"feed_ns": {feed_ns}, "machine_ns": {machine_ns}, "process": 1}}'


def test_the_file_has_the_time_of_the_feed_and_the_url_is_requested_at_its_time(
    tmp_path: Path, service: AlertService
) -> None:
    """Catches a request per beat, none at all, and a file without the clock of the feed."""
    clock, path = Hand(), tmp_path / "journal.db"
    beating = heart(path, service, clock)
    for second in range(150):
        clock.now += 1.0
        beating.beat(AT_NS + second * 10**9)
        beating.wait()
    assert [each.path for each in service.received] == [f"/{SECRET}"] * 3
    content = json.loads(heartbeat_path(path).read_text())
    assert content == {"feed_ns": AT_NS + 149 * 10**9, "machine_ns": int(clock.now * 1e9), "process": os.getpid()}
    assert beating.trouble == ""


def test_a_service_that_does_not_answer_is_told_without_its_address(
    tmp_path: Path, service: AlertService, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches an error that ends the process that watches, a secret in its text, and a trouble that stays for ever."""
    caplog.set_level(1)
    clock = Hand()
    beating = heart(tmp_path / "journal.db", service, clock)
    service.replies = [Reply(500)]
    troubles = []
    for _ in range(2):
        clock.now += 60.0
        beating.beat(AT_NS)
        beating.wait()
        troubles.append(beating.trouble)
    assert troubles == [f"the service of {HEARTBEAT} answered 500", ""]
    nowhere = Heartbeat(tmp_path / "j.db", environment={HEARTBEAT: f"http://127.0.0.1:1/{SECRET}"})
    nowhere.beat(AT_NS)
    nowhere.wait()
    assert nowhere.trouble == f"the service of {HEARTBEAT} could not be reached (URLError)"
    assert SECRET not in caplog.text


def test_what_is_not_fine_is_not_reported_as_fine(tmp_path: Path, service: AlertService) -> None:
    """Catches a request that says "fine" while the file cannot be written."""
    place = tmp_path / "place"
    place.write_text("a file where the directory should be")
    beating = heart(place / "journal.db", service, Hand())
    beating.beat(AT_NS)
    beating.wait()
    assert "cannot be written" in beating.trouble
    assert service.received == []


@pytest.mark.parametrize("url", [SECRET, f"ftp://host/{SECRET}", f"file:///{SECRET}", "http://", f"http://[{SECRET}"])
def test_a_url_that_is_not_of_the_web_is_refused_without_its_content(tmp_path: Path, url: str) -> None:
    """Catches a heartbeat that reads a local file and calls that an answer, and a secret in the refusal."""
    with pytest.raises(ParameterError, match=HEARTBEAT) as raised:
        Heartbeat(tmp_path / "journal.db", environment={HEARTBEAT: url})
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_silence_is_told_and_told_again_ever_later_and_so_is_its_end(
    tmp_path: Path, service: AlertService, channel: tuple[Channel, ...]
) -> None:
    """Catches a silence that nobody hears of, a message every five minutes for a night, and an end that is not told."""
    clock, path = Hand(), tmp_path / "journal.db"
    beaten(path, clock)
    silent, told = [], []
    for minute in range(0, 180, 5):
        clock.now = 1_710_000_000.0 + 60.0 * minute
        if minute == 160:
            beaten(path, clock)
        found = check_silence(path, channel, longest=LONGEST, clock=clock)
        silent += [minute] * found.silent
        told += [minute] * bool(found.answers)
    assert silent == [*range(20, 160, 5)]
    assert told == [20, 35, 65, 125, 160]
    assert service.titles == [*["The watch is silent"] * 4, "The watch is heard again"]
    assert service.texts[0].startswith(
        "Nothing was heard since 2024-03-09 16:00:00 UTC (by the clock of the feed 2024-"
    )
    assert "for longer than 15m" in service.texts[0]


def test_a_message_that_was_not_taken_is_sent_by_the_next_check(
    tmp_path: Path, service: AlertService, channel: tuple[Channel, ...]
) -> None:
    """Catches a silence that counts as told although no service took the message."""
    clock, path = Hand(), tmp_path / "journal.db"
    service.replies = [Reply(500)]
    for sent in (False, True):
        found = check_silence(path, channel, longest=LONGEST, clock=clock)
        assert found.silent
        assert [answer.sent for _, answer in found.answers] == [sent]
    assert check_silence(path, channel, longest=LONGEST, clock=clock).answers == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"feed_ns": "x"}',
        beat_text(feed_ns="1e400"),
        beat_text(feed_ns="-1"),
        beat_text(machine_ns="null"),
    ],
)
def test_a_damaged_file_is_not_a_sign_of_life(tmp_path: Path, channel: tuple[Channel, ...], text: str) -> None:
    """Catches a file that a crash left half-written and that passes for life, or ends the check with a trace."""
    path = tmp_path / "journal.db"
    heartbeat_path(path).write_text(text)
    found = check_silence(path, channel, longest=LONGEST)
    assert found.silent
    assert found.sentence.startswith("There is no sign of life in journal.db.heartbeat")


def test_neither_a_touched_nor_a_copied_file_is_a_sign_of_life(tmp_path: Path, channel: tuple[Channel, ...]) -> None:
    """Catches a backup that was restored, and a file that something else touches."""
    clock, path = Hand(), tmp_path / "journal.db"
    beaten(path, clock)
    then = clock.now
    clock.now += 3_600.0
    os.utime(heartbeat_path(path), (clock.now, clock.now))
    assert check_silence(path, channel, longest=LONGEST, clock=clock).silent
    heart(path, None, clock).beat(AT_NS)
    os.utime(heartbeat_path(path), (then, then))
    assert check_silence(path, channel, longest=LONGEST, clock=clock).silent
    beat = last_beat(path)
    assert beat is not None
    assert beat.machine_ns == int(then * 1e9)


def test_a_limit_of_nothing_is_refused(tmp_path: Path, channel: tuple[Channel, ...]) -> None:
    """Catches a check that is always an alarm."""
    with pytest.raises(ParameterError, match="must be above zero"):
        check_silence(tmp_path / "journal.db", channel, longest=timedelta(0))
