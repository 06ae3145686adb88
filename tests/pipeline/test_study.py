"""Studies on a small run: real stages, a real MLflow store, real kills, real Optuna."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from pipelines._closure import ROOT
from pipelines.track import record_experiment
from slackwater.evidence.trials import compact_returns, configuration_digest, same_returns
from slackwater.metrics.classification import auc
from slackwater.study.lock import one_study
from slackwater.tracking.experiment import prepare_store
from slackwater.tracking.store import Store
from tests.command import slackwater
from tests.small_run import edit_entry, inside, make_small_run, run_stages

# Of MLflow about its own database.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

GRID = {
    "name": "thresholds",
    "search": "grid",
    "objective": "net_r",
    "parameters": {"model.kind": ["lightgbm", "logistic"], "trading.entry.probability_threshold": [0.5, 0.53]},
}
SEARCH = {
    "name": "searched",
    "search": "optuna",
    "trials": 6,
    "seed": 3,
    "parameters": {
        "model.learning_rate": {"low": 0.01, "high": 0.2, "log": True},
        "model.num_leaves": {"low": 2, "high": 4},
        "model.calibration": ["anchored", "none"],
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stages, and an empty store: MLflow takes ten seconds to make one."""
    root = make_small_run(tmp_path_factory.mktemp("run"))
    prepare_store(Store.of(root), "slackwater")
    return root


