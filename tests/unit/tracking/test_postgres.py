"""The record of a study through an MLflow server that keeps its runs in PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slackwater.tracking.client import quiet_mlflow
from slackwater.tracking.store import Store
from slackwater.tracking.trials import TrialLog
from tests.mlflow_server import free_port, serving

LACKING = (
    "PostgreSQL is not installed (initdb is not in the PATH)"
    if shutil.which("initdb") is None
    else "the driver psycopg2 is not installed"
    if importlib.util.find_spec("psycopg2") is None
    else ""
)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of a database of its own; PostgreSQL refuses to run as root, so that root runs it as `postgres`."""
    root, user = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp")), []
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(root, account.pw_uid, account.pw_gid)
        user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    data, port = root / "data", free_port()

    def run(*command: str) -> None:
        subprocess.run([*user, *command], check=True, cwd=root, stdout=subprocess.DEVNULL)

    run("initdb", "-D", str(data), "-U", "mlflow", "--auth=trust", "--no-sync")
    run("pg_ctl", "-D", str(data), "-w", "-l", f"{root}/log", "-o", f"-p {port} -h 127.0.0.1 -k {root}", "start")
    try:
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(root)


@pytest.mark.skipif(bool(LACKING), reason=LACKING)
def test_the_trials_of_a_study_are_kept_in_postgres(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches what SQLite allows and PostgreSQL does not, and a trial that is logged twice after a restart."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    study = {"study": "s", "dataset": "small", "synthetic": True, "data_sha256": "0" * 64}
    rows = [
        {
            "number": n,
            "params_sha256": f"{n}",
            "trial": {"model.num_leaves": n},
            "state": "complete",
            "reason": "",
            "metrics": {"direction.auc": 0.5 + n / 100},
            "objective": {"name": "direction.auc", "value": 0.5 + n / 100},
        }
        for n in (1, 2)
    ]
    command = ("server", "--backend-store-uri", postgres, "--workers", "1")
    with serving(*command, "--artifacts-destination", str(tmp_path), port=port, health="/health"):
        log = TrialLog(store=Store.of(tmp_path), experiment="e", study=study)
        log.write(rows[:1], finished=False)
        parent = log.write(rows, finished=True)
        client = quiet_mlflow().MlflowClient(f"http://127.0.0.1:{port}")
        home = client.get_experiment_by_name("e").experiment_id
        runs = client.search_runs([home], f"tags.mlflow.parentRunId = '{parent}'")
        assert sorted(list(run.data.metrics.values()) for run in runs) == [[0.51], [0.52]]
        assert sorted(run.data.params["model.num_leaves"] for run in runs) == ["1", "2"]
        assert client.get_run(parent).info.status == "FINISHED"
