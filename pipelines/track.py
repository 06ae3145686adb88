"""Stage `track`: record the run in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines._queue import queued_experiment, record, repository
from pipelines._run_record import curves, dataset_and_example, files, scored_events, tables, tags_of_the_checkout
from pipelines._stage import Stage, run
from slackwater.config import read_yaml
from slackwater.errors import MissingDataError
from slackwater.evidence.trials import compact_returns, configuration_digest
from slackwater.storage import atomic_file, read_json, read_parquet
from slackwater.tracking.registry import MODEL
from slackwater.tracking.runs import RunRecord, log_run
from slackwater.tracking.store import Store

EFFECTIVE = Path("reports/effective_params.yaml")


def main(stage: Stage) -> None:
    """Log the run and write ``state/run_id.txt``."""
    metrics, manifest = read_json("reports/metrics.json"), read_json("models/scorer/manifest.json")
    if not EFFECTIVE.is_file():
        raise MissingDataError(f"there is no file {EFFECTIVE}")
    params = read_yaml(EFFECTIVE)
    tags = {
        "dataset": metrics["dataset"],
        "model": params["model"]["kind"],
        "synthetic": "SYNTHETIC" if metrics["synthetic"] else "real data",
        "verdict": metrics["verdict"],
        "mlflow.note.content": manifest["verdict"]["sentence"],
        **tags_of_the_checkout(),
        **manifest["hashes"],
    }
    name = f"{metrics['dataset']}{' (SYNTHETIC)' if metrics['synthetic'] else ''} {tags.get('dvc_experiment', '')}"
    scored, trades = scored_events(), read_parquet("reports/unit_risk_trades.parquet")
    dataset, example = dataset_and_example(metrics["dataset"], manifest)
    with files(scored, trades, name.strip()) as made:
        record_of_run = RunRecord(
            name=name.strip(),
            params=params,
            metrics=metrics,
            tags=tags,
            artifacts={
                **made,
                "plots": Path("reports/plots"),
                "trading_plots": Path("reports/trading_plots"),
                "reports": Path("reports/metrics.json"),
                "sensitivity": Path("reports/sensitivity.json"),
                "verdict": Path("reports/verdict.json"),
                "defects": Path("reports/defects.json"),
                "params": EFFECTIVE,
            },
            bundle=Path("models/scorer"),
            curves=curves(scored, trades),
            tables=tables(metrics, manifest["verdict"]),
            dataset=dataset,
            example=example,
        )
        # A queued experiment runs in a temporary copy; its run belongs to the repository.
        store = Store.of(repository())
        run_id = log_run(record_of_run, store=store, experiment=stage.tracking.experiment, registered_name=MODEL)
    with atomic_file("state/run_id.txt") as path:
        path.write_text(run_id + "\n", encoding="utf-8")
    if experiment := queued_experiment():
        record_experiment(experiment, metrics)
        stage.say(f"the experiment {experiment} is recorded in trials.jsonl, and counts as a trial")
    if metrics["verdict"] == "eligible":
        stage.say("the version is the `candidate`; `slackwater promote` compares it with the champion")
    stage.say(f"run {run_id}; compare runs with `make ui`")


def record_experiment(name: str, metrics: Mapping[str, Any]) -> None:
    """Add a queued run to the ledger of trials, unless it is there: `evaluate` counts it like one of a study."""
    (run,) = read_json("reports/trials.json")["trials"]
    row = {
        "study": "dvc queue",
        "dataset": metrics["dataset"],
        "synthetic": metrics["synthetic"],
        "data_sha256": run["data_sha256"],
        "params_sha256": configuration_digest(read_yaml(EFFECTIVE)),
        "number": name,
        "trial": {"experiment": name},
        "state": "complete",
        "reason": "",
        "metrics": {"direction.auc": metrics["direction"]["auc"], "direction.auc_raw": metrics["direction"]["auc_raw"]},
        "returns": compact_returns(read_parquet("reports/unit_risk_trades.parquet")),
    }
    record(row, "dataset", "data_sha256", "params_sha256", "returns")


if __name__ == "__main__":
    run("track", main)
