"""Follower: from a journal on the disk to services on loopback, also after kills."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines._closure import ROOT
from slackwater.alerts.channels import CHANNELS, Channel, channels_of
from slackwater.alerts.errors import AlertError, OtherJournalError
from slackwater.alerts.follower import AlertFollower, Pace
from slackwater.errors import ParameterError
from slackwater.journal.event import Event, Kind, Origin
from slackwater.journal.store import writing
from tests.alert_service import AlertService, Reply, alarm, event, fault

# apprise reads all of its services at the first use, one of which imports imghdr.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PROMPT = Pace(
    poll=timedelta(milliseconds=20),
    gather=timedelta(0),
    spacing=timedelta(0),
    first_retry=timedelta(milliseconds=50),
    longest_retry=timedelta(milliseconds=200),
)


@pytest.fixture
def service() -> Iterator[AlertService]:
    with AlertService() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of one old event, of which nobody is told."""
    write(tmp_path / "journal.db", fault(0, message="old"))
    return tmp_path / "journal.db"


def write(path: Path, *events: Event) -> None:
    with writing(path, by="test") as writer:
        writer.append_all(events)


def channels(*urls: str) -> tuple[Channel, ...]:
    return channels_of({CHANNELS: " ".join(urls)})


def following(path: Path, *urls: str, pace: Pace = PROMPT, told: list[str] | None = None) -> AlertFollower:
    return AlertFollower(path, channels(*urls), tell=(told if told is not None else []).append, pace=pace)


def numbered(number: int) -> Event:
    return fault(number, rule=f"rule_{number}", message=f"<{number}>")


