"""Types of single parameters: times, durations, offsets, paths and names of tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from slackwater.durations import duration_text, offset_text, parse_duration, parse_offset
from slackwater.errors import did_you_mean
from slackwater.market.tables import LAGS

__all__ = ["Duration", "InRepository", "Offset", "OptionalDuration", "Positive", "TableName", "Time"]


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"must be a path inside of the repository, was {path!r}")
    return path


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"must be a time such as 2023-01-01T00:00:00Z, was {value!r}") from None


def _table_name(name: str) -> str:
    if name not in LAGS:
        raise ValueError(f"there is no canonical table `{name}`{did_you_mean(name, LAGS)}")
    return name


Time = Annotated[datetime, BeforeValidator(_time)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text, when_used="json")]
Offset = Annotated[timedelta, BeforeValidator(parse_offset), PlainSerializer(offset_text, when_used="json")]
OptionalDuration = Annotated[
    timedelta | None,
    BeforeValidator(lambda value: None if value is None else parse_duration(value)),
    PlainSerializer(lambda value: None if value is None else duration_text(value), when_used="json"),
]
Positive = Annotated[Duration, Field(gt=timedelta(0))]
TableName = Annotated[str, AfterValidator(_table_name)]
InRepository = Annotated[str, AfterValidator(_relative)]
