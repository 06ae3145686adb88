"""The parameters of the last run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from slackwater.config import Params, load_params, read_yaml
from slackwater.errors import DataError

__all__ = ["params_of_last_run"]

_EFFECTIVE: Final = "reports/effective_params.yaml"


def params_of_last_run(root: str | Path = ".") -> Params:
    """Return the parameters of the data set that was run last in a repository.

    Raises
    ------
    MissingDataError
        If nothing was run.
    DataError
        If the parameters have changed since.
    """
    effective = read_yaml(Path(root, _EFFECTIVE))
    name = effective["dataset"]["name"]
    params = load_params(Path(root, "params.yaml"), name)
    if params.model_dump(mode="json") != effective:
        raise DataError(f"{_EFFECTIVE} is not what params.yaml gives for {name}: run the stages up to `label` again")
    return params
