"""Log a finished run to MLflow, and fetch a registered bundle; only this module and `tracking_store` use MLflow."""

from __future__ import annotations

import logging
import os
import posixpath
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from slackwater.errors import BundleError, MissingDataError, TrackingError, missing_extra
from slackwater.storage import digest_of, sha256_of
from slackwater.tracking_store import opened_store

__all__ = ["TrialLog", "legal_name", "log_run", "prepare_store", "pull"]

_MAX_NAME: Final = 250
_ILLEGAL: Final = re.compile(r"[^\w.\- :/]")


def _mlflow() -> Any:
    """Import MLflow without its telemetry, and without its notices and tracebacks on standard error."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mlflow
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow


def flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and leaves of nested mappings.

    Examples
    --------
    >>> dict(flattened({"direction": {"auc": 0.5}, "n_events": 3}))
    {'direction.auc': 0.5, 'n_events': 3}
    """
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        else:
            yield name, value


def legal_name(name: str) -> str:
    """Return a name that MLflow takes for a parameter or a metric: `name` itself, or a cleaned one with its digest.

    Examples
    --------
    >>> legal_name("direction.auc"), legal_name("values.side.+")
    ('direction.auc', 'values.side._-d855e60b')
    """
    if name and len(name) <= _MAX_NAME and not _ILLEGAL.search(name) and posixpath.normpath(f"x/{name}") == f"x/{name}":
        return name
    cleaned = _ILLEGAL.sub("_", name).replace("/", "_").lstrip(".")
    return f"{cleaned[: _MAX_NAME - 9]}-{sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def prepare_store(tracking_uri: str, artifacts_root: Path, experiment: str) -> str:
    """Make the database, or point one that was copied to this checkout's files, and return the experiment's id.

    Raises
    ------
    TrackingError
        If the database or the experiment cannot be used.
    """
    mlflow = _mlflow()
    with _readable_errors(mlflow, tracking_uri), opened_store(mlflow, tracking_uri, artifacts_root):
        return _experiment(mlflow.MlflowClient(tracking_uri), experiment, artifacts_root)


def log_run(
    *,
    tracking_uri: str,
    artifacts_root: Path,
    experiment: str,
    run_name: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, Any],
    tags: Mapping[str, str],
    artifacts: Mapping[str, Path],
    bundle: Path,
    registered_name: str,
) -> str:
    """Log one flat run and register its bundle; the run of the same bundle is continued, not logged twice.

    A bundle is identified by the digest of its ``SHA256SUMS``; one without that file is always a new run. The run is
    finished when all of it is logged and registered. One that was killed stays open and is continued by the next call
    with the same bundle, or closed as killed by the next one with another.

    Parameters
    ----------
    tracking_uri
        Such as ``sqlite:////path/mlflow.db``. A database that does not exist is made; processes that log at the same
        time wait for each other.
    artifacts_root
        Directory of the files. In a database that was copied or moved with its checkout, locations of files are
        changed to this directory.
    experiment, run_name
        Names of the experiment and of the run.
    params, metrics
        Nested; logged under dotted keys. A key that MLflow refuses is logged under `legal_name`, and
        ``params/renamed.json`` of the run holds the original. Metrics that are not numbers (texts, flags) are left out.
    tags
        Texts by name, such as hashes and the git commit.
    artifacts
        Files or directories by folder in the run.
    bundle
        The scoring bundle; logged under ``bundle`` and registered as a version of `registered_name`.
    registered_name
        Name in the model registry.

    Returns
    -------
    str
        The id of the run.

    Raises
    ------
    TrackingError
        If the database is locked, damaged or of another version, or the experiment was deleted.
    """
    mlflow = _mlflow()
    sums = bundle / "SHA256SUMS"
    digest = sha256_of(sums) if sums.is_file() else ""
    values = {key: str(value).encode(errors="replace").decode() for key, value in flattened(params)}
    numbers = {key: float(value) for key, value in flattened(metrics) if _is_number(value)}
    renamed = {legal: key for key in (*values, *numbers) if (legal := legal_name(key)) != key}
    with _readable_errors(mlflow, tracking_uri), opened_store(mlflow, tracking_uri, artifacts_root):
        mlflow.set_tracking_uri(tracking_uri)
        client = mlflow.MlflowClient()
        experiment_id = _experiment(client, experiment, artifacts_root)
        mlflow.set_experiment(experiment_id=experiment_id)
        known = _run_to_continue(client, experiment_id, digest)
        with mlflow.start_run(run_id=known, run_name=run_name, tags={**tags, "bundle_sha256": digest}) as run:
            run_id = str(run.info.run_id)
            mlflow.log_params({legal_name(key): value for key, value in values.items()})
            # At one time, so that a metric that is logged again is the same row.
            at = run.info.start_time
            mlflow.log_metrics({legal_name(key): value for key, value in numbers.items()}, timestamp=at)
            if renamed:
                mlflow.log_dict(renamed, "params/renamed.json")
            for folder, path in artifacts.items():
                if path.is_dir():
                    mlflow.log_artifacts(str(path), artifact_path=folder)
                else:
                    mlflow.log_artifact(str(path), artifact_path=folder)
            mlflow.log_artifacts(str(bundle), artifact_path="bundle")
            source = f"{run.info.artifact_uri}/bundle"
            _register(client, registered_name, source, run_id, synthetic=tags["synthetic"])
    return run_id


