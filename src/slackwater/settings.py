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
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from numbers import Integral
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from slackwater.errors import ParameterError

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
    """Raise ParameterError if a field of a settings object is out of bounds, or fields contradict each other."""
    for name, (optional, whole, bounds) in _bounded(instance.__class__).items():
        value = getattr(instance, name)
        if value is None and optional:
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if whole and not isinstance(item, Integral):
                raise ParameterError(f"`{name}` must be a whole number, was {item!r}")
            for bound in bounds:
                _require_within(item, bound, name)
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


@cache
def _bounded(cls: type) -> dict[str, tuple[bool, bool, tuple[Within, ...]]]:
    """Return, for each bounded field of a settings class: may be None, must be whole, and its bounds."""
    hints = get_type_hints(cls, include_extras=True)
    found = {each.name: tuple(bounds_of(hints[each.name])) for each in fields(cls)}
    return {
        name: (type(None) in get_args(hints[name]), _is_whole(hints[name]), bounds)
        for name, bounds in found.items()
        if bounds
    }


def _is_whole(hint: Any) -> bool:
    return hint is int or any(_is_whole(part) for part in get_args(hint))


def _require_within(value: Any, bounds: Within, name: str) -> None:
    try:
        holds = bounds.holds(value)
    except TypeError:
        holds = False
    if not holds:
        raise ParameterError(f"`{name}` must be {bounds}, was {value!r}")
