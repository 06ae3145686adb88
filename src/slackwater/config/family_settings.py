"""Parameters of a feature family from the command line, as its class declares them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from slackwater.config.derived import section
from slackwater.errors import ParameterError

__all__ = ["family_settings"]


def family_settings(family: type, texts: Iterable[str]) -> dict[str, Any]:
    """Return the parameters that texts such as ``windows=4h,24h`` set.

    Raises
    ------
    ParameterError
        If a text is not NAME=VALUE, or the family has no such parameter, or not such a value.
    """
    given: dict[str, Any] = {}
    own = section(family, leave_out=("bar_interval",))
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"`--set` must be NAME=VALUE, was {text!r}")
        if name not in own.model_fields:
            raise ParameterError(f"`--set {text}`: the family has no {name}; it has {list(own.model_fields)}")
        is_list = str(own.model_fields[name].annotation).startswith("tuple")
        parts = [yaml.safe_load(part) for part in value.split(",")]
        given[name] = tuple(parts) if is_list else yaml.safe_load(value)
    try:
        chosen = section(family, leave_out=("bar_interval", *(n for n in own.model_fields if n not in given)))
        return dict(chosen.model_validate(given))
    except ValidationError as error:
        lines = [
            f"`--set {'.'.join(map(str, e['loc']))}`: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        ]
        raise ParameterError("; ".join(lines)) from error
