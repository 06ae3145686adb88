"""The features of workers that share no directory with the process, and reach a store of objects over HTTP instead."""

from __future__ import annotations

import importlib
import io
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipelines._stage import Stage, run
from slackwater.parallel import use_workers
from slackwater.run.feature_table import write_feature_table
from slackwater.storage import sha256_of
from tests.dask_cluster import Cluster
from tests.object_store import SECRETS, Store
from tests.small_run import inside, make_small_run

DRIVER = "tests.object_store"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small market up to its checked tables."""
    return make_small_run(tmp_path_factory.mktemp("run"), "configure", "ingest", "validate")


@pytest.fixture(scope="module")
def serial(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the features that one process makes."""
    root = shutil.copytree(tables, tmp_path_factory.mktemp("serial") / "run")
    with use_workers("serial"):
        return features(root)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with Store() as made:
        monkeypatch.setenv("SLACKWATER_SHARED", made.url)
        yield made


@pytest.fixture
def root(tables: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tables, tmp_path / "run")


def features(root: Path) -> dict[str, str]:
    """Run the stage in a directory; return the digests of its files."""
    with inside(root):
        importlib.import_module("pipelines.features").main(Stage("features"))
    made = [*sorted((root / "data" / "features").iterdir()), root / "data" / "feature_manifest.json"]
    return {path.name: sha256_of(path) for path in made}


def failed(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the stage in a directory, where it must fail and leave nothing; return all that was said."""
    with inside(root), pytest.raises(SystemExit):
        run("features", importlib.import_module("pipelines.features").main)
    assert not list(root.glob("data/*features*"))
    said = capsys.readouterr()
    return said.out + said.err


def require_no_secret(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text], text


def test_workers_without_the_tables_write_the_same_bytes_though_one_is_killed(
    root: Path, serial: dict[str, str], store: Store, tmp_path: Path
) -> None:
    """Catches workers that read a directory, a file that is half there, and objects that are left behind.

    The tables are moved away while workers run; the one that puts the first features is killed in the middle of it.
    """
    tables, away = root / "data" / "tables", tmp_path / "away"
    told: list[str] = []
    killed: list[int] = []
    put: dict[str, bytes] = {}

    def hide_and_kill(method: str, key: str, process: int) -> None:
        if process != os.getpid() and tables.exists():
            tables.rename(away)
            put.update(store.objects)
        if method == "PUT" and "/features-" in key and not killed:
            killed.append(process)
            os.kill(process, signal.SIGKILL)

    store.answer = hide_and_kill
    with Cluster(tmp_path / "cluster") as cluster:
        workers = {each.pid: each for each in (cluster.add_worker(preload=DRIVER), cluster.add_worker(preload=DRIVER))}
        cluster.wait_for_workers()
        with use_workers(cluster.address, tell=told.append):
            assert features(root) == serial
        assert workers[killed[0]].wait() == -signal.SIGKILL
        logs = "".join(path.read_text() for path in (tmp_path / "cluster").glob("*.log"))
    assert away.exists()
    tried = [(key.split("/")[-2], by) for method, key, by in store.requests if method == "PUT" and "/features-" in key]
    assert {by for place, by in tried if place == tried[0][0]} == set(workers)
    assert any("the rows of 2 symbols go to the workers by loop://***@127.0.0.1:" in line for line in told)
    read = {key.rpartition("/")[2] for method, key, process in store.requests if method == "GET" and process in workers}
    assert {"run.txt", "bars.parquet", "liquidations.parquet"} <= read
    bars = {key.split("/")[-2]: pd.read_parquet(io.BytesIO(put[key])) for key in put if key.endswith("/bars.parquet")}
    assert {place: set(own["symbol"]) for place, own in bars.items()} == {"00000": {"BTCUSDT"}, "00001": {"ETHUSDT"}}
    assert store.objects == {}
    require_no_secret("".join([*told, logs]))


def test_a_worker_without_the_driver_is_named(
    root: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.add_worker()
        with use_workers(cluster.address):
            said = failed(root, capsys)
    assert "features failed: WorkerError: BTCUSDT: on the worker " in said
    assert (
        " fsspec has no driver for loop://: name another store, or install its driver there, as on every worker" in said
    )
    assert store.objects == {}
    require_no_secret(said)


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "(PermissionError): allow the user of this machine to read"), (404, "(FileNotFoundError): it is not there")],
)
def test_what_the_store_refuses_a_worker_is_named_with_the_symbol(
    status: int, said: str, root: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches rows that vanish or are withheld in mid-run, and a driver's text that contains the password."""
    store.answer = lambda method, key, process: (
        status if key.endswith("00001/bars.parquet") and method == "GET" else None
    )
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.add_worker(preload=DRIVER)
        with use_workers(cluster.address):
            found = failed(root, capsys)
        logs = "".join(path.read_text() for path in (tmp_path / "cluster").glob("*.log"))
    assert "features failed: SourceError: ETHUSDT: loop://***@127.0.0.1:" in found
    assert "/00001/bars.parquet cannot be read by the worker " in found
    assert said in found
    assert store.objects == {}
    require_no_secret(found + logs)


def test_features_that_vanish_before_they_are_brought_are_named_with_the_symbol(
    root: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.answer = lambda method, key, process: 404 if "/features-" in key and method == "GET" else None
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.add_worker(preload=DRIVER)
        with use_workers(cluster.address):
            found = failed(root, capsys)
    assert "features failed: SourceError: BTCUSDT: loop://***@127.0.0.1:" in found
    assert "cannot be read by this process (FileNotFoundError): it is not there" in found
    assert store.objects == {}
    require_no_secret(found)


def test_a_store_that_is_named_in_python_is_used_by_whatever_workers(
    root: Path, serial: dict[str, str], tmp_path: Path
) -> None:
    """Catches a store that only the environment can name."""
    shared = tmp_path / "shared"
    with inside(root), use_workers("2", tell=lambda line: None):
        stage = Stage("features")
        spec = stage.market.spec
        engine = importlib.import_module("pipelines._families").engine_of(
            stage.features, spec.bar_interval, spec.inputs
        )
        write_feature_table(engine, spec, tables="data/tables", out=tmp_path / "features", shared=f"file://{shared}")
    made = {path.name: sha256_of(path) for path in sorted((tmp_path / "features").iterdir())}
    assert made.items() <= serial.items()
    assert len(made) == 2
    assert list(shared.iterdir()) == []