@pytest.fixture
def root(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be studied."""
    return shutil.copytree(run, tmp_path / "root")


def study(root: Path, content: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (root / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with inside(root):
        return slackwater("study", "study.yaml")


def rows(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "trials.jsonl").read_text().splitlines()]


def logged(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """The states of the parent runs, and trial and state of the runs below them, of the real database."""
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        tagged = dict(database.execute("SELECT run_uuid, value FROM tags WHERE key = 'trial'"))
        below = dict(database.execute("SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"))
        states = dict(database.execute("SELECT run_uuid, status FROM runs"))
    parents = [states[each] for each in states if each not in below]
    assert set(below.values()) <= set(states) - set(below)
    return parents, sorted((tagged[each].split()[0], states[each]) for each in below)


def test_a_trial_is_what_the_stages_make_of_its_parameters(root: Path) -> None:
    """Caught: a study that trains, trades or scores differently from the run that its result is compared with."""
    done = study(root, GRID | {"parameters": {"trading.entry.probability_threshold": [0.5]}})
    assert done.returncode == 0, done.stderr
    (row,) = rows(root)
    sample = pd.read_parquet(root / "reports/unit_risk_trades.parquet")
    assert len(sample) > 50
    assert same_returns(row["returns"], compact_returns(sample))
    assert row["metrics"]["net_r"] == pytest.approx(sample["net_r"].mean(), rel=1e-12)
    assert row["metrics"]["n_trades"] == len(pd.read_parquet(root / "reports/trades.parquet"))
    (trained,) = json.loads((root / "data/reports/trials.json").read_text())["trials"]
    assert row["data_sha256"] == trained["data_sha256"]
    keys = ["symbol", "event_time"]
    scored = pd.read_parquet(root / "data/predictions.parquet").merge(
        pd.read_parquet(root / "data/labels.parquet"), on=keys
    )
    traded = scored[scored["trades"] & scored["y_direction"].notna()]
    assert row["metrics"]["direction.auc"] == auc(traded["y_direction"], traded["p_direction"])


def test_every_trial_is_recorded_once_and_the_verdict_counts_all(root: Path) -> None:
    assert study(root, GRID).returncode == 0
    made = rows(root)
    assert [tuple(row["trial"].values()) for row in made] == [
        ("lightgbm", 0.5),
        ("lightgbm", 0.53),
        ("logistic", 0.5),
        ("logistic", 0.53),
    ]
    assert [row["number"] for row in made] == [1, 2, 3, 4]
    assert len({row["metrics"]["net_r"] for row in made}) == 4
    assert logged(root) == (["FINISHED"], [(str(n), "FINISHED") for n in range(1, 5)])

    again = study(root, GRID)
    assert "4 trials of thresholds are recorded, 0 are left" in again.stdout
    more = GRID["parameters"] | {"trading.entry.probability_threshold": [0.5, 0.52, 0.53]}
    assert study(root, GRID | {"parameters": more}).returncode == 0
    assert rows(root)[:4] == made
    assert len(rows(root)) == 6
    assert logged(root)[0] == ["FINISHED"]

    told = run_stages(root, "evaluate")
    metrics, verdict = (json.loads((root / f"data/reports/{name}.json").read_text()) for name in ("metrics", "verdict"))
    assert "other recorded trials of small: 5 count, 5 of them with their returns" in told
    assert "this run is trial 1 of the study thresholds" in told
    assert metrics["n_trials"] == 6
    assert 0.0 <= verdict["clauses"]["deflated_sharpe"]["value"] <= 1.0
    assert verdict["clauses"]["deflated_sharpe"]["note"] == "best of 6 trials"
    assert "PBO" in verdict["clauses"]["overfitting_probability"]["note"]

    # Another look at the same data makes the same result less surprising.
    alone = root / "trials.jsonl"
    alone.write_text("")
    run_stages(root, "evaluate")
    one = json.loads((root / "data/reports/verdict.json").read_text())["clauses"]["deflated_sharpe"]["value"]
    assert verdict["clauses"]["deflated_sharpe"]["value"] < one


def test_a_trial_that_fails_is_recorded_with_its_reason(root: Path) -> None:
    done = study(root, GRID | {"parameters": {"validation.embargo": ["900d", "24h"]}})
    assert done.returncode == 0, done.stderr
    failed, complete = rows(root)
    assert (failed["state"], complete["state"]) == ("failed", "complete")
    assert failed["reason"].startswith("DataError: ")
    assert "returns" not in failed
    assert f"failed: {failed['reason']}" in done.stdout
    assert logged(root)[1] == [("1", "FAILED"), ("2", "FINISHED")]
    run_stages(root, "evaluate")
    assert json.loads((root / "data/reports/metrics.json").read_text())["n_trials"] == 2


def test_optuna_chooses_by_what_is_recorded_alone(root: Path, tmp_path: Path) -> None:
    """Caught: a search that starts again with other trials, or that does not depend on its seed."""
    whole = shutil.copytree(root, tmp_path / "whole")
    assert study(whole, SEARCH).returncode == 0
    assert len(rows(whole)) == 6
    assert all(0.01 <= row["trial"]["model.learning_rate"] <= 0.2 for row in rows(whole))
    for trials in (2, 3, 6):
        assert study(root, SEARCH | {"trials": trials}).returncode == 0
    assert rows(root) == rows(whole)
    assert logged(root) == logged(whole)
    assert (root / "data/studies/searched.db").is_file()
    other = study(root, SEARCH | {"seed": 4})
    assert other.returncode == 1
    assert "the study searched was made with other parameters, another objective or another seed" in other.stderr
    assert study(root, SEARCH | {"name": "second", "seed": 4, "trials": 2}).returncode == 0
    assert rows(root)[6]["trial"] != rows(whole)[0]["trial"]


def test_a_repeated_choice_is_recorded_as_pruned_and_is_no_other_trial(root: Path) -> None:
    narrow = SEARCH | {"trials": 4, "parameters": {"model.kind": ["logistic", "mean"]}}
    assert study(root, narrow).returncode == 0
    states = [row["state"] for row in rows(root)]
    assert states.count("complete") == 2
    pruned = [row for row in rows(root) if row["state"] == "pruned"]
    assert all("the same parameters as trial" in row["reason"] for row in pruned)
    run_stages(root, "evaluate")
    assert json.loads((root / "data/reports/metrics.json").read_text())["n_trials"] == 3


@pytest.mark.parametrize("content", [GRID, SEARCH], ids=["grid", "optuna"])
def test_a_study_that_was_killed_ends_as_if_it_had_not_been(
    root: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    whole = shutil.copytree(root, tmp_path / "whole")
    assert study(whole, content).returncode == 0
    (root / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    command = [sys.executable, "-c", "from slackwater.cli import main; main()", "study", "study.yaml"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}

    def until(ready: Callable[[], bool], wait: float) -> None:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
        while not ready() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()

    until(lambda: len(rows(root)) >= 1, 0.0)  # between the line and its run in MLflow
    until(lambda: len(rows(root)) >= 2, 0.3)  # in a trial
    ledger = root / "trials.jsonl"
    torn = ledger.read_bytes()
    ledger.write_bytes(torn + torn[: len(torn) // 5])  # in a write
    finished = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "the last trial of a killed process was torn" in finished.stdout
    assert rows(root) == rows(whole)
    assert logged(root) == logged(whole)


def test_a_queued_experiment_counts_once_and_stands_beside_a_study(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caught: runs of a queue that the verdict does not know of, or that count again when they are repeated."""
    run_stages(root, "evaluate")
    shutil.copy(root / "data/reports/trials.json", root / "reports/trials.json")
    metrics = json.loads((root / "data/reports/metrics.json").read_text())
    sample = root / "reports/unit_risk_trades.parquet"
    own = sample.read_bytes()
    other = pd.read_parquet(sample)
    other.assign(net_r=-other["net_r"]).to_parquet(sample)
    with inside(root), monkeypatch.context() as queued:
        queued.setenv("DVC_ROOT", str(root))
        for _ in range(2):
            record_experiment("brave-one", metrics)
    (row,) = rows(root)
    assert (row["study"], row["number"], row["dataset"]) == ("dvc queue", "brave-one", "small")
    sample.write_bytes(own)
    told = run_stages(root, "evaluate")
    assert "other recorded trials of small: 1 count, 1 of them with their returns" in told
    assert json.loads((root / "data/reports/metrics.json").read_text())["n_trials"] == 2
    # The parameters are those of a trial of a study: the same configuration.
    assert study(root, GRID | {"parameters": {"trading.entry.probability_threshold": [0.5]}}).returncode == 0
    assert rows(root)[1]["params_sha256"] == row["params_sha256"]


def test_a_queued_experiment_that_a_stage_ends_is_a_failed_trial(root: Path, tmp_path: Path) -> None:
    """Caught: configurations that were tried and failed, of which the verdict does not know."""
    copy = shutil.copytree(root, tmp_path / "copy")
    (copy / "data/labels.parquet").unlink()
    own = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}

    def train(where: Path, **environment: str) -> str:
        command = [sys.executable, "-m", "pipelines.train"]
        done = subprocess.run(
            command, cwd=where, env=os.environ | own | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        return done.stderr

    queued = {"DVC_ROOT": str(root), "DVC_EXP_NAME": "brave-one"}
    for _ in range(2):
        assert "train failed: MissingDataError: there is no file data/labels.parquet" in train(copy, **queued)
    train(copy)  # neither by hand
    train(copy, DVC_ROOT=str(copy), DVC_EXP_NAME="brave-two")  # nor in the repository itself
    (row,) = rows(root)
    assert (row["study"], row["number"], row["dataset"], row["state"]) == ("dvc queue", "brave-one", "small", "failed")
    assert row["reason"].startswith("train: MissingDataError: there is no file data/labels.parquet")
    effective = yaml.safe_load((root / "reports/effective_params.yaml").read_text())
    assert row["params_sha256"] == configuration_digest(effective)
    assert rows(copy) == []
    (copy / "params.yaml").write_text("dataset: nothing\n")
    assert "ParameterError" in train(copy, **queued)  # refused, not tried
    assert len(rows(root)) == 1


def test_two_studies_at_once_are_refused(root: Path) -> None:
    with one_study(root / "data/studies"):
        done = study(root, GRID)
    assert done.returncode == 1
    assert f"another study (process {os.getpid()}) is running" in done.stderr
    assert rows(root) == []


def test_what_the_last_run_lacks_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "trials.jsonl").write_text('{"dataset": "small"}\nnothing\n')
    assert "trials.jsonl, line 2 is damaged and not a trial" in study(root, GRID).stderr
    (root / "trials.jsonl").write_text("")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "optuna", None)
        assert 'optuna is not installed: run `pip install "slackwater[study]"`' in study(root, SEARCH).stderr
    edit_entry(root, lambda entry: entry["model"].update(num_leaves=4))
    assert "is not what params.yaml gives for small: run the stages up to `label` again" in study(root, GRID).stderr
    shutil.rmtree(root / "reports")
    assert "there is no parameter file reports/effective_params.yaml" in study(root, GRID).stderr
    assert rows(root) == []