def counted(service: AlertService, last: int) -> list[int]:
    """How often each of the numbered events was sent."""
    text = "".join(service.texts)
    return [text.count(f"<{number}>") for number in range(1, last + 1)]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is sure to come; the test runner ends a test that waits for ever."""
    for _ in range(6_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come within a minute")


def test_what_is_new_is_sent_once_over_restarts(path: Path, service: AlertService) -> None:
    """Catches old events that are sent at the first start, and messages that are sent again at a later one."""
    for number in (1, 2):
        with following(path, service.url()) as follower:
            assert len(service.received) == number - 1
            write(path, fault(number, rule=f"rule_{number}"))
            follower.run_once()
            follower.run_once()
    assert service.titles == [f"SYNTHETIC BTCUSDT: data fault in bars (rule_{n})" for n in (1, 2)]


def test_events_of_the_time_between_two_runs_are_sent(path: Path, service: AlertService) -> None:
    """Catches a follower that begins at the end of the journal at every start."""
    with following(path, service.url()):
        pass
    write(path, fault(1))
    with following(path, service.url()) as follower:
        follower.run_once()
    assert len(service.received) == 1


def test_a_journal_that_does_not_exist_yet_is_followed_from_its_first_event(
    tmp_path: Path, service: AlertService
) -> None:
    """Catches the beginning of a process that nobody hears of."""
    path = tmp_path / "later.db"
    with following(path, service.url()) as follower:
        follower.run_once()
        write(path, event(Kind.WATCH, "watch/1", {"state": "begins", "code": "abc", "settings": {}}, symbol=""))
        follower.run_once()
    assert service.titles == ["SYNTHETIC watch begins"]


def test_a_journal_that_is_just_being_made_is_waited_for(tmp_path: Path, service: AlertService) -> None:
    """Catches a fault that is told because the follower looks between the file and its first table."""
    path, told = tmp_path / "journal.db", list[str]()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    with following(path, service.url(), told=told) as follower:
        follower.run_once()
        write(path, fault(1))
        follower.run_once()
    assert told == []
    assert len(service.received) == 1


def test_an_imported_backtest_is_not_told(path: Path, service: AlertService) -> None:
    """Catches ten thousand messages about the past."""
    backtest = Origin(account="backtest-1a2b3c4d", synthetic=True)
    counts = {"files": {}, "plans": 1, "refusals": 0, "exits": 0}
    past = {"table": "bars", "rule": "gap", "message": "long ago"}
    with following(path, service.url()) as follower:
        write(
            path,
            event(Kind.DATA_FAULT, "data_fault/past", past, origin=backtest),
            event(Kind.RUN, "run/1", counts, origin=backtest, symbol=""),
            fault(1),
        )
        follower.run_once()
    assert len(service.received) == 1
    assert "a bar is missing" in service.texts[0]
    assert "long ago" not in service.texts[0]


def test_twenty_symbols_of_one_bar_are_one_message_per_channel(path: Path, service: AlertService) -> None:
    """Catches the 21st message, which a service refuses: here there is one, and all are in it."""
    with following(path, service.url("a"), service.url("b")) as follower:
        write(path, *(alarm(1, "begins", symbol=f"COIN{n}USDT") for n in range(20)))
        follower.run_once()
    assert sorted(each.path for each in service.received) == ["/a", "/b"]
    for text in service.texts:
        assert text.splitlines()[0] == "20 × crowding alarm."
        assert all(f"COIN{n}USDT" in text for n in range(20))


def test_an_alarm_is_a_beginning_and_an_end_with_a_count(path: Path, service: AlertService) -> None:
    """Catches a message per bar of an alarm that goes on, also over a restart in its midst."""
    with following(path, service.url()) as follower:
        for number, state in enumerate(["begins", *["continues"] * 5]):
            write(path, alarm(number, state))
            follower.run_once()
    with following(path, service.url()) as follower:
        write(path, alarm(8, "continues"), alarm(9, "ends"))
        follower.run_once()
    assert service.titles == ["SYNTHETIC BTCUSDT: crowding alarm", "SYNTHETIC BTCUSDT: crowding alarm is over"]
    assert "And 6 more updates since" in service.texts[1]


def test_a_service_is_left_alone_for_as_long_as_it_asks(path: Path, service: AlertService) -> None:
    """Catches a next attempt before `retry_after` is over, by this process or the next, and a message that is lost."""
    service.replies = [Reply(429, {"parameters": {"retry_after": 0.7}}), Reply(429, {"retry_after": 0.7})]
    told: list[str] = []
    with following(path, service.url(), told=told) as follower:
        write(path, fault(1))
        follower.run_once()
    with following(path, service.url(), told=told) as follower:
        follower.start()
        until(lambda: len(service.received) == 3)
        assert follower.stop() == ()
    first, second, third = (each.at for each in service.received)
    assert second - first >= 0.7
    assert third - second >= 0.7
    assert told[0] == "channel 1 of 1 (json) answered 429 and asks for 0.7 s; the next attempt is in 1 s"
    assert told[-1] == "channel 1 of 1 (json) answers again"


def test_a_channel_that_fails_does_not_hold_up_the_others(path: Path, service: AlertService) -> None:
    """Catches one queue for all, where a service that hangs or refuses keeps the others from hearing."""
    with AlertService() as broken, following(path, broken.url(), service.url()) as follower:
        broken.replies = [Reply(500, delay=1.0), *[Reply(500)] * 100]
        follower.start()
        write(path, fault(1, rule="one"))
        until(lambda: len(broken.received) == 1)
        write(path, fault(2, rule="two"))
        until(lambda: len(service.received) == 2)
        assert len(broken.received) == 1, "the other has sent two while the first one still hung"
        broken.replies = []
        until(lambda: any("(two)" in text for text in broken.texts) or "(two)" in "".join(broken.titles))
        assert follower.stop() == ()
    assert "2 × data fault" in "".join(broken.texts) or "(one)" in "".join(broken.titles)
    assert len(service.received) == 2


def test_stop_sends_what_is_there_and_names_what_was_not_sent(path: Path, service: AlertService) -> None:
    """Catches the last exit of a run that nobody hears of, and a stop that waits for a broken service for ever."""
    with AlertService() as broken, following(path, service.url(), broken.url()) as follower:
        broken.replies = [Reply(429, {"retry_after": 3_600})] * 9
        follower.start()
        write(path, fault(1), fault(2))
        unsent = follower.stop(timedelta(seconds=5))
    assert len(service.received) == 1
    assert unsent == (
        "messages not sent: 1; channel 2 of 2 (json) answered 429 and asks for 3600 s; the next attempt is in 3600 s",
        "equal updates held back until the next start: 1",
    )


def test_messages_of_a_moment_are_gathered(path: Path, service: AlertService) -> None:
    """Catches a message per event where events come one after the other within a moment; here it is an hour."""
    pace = Pace(poll=timedelta(milliseconds=10), gather=timedelta(hours=1), spacing=timedelta(0))
    with following(path, service.url(), pace=pace) as follower:
        follower.start()
        for number in range(1, 6):
            write(path, numbered(number))
            until(lambda number=number: follower.position == number + 1)
        time.sleep(0.1)
        assert service.received == []
        assert follower.stop() == ()
    assert len(service.received) == 1
    assert counted(service, 5) == [1] * 5


def test_messages_of_a_channel_are_spaced(path: Path, service: AlertService) -> None:
    """Catches the second message of a second, which a service refuses."""
    pace = Pace(poll=timedelta(milliseconds=10), gather=timedelta(0), spacing=timedelta(seconds=0.5))
    with following(path, service.url(), pace=pace) as follower:
        follower.start()
        for number in (1, 2, 3):
            write(path, numbered(number))
            until(lambda number=number: len(service.received) == number)
        follower.stop()
    assert min(after.at - before.at for before, after in pairwise(service.received)) >= 0.5


def test_a_listener_that_fails_does_not_end_what_sends(path: Path, service: AlertService) -> None:
    """Catches a closed terminal after which nothing is sent any more."""

    def broken(sentence: str) -> None:
        raise BrokenPipeError(sentence)

    service.replies = [Reply(500)]
    with AlertFollower(path, channels(service.url()), tell=broken, pace=PROMPT) as follower:
        follower.start()
        write(path, fault(1))
        until(lambda: len(service.received) == 2)
        assert follower.stop() == ()


def test_a_second_follower_is_refused(path: Path, service: AlertService) -> None:
    """Catches two processes that send each message twice."""
    with (
        following(path, service.url()),
        pytest.raises(AlertError, match=rf"alerts \(process {os.getpid()}\) already sends"),
    ):
        following(path, service.url())
    with following(path, service.url()):
        pass


def test_another_journal_is_named(path: Path, service: AlertService, tmp_path: Path) -> None:
    """Catches a follower that waits in silence for event 51 of a journal that has four, or reads another one on."""
    with following(path, service.url()) as follower:
        write(path, *(fault(n) for n in range(1, 9)))
        follower.run_once()
        for each in tmp_path.glob("journal.db*"):
            if "outbox" not in each.name:
                each.unlink()
        with pytest.raises(OtherJournalError, match="is not there, but messages were made of its events up to 9"):
            follower.run_once()
        write(path, fault(3))
        with pytest.raises(OtherJournalError, match="ends at event 1, but messages were made of its events up to 9"):
            follower.run_once()
        write(path, *(fault(n) for n in range(4, 20)))
        follower.start()
        until(lambda: isinstance(follower.fault, OtherJournalError))
        assert "has another event 9" in str(follower.fault)
        follower.stop()
    with pytest.raises(OtherJournalError, match=r"move journal\.db\.outbox away"):
        following(path, service.url())


def test_a_follower_without_channels_is_refused(path: Path) -> None:
    """Catches a follower that is silent because nobody is told."""
    with pytest.raises(ParameterError, match="at least one channel"):
        AlertFollower(path, (), tell=print)


def test_the_writer_is_not_held_up(path: Path, service: AlertService) -> None:
    """Catches a reader that keeps a lock: the writer would fail after its busy time-out, or lose rows."""
    service.replies = [Reply(delay=0.05)] * 1_000
    with following(path, service.url()) as follower:
        follower.start()
        with writing(path, by="test") as writer:
            for number in range(1, 201):
                assert writer.append(numbered(number)) == number + 1
        assert follower.stop(timedelta(seconds=30)) == ()
    assert set(counted(service, 200)) == {1}


CHILD = """
import sys, time
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from slackwater.alerts.channels import channels_of
from slackwater.alerts.follower import AlertFollower, Pace
moment = timedelta(milliseconds=1)
pace = Pace(poll=moment, gather=timedelta(0), spacing=timedelta(0), first_retry=moment)
with AlertFollower(Path(sys.argv[1]), channels_of(), tell=print, pace=pace) as follower:
    follower.start()
    time.sleep(600)
"""


def test_no_message_is_lost_by_kills(path: Path, service: AlertService) -> None:
    """Catches an outbox that is ahead of what was sent: after SIGKILL at any moment every event arrives."""
    environment = os.environ | {CHANNELS: service.url(), "PYTHONPATH": os.pathsep.join(sys.path)}
    with following(path, service.url()):
        pass
    stopped, written = threading.Event(), [0]

    def write_on() -> None:
        while not stopped.wait(0.02):
            write(path, numbered(written[0] + 1))
            written[0] += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    for delay in (None, 0.03, 0.08):
        service.replies = [Reply(delay=0.5)] if delay is None else []
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CHILD, str(path)],
            env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        had = len(service.received)
        until(lambda had=had: len(service.received) > had)
        time.sleep(delay or 0.0)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    stopped.set()
    writer.join()
    with following(path, service.url()) as follower:
        until(lambda: follower.run_once() is None and follower.stop(timedelta(0)) == ())
    counts = counted(service, written[0])
    assert written[0] > 20
    assert min(counts) == 1, "some are lost, or all are sent again"
    assert max(counts) >= 2, "the first kill came between the request and its answer, which nobody could record"
