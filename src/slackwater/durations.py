"""Durations as text: the grammar of ``params.yaml``, and the short names in which feature names end."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from slackwater.times import DAY, HOUR, MINUTE, SECOND

__all__ = ["duration_name", "duration_text", "offset_text", "parse_duration", "parse_offset"]

_UNITS: Final = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND}
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_OFFSET: Final = re.compile(r"([+-])(\d{2}):([0-5]\d)")


def parse_duration(value: Any) -> timedelta:
    """Return the duration that a text such as ``24h`` or ``5m30s`` stands for.

    Raises
    ------
    ValueError
        If it is not a duration; a bare number is refused, since it could be a count of bars.

    Examples
    --------
    >>> parse_duration("5m30s")
    datetime.timedelta(seconds=330)
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"must be a duration such as 24h, 30d or 5m30s, was {value!r}")
    try:
        parts = (int(count) * unit for count, unit in zip(match.groups(), _UNITS.values(), strict=True) if count)
        return sum(parts, timedelta(0))
    except (OverflowError, ValueError):  # Python refuses to read over 4,300 digits
        raise ValueError(f"must be a duration of at most {timedelta.max.days} days, was {value[:40]!r}") from None


def duration_text(value: timedelta) -> str:
    """Return a duration in whole seconds as `parse_duration` reads it.

    Examples
    --------
    >>> duration_text(timedelta(days=2)), duration_text(timedelta(minutes=90))
    ('2d', '1h30m')
    """
    parts = []
    for name, unit in _UNITS.items():
        count, value = divmod(value, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def duration_name(value: timedelta) -> str:
    """Return the short name of a duration in one unit, hours up to three days, as feature names end in it.

    `parse_duration` reads it too.

    Examples
    --------
    >>> duration_name(timedelta(hours=24)), duration_name(timedelta(days=7)), duration_name(timedelta(minutes=5))
    ('24h', '7d', '5m')
    """
    fitting = (name for name, unit in _UNITS.items() if not value % unit and (name != "d" or value > 3 * DAY))
    name = next(fitting, "s")
    return f"{value // _UNITS[name]}{name}"


def parse_offset(value: Any) -> timedelta:
    """Return how far the clock of a text such as ``+06:00`` is ahead of UTC.

    Raises
    ------
    ValueError
        If it is not an offset, or over 14 hours.

    Examples
    --------
    >>> parse_offset("-05:30") / timedelta(hours=1)
    -5.5
    """
    if isinstance(value, timedelta):
        return value
    match = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3])) if match else timedelta.max
    if match is None or offset > timedelta(hours=14):
        raise ValueError(f'must be an offset from UTC such as "+06:00", was {value!r}')
    return offset if match[1] == "+" else -offset


def offset_text(value: timedelta) -> str:
    """Return an offset as `parse_offset` reads it.

    Examples
    --------
    >>> offset_text(timedelta(hours=-5.5))
    '-05:30'
    """
    minutes = round(abs(value) / timedelta(minutes=1))
    return f"{'-' if value < timedelta(0) else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
