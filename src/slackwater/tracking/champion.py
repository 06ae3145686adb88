"""The alias `champion`: the version that live scorers pull, and the rule by which it moves.

A version becomes champion if its verdict is ``eligible`` and, on the events that it and the champion both predicted out
of sample, its AUC is not the lower one. Whoever moves the alias all the same names the version and says why; the reason
stays with the version.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.evidence.comparison import compare, scored_events
from slackwater.scoring.bundle import Bundle
from slackwater.storage import read_parquet
from slackwater.tracking.client import quiet_mlflow, readable_errors
from slackwater.tracking.registry import CANDIDATE, MODEL, find_version, pull
from slackwater.tracking.store import Store

__all__ = ["CHAMPION", "PREDICTIONS", "Promotion", "promote"]

CHAMPION: Final = "champion"
"""Alias of the version that live scorers pull."""
PREDICTIONS: Final = "predictions/scored.parquet"
"""Where a run keeps its predictions of all events of the test blocks, with their labels."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What became of a version that was to be the champion.

    Parameters
    ----------
    version
        The version.
    moved
        Whether the alias points at it now and did not before.
    sentence
        The reason, in words.
    """

    version: str
    moved: bool
    sentence: str


def promote(version: str = "", *, store: Store, reason: str = "", name: str = MODEL) -> Promotion:
    """Make a version the champion, if the rule or the user allows it.

    Parameters
    ----------
    version
        Its number; "" is the candidate.
    store
        The store.
    reason
        Why the alias moves whatever the rule says; needs `version`. It is kept as the tag ``forced`` of the version.
    name
        The registered model.

    Raises
    ------
    ParameterError
        If a reason is given without a version.
    MissingDataError
        If there is no such version, or no store.
    BundleError
        If its bundle cannot be read: also a forced champion has to load.
    TrackingError
        If the store cannot be used.
    """
    if reason and not version:
        raise ParameterError("a reason moves the champion against the rule: name the version, too")
    uri = f"models:/{name}/{version}" if version else f"models:/{name}@{CANDIDATE}"
    mlflow = quiet_mlflow()
    store.require()
    with readable_errors(mlflow, store.uri):
        client, found = mlflow.MlflowClient(store.uri), find_version(mlflow, store, uri)
        champion = client.get_registered_model(name).aliases.get(CHAMPION)
        number = str(found.version)
        if champion is not None and str(champion) == number:
            return Promotion(version=number, moved=False, sentence=f"version {number} is the champion already")
        with TemporaryDirectory() as place:
            verdict = Bundle.load(pull(uri, tracking_uri=store.uri, to=place)).manifest["verdict"]
            allowed, sentence = _allowed(mlflow, store, verdict, found, champion, Path(place))
        if not (allowed or reason):
            return Promotion(version=number, moved=False, sentence=sentence)
        if not allowed:
            client.set_model_version_tag(name, number, "forced", reason)
            sentence = f"forced ({reason}), although: {sentence}"
        client.set_registered_model_alias(name, CHAMPION, number)
    return Promotion(version=number, moved=True, sentence=sentence)


def _allowed(
    mlflow: Any, store: Store, verdict: dict[str, Any], found: Any, champion: Any, place: Path
) -> tuple[bool, str]:
    """Return whether the rule lets a version become champion, and why."""
    if verdict["verdict"] != "eligible" or verdict["synthetic"]:
        return False, f"its verdict is {verdict['verdict']}: {verdict['sentence']}"
    if champion is None:
        return True, "its verdict is eligible, and there is no champion yet"
    other = mlflow.MlflowClient(store.uri).get_model_version(found.name, str(champion))
    names = (f"champion {champion}", f"version {found.version}")
    try:
        first, second = (_scored(mlflow, store, each, place) for each in (other, found))
        auc = compare(first, second, names=names).differences[0]
    except DataError as error:
        return False, f"it cannot be compared with champion {champion}: {error}"
    told = f"{auc.sentence(names)} Events that both predicted: {auc.events:,}"
    if not auc.difference >= 0.0:  # NaN: not known
        return False, f"its AUC is not known to be as high: {told}"
    return True, f"its verdict is eligible; {told}"


def _scored(mlflow: Any, store: Store, version: Any, place: Path) -> pd.DataFrame:
    """Return the scored events of the run of a version."""
    client, to = mlflow.MlflowClient(store.uri), place / f"run-{version.version}"
    to.mkdir()
    try:
        table = read_parquet(client.download_artifacts(version.run_id, PREDICTIONS, str(to)))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise MissingDataError(f"the run of version {version.version} has no {PREDICTIONS}") from error
    return scored_events(table, table)
