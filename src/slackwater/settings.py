"""Settings written once: a frozen dataclass states the type, the default and the bounds of each field.

The class is the schema. Its own constructor checks it, and `slackwater.config` derives the section of ``params.yaml``
from it, so that neither repeats a default, a bound or a name::

    @settings
    class SizingRules:
        risk_fraction: Annotated[float, Within(gt=0.0, le=0.02)] = 0.01
        depth_fraction: Annotated[float, Within(gt=0.0, le=1.0)] | None = 0.02  # None turns the rule off

A class with rules across fields gives them a method ``_check_together(self) -> None`` that raises ParameterError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from slackwater.errors import ParameterError
from slackwater.numbers import brief

__all__ = ["PositiveDuration", "Within", "bounds_of", "check_settings", "settings"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Bounds of a number or a duration; None leaves a side open. A bounded number is finite."""

    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None

    def holds(self, value: Any) -> bool:
        """Return whether a value lies within the bounds; NaN and infinities never do."""
        if isinstance(value, float) and not _finite(value):
            return False
        return (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )

    def __str__(self) -> str:
        """Return the bounds in words, such as ``> 0 and <= 0.02``."""
        sides = ((">", self.gt), (">=", self.ge), ("<", self.lt), ("<=", self.le))
        texts = (
            f"{sign} {bound:g}" if isinstance(bound, float) else f"{sign} {bound}"
            for sign, bound in sides
            if bound is not None
        )
        return " and ".join(texts) or "finite"


PositiveDuration = Annotated[timedelta, Within(gt=timedelta(0))]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[_T]) -> type[_T]:
    """Make a class of annotated fields a frozen dataclass that refuses values outside of their bounds."""
    if "__post_init__" not in vars(cls):
        setattr(cls, "__post_init__", check_settings)  # noqa: B010  (mypy knows no such attribute)
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


def check_settings(instance: Any) -> None:
    """Raise ParameterError if a field of a settings object has another type or is out of bounds, or fields clash.

    Types are as strict as in ``params.yaml``: text is not a number, True is not 1, a list is not a tuple, and no number
    is NaN or infinite.
    """
    for name, lacking in _checks(instance.__class__):
        value = getattr(instance, name)
        if wanted := lacking(value):
            raise ParameterError(f"`{name}` must be {wanted}, was {brief(value)}")
    together = getattr(instance, "_check_together", None)
    if together is not None:
        together()


def bounds_of(hint: Any) -> Iterator[Within]:
    """Yield the bounds in a type hint, those of the items of a tuple and of the other side of ``| None`` included."""
    if get_origin(hint) is Annotated:
        yield from (item for item in hint.__metadata__ if isinstance(item, Within))
    for part in get_args(hint):
        if part is not type(None) and not isinstance(part, Within):
            yield from bounds_of(part)


_Check = Callable[[Any], str]
"""Tells what a value must be and is not, in words; empty if it is."""


@cache
def _checks(cls: type) -> tuple[tuple[str, _Check], ...]:
    """Return the check of each field of a settings class: hints are read once, as settings are made for every trade.

    Raises
    ------
    ParameterError
        If a hint names what its module does not have.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, TypeError) as error:
        raise ParameterError(f"the type hints of {cls.__qualname__} cannot be read: {error}") from error
    return tuple((each.name, _check_of(hints[each.name])) for each in fields(cls))


def _check_of(hint: Any, bounds: tuple[Within, ...] = ()) -> _Check:
    """Return the check of a type hint."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _check_of(parts[0], (*bounds, *(item for item in hint.__metadata__ if isinstance(item, Within))))
    if origin in (Union, UnionType):
        return _any_of([_check_of(part, bounds) for part in parts])
    if origin is Literal:
        allowed = {(type(part), part) for part in parts}
        return lambda value: "" if any((type(value), value) == each for each in allowed) else _one_of(parts)
    if origin is tuple:
        return _check_of_tuple(parts, bounds)
    kind = origin or hint
    if kind in _NAMES:
        return _check_of_kind(kind, bounds)
    if not isinstance(kind, type):
        return lambda value: ""
    wanted = "None" if kind is NoneType else f"of type {kind.__name__}"
    return lambda value: "" if isinstance(value, kind) else wanted


def _any_of(checks: list[_Check]) -> _Check:
    def lacking(value: Any) -> str:
        wanted = ""
        for check in checks:
            found = check(value)
            if not found:
                return ""
            wanted = wanted or found
        return wanted

    return lacking


def _check_of_kind(kind: type, bounds: tuple[Within, ...]) -> _Check:
    within = " and ".join(map(str, bounds))

    def lacking(value: Any) -> str:
        if not _is_a(value, kind):
            return within if within and kind is not int else _NAMES[kind]
        return "" if all(bound.holds(value) for bound in bounds) else within

    return lacking


def _check_of_tuple(parts: tuple[Any, ...], bounds: tuple[Within, ...]) -> _Check:
    any_length = parts[-1:] == (Ellipsis,)
    checks = [_check_of(part, bounds) for part in (parts[:1] if any_length else parts)]

    def lacking(value: Any) -> str:
        if not isinstance(value, tuple):
            return "a tuple"
        if not any_length and len(value) != len(checks):
            return f"a tuple of {len(checks)}"
        of_items = checks * len(value) if any_length else checks
        return next(filter(None, (check(item) for item, check in zip(value, of_items, strict=True))), "")

    return lacking


_NAMES: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    timedelta: "a duration (timedelta)",
}


def _is_a(value: Any, kind: type) -> bool:
    if type(value) is kind:  # the usual case, without the slow look at abstract classes
        return kind is not float or _finite(value)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _finite(value)
    return isinstance(value, kind)


def _finite(value: Any) -> bool:
    """Return whether a number is finite as a float; whole numbers beyond it, such as 10**400, are not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _one_of(values: tuple[Any, ...]) -> str:
    return f"one of {', '.join(map(repr, values))}"
