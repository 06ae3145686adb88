"""The alias `champion`: the version that live scorers pull, and the rule by which it moves.

A version becomes champion if its verdict is ``eligible`` and, on the events that it and the champion both predicted out
of sample, its AUC is not the lower one. Whoever moves the alias all the same names the version and says why; the reason
stays with the version.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, ParameterError
from slackwater.evidence.controls.paired import OtherScores, auc_differences
from slackwater.evidence.resampling import Resampling
from slackwater.scoring.bundle import Bundle
from slackwater.storage import read_parquet
from slackwater.tracking.client import quiet_mlflow, readable_errors
from slackwater.tracking.registry import CANDIDATE, MODEL, find_version, pull
from slackwater.tracking.store import Store

__all__ = ["CHAMPION", "PREDICTIONS", "Difference", "Promotion", "auc_difference", "promote"]

CHAMPION: Final = "champion"
"""Alias of the version that live scorers pull."""
PREDICTIONS: Final = "predictions/scored.parquet"
"""Where a run keeps its predictions of all events of the test blocks, with their labels."""

_KEYS: Final = ["symbol", "event_time"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much one version predicts better than another, on the events that both predicted.

    Parameters
    ----------
    n_events
        Their number.
    mean, low, high
        Difference of the AUC, and its 95 % interval; NaN where there is none.
    """

    n_events: int
    mean: float
    low: float
    high: float


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


Compare = Callable[[pd.DataFrame, pd.DataFrame], Difference]
"""Compares the predictions of a version with those of the champion."""


def auc_difference(scored: pd.DataFrame, other: pd.DataFrame) -> Difference:
    """Return the difference of the AUC of the direction, paired on the traded events that both tables hold.

    Parameters
    ----------
    scored, other
        ``symbol``, ``event_time``, ``trades``, ``y_direction`` and ``p_direction`` (`PREDICTIONS`). Events whose label
        differs, or where one prediction is not known, are left out.
    """
    columns = [*_KEYS, "trades", "y_direction", "p_direction"]
    both = scored[columns].merge(other[columns], on=_KEYS, suffixes=("", "_other"), validate="1:1")
    both = both[both["trades"] & both["trades_other"] & (both["y_direction"] == both["y_direction_other"])]
    both = both.dropna(subset=["p_direction", "p_direction_other"]).sort_values("event_time", kind="stable")
    if both["y_direction"].nunique() < 2:
        return Difference(n_events=len(both), mean=math.nan, low=math.nan, high=math.nan)
    y, p, p_other = (both[name].to_numpy(np.float64) for name in ("y_direction", "p_direction", "p_direction_other"))
    (found,) = auc_differences(both["event_time"], y, p, [OtherScores(y, p_other)], Resampling())
    mean, low, high = (found[f"difference_auc{end}"] for end in ("", "_low", "_high"))
    return Difference(n_events=len(both), mean=mean, low=low, high=high)


def promote(
    version: str = "", *, store: Store, reason: str = "", compare: Compare = auc_difference, name: str = MODEL
) -> Promotion:
    """Make a version the champion, if the rule or the user allows it.

    Parameters
    ----------
    version
        Its number; "" is the candidate.
    store
        The store.
    reason
        Why the alias moves whatever the rule says; needs `version`. It is kept as the tag ``forced`` of the version.
    compare
        Compares predictions of two versions.
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
            allowed, sentence = _allowed(mlflow, store, verdict, found, champion, compare, Path(place))
        if not (allowed or reason):
            return Promotion(version=number, moved=False, sentence=sentence)
        if not allowed:
            client.set_model_version_tag(name, number, "forced", reason)
            sentence = f"forced ({reason}), although: {sentence}"
        client.set_registered_model_alias(name, CHAMPION, number)
    return Promotion(version=number, moved=True, sentence=sentence)


def _allowed(
    mlflow: Any, store: Store, verdict: dict[str, Any], found: Any, champion: Any, compare: Compare, place: Path
) -> tuple[bool, str]:
    """Return whether the rule lets a version become champion, and why."""
    if verdict["verdict"] != "eligible" or verdict["synthetic"]:
        return False, f"its verdict is {verdict['verdict']}: {verdict['sentence']}"
    if champion is None:
        return True, "its verdict is eligible, and there is no champion yet"
    other = mlflow.MlflowClient(store.uri).get_model_version(found.name, str(champion))
    try:
        tables = [_predictions(mlflow, store, each, place) for each in (found, other)]
    except MissingDataError as error:
        return False, f"it cannot be compared with champion {champion}: {error}"
    return _not_lower(compare(*tables), champion)


def _not_lower(difference: Difference, champion: Any) -> tuple[bool, str]:
    if math.isnan(difference.mean):
        return False, (
            f"it cannot be compared with champion {champion}: {difference.n_events} events were predicted by both, and "
            "an AUC needs both outcomes"
        )
    told = (
        f"AUC {difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}) against champion {champion} on "
        f"{difference.n_events:,} events that both predicted"
    )
    if difference.mean < 0.0:
        return False, f"it predicts worse: {told}"
    return True, f"its verdict is eligible; {told}"


def _predictions(mlflow: Any, store: Store, version: Any, place: Path) -> pd.DataFrame:
    """Return the predictions of the run of a version."""
    client, to = mlflow.MlflowClient(store.uri), place / f"run-{version.version}"
    to.mkdir()
    try:
        return read_parquet(client.download_artifacts(version.run_id, PREDICTIONS, str(to)))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise MissingDataError(f"the run of version {version.version} has no {PREDICTIONS}") from error
