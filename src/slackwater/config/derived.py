"""Sections of ``params.yaml`` derived from settings classes, so that a type, a default or a bound is written once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from datetime import timedelta
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, create_model, model_validator

from slackwater.durations import duration_text, parse_duration
from slackwater.settings import Within

__all__ = ["Section", "SettingsSection", "section"]


class Section(BaseModel):
    """A section: frozen, strictly typed, without unknown keys, infinities or NaN; lists become tuples."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SettingsSection(Section):
    """A section that holds the fields of one settings class; every key must be there."""

    settings_class: ClassVar[type]
    is_whole: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _holds_together(self) -> SettingsSection:
        if self.is_whole:
            self.build()
        return self

    def build(self, **more: Any) -> Any:
        """Return the settings object; `more` are fields that the section leaves out.

        Raises
        ------
        ParameterError
            If fields contradict each other.
        """
        return self.settings_class(**dict(self), **more)


def section(settings_class: type, *, leave_out: Iterable[str] = ()) -> type[SettingsSection]:
    """Return the section of a settings class: the same names, types and bounds, durations as text such as ``24h``.

    Parameters
    ----------
    settings_class
        A dataclass; see `slackwater.settings`.
    leave_out
        Fields that do not come from ``params.yaml``. A class with such fields, if they have no default, checks
        itself only when it is built.
    """
    hints = get_type_hints(settings_class, include_extras=True)
    left_out = set(leave_out)
    wanted: dict[str, Any] = {
        each.name: (_annotation(hints[each.name]), ...)
        for each in fields(settings_class)
        if each.init and each.name not in left_out
    }
    made = create_model(settings_class.__name__, __base__=SettingsSection, __doc__=settings_class.__doc__, **wanted)
    made.settings_class = settings_class
    made.is_whole = not any(
        each.name in left_out and each.default is MISSING and each.default_factory is MISSING
        for each in fields(settings_class)
    )
    return made


def _annotation(hint: Any) -> Any:
    """Return what pydantic should check for a type hint of a settings class."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [_field(item) for item in hint.__metadata__ if isinstance(item, Within)]
        return Annotated[(_annotation(parts[0]), *bounds)] if bounds else _annotation(parts[0])
    if origin in (Union, UnionType):
        return reduce(or_, (_annotation(part) for part in parts))
    if origin is tuple:
        return tuple[tuple(part if part is Ellipsis else _annotation(part) for part in parts)]  # type: ignore[misc]  # built at run time
    if hint is timedelta:
        return Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text, when_used="json")]
    return hint


def _field(bounds: Within) -> Any:
    return Field(gt=bounds.gt, ge=bounds.ge, lt=bounds.lt, le=bounds.le)
