"""Workers that share no directory with the process, and reach a store of objects over HTTP instead."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
import yaml
from distributed import Client

from pipelines._closure import ROOT
from pipelines._stage import Stage, run
from slackwater.parallel import WorkerError, use_workers
from slackwater.run.feature_table import write_feature_table
from slackwater.storage import json_line, sha256_of
from slackwater.study.search import run_study
from slackwater.trading.symbol_tasks import unit_risk_trades_of_gates
from tests.dask_cluster import Cluster
from tests.object_store import SECRETS, Store
from tests.small_run import inside, make_small_run, run_stages
from tests.unit.evidence.test_symbol_tasks import GATES, SYMBOLS, backtest_of
from tests.unit.parallel import work

DRIVER = "tests.object_store"
WRITTEN = {"validate": "data/tables", "features": "data/features", "label": "data/labels.parquet"}
GRID = {
    "name": "small",
    "search": "grid",
    "objective": "net_r",
    "parameters": {"model.num_leaves": [3, 4], "trading.entry.probability_threshold": [0.5, 0.53]},
}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small market up to its labels, and a study, by one process."""
    with use_workers("serial"):
        root = make_small_run(tmp_path_factory.mktemp("run"), "configure", "ingest", *WRITTEN)
        rows = study(root)
    assert len(set(rows)) == 4
    (root / "rows.json").write_text(json.dumps(rows))
    (root / "trials.jsonl").write_text("")
    shutil.rmtree(root / "data" / "studies")
    return root


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with one worker."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.add_worker(preload=DRIVER)
        made.wait_for_workers()
        yield made


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with Store() as made:
        monkeypatch.setenv("SLACKWATER_SHARED", made.url)
        yield made


@pytest.fixture
def root(serial: Path, tmp_path: Path) -> Path:
    return shutil.copytree(serial, tmp_path / "run")


