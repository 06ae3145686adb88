"""Turns at a journal: two processes add events in between each other, and neither adds to a file that is gone."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from slackwater.journal import turns
from slackwater.journal.chain import verify_chain
from slackwater.journal.errors import JournalBusyError, JournalError
from slackwater.journal.store import reading, writing
from slackwater.journal.turns import JournalTurns
from tests.unit.journal.test_store import event

OTHER = """
import sys
sys.path.insert(0, sys.argv[2])
from slackwater.journal.turns import JournalTurns
from tests.unit.journal.test_store import event
journal = JournalTurns(sys.argv[1], by="other")
print("open", flush=True)
for number in range(1000, 1060):
    journal.append_all([event(number)])
journal.close()
"""


def keys(path: Path) -> list[int]:
    with reading(path) as journal:
        verify_chain(journal)
        return [int(key.partition("/")[2]) for (key,) in journal.rows("SELECT key FROM event ORDER BY id")]


def test_two_processes_take_turns(tmp_path: Path) -> None:
    """Catches a head that is kept from turn to turn, and a lock that is held between them."""
    path, root = tmp_path / "journal.db", str(Path(__file__).parents[3])
    with closing(JournalTurns(path, by="test")) as journal:
        journal.append_all([event(0)])
        with subprocess.Popen([sys.executable, "-c", OTHER, str(path), root], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            for number in range(1, 61):
                journal.append_all([event(number)])
            assert other.wait() == 0
        with writing(path, by="note") as writer:
            writer.append(event(500))
        assert journal.append_all([event(61), event(500)]).added == 1
    assert sorted(keys(path)) == [*range(62), 500, *range(1000, 1060)]


def test_another_thread_may_take_over(tmp_path: Path) -> None:
    """Catches a trader that is opened in one thread and trades in another."""
    with closing(JournalTurns(tmp_path / "journal.db", by="test")) as journal, ThreadPoolExecutor(1) as pool:
        assert pool.submit(journal.append_all, [event(1)]).result().added == 1


@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_was_taken_away_is_named(tmp_path: Path, gone: bool) -> None:
    """Catches events that go into a file which no longer has a name, and so are lost at the end."""
    path = tmp_path / "journal.db"
    with closing(JournalTurns(path, by="test")) as journal:
        journal.append_all([event(1)])
        journal.tidy()
        path.rename(tmp_path / "elsewhere.db")
        if not gone:
            with writing(path, by="test"):
                pass
        with pytest.raises(JournalError, match=r"moved, removed or replaced"):
            journal.append_all([event(2)])
    path.unlink(missing_ok=True)
    (tmp_path / "elsewhere.db").rename(path)
    assert keys(path) == [1]


def test_a_turn_is_waited_for_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a writer that gives up at once, or never."""
    monkeypatch.setattr(turns, "_PATIENCE", 0.1)
    path = tmp_path / "journal.db"
    with closing(JournalTurns(path, by="test")) as journal:
        with writing(path, by="a large batch"), pytest.raises(JournalBusyError, match="a large batch"):
            journal.append_all([event(1)])
        assert journal.append_all([event(1)]).added == 1


def test_the_file_beside_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Catches a month of events in the file beside the journal."""
    path = tmp_path / "journal.db"
    beside = path.with_name("journal.db-wal")
    sizes = []
    with closing(JournalTurns(path, by="test")) as journal:
        for hour in range(4):
            for number in range(40):
                journal.append_all([event(100 * hour + number)])
            journal.tidy()
            sizes.append(beside.stat().st_size)
    assert sizes[-1] <= 1.5 * sizes[0]
    assert not beside.exists()
    assert len(keys(path)) == 160


def test_an_account_of_another_process_is_of_one_market(tmp_path: Path) -> None:
    """Catches a SYNTHETIC event in an account that somebody else has begun since."""
    path = tmp_path / "journal.db"
    with closing(JournalTurns(path, by="test")) as journal:
        with writing(path, by="other") as writer:
            writer.append(event(1))
        origin = event(1).origin.__class__(account="paper", synthetic=True)
        with pytest.raises(JournalError, match="is not SYNTHETIC"):
            journal.append_all([event(2, origin=origin)])
    assert keys(path) == [1]
