"""Stage `track`: record the run in MLflow."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines._queue import queued_experiment, record, repository
from pipelines._stage import Stage, run
from slackwater.config import read_yaml
from slackwater.errors import MissingDataError
from slackwater.evidence.trials import compact_returns, configuration_digest
from slackwater.storage import atomic_file, read_json, read_parquet, sha256_of
from slackwater.tracking import log_run

CODE = ("src", "pipelines", "dvc.yaml", "requirements.lock")


def main(stage: Stage) -> None:
    """Log the run and write ``state/run_id.txt``."""
    # A queued experiment runs in a temporary copy; its run belongs to the repository.
    root = repository()
    metrics = read_json("reports/metrics.json")
    manifest = read_json("models/scorer/manifest.json")
    effective = Path("reports/effective_params.yaml")
    if not effective.is_file():
        raise MissingDataError(f"there is no file {effective}")
    synthetic = metrics["synthetic"]
    name = f"{metrics['dataset']}{' (SYNTHETIC)' if synthetic else ''}"
    if os.environ.get("DVC_EXP_NAME"):
        name = f"{name} {os.environ['DVC_EXP_NAME']}"
    tags = {
        "dataset": metrics["dataset"],
        "synthetic": "SYNTHETIC" if synthetic else "real data",
        "verdict": metrics["verdict"],
        "verdict_sentence": manifest["verdict"]["sentence"],
        "bundle_sha256": sha256_of("models/scorer/SHA256SUMS"),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": str(bool(_git("status", "--porcelain", "--untracked-files=no", "--", *CODE))).lower(),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        **manifest["hashes"],
    }
    run_id = log_run(
        tracking_uri=f"sqlite:///{root / 'mlflow.db'}",
        artifacts_root=root / "mlartifacts",
        experiment=stage.tracking.experiment,
        run_name=name,
        params=read_yaml(effective),
        metrics=metrics,
        tags=tags,
        artifacts={
            "plots": Path("reports/plots"),
            "trading_plots": Path("reports/trading_plots"),
            "trading": Path("reports/trading.md"),
            "controls": Path("reports/controls.md"),
            "sensitivity": Path("reports/sensitivity.json"),
            "reports": Path("reports/metrics.json"),
            "verdict": Path("reports/verdict.json"),
            "defects": Path("reports/defects.json"),
            "params": effective,
        },
        bundle=Path("models/scorer"),
        registered_name="slackwater",
    )
    with atomic_file("state/run_id.txt") as path:
        path.write_text(run_id + "\n", encoding="utf-8")
    if experiment := queued_experiment():
        record_experiment(experiment, metrics)
        stage.say(f"the experiment {experiment} is recorded in trials.jsonl, and counts as a trial")
    stage.say(f"run {run_id}; compare runs with `make ui`")


def record_experiment(name: str, metrics: Mapping[str, Any]) -> None:
    """Add a queued run to the ledger of trials, unless it is there: `evaluate` counts it like one of a study."""
    (run,) = read_json("reports/trials.json")["trials"]
    row = {
        "study": "dvc queue",
        "dataset": metrics["dataset"],
        "synthetic": metrics["synthetic"],
        "data_sha256": run["data_sha256"],
        "params_sha256": configuration_digest(read_yaml(Path("reports/effective_params.yaml"))),
        "number": name,
        "trial": {"experiment": name},
        "state": "complete",
        "reason": "",
        "metrics": {"direction.auc": metrics["direction"]["auc"], "direction.auc_raw": metrics["direction"]["auc_raw"]},
        "returns": compact_returns(read_parquet("reports/unit_risk_trades.parquet")),
    }
    record(row, "dataset", "data_sha256", "params_sha256", "returns")


def _git(*arguments: str) -> str:
    """Return the output of git, empty outside of a repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    run("track", main)