@dataclass(frozen=True, kw_only=True)
class TrialLog:
    """The record of a study in MLflow: one parent run, and below it one run per trial.

    Parameters
    ----------
    tracking_uri, artifacts_root, experiment
        As for `log_run`.
    study
        What all trials have in common: ``study`` (the name), ``dataset``, ``synthetic`` and ``data_sha256``.
    """

    tracking_uri: str
    artifacts_root: Path
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
            As `log_run`.
        """
        mlflow = _mlflow()
        with (
            _readable_errors(mlflow, self.tracking_uri),
            opened_store(mlflow, self.tracking_uri, self.artifacts_root),
        ):
            client = mlflow.MlflowClient(self.tracking_uri)
            experiment = _experiment(client, self.experiment, self.artifacts_root)
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
        numbers = {key: float(value) for key, value in row.get("metrics", {}).items() if _is_number(value)}
        client.log_batch(
            run.info.run_id,
            params=[entities.Param(legal_name(key), str(value)) for key, value in row["trial"].items()],
            metrics=[entities.Metric(legal_name(key), value, at, 0) for key, value in numbers.items()],
        )
        client.set_terminated(run.info.run_id, status="FINISHED" if row["state"] == "complete" else "FAILED")


def _experiment(client: Any, name: str, artifacts_root: Path) -> str:
    """Return the id of an experiment, which is made if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(
            client.create_experiment(
                name,
                artifact_location=artifacts_root.resolve().as_uri(),
                tags={"mlflow.experimentKind": "custom_model_development"},
            )
        )
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"the experiment `{name}` was deleted in MLflow: restore it with `mlflow experiments restore -x "
            f"{found.experiment_id}`, or give `tracking.experiment` in params.yaml another name"
        )
    return str(found.experiment_id)


def _run_to_continue(client: Any, experiment_id: str, digest: str) -> str | None:
    """Return the run of a bundle, and close the runs of others that a killed process left open.

    No such run can be at work: the caller holds the lock of the store. Runs that were not made here have no digest.
    """
    ours = client.search_runs([experiment_id], f"tags.bundle_sha256 = '{digest}'") if digest else []
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING' and tags.bundle_sha256 LIKE '%'"):
        if run.data.tags["bundle_sha256"] != digest or not digest:
            client.set_terminated(run.info.run_id, status="KILLED")
    return str(ours[-1].info.run_id) if ours else None


def _register(client: Any, name: str, source: str, run_id: str, *, synthetic: str) -> None:
    """Register the bundle of a run as a version of a model, unless it is one."""
    if not any(model.name == name for model in client.search_registered_models()):
        client.create_registered_model(name)
    if not client.search_model_versions(f"run_id = '{run_id}'"):
        client.create_model_version(name, source=source, run_id=run_id, tags={"synthetic": synthetic})


@contextmanager
def _readable_errors(mlflow: Any, tracking_uri: str) -> Iterator[None]:
    """Turn the errors of MLflow and of its database into one sentence with what to do."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (mlflow.exceptions.MlflowException, SQLAlchemyError) as error:
        found = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        what = (
            "close the program that holds it, such as `make ui`"
            if "locked" in found
            else "free space if the disk is full; a damaged database is replaced if you move it away"
        )
        raise TrackingError(f"{tracking_uri} cannot be used ({found}): {what}; then run `dvc repro` again") from error


def pull(uri: str, *, tracking_uri: str, to: str | Path) -> Path:
    """Copy a registered bundle, ``models:/name@alias`` or ``models:/name/version``, and return its directory.

    Raises
    ------
    MissingDataError
        If there is no such version.
    BundleError
        If it is not a bundle. `slackwater.ReversalScorer.load` checks its digests.
    """
    mlflow = _mlflow()
    mlflow.set_tracking_uri(tracking_uri)
    try:
        path = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(to)))
    except mlflow.exceptions.MlflowException as error:
        raise MissingDataError(f"cannot fetch {uri}: {error}") from error
    if not (path / "SHA256SUMS").is_file():
        raise BundleError(f"{uri} is not a scoring bundle")
    return path
