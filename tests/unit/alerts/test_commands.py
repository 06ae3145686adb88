"""The commands `slackwater alerts ...`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines._closure import ROOT
from slackwater.alerts.channels import CHANNELS
from slackwater.alerts.heartbeat import Heartbeat
from slackwater.journal.store import writing
from tests.alert_service import AT_NS, AlertService, Reply, fault
from tests.command import slackwater

# apprise reads all of its services at the first use, one of which imports imghdr.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[AlertService]:
    with AlertService() as running:
        monkeypatch.setenv(CHANNELS, f"{running.url('one')} {running.url('two')}")
        yield running


def test_test_names_who_answered(service: AlertService) -> None:
    """Catches a test that is fine although a channel did not answer."""
    done = slackwater("alerts", "test", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["sent"] for each in json.loads(done.stdout)["channels"]] == [True, True]
    service.replies = [Reply(), Reply(401)]
    done = slackwater("alerts", "test")
    assert done.returncode == 1
    assert done.stdout == "channel 1 of 2 (json): sent\n"
    assert done.stderr == "channel 2 of 2 (json): answered 401\n"


def test_without_channels_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches a follower that runs for a week and tells nobody."""
    monkeypatch.setenv(CHANNELS, " ")
    for command in (["test"], ["follow", "--journal", str(tmp_path / "j.db")], ["check"]):
        done = slackwater("alerts", *command)
        assert done.returncode == 1
        assert f"the environment variable {CHANNELS} names no channel" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_sends_until_it_is_stopped(tmp_path: Path, service: AlertService, number: signal.Signals) -> None:
    """Catches a follower that ends without its last messages, or does not end."""
    path = tmp_path / "journal.db"
    code = "import sys; sys.argv[0] = 'slackwater'; from slackwater.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", code, "alerts", "follow", "--journal", str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == f"following {path} after event 0, to 1 of 2 (json), 2 of 2 (json)\n"
    with writing(path, by="test") as writer:
        writer.append(fault(1))
    child.send_signal(number)
    out, err = child.communicate()
    assert (child.returncode, out, err) == (0, "stopped after event 1\n", "")
    assert sorted(each.path for each in service.received) == ["/one", "/two"]


def test_follow_states_what_was_not_sent(tmp_path: Path, service: AlertService) -> None:
    """Catches a status of 0 although a channel never answered; the journal is another one, which ends it at once."""
    path = tmp_path / "journal.db"
    path.with_name("journal.db.outbox").write_text("{}")
    done = slackwater("alerts", "follow", "--journal", str(path))
    assert done.returncode == 1
    assert "AlertError" in done.stderr
    assert "move it away" in done.stderr
    done = slackwater("alerts", "follow", "--drain", "ten")
    assert "`--drain` must be a duration" in done.stderr


def test_check_is_quiet_while_there_are_signs_of_life(tmp_path: Path, service: AlertService) -> None:
    """Catches an alarm about a process that lives, and a silent one that passes for it."""
    path = tmp_path / "journal.db"
    Heartbeat(path, environment={}).beat(AT_NS)
    done = slackwater("alerts", "check", "--journal", str(path), "--longest", "15m")
    assert (done.returncode, len(service.received)) == (0, 0)
    assert done.stdout.startswith("The last sign of life is of ")
    done = slackwater("alerts", "check", "--journal", str(tmp_path / "other.db"), "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["silent"]
    assert [each["sent"] for each in found["channels"]] == [True, True]
    assert service.titles == ["The watch is silent"] * 2
