"""The stages write the same bytes, whoever runs their tasks, and though a worker is killed in mid-run."""

from __future__ import annotations

import importlib
import io
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines._stage import run
from slackwater.parallel import WorkerError, run_tasks, use_workers
from slackwater.run.parameters import params_of_last_run
from slackwater.storage import json_line, read_parquet, write_parquet
from slackwater.study.outcomes import Trials
from slackwater.study.trial import LastRun
from tests.dask_cluster import Cluster
from tests.small_run import inside, make_small_run
from tests.worker_runs import KillsAt, digests


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small market up to its checked tables."""
    return make_small_run(tmp_path_factory.mktemp("run"), "configure", "ingest", "validate")


@pytest.fixture(scope="module")
def serial(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A run in one process, and the digests of its files."""
    root = tmp_path_factory.mktemp("serial") / "run"
    with use_workers("serial"):
        return root, digests(tables, root, io.StringIO())


def test_one_process_two_and_two_dask_workers_write_the_same_bytes(
    tables: Path, serial: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Catches results that depend on the order of arrival, on the threads of a library or on a lost worker."""
    _, wanted = serial
    assert {"data/features/00000-BTCUSDT.parquet", "data/predictions.parquet", "models/fitted/hit.txt"} <= set(wanted)
    assert {"reports/unit_risk_trades.parquet", "data/reports/sensitivity.json"} <= set(wanted)
    with use_workers("2"):
        assert digests(tables, tmp_path / "two", io.StringIO()) == wanted
    with Cluster(tmp_path / "cluster") as cluster:
        # One is killed, and two are left for the stages after it.
        workers: list[subprocess.Popen[bytes]] = [cluster.add_worker() for _ in range(3)]
        cluster.wait_for_workers()
        with use_workers(cluster.address, tell=lambda line: None):
            killing = KillsAt("train: fold ", workers[0].kill)
            assert digests(tables, tmp_path / "dask", killing) == wanted
        assert "train: fold 1 of" in killing.getvalue()
        assert workers[0].wait() == -9
        assert workers[1].poll() is None


def test_a_full_disk_of_a_worker_is_named_with_the_symbol(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files stands for a full disk: the worker fails in the middle of a file."""
    root = tmp_path / "run"
    shutil.copytree(tables, root)
    with Cluster(tmp_path / "cluster") as cluster:
        worker = cluster.add_worker()
        cluster.wait_for_workers()
        with use_workers(cluster.address), inside(root):
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            with pytest.raises(SystemExit):
                run("features", importlib.import_module("pipelines.features").main)
    said = capsys.readouterr().err
    assert "features failed: a file may not grow that large here" in said
    assert "in the task BTCUSDT" in said
    assert not list(root.glob("data/*features*"))


def test_trials_of_a_study_are_the_same_in_other_processes(serial: tuple[Path, dict[str, str]]) -> None:
    """Catches a trial whose worker reads other tables or parameters than the study."""
    root, _ = serial
    params, last = params_of_last_run(root), LastRun.read(root / "data")
    trials = Trials(root=root, params=params, last=last, objective="net_r")
    points = {"trial 1": {"model.num_leaves": 4}, "trial 2": {"trading.entry.probability_threshold": 0.6}}
    found = {}
    for workers in ("serial", "2"):
        with use_workers(workers):
            found[workers] = [json_line(row) for row in run_tasks(trials.outcome, points)]
    assert found["2"] == found["serial"]
    assert len(set(found["2"])) == 2
    shutil.copy(root / "data" / "labels.parquet", root / "labels")
    labels = read_parquet(root / "labels")
    write_parquet(labels.assign(weight=1.0), root / "data" / "labels.parquet")
    with use_workers("2"), pytest.raises(WorkerError, match=r"trial 1: .*holds other tables than those of the study"):
        list(run_tasks(trials.outcome, points))
    shutil.copy(root / "labels", root / "data" / "labels.parquet")
