"""Read ``params.yaml``: the effective parameters of one data set, or an error that names the wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from slackwater.config.own_files import KINDS
from slackwater.config.sections import Dataset, Params
from slackwater.errors import MissingDataError, ParameterError, did_you_mean

__all__ = ["load_params", "resolve"]

_SECTIONS = frozenset(Params.model_fields) - {"dataset"}


def load_params(path: str | Path = "params.yaml", dataset: str | None = None) -> Params:
    """Read the parameters and return the effective ones of a data set.

    Parameters
    ----------
    path
        Path of the file.
    dataset
        Name of an entry of `datasets`; None is the one that the file chooses.

    Raises
    ------
    MissingDataError
        If there is no such file.
    ParameterError
        If it is not YAML, or a parameter is unknown, missing, of a wrong type or out of range, in any entry.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(
            f"there is no parameter file {path}: run this in the root of the repository, or name the file"
        )
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_doubled_keys(yaml.compose(text, Loader=yaml.SafeLoader), set())
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path} must hold a mapping, held {type(content).__name__}")
    return resolve(content if dataset is None else content | {"dataset": dataset}, origin=str(path))


def _refuse_doubled_keys(node: yaml.Node | None, seen: set[int]) -> None:
    """Raise YAMLError where a mapping names a key twice: YAML would take the last value and drop the first.

    Keys that come with a merge (``<<: *entry``) may be overridden.
    """
    if node is None or id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    keys: set[tuple[str, str]] = set()
    for part in node.value:
        key, value = part if isinstance(node, yaml.MappingNode) else (None, part)
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if (key.tag, key.value) in keys:
                raise yaml.MarkedYAMLError(problem=f"the key `{key.value}` is given twice", problem_mark=key.start_mark)
            keys.add((key.tag, key.value))
        _refuse_doubled_keys(value, seen)


def resolve(content: Mapping[str, Any], *, origin: str = "params.yaml") -> Params:
    """Return the effective parameters of parsed content; see `load_params`."""
    _refuse_unknown(content, {"dataset", "datasets", *_SECTIONS}, origin)
    entries = content.get("datasets")
    if not isinstance(entries, dict) or not entries:
        raise ParameterError(f"{origin}: `datasets` must name at least one data set")
    chosen = content.get("dataset")
    if chosen not in entries:
        raise ParameterError(f"{origin}: `dataset` is {chosen!r}{did_you_mean(str(chosen), entries)}")
    effective = {name: _effective(content, str(name), entry, origin) for name, entry in entries.items()}
    return effective[chosen]


def _effective(content: Mapping[str, Any], name: str, entry: Any, origin: str) -> Params:
    if not isinstance(entry, dict):
        raise ParameterError(f"{origin}: datasets.{name} must be a mapping")
    overrides = {key: value for key, value in entry.items() if key in _SECTIONS}
    own = {key: value for key, value in entry.items() if key not in _SECTIONS}
    _refuse_unknown(own, set(Dataset.model_fields) - {"name"}, f"{origin}: datasets.{name}", extra=_SECTIONS)
    given = {key: content[key] for key in _SECTIONS if content.get(key) is not None}
    sections = _merged(given, overrides)
    try:
        return Params.model_validate({"dataset": {"name": name, **own}, **sections})
    except ValidationError as error:
        raise ParameterError(_readable(error, origin, name, overrides)) from error


def _merged(base: Any, override: Any) -> Any:
    """Return a section with an override: mappings are merged key by key, anything else is replaced, also by null."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return base | {key: _merged(base[key], value) if key in base else value for key, value in override.items()}


def _readable(error: ValidationError, origin: str, dataset: str, overrides: Mapping[str, Any]) -> str:
    lines = []
    for item in error.errors():
        where = [str(part) for part in item["loc"] if not _is_tag(part)]
        if where[:1] == ["dataset"] or (where and _inside(overrides, where)):
            where = ["datasets", dataset, *(where[1:] if where[:1] == ["dataset"] else where)]
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "unknown parameter" + did_you_mean(where[-1], _siblings(item["loc"]))
        elif item["type"] == "missing":
            text = "missing"
        elif "input" in item and not isinstance(item["input"], dict) and "was" not in text:
            text = f"{text}, was {item['input']!r}"
        lines.append(f"`{'.'.join(where)}`: {text}" if where else text)
    return f"{origin} (data set {dataset}): " + "; ".join(lines)


def _inside(overrides: Mapping[str, Any], where: list[str]) -> bool:
    node: Any = overrides
    for part in where:
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def _is_tag(part: int | str) -> bool:
    """Return whether a part of a location is not a key, but the tag of a kind of own files."""
    return str(part).startswith("kind ")


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Params
    for part in location[:-1]:
        if _is_tag(part):
            model = KINDS.get(str(part).removeprefix("kind "))
            continue
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field is not None else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _refuse_unknown(
    content: Mapping[Any, Any], known: set[str], origin: str, extra: frozenset[str] = frozenset()
) -> None:
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        hints = "; ".join(f"`{key}`{did_you_mean(key, known | extra)}" for key in unknown)
        raise ParameterError(f"{origin}: unknown parameter {hints}")