def test_tables_of_other_parameters_are_not_studied(root: Path) -> None:
    """Caught: a run that stopped behind `configure`, so that the trials of old tables stand under new parameters."""
    effective = yaml.safe_load((root / "reports/effective_params.yaml").read_text())
    for horizon, status in (("43200.0s", 1), (effective["labels"]["horizon"], 0)):
        ran = {"reports/effective_params.yaml": {"labels": effective["labels"] | {"horizon": horizon}}}
        (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"label": {"params": ran}}}))
        done = study(root, GRID | {"parameters": {"trading.entry.probability_threshold": [0.5]}})
        assert done.returncode == status, done.stderr
        assert ("the stage `label` ran with labels = " in done.stderr) is bool(status)
    assert len(rows(root)) == 1


def test_a_net_result_of_unknown_funding_is_no_objective(root: Path) -> None:
    """Caught: trials that are ranked by results before funding, which counts as 0 where no rate is known."""
    shutil.rmtree(root / "data/tables/funding.parquet")
    one = {"parameters": {"trading.entry.probability_threshold": [0.5]}}
    assert study(root, GRID | one).returncode == 0
    assert study(root, GRID | one | {"name": "by-direction", "objective": "direction.auc"}).returncode == 0
    net, direction = rows(root)
    trades = net["metrics"]["n_unit_risk_trades"]
    assert net["objective"]["value"] is None
    assert (
        net["reason"]
        == f"net_r is not known, with {trades} trades at unit risk, of which {trades} have unknown funding"
    )
    assert direction["objective"]["value"] == direction["metrics"]["direction.auc"]


