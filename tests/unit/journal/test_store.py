"""The file of a journal: nothing acknowledged is lost, nothing is doubled, nothing changes unseen."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipelines._closure import ROOT
from slackwater.errors import MissingDataError
from slackwater.journal.chain import verify_chain
from slackwater.journal.errors import BrokenChainError, JournalBusyError, JournalError
from slackwater.journal.event import Event, Kind, Origin
from slackwater.journal.store import reading, writing

ORIGIN = Origin(account="paper", synthetic=False)
AT_NS = 1_700_000_000_123_456_789


def event(number: int, **changes: Any) -> Event:
    content = {"table": "bars", "rule": "gap", "message": f"number {number}"}
    values: dict[str, Any] = {"kind": Kind.DATA_FAULT, "key": f"data_fault/{number}", "ts_ns": AT_NS + number}
    return Event(**values | {"symbol": "BTCUSDT", "origin": ORIGIN, "payload": content} | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of five events."""
    with writing(tmp_path / "journal.db", by="test") as writer:
        assert writer.append_all(event(number) for number in range(5)).ids == (1, 2, 3, 4, 5)
    return tmp_path / "journal.db"


def tamper(path: Path, *statements: str) -> None:
    """Change a journal behind its back, as somebody with any tool of SQLite can, and hide it."""
    with closing(sqlite3.connect(path)) as connection:
        hidden = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in hidden:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in hidden:
            connection.execute(sql)
        connection.commit()


def test_floats_and_times_come_back_to_the_last_bit(path: Path) -> None:
    """Catches rounding, a NaN that became a number, and nanoseconds that passed through a float."""
    exact = [0.1 + 0.2, 5e-324, -1.7976931348623157e308, 1 / 3]
    content = {"table": "", "rule": "", "message": "", "numbers": exact, "unknown": float("nan"), "big": 2**53 + 1}
    with writing(path, by="test") as writer:
        number = writer.append(event(9, payload=content))
    with reading(path) as journal:
        ((ts_ns, text),) = journal.rows("SELECT ts_ns, payload_json FROM event WHERE id = ?", number)
    stored = json.loads(text)
    assert ts_ns == AT_NS + 9
    assert stored["numbers"] == exact
    assert stored["unknown"] is None
    assert stored["big"] == 2**53 + 1
    assert stored["synthetic"] is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ts_ns": 1_700_000_000_000_000}, "nanoseconds"),
        ({"ts_ns": 1.7e18}, "nanoseconds"),
        ({"payload": {"table": "bars", "rule": "gap"}}, "lacks message"),
        ({"payload": {"table": "bars", "rule": "gap", "message": float("inf")}}, "`message` .* must be finite"),
        ({"payload": {"table": "bars", "rule": "gap", "message": object()}}, "a object"),
        ({"key": "two\nlines"}, "`key`"),
        ({"kind": "gossip"}, "`kind` must be one of"),
        ({"origin": Origin(account="paper", synthetic=False, bundle_sha="abc")}, "64 hexadecimal"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(changes: dict[str, Any], message: str) -> None:
    """Catches microseconds taken for nanoseconds, and a payload that is not what its kind promises."""
    with pytest.raises(JournalError, match=message):
        event(1, **changes).payload_json()


def test_an_event_that_is_written_again_is_not_doubled(path: Path) -> None:
    """Catches a repeated event after a kill, and a changed one that passes for it."""
    with writing(path, by="test") as writer:
        done = writer.append_all([event(3), event(5)])
        assert done.ids == (4, 6)
        assert done.added == 1
        with pytest.raises(JournalError, match=r"'data_fault/3' with another content \(event 4: ts_ns\)"):
            writer.append_all([event(6), event(3, ts_ns=AT_NS)])
        assert writer.head()[0] == 6  # all or none


def test_an_account_is_synthetic_or_not(path: Path) -> None:
    """Catches made-up trades that are added up with real ones."""
    with writing(path, by="test") as writer, pytest.raises(JournalError, match=r"account paper .* not SYNTHETIC"):
        writer.append(event(7, origin=Origin(account="paper", synthetic=True)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET symbol = 'ETHUSDT' WHERE id = 2",
        "DELETE FROM event WHERE id = 5",
        "REPLACE INTO event (id, ts_ns, kind, account, bundle_sha, symbol, key, payload_json, prev_sha, sha) "
        "SELECT id, ts_ns, kind, account, bundle_sha, 'X', key, payload_json, prev_sha, sha FROM event WHERE id = 2",
        "REPLACE INTO event (id, ts_ns, kind, account, bundle_sha, symbol, key, payload_json, prev_sha, sha) "
        "SELECT 6, ts_ns, kind, account, bundle_sha, 'X', key, payload_json, sha, sha FROM event WHERE id = 5",
        "INSERT INTO event (id, ts_ns, kind, account, bundle_sha, symbol, key, payload_json, prev_sha, sha) "
        "SELECT 6, ts_ns, kind, account, bundle_sha, 'X', 'new', payload_json, prev_sha, sha FROM event WHERE id = 2",
    ],
)
def test_other_programs_cannot_change_events(path: Path, statement: str) -> None:
    """Catches a trigger that is missing, also for REPLACE, which deletes without asking the trigger of DELETE."""
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="of a journal"):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE event SET payload_json = replace(payload_json, '2', '3') WHERE id = 3", "event 3 was changed"),
        ("UPDATE event SET ts_ns = ts_ns + 1 WHERE id = 1", "event 1 was changed"),
        ("UPDATE event SET account = 'live' WHERE id = 4", "event 4 was changed"),
        ("DELETE FROM event WHERE id = 2", "event 2 is missing"),
        ("UPDATE event SET prev_sha = (SELECT sha FROM event WHERE id = 1) WHERE id = 5", "event 5 does not follow"),
    ],
)
def test_a_broken_chain_is_named(path: Path, statement: str, message: str) -> None:
    """Catches a column that the digest leaves out, and a walk that does not look at the order."""
    tamper(path, statement)
    with reading(path) as journal, pytest.raises(BrokenChainError, match=message):
        verify_chain(journal)


