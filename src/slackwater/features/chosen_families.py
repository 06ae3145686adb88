"""The families of a run: those of the library with their parameters, then those from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from slackwater.errors import ParameterError
from slackwater.features.extra import load_class, require_family, spec_of
from slackwater.features.families import FAMILIES, LIBRARY_NAMES
from slackwater.features.family import Family

__all__ = ["default_families", "families_needed", "with_needs"]


def default_families(
    bar_interval: timedelta,
    *,
    extra: Sequence[str | type[Family]] = (),
    extra_parameters: Mapping[str, Mapping[str, Any]] | None = None,
    **overrides: Mapping[str, Any],
) -> tuple[Family, ...]:
    """Return every family of the library with its default windows, then those from outside.

    Parameters
    ----------
    bar_interval
        Spacing of the feature bars.
    extra, extra_parameters
        Families from outside, as classes or names ``module:Class`` whose modules are imported, and their parameters by
        family name.
    **overrides
        Parameters by family name, such as ``triggers={"move_window": timedelta(hours=24)}``.

    Raises
    ------
    ParameterError
        On an unknown family or parameter, or a family from outside that cannot be run.
    """
    known = LIBRARY_NAMES
    if unknown := sorted(set(overrides) - set(known)):
        raise ParameterError(f"unknown feature families {unknown}; there are {[*known]}")
    given = dict(extra_parameters or {})
    outside = [load_class(each) if isinstance(each, str) else each for each in extra]
    for kind in outside:
        require_family(kind, taken=known)
    if unknown := sorted(set(given) - {kind.name for kind in outside}):
        raise ParameterError(
            f"features: unknown families {unknown}; there are {[*known]} and {[*map(spec_of, outside)]}"
        )
    parameters = {**overrides, **given}
    return tuple(_built(kind, bar_interval, parameters.get(kind.name, {})) for kind in (*FAMILIES, *outside))


def _built(kind: type[Family], bar_interval: timedelta, parameters: Mapping[str, Any]) -> Family:
    """Return a family with its parameters, or an error that names them as ``params.yaml`` does."""
    where = f"features.{kind.name}"
    try:
        return kind(bar_interval=bar_interval, **parameters)
    except ParameterError as error:
        text = str(error)
        raise ParameterError(
            text.replace(f"`{kind.name}.", f"`{where}.") if kind.name in text else f"{where}: {text}"
        ) from error
    except Exception as error:  # a check of the user's own
        name = "" if isinstance(error, TypeError) else f"{type(error).__name__}: "
        raise ParameterError(f"{where}: {name}{error}") from error


def families_needed(
    kinds: type[Family] | Sequence[type[Family]],
    bar_interval: timedelta,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Family, ...]:
    """Return families from outside after those of the library that they need, with their default windows.

    Parameters
    ----------
    kinds
        One class, or several in the order in which they run: a family stands after those that it needs.
    bar_interval, parameters
        Spacing of the feature bars, and the parameters by name of family.
    """
    wanted = [kinds] if isinstance(kinds, type) else list(kinds)
    given = default_families(bar_interval, extra=wanted, extra_parameters=parameters)
    return with_needs(given, [kind.name for kind in wanted])


def with_needs(families: Sequence[Family], names: Iterable[str]) -> tuple[Family, ...]:
    """Return the families of some names, and those that they need, directly and through others."""
    needed = set(names)
    while more := {need for family in families if family.name in needed for need in family.needs} - needed:
        needed |= more
    return tuple(family for family in families if family.name in needed)