def test_a_damaged_table_fails_the_study_and_no_trial(root: Path) -> None:
    """Caught: every point of a grid that is recorded as failed, and never tried again when the table is whole."""
    funding = root / "data/tables/funding.parquet/BTCUSDT.parquet"
    whole = funding.read_bytes()
    funding.write_bytes(whole[: len(whole) // 2])
    done = study(root, GRID)
    assert done.returncode == 1
    assert "funding.parquet/BTCUSDT.parquet is not a readable parquet file" in done.stderr
    assert rows(root) == []
    funding.write_bytes(whole)
    assert study(root, GRID | {"parameters": {"trading.entry.probability_threshold": [0.5]}}).returncode == 0
    assert [row["state"] for row in rows(root)] == ["complete"]


def test_lines_of_a_campaign_with_the_name_of_a_study_are_not_its_trials(root: Path) -> None:
    """Caught: a KeyError on lines without number and state."""
    (trained,) = json.loads((root / "data/reports/trials.json").read_text())["trials"]
    line = {"study": "thresholds", "dataset": "small", "data_sha256": trained["data_sha256"], "trial": {}}
    (root / "trials.jsonl").write_text(json.dumps(line) + "\n")
    done = study(root, GRID | {"parameters": {"trading.entry.probability_threshold": [0.5]}})
    assert done.returncode == 0, done.stderr
    assert rows(root)[1]["number"] == 1


def test_a_mean_of_no_trades_is_not_known(root: Path) -> None:
    done = study(root, GRID | {"parameters": {"trading.entry.probability_threshold": [0.99]}})
    assert done.returncode == 0, done.stderr
    (row,) = rows(root)
    assert row["objective"] == {"name": "net_r", "value": None}
    assert row["reason"] == "net_r is not known, with 0 trades at unit risk"
    assert np.isnan(float(row["metrics"]["net_r"] or "nan"))
