"""Read ``params.yaml`` and ``datasets/*.yaml``: the effective parameters, or an error that names the wrong key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from slackwater.config.own_files import KINDS
from slackwater.config.sections import Dataset, Params
from slackwater.config.yaml_file import read_yaml
from slackwater.errors import ParameterError, did_you_mean

__all__ = ["broken_entries", "load_params", "own_entries", "place_of", "resolve"]

_SECTIONS = frozenset(Params.model_fields) - {"dataset"}
_OWN = "datasets"
_SHOWN = 300  # letters of a value or a message
_SHOWN_ERRORS = 10


def load_params(path: str | Path = "params.yaml", dataset: str | None = None) -> Params:
    """Read the parameters and return the effective ones of a data set.

    Parameters
    ----------
    path
        Path of the file. The directory `datasets` beside it holds entries of data sets, one YAML file for each.
    dataset
        Name of an entry; None is the one that the file chooses.

    Raises
    ------
    MissingDataError
        If there is no such file.
    ParameterError
        If it is not YAML, or a parameter is unknown, missing, of a wrong type or out of range, in any entry of the file
        or in the file of the chosen data set. Those of others are not read: `broken_entries` finds what is wrong there.
    """
    path = Path(path)
    content = read_yaml(path)
    files = _own_files(path.parent)
    chosen = content.get("dataset") if dataset is None else dataset
    own = {name: _own_entry(file) for name, file in files.items() if name == str(chosen)}
    return resolve(content | {"dataset": chosen}, own, origin=str(path), names=files)


def broken_entries(path: str | Path = "params.yaml") -> dict[str, str]:
    """Return what is wrong with the entries in ``datasets/*.yaml`` that cannot be chosen, by the names of the files.

    Raises
    ------
    MissingDataError, ParameterError
        If the file at `path` cannot be used itself.
    """
    broken = {}
    for name in _own_files(Path(path).parent):
        try:
            load_params(path, name)
        except ParameterError as error:
            broken[name] = str(error)
    return broken


def own_entries(root: Path) -> dict[str, Any]:
    """Return the entries in ``datasets/*.yaml`` below a directory that can be chosen, by the names of the files.

    A file holds the content of an entry, or the entry under the name of the file, as `slackwater fetch` prints it.
    """
    broken = broken_entries(root / "params.yaml")
    return {name: _own_entry(file) for name, file in _own_files(root).items() if name not in broken}


def _own_entry(file: Path) -> Any:
    content = read_yaml(file)
    return content[file.stem] if set(content) == {file.stem} else content


def _own_files(root: Path) -> dict[str, Path]:
    """Return the files of data sets below a directory, by the names of the data sets.

    Hidden files and backups (``mine.yaml~``) are those of editors, ``*.md`` are notes; anything else would be taken for
    an entry that is read, and is refused.

    Raises
    ------
    ParameterError
        If a file is not one that would be read.
    """
    files = sorted(each for each in (root / _OWN).glob("[!.]*") if each.suffix != ".md" and each.name[-1] != "~")
    for file in files:
        name = file.stem
        if file.suffix != ".yaml" or not file.is_file() or name != name.strip() or not name.isprintable():
            raise ParameterError(
                f"{_OWN}/{_shown(file.name)[1:-1]} is not a data set, which is a file NAME.yaml with a name that can "
                "be printed: rename it, or take it away"
            )
    return {file.stem: file for file in files}


def place_of(name: str, root: str | Path = ".") -> str:
    """Return where the keys of a data set's entry stand, as a message names it: its own file, or ``params.yaml``."""
    return f"{_OWN}/{name}.yaml: " if Path(root, _OWN, f"{name}.yaml").is_file() else f"params.yaml: datasets.{name}."


def resolve(
    content: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
    *,
    origin: str = "params.yaml",
    names: Collection[str] = (),
) -> Params:
    """Return the effective parameters of parsed content, and of entries from files of their own; see `load_params`.

    `names` are those of all such files, whether or not they are among the entries.
    """
    _refuse_unknown(content, {"dataset", "datasets", *_SECTIONS}, origin)
    own = own or {}
    listed = content.get("datasets") or {}
    if not isinstance(listed, dict) or not (listed or own or names):
        raise ParameterError(f"{origin}: `datasets` must name at least one data set")
    entries = {str(name): entry for name, entry in listed.items()}
    twice = sorted(entries.keys() & own.keys())
    if twice:
        raise ParameterError(f"{origin}: the data set `{twice[0]}` stands in {_OWN}/{twice[0]}.yaml too; remove one")
    chosen = content.get("dataset")
    known = dict.fromkeys([*entries, *own, *names])
    if not isinstance(chosen, str | int) or str(chosen) not in known:
        raise ParameterError(f"{origin}: `dataset` is {_shown(chosen)}{did_you_mean(chosen, known)}")
    effective = {name: _effective(content, name, entry, origin, f"datasets.{name}") for name, entry in entries.items()}
    for name, entry in own.items():
        effective[name] = _effective(content, name, entry, f"{_OWN}/{name}.yaml", "")
    return effective[str(chosen)]


def _effective(content: Mapping[str, Any], name: str, entry: Any, origin: str, prefix: str) -> Params:
    """Return the parameters of one entry; `prefix` is where its keys stand in the file `origin`."""
    inside = ": ".join(filter(None, (origin, prefix)))
    if not isinstance(entry, dict):
        raise ParameterError(f"{inside} must be a mapping, was {_shown(entry)}")
    overrides = {key: value for key, value in entry.items() if key in _SECTIONS}
    own = {key: value for key, value in entry.items() if key not in _SECTIONS}
    _refuse_unknown(own, set(Dataset.model_fields) - {"name"}, inside, extra=_SECTIONS)
    given = {key: content[key] for key in _SECTIONS if content.get(key) is not None}
    sections = _merged(given, overrides)
    try:
        return Params.model_validate({"dataset": {"name": name, **own}, **sections})
    except ValidationError as error:
        place = [prefix] if prefix else []
        raise ParameterError(f"{origin} (data set {name}): {_readable(error, place, overrides)}") from error


def _merged(base: Any, override: Any) -> Any:
    """Return a section with an override: mappings are merged key by key, anything else is replaced, also by null."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return base | {key: _merged(base[key], value) if key in base else value for key, value in override.items()}


def _readable(error: ValidationError, prefix: list[str], overrides: Mapping[str, Any]) -> str:
    """Return the first errors in one line; `prefix` is the place of the entry's own keys."""
    found, lines = error.errors(), []
    for item in found[:_SHOWN_ERRORS]:
        where = [str(part)[:_SHOWN] for part in item["loc"] if not _is_tag(part)]
        if where[:1] == ["dataset"]:
            where = [*prefix, *where[1:]]
        elif where and _inside(overrides, where):
            where = [*prefix, *where]
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "unknown parameter" + did_you_mean(where[-1], _siblings(item["loc"]))
        elif item["type"] == "missing":
            text = "missing"
        elif "input" in item and not isinstance(item["input"], dict) and "was" not in text:
            text = f"{text}, was {_shown(item['input'])}"
        lines.append(f"`{'.'.join(where)}`: {_cut(text)}" if where else _cut(text))
    if len(found) > len(lines):
        lines.append(f"and {len(found) - len(lines)} more")
    return "; ".join(lines)


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


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
        hints = "; ".join(f"`{key}`{did_you_mean(key, sorted(known | extra))}" for key in unknown)
        raise ParameterError(f"{origin}: unknown parameter {hints}")
