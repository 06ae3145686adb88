"""The file of a study, which says what is varied: checked against the typed parameters before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from slackwater.config import Params, read_yaml
from slackwater.config.derived import Section
from slackwater.errors import ParameterError, did_you_mean
from slackwater.numbers import brief

__all__ = ["OBJECTIVES", "Range", "StudySpec", "grid_of", "read_spec", "trial_params"]

OBJECTIVES: Final = {
    "direction.auc": True,
    "direction.auc_raw": True,
    "direction.log_loss": False,
    "direction.brier_skill": True,
    "net_bps": True,
    "net_r": True,
    "sharpe_per_day": True,
}
"""What a study can look for, out of sample, and whether more is better."""

_IN_PROCESS: Final = ("model", "validation", "trading")
_NO_TRIAL: Final = {"evaluation": "it changes how results are judged", "tracking": "it changes where runs are recorded"}
_OTHER_PERIOD: Final = ("validation.min_train", "validation.test")
_MOST_POINTS: Final = 10_000
_Scalar = bool | int | float | str | None
_Value = _Scalar | list[str]
_Number = int | float


class Range(Section):
    """Numbers between two bounds, whole ones where both bounds are; with `log` on the scale of logarithms."""

    low: _Number
    high: _Number
    log: bool = False
    step: _Number | None = None

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 0))

    @model_validator(mode="after")
    def _forwards(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"`low` must be less than `high`, was {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("`log` needs `low` > 0, and has no `step`")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"`step` must be in (0, {self.high - self.low:g}], was {self.step}")
        return self


class Choices(Section):
    """Values to choose from."""

    choices: Annotated[list[_Scalar], Field(min_length=1)]


def _kind(given: Any) -> str:
    """Return which of the forms of a varied parameter a value has, so that an error is about that one."""
    if isinstance(given, (Mapping, Range, Choices)):
        return "form choices" if isinstance(given, Choices) or "choices" in dict(given) else "form range"
    return "form list"


_Varied = Annotated[
    Annotated[Range, Tag("form range")]
    | Annotated[Choices, Tag("form choices")]
    | Annotated[list[_Value], Tag("form list")],
    Discriminator(_kind),
]


class StudySpec(Section):
    """A study of the data set that was run last.

    Parameters
    ----------
    name
        Name, under which its trials are recorded and it continues.
    search
        ``grid``: every combination. ``optuna``: `trials` configurations, each chosen after the results so far.
    objective
        What is looked for, one of `OBJECTIVES`; measured on events that the models of the trial did not see.
    parameters
        What is varied, by dotted keys of ``params.yaml``: lists, and for ``optuna`` also `Range` or ``choices``.
    trials, seed
        For ``optuna``: how many trials in all, and the seed of their choice.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    search: Literal["grid", "optuna"]
    objective: Literal[tuple(OBJECTIVES)] = "direction.auc"  # type: ignore[valid-type]
    parameters: Annotated[dict[str, _Varied], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None

    @property
    def maximize(self) -> bool:
        """Whether more of the objective is better."""
        return OBJECTIVES[self.objective]

    @model_validator(mode="after")
    def _complete(self) -> StudySpec:
        for key, given in self.parameters.items():
            if isinstance(given, list) and (not given or any(a == b for a, b in _pairs(given))):
                raise ValueError(f"`parameters.{key}` must list different values, was {given}")
            if self.search == "grid" and not isinstance(given, list):
                raise ValueError(f"`parameters.{key}` of a grid must be a list of values; ranges need `search: optuna`")
            if self.search == "optuna" and isinstance(given, list) and any(isinstance(each, list) for each in given):
                raise ValueError(f"`parameters.{key}`: Optuna chooses among single values; lists need `search: grid`")
        if self.search == "optuna" and (self.trials is None or self.seed is None):
            raise ValueError("`search: optuna` needs `trials`, how many, and `seed`")
        if self.search == "grid" and (self.trials is not None or self.seed is not None):
            raise ValueError("a grid has no `trials` and no `seed`: it tries every combination")
        return self


def _pairs(values: list[Any]) -> Iterator[tuple[Any, Any]]:
    typed = [(isinstance(value, bool), value) for value in values]
    return ((a, b) for at, a in enumerate(typed) for b in typed[:at])


def read_spec(path: str | Path, params: Params) -> StudySpec:
    """Read a study and check that every parameter can take every value that it names.

    Raises
    ------
    MissingDataError
        If there is no such file.
    ParameterError
        If a key or a value is wrong, or a parameter cannot be varied without running the first stages again.
    """
    content = read_yaml(path)
    known = list(StudySpec.model_fields)
    if unknown := [str(key) for key in content if key not in known]:
        raise ParameterError(f"{path}: unknown key `{unknown[0]}`{did_you_mean(unknown[0], known)}")
    try:
        spec = StudySpec.model_validate(content)
    except ValidationError as error:
        raise ParameterError(f"{path}: {_readable(error)}") from error
    for key, given in spec.parameters.items():
        require_variable(key, params, str(path))
        if spec.search == "optuna":
            for value in _extremes(given):
                trial_params(params, {key: value}, str(path))
    if spec.search == "grid":
        for point in grid_of(spec):
            trial_params(params, point, str(path))
    return spec


def require_variable(key: str, params: Params, origin: str) -> None:
    """Raise ParameterError unless a dotted key is a parameter that a trial can vary."""
    node: Any = params.model_dump(mode="json")
    parts = key.split(".")
    for at, part in enumerate(parts):
        if not isinstance(node, Mapping) or part not in node:
            place, there = ".".join(parts[:at]) or "params.yaml", node if isinstance(node, Mapping) else {}
            hint = did_you_mean(part, there) if there else f"; `{place}` is a value"
            raise ParameterError(f"{origin}: `parameters.{key}`: there is no parameter `{part}` in {place}{hint}")
        node = node[part]
    section = parts[0]
    if section in _NO_TRIAL:
        raise ParameterError(f"{origin}: `parameters.{key}` makes no trial: {_NO_TRIAL[section]}, not what is traded")
    if key in _OTHER_PERIOD:
        raise ParameterError(
            f"{origin}: `parameters.{key}` changes which period is tested, so that trials could not be compared; run "
            "a study for each value instead"
        )
    if section not in _IN_PROCESS:
        raise ParameterError(
            f"{origin}: `parameters.{key}` cannot be varied in a study: `{section}` changes what the stages before "
            f"`train` write. Queue runs of the pipeline instead: `dvc exp run --queue -S '{key}=…'`, then `dvc queue "
            "start`"
        )
    if isinstance(node, Mapping):
        raise ParameterError(f"{origin}: `parameters.{key}` is a section; name one of {', '.join(node)} in it")


def grid_of(spec: StudySpec) -> Iterator[dict[str, Any]]:
    """Yield every combination of a grid, the last parameter varying fastest.

    Raises
    ------
    ParameterError
        If there are more than 10,000.
    """
    lists = [given for given in spec.parameters.values() if isinstance(given, list)]
    points = 1
    for each in lists:
        points *= len(each)
    if points > _MOST_POINTS:
        raise ParameterError(f"the grid has {points:,} points, at most {_MOST_POINTS:,} can be tried; use `optuna`")
    return (dict(zip(spec.parameters, values, strict=True)) for values in product(*lists))


def trial_params(params: Params, point: Mapping[str, Any], origin: str = "the trial") -> Params:
    """Return the parameters of a run with those of one trial.

    Raises
    ------
    ParameterError
        If a value is out of bounds, or parameters contradict each other.
    """
    content = deepcopy(params.model_dump(mode="json"))
    for key, value in point.items():
        node = content
        *sections, name = key.split(".")
        for section in sections:
            node = node[section]
        node[name] = value
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        named = ", ".join(f"{key}: {value}" for key, value in point.items())
        raise ParameterError(f"{origin}: {{{named}}} cannot be tried: {_readable(error)}") from error


def _extremes(given: Range | Choices | list[Any]) -> list[Any]:
    if isinstance(given, Range):
        return [given.low, given.high] if given.whole else [float(given.low), float(given.high)]
    return given.choices if isinstance(given, Choices) else given


def _readable(error: ValidationError) -> str:
    """Return the first error; what a location holds of forms and types is left out."""
    first = error.errors(include_url=False, include_context=False)[0]
    types = ("bool", "int", "float", "str", "none")
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("form ") and part not in types)
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = f"unknown key{did_you_mean(first['loc'][-1], [*Range.model_fields, *Choices.model_fields])}"
    elif first["type"] == "missing":
        text = "is missing"
    elif not isinstance(first["input"], Mapping):
        text = f"{text}, was {brief(first['input'])}"
    return f"`{where}`: {text}" if where else text
