"""Runs in a real MLflow store, by real processes: some at the same time, some killed, some in a copied directory."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slackwater.errors import TrackingError
from slackwater.tracking import layout
from slackwater.tracking import store as tracking_store

DRIVER = """
import json, sys
from pathlib import Path
from slackwater.errors import SlackwaterError
from slackwater.tracking.runs import RunRecord, log_run
from slackwater.tracking.store import Store
root, given = Path.cwd(), json.loads(sys.argv[1])
bundle = root / ("bundle-" + given.get("bundle", "a"))
bundle.mkdir(exist_ok=True)
(bundle / "SHA256SUMS").write_text(given.get("bundle", "a"))
model = {"target": {"name": "direction", "column": "y_direction"}}
manifest = {"features": {"model_features": ["x"]}, "models": {"direction": model}}
(bundle / "manifest.json").write_text(json.dumps(manifest))
record = RunRecord(
    name="r", params=given.get("params", {f"p{i}": i for i in range(150)}), metrics={f"m{i}": 1.5 for i in range(150)},
    tags={"synthetic": "SYNTHETIC"}, artifacts={}, bundle=bundle)
for _ in range(given.get("times", 1)):
    try:
        print(log_run(record, store=Store.of(root), experiment="slackwater", registered_name="slackwater"))
    except SlackwaterError as error:
        sys.exit(f"failed: {error}")
