"""Parameters of feature families from outside, typed as their classes declare: of ``params.yaml`` and of ``--set``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from pydantic import ValidationError
from pydantic.errors import PydanticUserError

from slackwater.config.derived import section
from slackwater.config.sections import Features
from slackwater.errors import ParameterError, did_you_mean

__all__ = ["family_settings", "feature_settings", "settings_of_texts"]

_OF_THE_ENGINE = "bar_interval"


def feature_settings(features: Features, outside: Iterable[type]) -> dict[str, Any]:
    """Return the section `features` as `slackwater.features.chosen_families.default_families` takes it.

    Parameters
    ----------
    features
        The section of the effective parameters.
    outside
        The classes of the families that it names in `extra`.

    Raises
    ------
    ParameterError
        If a section is of no family, or a parameter of a family from outside is unknown, missing, of a wrong type or
        out of bounds; named ``features.<family>.<parameter>``.
    """
    given, kinds = features.extra_parameters, {kind.name: kind for kind in outside}  # type: ignore[attr-defined]
    known = [*(name for name in type(features).model_fields if not name.startswith("extra")), *kinds]
    if unknown := [name for name in given if name not in kinds]:
        raise ParameterError(
            "; ".join(f"`features.{name}`: unknown family{did_you_mean(name, known)}" for name in unknown)
        )
    typed = {name: family_settings(kind, given.get(name, {})) for name, kind in kinds.items()}
    return features.model_dump() | {"extra_parameters": typed}


def family_settings(family: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of one family from outside, as its class takes them; those left out keep their defaults.

    Parameters
    ----------
    family
        The class.
    given
        Values as YAML reads them: durations as text, lists.

    Raises
    ------
    ParameterError
        If one is unknown, missing, of a wrong type or out of bounds; named ``features.<family>.<parameter>``.
    """
    where = f"features.{family.name}"  # type: ignore[attr-defined]
    own = {each.name: each for each in fields(family) if each.init and each.name != _OF_THE_ENGINE}
    if unknown := [name for name in given if name not in own]:
        hint = did_you_mean(unknown[0], own) if own else "; the family has no parameters"
        raise ParameterError(f"`{where}.{unknown[0]}`: unknown parameter{hint}")
    needed = [n for n, f in own.items() if n not in given and f.default is MISSING and f.default_factory is MISSING]
    if needed:
        raise ParameterError(f"`{where}.{needed[0]}`: missing, and the family has no default")
    try:
        chosen = section(family, leave_out=(_OF_THE_ENGINE, *(name for name in own if name not in given)))
    except (NameError, TypeError, PydanticUserError) as error:
        reason = str(error).splitlines()[0]
        raise ParameterError(f"`{where}`: the type hints of {family.__qualname__} cannot be read: {reason}") from error
    try:
        return dict(chosen.model_validate(dict(given)))
    except ValidationError as error:
        raise ParameterError("; ".join(_sentence(where, item) for item in error.errors())) from error


def settings_of_texts(families: Iterable[type], texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the parameters that texts such as ``windows=4h,24h`` set, by name of family.

    Of several families, a text names which: ``my_family.windows=4h,24h``.

    Raises
    ------
    ParameterError
        If a text is not NAME=VALUE, sets a parameter twice, or as `family_settings`.
    """
    kinds = {kind.name: kind for kind in families}  # type: ignore[attr-defined]
    given: dict[str, dict[str, Any]] = {name: {} for name in kinds}
    for text in texts:
        key, equals, value = text.partition("=")
        family, dot, name = key.rpartition(".") if "." in key else (next(iter(kinds)), "", key)
        if not equals or not name:
            raise ParameterError(f"`--set` must be NAME=VALUE, was {text!r}")
        if family not in kinds or (len(kinds) > 1 and not dot):
            raise ParameterError(f"`--set {text}` must name one of the families, as {'|'.join(kinds)}.{name}=VALUE")
        if name in given[family]:
            raise ParameterError(f"`--set {text}`: {name} is given twice")
        given[family][name] = _value(text, value, is_list=_is_list(kinds[family], name))
    return {name: family_settings(kind, given[name]) for name, kind in kinds.items()}


def _value(text: str, value: str, *, is_list: bool) -> Any:
    try:
        read = yaml.safe_load(value)
        if is_list and not isinstance(read, list):
            return [yaml.safe_load(part) for part in value.split(",")]
    except yaml.YAMLError as error:
        raise ParameterError(f"`--set {text}` is not YAML: {' '.join(str(error).split())}") from error
    return read


def _is_list(family: type, name: str) -> bool:
    """Return whether a parameter takes several values; a name or a hint that is wrong is refused later."""
    try:
        hint = get_type_hints(family).get(name)
    except (NameError, TypeError):
        return False
    return any(get_origin(part) is tuple for part in (hint, *get_args(hint)))


def _sentence(where: str, item: Any) -> str:
    name = ".".join(map(str, (where, *item["loc"])))
    text = item["msg"].removeprefix("Value error, ")
    return f"`{name}`: {text}" if "was" in text else f"`{name}`: {text}, was {item['input']!r}"
