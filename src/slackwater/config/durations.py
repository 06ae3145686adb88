"""Durations as they are written in ``params.yaml``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

__all__ = ["duration_text", "offset_text", "parse_duration", "parse_offset"]

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_OFFSET = re.compile(r"([+-])(\d{2}):([0-5]\d)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(value: Any) -> timedelta:
    """Return the duration that a text such as ``24h`` or ``5m30s`` stands for.

    Raises
    ------
    ValueError
        If it is not one, a bare number included: a number would be a count of bars.

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
    parts = (int(n) * _UNITS[u] for n, u in zip(match.groups(), "dhms", strict=True) if n)
    return timedelta(seconds=sum(parts))


def duration_text(value: timedelta) -> str:
    """Return a duration as `parse_duration` reads it.

    Examples
    --------
    >>> duration_text(timedelta(days=2)), duration_text(timedelta(minutes=90))
    ('2d', '1h30m')
    """
    seconds = int(value.total_seconds())
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_offset(value: Any) -> timedelta:
    """Return how far the clock of a text such as ``+06:00`` is ahead of UTC.

    Raises
    ------
    ValueError
        If it is not one, or over 14 hours.

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
