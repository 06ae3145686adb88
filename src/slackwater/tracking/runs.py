"""One run of the pipeline in MLflow: what went in, what came out, and the model that it made."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.evidence.curves import Curve
from slackwater.storage import sha256_of
from slackwater.tracking.client import quiet_mlflow, readable_errors
from slackwater.tracking.experiment import experiment_id
from slackwater.tracking.layout import HEADLINE, flattened, legal_name, named_metrics
from slackwater.tracking.registry import log_model, register
from slackwater.tracking.store import Store, opened_store

__all__ = ["DatasetFacts", "RunRecord", "log_run"]

_PARAMS, _METRICS = 100, 1000  # MLflow takes no more at once
_TABLES: Final = "tables"


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """The data that a run learned from.

    Parameters
    ----------
    name
        Name of the data set.
    digest
        Digest of its features and labels; MLflow shows the first 36 characters at most.
    rows
        Features and labels, one row per event: MLflow keeps their schema and their number.
    source
        Where they lie, from the root of the checkout.
    target
        Column that the headline model predicts.
    """

    name: str
    digest: str
    rows: pd.DataFrame
    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is logged of a run.

    Parameters
    ----------
    name
        Name of the run.
    params, metrics
        Nested. Parameters are logged under dotted keys, metrics as `slackwater.tracking.layout` names them. A name
        that MLflow refuses is logged under a legal one, and ``params/renamed.json`` of the run holds the original.
        Metrics that are not numbers (texts, flags) are left out: log their file.
    tags
        Texts by name, ``synthetic`` among them; those that begin with ``mlflow.`` are MLflow's own.
    artifacts
        Files or directories by folder in the run.
    bundle
        The scoring bundle, which becomes a version of the registered model.
    curves
        Metrics with steps, by name.
    tables
        Tables that MLflow shows as such and sets side by side, by name.
    dataset
        The data; None: not known.
    example
        Rows of features with ``direction``, kept beside the model as its example; None: no example.
    """

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tags: Mapping[str, str]
    artifacts: Mapping[str, Path]
    bundle: Path
    curves: Mapping[str, Curve] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    example: pd.DataFrame | None = None


def log_run(record: RunRecord, *, store: Store, experiment: str, registered_name: str) -> str:
    """Log one flat run and register its bundle; the run of the same bundle is continued, not logged twice.

    A bundle is identified by the digest of its ``SHA256SUMS``; one without that file is always a new run. The run is
    finished when all of it is logged and registered. One that was killed stays open and is continued by the next call
    with the same bundle, or, in a SQLite database, closed as killed by the next one with another.

    Parameters
    ----------
    record
        The run.
    store
        A database that does not exist is made; processes that log at the same time wait for each other. In one that
        was copied or moved with its checkout, locations of files are changed to the new place. A tracking server is
        used as it is.
    experiment
        Name of the experiment.
    registered_name
        Name in the model registry.

    Returns
    -------
    str
        The id of the run.

    Raises
    ------
    TrackingError
        If the database is locked, damaged or of another version, the server does not answer, or the experiment was
        deleted.
    """
    mlflow = quiet_mlflow()
    sums = record.bundle / "SHA256SUMS"
    digest = sha256_of(sums) if sums.is_file() else ""
    with readable_errors(mlflow, store.uri), opened_store(mlflow, store):
        client = mlflow.MlflowClient(store.uri)
        home = experiment_id(client, experiment, store)
        known = _run_to_continue(client, home, digest, alone=not store.is_server)
        tags = mlflow.tracking.context.registry.resolve_tags({**record.tags, "bundle_sha256": digest})
        run = client.create_run(home, run_name=record.name, tags=tags) if known is None else client.get_run(known)
        with _open(client, run.info.run_id):
            model_id = log_model(mlflow, client, run, record.bundle, example=record.example)
            _log_values(mlflow, client, run, record, model_id, tags)
            _log_files(client, run.info.run_id, record)
            facts = {"synthetic": record.tags["synthetic"], "bundle_sha256": digest}
            facts |= {name: record.tags[name] for name in ("dataset", "verdict") if name in record.tags}
            register(client, registered_name, model_id, run.info.run_id, tags=facts)
    return str(run.info.run_id)


