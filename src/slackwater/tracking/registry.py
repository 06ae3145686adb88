"""The model registry: bundles as versions of a model that MLflow loads and serves, and `pull`, which fetches one."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater import __version__
from slackwater.errors import BundleError, MissingDataError, TrackingError
from slackwater.models.targets import Target
from slackwater.storage import first_directory, read_json, sha256_of
from slackwater.tracking.client import quiet_mlflow, readable_errors
from slackwater.tracking.store import Store

__all__ = ["CANDIDATE", "MODEL", "log_model", "pull", "register"]

MODEL: Final = "slackwater"
"""Name of the registered model."""
CANDIDATE: Final = "candidate"
"""Alias of the version that was registered last."""

_LOADER: Final = "slackwater.tracking.served"
_NEEDED: Final = ("numpy", "pandas", "numba", "scipy", "pyarrow", "pydantic")


def log_model(mlflow: Any, client: Any, run: Any, bundle: Path, *, example: pd.DataFrame | None) -> str:
    """Log the bundle of a run as its model, unless it has one, and return the id of the model.

    The model is the bundle and the name of the module that reads it: MLflow runs no code that was logged.
    """
    run_id, home = run.info.run_id, run.info.experiment_id
    for found in client.search_logged_models([home], f"source_run_id = '{run_id}'"):
        if str(found.status) == "READY":
            return str(found.model_id)
        client.delete_logged_model(found.model_id)  # of a process that was killed
    model = client.create_logged_model(home, name="scorer", source_run_id=run_id, model_type="reversal scorer")
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no example, and that a column of whole numbers cannot be NaN
        mlflow.pyfunc.save_model(
            path=f"{place}/model",
            loader_module=_LOADER,
            data_path=str(bundle),
            signature=_signature(mlflow, bundle),
            input_example=example,
            pip_requirements=[f"slackwater=={__version__}", *(f"{name}=={version(name)}" for name in _NEEDED)],
            mlflow_model=mlflow.models.Model(
                artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id, model_uuid=model.model_id
            ),
        )
        client.log_model_artifacts(model.model_id, f"{place}/model")
    output = mlflow.entities.LoggedModelOutput(model.model_id, step=0)
    client.log_outputs(run_id, [output])
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _signature(mlflow: Any, bundle: Path) -> Any:
    """Return what the model reads, features and direction, and what it returns, from the manifest of its bundle."""
    manifest, types = read_json(bundle / "manifest.json"), mlflow.types
    given = [types.ColSpec("double", name) for name in manifest["features"]["model_features"]]
    targets = [Target(**entry["target"]) for entry in manifest["models"].values()]
    outputs = [types.ColSpec("double", name) for target in targets for name in target.columns]
    return mlflow.models.ModelSignature(
        inputs=types.Schema([*given, types.ColSpec("long", "direction")]), outputs=types.Schema(outputs)
    )


def register(client: Any, name: str, model_id: str, run_id: str, *, tags: Mapping[str, str]) -> str:
    """Register the model of a run as a version, unless it is one, point `candidate` at it, and return the version."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    found = client.search_model_versions(f"run_id = '{run_id}' and name = '{name}'")
    if found:
        number = str(found[0].version)
    else:
        # Not `models:/<id>`: the registry of a database would look that up in the store of the process.
        place = client.get_logged_model(model_id).artifact_location
        made = client.create_model_version(name, source=place, run_id=run_id, model_id=model_id, tags=dict(tags))
        number = str(made.version)
    client.set_registered_model_alias(name, CANDIDATE, number)
    return number


def pull(
    uri: str = f"models:/{MODEL}@champion", *, tracking_uri: str | None = None, to: str | Path | None = None
) -> Path:
    """Fetch the bundle of a registered version, and return its directory.

    Parameters
    ----------
    uri
        ``models:/name@alias`` or ``models:/name/version``.
    tracking_uri
        The store; None: what ``MLFLOW_TRACKING_URI`` names, else ``mlflow.db`` in the current directory.
    to
        Directory in which the bundle becomes a directory named after its digest; one that is there is not fetched
        again. None: ``slackwater/bundles`` in the user's cache.

    Raises
    ------
    MissingDataError
        If there is no such version, or no store.
    BundleError
        If it is not a bundle, or not the one that was registered. `slackwater.ReversalScorer.load` checks the rest.
    TrackingError
        If the store cannot be used.
    """
    mlflow = quiet_mlflow()
    store = Store.of(".") if tracking_uri is None else Store.at(tracking_uri)
    store.require()
    places = _cache() if to is None else Path(to)
    with readable_errors(mlflow, store.uri):
        found = find_version(mlflow, store, uri)
        digest = found.tags.get("bundle_sha256", "")
        known = places / digest
        if digest and (known / "SHA256SUMS").is_file() and sha256_of(known / "SHA256SUMS") == digest:
            return known
        with tempfile.TemporaryDirectory() as place:
            source = mlflow.MlflowClient(store.uri).get_model_version_download_uri(found.name, found.version)
            download = mlflow.artifacts.download_artifacts
            try:
                fetched = Path(download(artifact_uri=source, dst_path=place, tracking_uri=store.uri))
            except OSError as error:
                raise MissingDataError(f"the files of {uri} are not there: {error}") from error
            return _kept(fetched, places, uri, digest)


def find_version(mlflow: Any, store: Store, uri: str) -> Any:
    """Return the registered version of an address.

    Raises
    ------
    MissingDataError
        If there is none.
    """
    client = mlflow.MlflowClient(store.uri)
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    if not uri.startswith("models:/") or not name or bool(alias) == bool(number):
        raise MissingDataError(f"the address of a version is `models:/name@alias` or `models:/name/version`, was {uri}")
    try:
        return client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        made = "`slackwater promote` makes a champion" if alias == "champion" else "`make ui` lists the versions"
        raise MissingDataError(f"there is no {uri} in {store.uri}: {made}") from error


def _kept(fetched: Path, places: Path, uri: str, digest: str) -> Path:
    """Move the bundle of a fetched model to the directory named after its digest."""
    listed = sorted(fetched.rglob("SHA256SUMS"))
    if len(listed) != 1:
        raise BundleError(f"{uri} is not a scoring bundle: it has {len(listed)} files SHA256SUMS")
    own = sha256_of(listed[0])
    if digest and own != digest:
        raise BundleError(f"{uri} is not the bundle that was registered: its digest is {own}, not {digest}")
    try:
        places.mkdir(parents=True, exist_ok=True)
        if (places / own).is_dir():  # damaged, or it would have been found
            shutil.rmtree(places / own)
        with first_directory(places / own) as directory:
            shutil.copytree(listed[0].parent, directory, dirs_exist_ok=True)
    except OSError as error:
        raise TrackingError(f"{places} cannot be written ({error}): give `to`") from error
    return places / own


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slackwater" / "bundles"