def study(root: Path, content: dict[str, Any] = GRID) -> list[str]:
    """Make the trials of a study; return their lines. MLflow, which takes ten seconds to begin, is left out."""
    (root / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with patch("slackwater.study.search.TrialLog"):
        return [json_line(row) for row in run_study(root / "study.yaml", say=lambda line: None, root=root)]


def digests(root: Path, *names: str) -> dict[str, str]:
    """Return the digests of the files below some directories of a run."""
    found = (path for name in names for path in sorted((root / name).rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): sha256_of(path) for path in found}


def failed(root: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a stage in a directory, where it must fail and leave nothing; return all that was said."""
    written = root / WRITTEN[stage]
    shutil.rmtree(written) if written.is_dir() else written.unlink()
    with inside(root), pytest.raises(SystemExit):
        run(stage, importlib.import_module(f"pipelines.{stage}").main)
    assert not list(root.glob(f"data/{written.name}"))
    assert not list(root.glob(f"data/.{written.name}*"))
    said = capsys.readouterr()
    return said.out + said.err


def require_no_secret(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text], text


class Elsewhere:
    """Moves the files of a run away while workers run, and kills workers in mid-request.

    They are moved at the first request of another process, and back when this one begins to remove the objects.
    """

    def __init__(self, root: Path, away: Path) -> None:
        self._root, self._away, self._one = root, away, threading.Lock()
        self._moved: list[Path] = []
        self.times_moved = 0
        self.kill_at = ""
        self.killed: list[int] = []

    def __call__(self, method: str, key: str, process: int) -> None:
        with self._one:
            if process == os.getpid():
                if method == "DELETE" and key.endswith("/run.txt"):
                    self._bring_back()
                return
            if not self._moved:
                self._move_away()
            if self.kill_at and self.kill_at in f"{method} {key}":
                self.kill_at = ""
                self.killed.append(process)
                os.kill(process, signal.SIGKILL)

    def _move_away(self) -> None:
        self._moved = [
            path for path in (self._root / "data").iterdir() if path.name[0] != "." and path.name != "studies"
        ]
        self._moved += [self._root / "params.yaml", self._root / "reports"]
        self._away.mkdir(exist_ok=True)
        for place, path in enumerate(self._moved):
            path.rename(self._away / str(place))
        self.times_moved += 1

    def _bring_back(self) -> None:
        for place, path in enumerate(self._moved):
            (self._away / str(place)).rename(path)
        self._moved = []


def test_workers_without_the_files_make_the_same_though_two_are_killed(
    serial: Path, root: Path, store: Store, tmp_path: Path
) -> None:
    """Catches workers that read or write by a path, files that are half there, and what is left behind.

    One is killed in the middle of a put of features, one as it fetches the tables of the study.
    """
    elsewhere = Elsewhere(root, tmp_path / "away")
    for written in ("data/tables", "data/features", "data/reports"):
        shutil.rmtree(root / written)
    for written in ("labels.parquet", "event_features.parquet", "feature_manifest.json"):
        (root / "data" / written).unlink()
    told: list[str] = []
    read: dict[str, set[str]] = {}
    store.answer = elsewhere
    with Cluster(tmp_path / "cluster") as cluster:
        workers = {each.pid: each for each in [cluster.add_worker(preload=DRIVER) for _ in range(3)]}
        cluster.wait_for_workers()
        with use_workers(cluster.address, tell=told.append):
            for done, stage in enumerate(WRITTEN, start=1):
                elsewhere.kill_at = "/made-" if stage == "features" else ""
                store.requests.clear()
                run_stages(root, stage)
                assert store.objects == {}
                assert elsewhere.times_moved == done
                by_workers = [(method, key.split("/")[-1]) for method, key, by in store.requests if by in workers]
                read[stage] = {name for method, name in by_workers if method == "GET"}
            assert digests(root, "data", "reports") == digests(serial, "data", "reports")
            elsewhere.kill_at = "/tables/0-"
            store.requests.clear()
            assert study(root) == json.loads((serial / "rows.json").read_text())
        assert [workers.pop(pid).wait() for pid in elsewhere.killed] == [-signal.SIGKILL] * 2
        (last,) = workers.values()
        copies = list((tmp_path / "cluster").glob("*-tmp/slackwater-tables-*/data/labels.parquet"))
        last.terminate()
        last.wait()
        assert len(copies) == 1
        assert not copies[0].exists()
        logs = "".join(path.read_text() for path in (tmp_path / "cluster").glob("*.log"))
    assert elsewhere.times_moved == len(WRITTEN) + 1
    assert store.objects == {}
    assert {"run.txt", "0-bars.parquet-BTCUSDT.parquet"} <= read["validate"] & read["features"]
    assert {"run.txt", "0-prices.npz"} == read["label"]
    fetched = Counter(key for method, key, by in store.requests if method == "GET" and by == last.pid)
    assert fetched.pop(next(key for key in fetched if key.endswith("/run.txt"))) == 1
    assert set(fetched.values()) == {1}  # once, however many trials it makes
    assert any("the files of 2 tasks go to the workers by loop://***@127.0.0.1:" in line for line in told)
    require_no_secret("".join([*told, logs]))


def test_a_simulated_symbol_comes_back_from_a_worker(store: Store, one: Cluster, tmp_path: Path) -> None:
    """Catches a market that a worker writes to its own disk."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"dataset": "quick"}
    content["datasets"]["quick"]["simulate"]["end"] = "2023-01-03T00:00:00Z"
    for name in ("serial", "store"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        shutil.copy(ROOT / "dvc.yaml", tmp_path / name)
        with use_workers("serial" if name == "serial" else one.address, tell=lambda line: None):
            run_stages(tmp_path / name, "configure", "ingest")
    made = digests(tmp_path / "store", "data/raw")
    assert made == digests(tmp_path / "serial", "data/raw")
    put = Counter(key.split("/")[-1] for method, key, by in store.requests if method == "PUT" and by != os.getpid())
    assert set(put.values()) == {1}
    assert len(put) == len(made) - 1  # but for the findings
    assert store.objects == {}


def test_a_worker_gets_the_rows_of_its_symbol_alone(root: Path, store: Store, one: Cluster) -> None:
    put: dict[str, bytes] = {}
    store.answer = lambda method, key, process: None if process == os.getpid() else put.update(store.objects)
    with use_workers(one.address, tell=lambda line: None):
        run_stages(root, "features")
    bars = {key.split("/")[-2]: pd.read_parquet(io.BytesIO(put[key])) for key in put if "/0-bars.parquet-" in key}
    assert {place: set(own["symbol"]) for place, own in bars.items()} == {"00000": {"BTCUSDT"}, "00001": {"ETHUSDT"}}


def test_trades_by_symbol_are_walked_on_prices_from_the_store(store: Store, one: Cluster) -> None:
    """Catches a worker of the stage `sensitivity` that looks for the files of this machine."""
    backtest = backtest_of(*SYMBOLS)
    wanted = unit_risk_trades_of_gates(backtest, GATES)
    with use_workers(one.address, tell=lambda line: None):
        found = unit_risk_trades_of_gates(backtest, GATES)
    assert repr(found) == repr(wanted)
    fetched = Counter(key for method, key, by in store.requests if method == "GET" and by != os.getpid())
    assert [times for key, times in fetched.items() if "prices" in key] == [1] * len(SYMBOLS)
    assert store.objects == {}


def test_a_worker_without_the_driver_is_named(
    root: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.add_worker()
        with use_workers(cluster.address):
            said = failed(root, "features", capsys)
            with pytest.raises(WorkerError, match=r"^trial 1: .* on the worker .* has no driver for loop://: name"):
                study(root)
    assert "features failed: WorkerError: BTCUSDT: on the worker " in said
    assert (
        " fsspec has no driver for loop://: name another store, or install its driver there, as on every worker" in said
    )
    assert store.objects == {}
    require_no_secret(said)


@pytest.mark.parametrize(
    ("stage", "refused", "status", "said"),
    [
        ("features", "GET 00001/0-bars", 403, "the worker {} (PermissionError): allow the user of this machine"),
        ("validate", "GET 00001/0-bars", 404, "the worker {} (FileNotFoundError): it is not there"),
        ("label", "GET 00001/0-prices", 404, "the worker {} (FileNotFoundError): it is not there"),
        ("validate", "PUT 00001/made-", 403, "the worker {} (PermissionError): allow the user of this machine"),
        ("features", "GET 00001/made-", 404, "this process (FileNotFoundError): it is not there"),
        ("label", "PUT 00001/0-prices", 403, "this process (PermissionError): allow the user of this machine"),
        ("validate", "PUT 00001/0-bars", 500, "this process (OSError): make sure that SLACKWATER_SHARED names"),
    ],
)
def test_what_the_store_refuses_is_named_with_the_symbol(
    *, stage: str, refused: str, status: int, said: str, root: Path, store: Store, one: Cluster, capsys: Any
) -> None:
    """Catches files that vanish or are withheld in mid-run, and a driver's text that contains the password."""
    method, part = refused.split()
    store.answer = lambda asked, key, process: status if asked == method and f"/{part}" in key else None
    before = {path: path.read_text() for path in one.directory.glob("*.log")}
    with use_workers(one.address):
        found = failed(root, stage, capsys)
    assert f"{stage} failed: SourceError: ETHUSDT: loop://***@127.0.0.1:" in found
    done = "read" if method == "GET" else "written"
    assert f" cannot be {done} by {said.format(os.uname().nodename)}" in found
    assert store.objects == {}
    require_no_secret(found + "".join(path.read_text().removeprefix(text) for path, text in before.items()))


def test_what_a_worker_puts_after_the_end_is_removed_by_it(
    root: Path, store: Store, one: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches tables of a task that goes on after another one has failed, and that nobody removes."""
    puts, ended = threading.Event(), threading.Event()
    wanted = len(list((root / "data" / "tables").iterdir()))

    def hold_the_second(method: str, key: str, process: int) -> int | None:
        if method == "PUT" and "/00001/made-" in key:
            puts.set()
            ended.wait(20)
        if method == "GET" and "/00000/made-" in key:
            puts.wait(8)
            return 404
        return None

    store.answer = hold_the_second
    with use_workers(one.address):
        assert "validate failed: SourceError: BTCUSDT: " in failed(root, "validate", capsys)
    assert store.objects == {}
    ended.set()
    until = time.monotonic() + 20
    while sum(method == "DELETE" and by != os.getpid() for method, _, by in list(store.requests)) < wanted:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert store.objects == {}


def test_tables_that_a_worker_cannot_fetch_are_named_with_the_trial_and_it_is_not_recorded(
    root: Path, store: Store, one: Cluster
) -> None:
    """Catches a fault of the store that counts as a trial that has failed."""
    store.answer = lambda method, key, process: 403 if method == "GET" and "/tables/0-data-labels" in key else None
    said = r"^trial 1: .*: the tables of the run: loop://\*\*\*@.*/0-data-labels\.parquet cannot be read by the worker "
    with use_workers(one.address), pytest.raises(WorkerError, match=said) as caught:
        study(root)
    assert (root / "trials.jsonl").read_text() == ""
    assert store.objects == {}
    require_no_secret(str(caught.value))


def test_of_a_search_by_optuna_the_folds_alone_are_tasks(root: Path, store: Store, one: Cluster) -> None:
    """Catches trials that follow each other on one worker, each with its folds one after the other."""
    search = {"name": "searched", "search": "optuna", "trials": 1, "seed": 3}
    with use_workers(one.address):
        study(root, search | {"parameters": {"model.num_leaves": {"low": 3, "high": 4}}})
    with Client(one.address.replace("dask://", "tcp://"), set_as_default=False) as client:
        (begun,) = client.run(work.tasks_begun).values()
    assert any(name.startswith("fold 1 of ") for name in begun)
    assert store.requests == []


def test_a_store_that_is_named_in_python_is_used_by_whatever_workers(serial: Path, root: Path, tmp_path: Path) -> None:
    """Catches a store that only the environment can name."""
    shared = tmp_path / "shared"
    with inside(root), use_workers("2", tell=lambda line: None):
        stage = Stage("features")
        spec = stage.market.spec
        engine = importlib.import_module("pipelines._families").engine_of(
            stage.features, spec.bar_interval, spec.inputs
        )
        write_feature_table(engine, spec, tables="data/tables", out="data/features", shared=f"file://{shared}")
    assert digests(root, "data/features") == digests(serial, "data/features")
    assert list(shared.iterdir()) == []
