"""The parameters of the last run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from slackwater.config import Params, load_params, read_yaml
from slackwater.errors import DataError
from slackwater.numbers import brief

__all__ = ["params_of_last_run"]

_EFFECTIVE: Final = "reports/effective_params.yaml"
_UP_TO_LABELS: Final = ("ingest", "validate", "features", "label")


def params_of_last_run(root: str | Path = ".") -> Params:
    """Return the parameters of the data set that was run last in a repository.

    Raises
    ------
    MissingDataError
        If nothing was run.
    DataError
        If the parameters have changed since, or the stages after the first one ran with others.
    """
    effective = read_yaml(Path(root, _EFFECTIVE))
    name = effective["dataset"]["name"]
    params = load_params(Path(root, "params.yaml"), name)
    if params.model_dump(mode="json") != effective:
        raise DataError(f"{_EFFECTIVE} is not what params.yaml gives for {name}: run the stages up to `label` again")
    for stage in _UP_TO_LABELS:
        for key, value in _parameters_of(stage, Path(root, "dvc.lock")).items():
            if _at(effective, key) != value:
                raise DataError(
                    f"the stage `{stage}` ran with {key} = {brief(value)}, now it is {brief(_at(effective, key))}: the "
                    f"tables are not those of {name}; run the stages up to `label` again"
                )
    return params


def _parameters_of(stage: str, lock: Path) -> dict[str, Any]:
    """Return the parameters with which DVC ran a stage last, by dotted key; none where DVC did not run it."""
    if not lock.is_file():
        return {}
    entry = (read_yaml(lock).get("stages") or {}).get(stage) or {}
    return dict((entry.get("params") or {}).get(_EFFECTIVE) or {})


def _at(effective: Any, key: str) -> Any:
    for part in key.split("."):
        effective = effective.get(part) if isinstance(effective, Mapping) else None
    return effective
