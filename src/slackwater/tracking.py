"""Log a finished run to MLflow, and fetch a registered bundle; no other module uses MLflow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slackwater.errors import BundleError, MissingDataError, missing_extra

__all__ = ["log_run", "pull"]


def _mlflow() -> Any:
    """Import MLflow without its telemetry and its notices on standard error."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mlflow
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
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


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
    """Log one flat run and register its bundle.

    Parameters
    ----------
    tracking_uri
        Such as ``sqlite:////path/mlflow.db``.
    artifacts_root
        Directory of the files of a new experiment; MLflow stores it as an absolute path.
    experiment, run_name
        Names of the experiment and of the run.
    params, metrics
        Nested; logged under dotted keys. Metrics that are not numbers (texts, flags) are left out.
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
    """
    mlflow = _mlflow()
    mlflow.set_tracking_uri(tracking_uri)
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(experiment) is None:
        client.create_experiment(
            experiment,
            artifact_location=artifacts_root.resolve().as_uri(),
            tags={"mlflow.experimentKind": "custom_model_development"},
        )
    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name=run_name, tags=dict(tags)) as run:
        mlflow.log_params({key: str(value) for key, value in flattened(params)})
        numbers = {key: float(value) for key, value in flattened(metrics) if _is_number(value)}
        mlflow.log_metrics(numbers)
        for folder, path in artifacts.items():
            if path.is_dir():
                mlflow.log_artifacts(str(path), artifact_path=folder)
            else:
                mlflow.log_artifact(str(path), artifact_path=folder)
        mlflow.log_artifacts(str(bundle), artifact_path="bundle")
        run_id = str(run.info.run_id)
        source = f"{run.info.artifact_uri}/bundle"
    if not any(model.name == registered_name for model in client.search_registered_models()):
        client.create_registered_model(registered_name)
    client.create_model_version(registered_name, source=source, run_id=run_id, tags={"synthetic": tags["synthetic"]})
    return run_id


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
