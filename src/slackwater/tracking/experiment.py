"""The experiment of a store: made with its view of the runs table, or named if it was deleted."""

from __future__ import annotations

from typing import Any

from slackwater.errors import TrackingError
from slackwater.tracking.client import quiet_mlflow, readable_errors
from slackwater.tracking.layout import VIEW_KEY, runs_view
from slackwater.tracking.store import Store, opened_store

__all__ = ["experiment_id", "prepare_store", "runs_page"]


def prepare_store(store: Store, experiment: str) -> str:
    """Make the database, or point one that was copied to this checkout's files, and return the experiment's id.

    Raises
    ------
    TrackingError
        If the database or the experiment cannot be used.
    """
    mlflow = quiet_mlflow()
    with readable_errors(mlflow, store.uri), opened_store(mlflow, store):
        return experiment_id(mlflow.MlflowClient(store.uri), experiment, store)


def experiment_id(client: Any, name: str, store: Store) -> str:
    """Return the id of an experiment; one that there is none of is made.

    Raises
    ------
    TrackingError
        If it was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if store.artifacts is None else store.artifacts.resolve().as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}
        found = client.get_experiment(client.create_experiment(name, artifact_location=location, tags=tags))
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"the experiment `{name}` was deleted in MLflow: restore it with `mlflow experiments restore -x "
            f"{found.experiment_id}`, or give `tracking.experiment` in params.yaml another name"
        )
    tag, view = f"mlflow.sharedViewState.{VIEW_KEY}", runs_view(found.creation_time or 0)
    if found.tags.get(tag) != view:
        client.set_experiment_tag(found.experiment_id, tag, view)
    return str(found.experiment_id)


def runs_page(server: str, experiment: str) -> str:
    """Return the address of the runs table of an experiment (its id), with the columns of `runs_view`.

    Examples
    --------
    >>> runs_page("http://127.0.0.1:5000", "1")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=headline'
    """
    return (
        f"{server.rstrip('/')}/#/experiments/{experiment}/runs?workflowType=machine_learning"
        f"&viewStateShareKey={VIEW_KEY}"
    )