def test_an_end_that_was_cut_off_is_seen_by_the_head(path: Path) -> None:
    """A chain without its end holds; only the head that was noted elsewhere shows it."""
    with reading(path) as journal:
        found = verify_chain(journal)
        assert found.events == 5
        assert verify_chain(journal, head=found.head[:12]) == found
        with pytest.raises(BrokenChainError, match="8 digits"):
            verify_chain(journal, head=found.head[:4])
    tamper(path, "DELETE FROM event WHERE id = 5")
    with reading(path) as journal:
        assert verify_chain(journal).events == 4
        with pytest.raises(BrokenChainError, match="cut off"):
            verify_chain(journal, head=found.head)


def test_a_second_writer_is_refused_by_name(path: Path) -> None:
    """Catches two writers, of which one would lose its events, and a refusal that does not say who is writing."""
    code = (
        "import sys\nfrom slackwater.journal.store import writing\n"
        "try:\n    with writing(sys.argv[1], by='second'):\n        print('both write')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    with writing(path, by="the paper trader"):
        told = run(code, str(path))
        with reading(path) as journal:  # a reader is not in the way
            assert verify_chain(journal).events == 5
    assert f"{JournalBusyError.__name__} {path} is being written by the paper trader (process {os.getpid()})" in told
    assert "both write" in run(code, str(path))


def run(code: str, *arguments: str) -> str:
    """Run a script in a process of its own, and return what it said."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_not_a_journal_is_named_and_left_alone(tmp_path: Path, path: Path) -> None:
    """Catches a foreign file that is written over, and one that is read as an empty journal."""
    text, foreign, newer = tmp_path / "notes.txt", tmp_path / "mlflow.db", tmp_path / "newer.db"
    text.write_text("my notes, which are long enough for a header of SQLite to be looked for in them" * 20)
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE runs (id)")
    newer.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 2")
    for other, message in ((text, "not a database"), (foreign, "another program"), (newer, "version 2")):
        before = other.read_bytes()
        with pytest.raises(JournalError, match=message), reading(other):
            pass
        with pytest.raises(JournalError, match=message), writing(other, by="test"):
            pass
        assert other.read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "unmade.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for absent, message in ((tmp_path / "absent.db", "no journal"), (tmp_path / "unmade.db", "it is being made")):
        with pytest.raises(MissingDataError, match=message), reading(absent):
            pass
    with pytest.raises(JournalError, match="is a directory"), writing(tmp_path, by="test"):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER event_never_goes")
    with pytest.raises(JournalError, match="TRIGGER event_never_goes"), reading(path):
        pass


def test_a_damaged_file_is_named(path: Path) -> None:
    """Catches a traceback of SQLite, and damage that reads as an empty journal."""
    with writing(path, by="test") as writer:
        writer.append_all(event(number) for number in range(10, 400))
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096 : 7] = b"\xff" * len(content[4096 : len(content) - 4096 : 7])
    path.write_bytes(content)
    with pytest.raises(JournalError), reading(path) as journal:
        verify_chain(journal)


FULL = """
import resource, sys
from slackwater.journal.chain import verify_chain
from slackwater.journal.event import Event, Kind, Origin
from slackwater.journal.store import reading, writing

def event(number):
    content = {"table": "bars", "rule": "gap", "message": "x" * 20_000}
    origin = Origin(account="paper", synthetic=False)
    key, time = f"data_fault/{number}", 1_700_000_000 * 10**9
    return Event(kind=Kind.DATA_FAULT, key=key, ts_ns=time, symbol="", origin=origin, payload=content)

path, told = sys.argv[1], 0
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))  # what a full disk does to a write
with writing(path, by="test") as writer:
    try:
        for number in range(100):
            writer.append(event(number))
            told += 1
    except Exception as error:
        print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(0 < told < 100, writer.append(event(told)) == told + 1)
