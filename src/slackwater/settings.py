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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

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
        if isinstance(value, float) and not math.isfinite(value):
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
    """Raise ParameterError if a field of a settings object is out of bounds or of another type, or fields contradict.

    Types are checked of fields of numbers, truth values, texts and durations, alone or in tuples.
    """
    for name, (optional, many, kind, bounds) in _checked(instance.__class__).items():
        value = getattr(instance, name)
        if value is None and optional:
            continue
        if kind is not None and isinstance(value, tuple) != many:
            raise ParameterError(f"`{name}` must be {'a tuple' if many else _IN_WORDS[kind]}, was {brief(value)}")
        for item in value if isinstance(value, tuple) else (value,):
            if kind is int and not isinstance(item, Integral):
                raise ParameterError(f"`{name}` must be a whole number, was {brief(item)}")
            for bound in bounds:
                _require_within(item, bound, name)
            if kind is not None and (
                not isinstance(item, _KINDS[kind]) or (isinstance(item, bool) and kind is not bool)
            ):
                raise ParameterError(f"`{name}` must be {_IN_WORDS[kind]}, was {brief(item)}")
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


_KINDS: Final[Mapping[type, type]] = {bool: bool, int: Integral, float: Real, str: str, timedelta: timedelta}
_IN_WORDS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    timedelta: "a duration",
}


@cache
def _checked(cls: type) -> dict[str, tuple[bool, bool, type | None, tuple[Within, ...]]]:
    """Return, for each field of a settings class that is checked: may be None, is a tuple, its one type, its bounds."""
    hints = get_type_hints(cls, include_extras=True)
    found = {each.name: hints[each.name] for each in fields(cls)}
    checked = {
        name: (type(None) in get_args(hint), _is_tuple(hint), _kind(hint), tuple(bounds_of(hint)))
        for name, hint in found.items()
    }
    return {name: rules for name, rules in checked.items() if rules[2] is not None or rules[3]}


def _is_tuple(hint: Any) -> bool:
    parts = () if get_origin(hint) is tuple else get_args(hint)
    return get_origin(hint) is tuple or any(_is_tuple(part) for part in parts)


def _kind(hint: Any) -> type | None:
    """Return the type that every value of a hint has, None if that is none of `_KINDS` or more than one."""
    kinds = set(_plain_types(hint)) - {type(None)}
    return kinds.pop() if len(kinds) == 1 and kinds <= set(_KINDS) else None


def _plain_types(hint: Any) -> Iterator[Any]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from _plain_types(parts[0])
    elif origin in (tuple, Union, UnionType):
        for part in parts:
            if part is not Ellipsis:
                yield from _plain_types(part)
    else:
        yield hint


def _require_within(value: Any, bounds: Within, name: str) -> None:
    try:
        holds = bounds.holds(value)
    except TypeError:
        holds = False
    if not holds:
        raise ParameterError(f"`{name}` must be {bounds}, was {brief(value)}")
