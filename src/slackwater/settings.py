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
    for name, hint in _hints(instance.__class__).items():
        value = getattr(instance, name)
        if wanted := _lacking(value, hint):
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


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the type hints of the fields of a settings class.

    Raises
    ------
    ParameterError
        If a hint names what its module does not have.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, TypeError) as error:
        raise ParameterError(f"the type hints of {cls.__qualname__} cannot be read: {error}") from error
    return {each.name: hints[each.name] for each in fields(cls)}


def _lacking(value: Any, hint: Any, bounds: tuple[Within, ...] = ()) -> str:
    """Return what a value must be and is not, in words; empty if it is."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _lacking(value, parts[0], (*bounds, *(item for item in hint.__metadata__ if isinstance(item, Within))))
    if origin in (Union, UnionType):
        wanted = [_lacking(value, part, bounds) for part in parts]
        return "" if "" in wanted else wanted[0]
    if origin is Literal:
        return "" if any(value == part and type(value) is type(part) for part in parts) else _one_of(parts)
    if origin is tuple:
        return _lacking_of_tuple(value, parts, bounds)
    kind = origin or hint
    if kind in _NAMES:
        lacking = not _is_a(value, kind)
        words = " and ".join(map(str, bounds)) if bounds and (kind is not int or not lacking) else _NAMES[kind]
        return words if lacking or not all(bound.holds(value) for bound in bounds) else ""
    if not isinstance(kind, type) or isinstance(value, kind):
        return ""
    return "None" if kind is NoneType else f"of type {kind.__name__}"


def _lacking_of_tuple(value: Any, parts: tuple[Any, ...], bounds: tuple[Within, ...]) -> str:
    if not isinstance(value, tuple):
        return "a tuple"
    if parts[-1:] != (Ellipsis,) and len(value) != len(parts):
        return f"a tuple of {len(parts)}"
    hints = parts[:1] * len(value) if parts[-1:] == (Ellipsis,) else parts
    return next(filter(None, (_lacking(item, hint, bounds) for item, hint in zip(value, hints, strict=True))), "")


_NAMES: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    timedelta: "a duration (timedelta)",
}


def _is_a(value: Any, kind: type) -> bool:
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
