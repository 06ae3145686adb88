"""Scored events of a run: from files, from an MLflow run, or from a DVC experiment or git revision."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from slackwater.config import read_yaml
from slackwater.errors import MissingDataError, missing_extra
from slackwater.evidence.comparison import scored_events
from slackwater.report.compare.sides import RunFacts, Side
from slackwater.storage import read_json, read_parquet

__all__ = ["ScoredRun", "read_scored_run"]

_PLACES: Final = {
    "predictions": "data/predictions.parquet",
    "labels": "data/labels.parquet",
    "trades": "reports/unit_risk_trades.parquet",
    "metrics": "reports/metrics.json",
    "verdict": "reports/verdict.json",
    "params": "reports/effective_params.yaml",
    "equity": "reports/equity.parquet",
    "manifest": "models/scorer/manifest.json",
}
"""Where a checkout has the files of its run; anywhere else they lie side by side under the same names."""
_WHOLE: Final = "scored.parquet"
"""Predictions and labels in one table, as an MLflow run has them; their trades may be among its columns too."""
_QUIET: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """The scored events of a run.

    Parameters
    ----------
    source
        What was read, in words.
    events
        Table of `slackwater.evidence.comparison.scored_events`.
    synthetic
        Whether the market was simulated; None where the run does not record it.
    facts
        What else the run has recorded.
    """

    source: str
    events: pd.DataFrame
    synthetic: bool | None
    facts: RunFacts

    def side(self, name: str) -> Side:
        """Return the run as one side of a comparison, under a name."""
        return Side(name=name, source=self.source, events=self.events, synthetic=self.synthetic, facts=self.facts)


def read_scored_run(name: str, *, tracking_uri: str = "") -> ScoredRun:
    """Read the scored events of a run.

    Parameters
    ----------
    name
        A file or directory, if there is one of that name; the id of an MLflow run, 32 hexadecimal digits; or the name
        of a DVC experiment or git revision of the repository around the working directory.
    tracking_uri
        Store of the MLflow run; by default ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the working directory.

    Raises
    ------
    MissingDataError
        If there is nothing of that name, or it lacks the predictions or the labels.
    SchemaError
        If a file is damaged or lacks a column.
    """
    if Path(name).exists():
        return _of_path(Path(name))
    if _RUN_ID.fullmatch(name):
        return _of_mlflow(name, tracking_uri)
    return _of_revision(name)


def _of_path(path: Path) -> ScoredRun:
    if path.is_dir():
        found = {Path(place).name: path / place for place in _PLACES.values() if (path / place).is_file()}
        beside = {each.name: each for each in path.iterdir() if each.is_file()}
        return _assembled(f"directory {path}", {**beside, **found})
    table, beside = read_parquet(path), {each.name: each for each in path.parent.iterdir() if each.is_file()}
    labels = path.with_name(Path(_PLACES["labels"]).name)
    if "label_end_time" not in table and not labels.is_file():
        raise MissingDataError(
            f"{path} has predictions without labels, and there is no {labels}: give the directory of the run"
        )
    whole = _WHOLE if "label_end_time" in table else Path(_PLACES["predictions"]).name
    others = {name: file for name, file in beside.items() if name != _WHOLE}
    return _assembled(f"file {path}", {**others, whole: path})


def _assembled(source: str, files: Mapping[str, Path]) -> ScoredRun:
    """Return the run whose files are given by their own names."""
    names = {part: Path(place).name for part, place in _PLACES.items()}
    facts = _facts({part: files[name] for part, name in names.items() if name in files})
    synthetic = facts.metrics.get("synthetic")
    synthetic = synthetic if isinstance(synthetic, bool) else None
    trades = read_parquet(files[names["trades"]]) if names["trades"] in files else None
    if _WHOLE in files:
        whole = read_parquet(files[_WHOLE])
        events = whole if "taken_net_r" in whole else scored_events(whole, whole, trades)
        return ScoredRun(source=source, events=events, synthetic=synthetic, facts=facts)
    lacking = [names[part] for part in ("predictions", "labels") if names[part] not in files]
    if lacking:
        raise MissingDataError(f"{source} has no {' and no '.join(lacking)}: run `dvc repro`, or name another run")
    predictions, labels = (read_parquet(files[names[part]]) for part in ("predictions", "labels"))
    events = scored_events(predictions, labels, trades)
    return ScoredRun(source=source, events=events, synthetic=synthetic, facts=facts)


def _facts(files: Mapping[str, Path]) -> RunFacts:
    """Return what the files of a run, by part, record beside its events."""
    found = {name: _mapping(read_json(files[name])) for name in ("metrics", "verdict", "manifest") if name in files}
    return RunFacts(
        metrics=found.get("metrics", {}),
        verdict=found.get("verdict", {}),
        params=_mapping(read_yaml(files["params"])) if "params" in files else {},
        digests=_mapping(found.get("manifest", {}).get("hashes")),
        equity=read_parquet(files["equity"]) if "equity" in files else None,
    )


def _mapping(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _of_mlflow(run_id: str, tracking_uri: str) -> ScoredRun:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    store = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not store and not Path("mlflow.db").is_file():
        raise MissingDataError(
            f"{run_id} may be a run of MLflow, but there is no mlflow.db here: give `--tracking-uri`"
        )
    client = mlflow.MlflowClient(store or f"sqlite:///{Path('mlflow.db').resolve()}")
    wanted = {_WHOLE, *(Path(place).name for place in _PLACES.values())}
    with TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow about its own database
        try:
            artifacts = {Path(path).name: path for path in _artifacts(client, run_id) if Path(path).name in wanted}
            files = {name: Path(client.download_artifacts(run_id, path, directory)) for name, path in artifacts.items()}
            tags = client.get_run(run_id).data.tags
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise MissingDataError(f"the run {run_id} cannot be read from MLflow: {error}") from error
        run = _assembled(f"the MLflow run {run_id}", files)
    marked = {"SYNTHETIC": True, "real data": False}.get(str(tags.get("synthetic")), run.synthetic)
    digests = {name: value for name, value in tags.items() if name.endswith("_sha256")}
    return replace(run, synthetic=marked, facts=replace(run.facts, digests=digests))


def _artifacts(client: Any, run_id: str) -> Iterator[str]:
    """Yield the paths of the files of a run, in its folders of the first level and beside them."""
    for entry in client.list_artifacts(run_id):
        if entry.is_dir:
            yield from (each.path for each in client.list_artifacts(run_id, entry.path) if not each.is_dir)
        else:
            yield entry.path


def _of_revision(name: str) -> ScoredRun:
    try:
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    try:
        # Not the instance that the library keeps for another directory; it opens the repository at the first use.
        files = DVCFileSystem(repo=str(Path.cwd()), rev=name, skip_instance_cache=True)
        files.ls("")
    except (DvcException, OSError) as error:
        raise MissingDataError(
            f"{name} is not a file, a directory, the id of an MLflow run, a DVC experiment or a git revision ({error})"
        ) from error
    with TemporaryDirectory() as directory:
        copied = {}
        for place in _PLACES.values():
            if files.isfile(place):
                target = copied[Path(place).name] = Path(directory) / Path(place).name
                _copy(files, place, target, name)
        return _assembled(f"the revision {name}", copied)


def _copy(files: Any, place: str, target: Path, revision: str) -> None:
    """Copy a file of a revision, from git or from the cache of DVC; the error names the file that the cache lacks."""
    try:
        files.get_file(place, str(target))
    except Exception as error:  # DVC raises errors of its storage too, which have no common root
        raise MissingDataError(
            f"the revision {revision} records {place}, but the cache of DVC does not have it: run `dvc fetch`, or "
            f"check the revision out and run `dvc repro` ({error})"
        ) from error