"""


def start(root: Path, **given: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, json.dumps(given)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )


def log(root: Path, **given: object) -> str:
    process = start(root, **given)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return out.split()[-1]


def rows(root: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return database.execute(query).fetchall()


RUNS = "SELECT run_uuid, status FROM runs ORDER BY start_time"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    log(root)
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of a directory with one run in its store."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_two_processes_make_the_store_at_once(tmp_path: Path) -> None:
    """Catches two migrations of one new database: one of the runs was lost."""
    both = [start(tmp_path, bundle=name) for name in ("a", "b")]
    for process in both:
        _, err = process.communicate(timeout=400)
        assert process.returncode == 0, err
    assert [status for _, status in rows(tmp_path, RUNS)] == ["FINISHED", "FINISHED"]
    assert rows(tmp_path, "SELECT version FROM model_versions ORDER BY 1") == [(1,), (2,)]


def test_a_kill_while_the_store_is_made_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    """Catches a half migrated database, with which every later run failed."""
    process = start(tmp_path)
    while not list(tmp_path.glob(".mlflow.db.*")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.4)
    process.kill()
    process.communicate()
    assert not (tmp_path / "mlflow.db").exists()
    run_id = log(tmp_path)
    assert rows(tmp_path, RUNS) == [(run_id, "FINISHED")]
    assert not list(tmp_path.glob(".mlflow.db.*"))


def test_a_half_made_store_of_another_program_is_made_anew(store: Path) -> None:
    """`mlflow ui` of an older version, killed in its first migration, leaves one; it holds no run."""
    with closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        for table in ("metrics", "params", "tags", "latest_metrics", "runs", "model_versions"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.execute("DROP TABLE logged_models")
    run_id = log(store)
    assert rows(store, RUNS) == [(run_id, "FINISHED")]


def test_a_store_of_another_version_that_holds_runs_is_kept(store: Path) -> None:
    with closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    process = start(store)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 1
    assert "mlflow db upgrade" in err
    assert "Traceback" not in err
    assert len(rows(store, RUNS)) == 1


def test_kills_leave_one_finished_run_with_its_version(store: Path) -> None:
    """Catches duplicates, runs that stay RUNNING, and finished runs without a model version."""
    (known,) = rows(store, RUNS)
    draws = random.Random(7)
    for number in range(2):
        process = start(store, bundle="killed")
        until = time.monotonic() + 60
        while len(rows(store, RUNS)) == 1 and time.monotonic() < until and number == 0:
            time.sleep(0.02)
        time.sleep(draws.uniform(0.0, 0.3) if number == 0 else draws.uniform(2.0, 5.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert len(rows(store, RUNS)) == 2
    run_id = log(store, bundle="killed")
    assert rows(store, RUNS) == [known, (run_id, "FINISHED")]
    assert [each for (each,) in rows(store, "SELECT run_id FROM model_versions ORDER BY version")] == [known[0], run_id]
    assert rows(store, f"SELECT count(*) FROM metrics WHERE run_uuid = '{run_id}'") == [(150,)]  # noqa: S608
    # One model per run: what the killed processes had begun of others is gone.
    assert rows(store, "SELECT count(*) FROM logged_models WHERE lifecycle_stage = 'active'") == [(2,)]
    assert rows(store, "SELECT version FROM registered_model_aliases WHERE alias = 'candidate'") == [(2,)]


def test_a_run_that_was_killed_is_closed_by_the_next_one_of_another_bundle(store: Path) -> None:
    with closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL")
    log(store, bundle="another")
    assert [status for _, status in rows(store, RUNS)] == ["KILLED", "FINISHED"]


def test_files_belong_to_the_checkout_that_logs(made: Path, store: Path) -> None:
    """Catches a copied checkout whose runs write into the original."""
    before = sorted(made.rglob("*"))
    run_id = log(store, bundle="another")
    assert sorted(made.rglob("*")) == before
    assert rows(store, f"SELECT count(*) FROM runs WHERE run_uuid = '{run_id}'") == [(1,)]  # noqa: S608
    assert len(list((store / "mlartifacts").glob("models/*/artifacts/data/bundle-another/SHA256SUMS"))) == 1
    for column, table in (
        ("artifact_uri", "runs"),
        ("artifact_location", "logged_models"),
        ("storage_location", "model_versions"),
    ):
        for (place,) in rows(store, f"SELECT {column} FROM {table}"):  # noqa: S608
            assert str(place).startswith((store / "mlartifacts").as_uri())


HOSTILE = (
    "values.side.+",
    "values.side.@",
    "values.side.Sell (long)",
    "sha256.bars (1).csv",
    "x" * 251,
    "a//b",
    "../up",
    ".",
    "",
    "/root",
    "ключ=значение",
)


def test_names_that_mlflow_refuses_are_logged_under_legal_ones(store: Path) -> None:
    """Catches ten stages that pass, and a last one that fails at a column value `+`."""
    run_id = log(store, bundle="named", params=dict.fromkeys(HOSTILE, "long"))
    logged = {str(key) for (key,) in rows(store, f"SELECT key FROM params WHERE run_uuid = '{run_id}'")}  # noqa: S608
    assert logged == {layout.legal_name(name) for name in HOSTILE}
    assert len(logged) == len(HOSTILE)
    renamed = json.loads((store / "mlartifacts" / run_id / "artifacts/params/renamed.json").read_text())
    assert set(renamed.values()) == set(HOSTILE)


@given(st.text(max_size=300), st.text(max_size=300))
def test_legal_names_differ_where_names_do(one: str, other: str) -> None:
    assert (layout.legal_name(one) == layout.legal_name(other)) == (one == other)
    assert len(layout.legal_name(one)) <= 250


def test_a_deleted_experiment_is_named_with_its_remedy(store: Path) -> None:
    with closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'slackwater'")
    process = start(store)
    _, err = process.communicate(timeout=400)
    assert "failed: the experiment `slackwater` was deleted in MLflow: restore it with `mlflow experiments re" in err
    assert "Traceback" not in err


@contextmanager
def locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_database_is_waited_for_and_then_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(store)
    with locked(store / "mlflow.db"):
        time.sleep(8)  # longer than the start of a process and SQLite's own patience
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    monkeypatch.setattr(tracking_store, "_LOCK_SECONDS", 1.5)
    opened = tracking_store.opened_store(None, tracking_store.Store.at(f"sqlite:///{store / 'mlflow.db'}"))
    with (
        locked(store / "mlflow.db"),
        pytest.raises(TrackingError, match=r"mlflow\.db cannot be used \(database is locked\): close"),
        opened,
    ):
        pass


def of_another_program(path: Path, *tables: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for table in tables:
            database.execute(f"CREATE TABLE {table} (version_num TEXT)")


def read_only(path: Path) -> None:
    """SQLite refuses to write a file of a version to come; root may write any file, whatever its mode."""
    content = bytearray(path.read_bytes())
    content[18] = 9  # the version of the format for writing
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"not a database " * 100), "cannot be used (file is not a database): move it"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file: move it away"),
        (lambda path: (path.unlink(), of_another_program(path, "songs")), "belongs to another program than MLflow"),
        (
            lambda path: (path.unlink(), of_another_program(path, "alembic_version", "trials")),
            "belongs to another program than MLflow",
        ),
        (read_only, "cannot be used (attempt to write a readonly database): make it writable"),
    ],
)
def test_what_cannot_be_the_store_is_named_and_left_alone(
    store: Path, spoil: Callable[[Path], object], said: str
) -> None:
    """Catches an error about a temporary file, and the advice to upgrade the database of another program."""
    path = store / "mlflow.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    process = start(store)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 1
    assert f"{path} {said}" in err
    assert len(err.strip().splitlines()) == 1
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not list(store.glob(".mlflow.db.*"))


def test_an_empty_file_is_made_a_store(tmp_path: Path) -> None:
    """It is what SQLite leaves of a program that was stopped before its first table; it holds nothing."""
    (tmp_path / "mlflow.db").touch()
    run_id = log(tmp_path)
    assert rows(tmp_path, RUNS) == [(run_id, "FINISHED")]


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    """Catches a lock that is not taken: two writers would make and move the database at once."""
    with (tmp_path / "mlflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = start(tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(timeout=8.0)  # long enough to make the database, were it not for the lock
        assert not (tmp_path / "mlflow.db").exists()
    out, err = writer.communicate(timeout=400)
    assert writer.returncode == 0, err
    assert rows(tmp_path, RUNS) == [(out.split()[-1], "FINISHED")]