with reading(path) as journal:
    print(verify_chain(journal).events == told + 1)
"""


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    """Catches a half-written event, a lost acknowledged one, and a writer that cannot go on once there is space."""
    error, *checks = run(FULL, str(tmp_path / "journal.db")).splitlines()
    assert error.startswith("JournalError journal ")
    assert "full" in error
    assert " ".join(checks) == "True True True"


UNWRITABLE = """
import os, sys
from slackwater.journal.chain import verify_chain
from slackwater.journal.store import reading, writing

path = sys.argv[1]
if os.geteuid() == 0:
    os.setuid(65534)
with reading(path) as journal:
    print(verify_chain(journal).events)
try:
    with writing(path, by="test"):
        print("written")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_journal_that_cannot_be_written_is_read(path: Path) -> None:
    """Catches a traceback of SQLite, which makes files beside a database that it only reads."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "journal.db"
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o444)
        Path(directory).chmod(0o555)
        events, error = run(UNWRITABLE, str(copy)).splitlines()
        Path(directory).chmod(0o755)
    assert events == "5"
    assert error.startswith("JournalError")
    assert "cannot be written" in error


def test_kills_lose_nothing_and_double_nothing() -> None:
    """Catches an acknowledgement before the commit, a torn batch, and a journal that a kill leaves unreadable."""
    command = [sys.executable, "-m", "campaigns.journal_kills", "20", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == 28
    assert found["events"] > 20
    assert found["acknowledged_events_lost"] == found["events_doubled"] == 0
    assert found["batches_torn_or_out_of_order"] == 0


def test_the_committed_campaign_of_kills_found_nothing() -> None:
    """The result in the repository is that of the whole campaign, and says what the documents say."""
    found = json.loads((ROOT / "campaigns" / "journal_kills.json").read_text())
    assert found["kills"] >= 100
    assert found["acknowledged_events_lost"] == found["events_doubled"] == found["batches_torn_or_out_of_order"] == 0


def test_a_writer_starts_without_pandas() -> None:
    """Catches an import that makes every process that adds an event wait for seconds."""
    code = (
        "import sys, slackwater.journal.store, slackwater.journal.chain\nprint({'numpy', 'pandas'} & set(sys.modules))"
    )
    assert run(code).strip() == "set()"