@contextmanager
def _open(client: Any, run_id: str) -> Iterator[None]:
    """Let a run be RUNNING in the block; it ends as FINISHED, or as FAILED with an error."""
    client.update_run(run_id, status="RUNNING")
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the first error is the one to show
            client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id, status="FINISHED")


def _log_values(mlflow: Any, client: Any, run: Any, record: RunRecord, model_id: str, tags: Mapping[str, str]) -> None:
    """Log parameters, metrics, tags and the data set, in as few requests as MLflow takes.

    All metrics have the time of the start of the run, so that one that is logged again is the same row.
    """
    kinds, at = mlflow.entities, run.info.start_time
    texts = {key: str(value).encode(errors="replace").decode() for key, value in flattened(record.params)}
    params = [kinds.Param(legal_name(key), value) for key, value in texts.items()]
    named, short = named_metrics(record.metrics), set(HEADLINE.values())
    metrics = [
        kinds.Metric(name, value, at, 0, model_id=model_id if name in short else None)
        for name, (_, value) in named.items()
    ]
    points = ((f"curves/{name}", step, value) for name, curve in record.curves.items() for step, value in curve)
    metrics += [kinds.Metric(name, value, at, step) for name, step, value in points]
    labels = [kinds.RunTag(key, value) for key, value in tags.items()]
    for some, others in zip_longest(_parts(params, _PARAMS), _parts(metrics, _METRICS)):
        client.log_batch(run.info.run_id, params=some or (), metrics=others or (), tags=labels)
        labels = []
    if labels:
        client.log_batch(run.info.run_id, tags=labels)
    if record.dataset is not None:
        client.log_inputs(run.info.run_id, datasets=[_dataset_input(mlflow, record.dataset)])
    renamed = {legal_name(key): key for key in texts if legal_name(key) != key}
    renamed |= {
        name: place for name, (place, _) in named.items() if name not in short and name.replace("/", ".", 1) != place
    }
    if renamed:
        client.log_dict(run.info.run_id, renamed, "params/renamed.json")


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _dataset_input(mlflow: Any, facts: DatasetFacts) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # several kinds of sources fit a path
        data = mlflow.data.from_pandas(
            facts.rows, source=facts.source, name=facts.name, digest=facts.digest[:36], targets=facts.target
        )
        entity = data._to_mlflow_entity()
    kinds = mlflow.entities
    return kinds.DatasetInput(dataset=entity, tags=[kinds.InputTag("mlflow.data.context", "training")])


def _log_files(client: Any, run_id: str, record: RunRecord) -> None:
    """Log the artifacts, and the tables as MLflow's own `log_table` writes them, but whole: that one appends."""
    for folder, path in record.artifacts.items():
        log = client.log_artifacts if path.is_dir() else client.log_artifact
        log(run_id, str(path), artifact_path=folder)
    with tempfile.TemporaryDirectory() as place:
        for name, table in record.tables.items():
            (Path(place) / f"{name}.json").write_text(table.to_json(orient="split", index=False, date_format="iso"))
        if record.tables:
            client.log_artifacts(run_id, place, artifact_path=_TABLES)
            listed = [{"path": f"{_TABLES}/{name}.json", "type": "table"} for name in record.tables]
            client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps(listed))


def _run_to_continue(client: Any, experiment: str, digest: str, *, alone: bool) -> str | None:
    """Return the run of a bundle; where nobody else can be logging, close the runs that a killed process left open.

    With the lock of a database held, no run that is open there can be at work; a server may serve others. Runs that
    were not made here have no digest.
    """
    ours = client.search_runs([experiment], f"tags.bundle_sha256 = '{digest}'") if digest else []
    open_runs = "attributes.status = 'RUNNING' and tags.bundle_sha256 LIKE '%'"
    for run in client.search_runs([experiment], open_runs) if alone else []:
        if run.data.tags["bundle_sha256"] != digest or not digest:
            client.set_terminated(run.info.run_id, status="KILLED")
    return str(ours[-1].info.run_id) if ours else None
