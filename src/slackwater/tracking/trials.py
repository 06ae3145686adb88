"""One study in MLflow: a run, and below it a run per trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slackwater.storage import digest_of
from slackwater.tracking.client import quiet_mlflow, readable_errors
from slackwater.tracking.experiment import experiment_id
from slackwater.tracking.layout import legal_name, named_metrics
from slackwater.tracking.store import Store, opened_store

__all__ = ["TrialLog"]


@dataclass(frozen=True, kw_only=True)
class TrialLog:
    """The record of a study in MLflow: one parent run, and below it one run per trial.

    Parameters
    ----------
    store, experiment
        As for `slackwater.tracking.runs.log_run`.
    study
        What all trials have in common: ``study`` (the name), ``dataset``, ``synthetic`` and ``data_sha256``.
    """

    store: Store
    experiment: str
    study: Mapping[str, Any]

    def write(self, rows: Sequence[Mapping[str, Any]], *, finished: bool) -> str:
        """Log the trials that are not logged yet, and return the id of the parent run; one that exists is continued.

        Parameters
        ----------
        rows
            Lines of the ledger. One whose run was being written when the process was killed is written again.
        finished
            Whether the study is over.

        Raises
        ------
        TrackingError
            As `slackwater.tracking.runs.log_run`.
        """
        mlflow = quiet_mlflow()
        with readable_errors(mlflow, self.store.uri), opened_store(mlflow, self.store):
            client = mlflow.MlflowClient(self.store.uri)
            experiment = experiment_id(client, self.experiment, self.store)
            parent = self._parent(client, experiment)
            for row in rows:
                self._trial(mlflow, client, experiment, parent, row)
            client.update_run(parent, status="FINISHED" if finished else "RUNNING")
        return parent

    def _parent(self, client: Any, experiment: str) -> str:
        key = digest_of([self.study[name] for name in ("study", "dataset", "data_sha256")])
        found = client.search_runs([experiment], f"tags.study_sha256 = '{key}'")
        if found:
            return str(found[-1].info.run_id)
        mark = " (SYNTHETIC)" if self.study["synthetic"] else ""
        tags = {name: str(value) for name, value in self.study.items()} | {
            "study_sha256": key,
            "synthetic": "SYNTHETIC" if self.study["synthetic"] else "real data",
        }
        name = f"study {self.study['study']}, {self.study['dataset']}{mark}"
        return str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)

    def _trial(self, mlflow: Any, client: Any, experiment: str, parent: str, row: Mapping[str, Any]) -> None:
        trial = f"{row['number']} {row['params_sha256']}"
        found = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}' and tags.trial = '{trial}'")
        if found and found[-1].info.status != "RUNNING":
            return
        tags = {"mlflow.parentRunId": parent, "trial": trial, "state": row["state"], "reason": row["reason"]}
        run = found[-1] if found else client.create_run(experiment, run_name=f"trial {row['number']}", tags=tags)
        entities, at = mlflow.entities, run.info.start_time
        numbers = named_metrics(row.get("metrics", {}))
        client.log_batch(
            run.info.run_id,
            params=[entities.Param(legal_name(key), str(value)) for key, value in row["trial"].items()],
            metrics=[entities.Metric(name, value, at, 0) for name, (_, value) in numbers.items()],
        )
        client.set_terminated(run.info.run_id, status="FINISHED" if row["state"] == "complete" else "FAILED")
