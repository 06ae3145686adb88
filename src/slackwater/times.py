"""Durations and times in whole microseconds, the resolution of every time in the project.

A time is an aware ``datetime64[us, UTC]`` (or `Timestamp`) at the surface and an ``int64`` count of microseconds since
1970-01-01 UTC inside; a duration is a `timedelta` at the surface and an ``int`` count of microseconds inside.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import DataError, ParameterError
from slackwater.types import Ints

__all__ = [
    "DAY",
    "DAY_US",
    "EARLIEST",
    "HOUR",
    "HOUR_US",
    "LATEST",
    "MINUTE",
    "MINUTE_US",
    "SECOND",
    "SECOND_US",
    "epoch_us",
    "epochs_us",
    "microseconds",
    "parse_time",
    "require_times_us",
    "timestamp",
    "timestamps",
]

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

EARLIEST: Final = pd.Timestamp("2009-01-03", tz="UTC")
LATEST: Final = pd.Timestamp("2100-01-01", tz="UTC")
"""Range of plausible stamps, from the first block of Bitcoin. Milliseconds read as microseconds fall into 1970."""

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(duration: timedelta) -> int:
    """Return a duration in whole microseconds, rounded down.

    Examples
    --------
    >>> microseconds(timedelta(seconds=5))
    5000000
    """
    return duration // _MICROSECOND


def epoch_us(time: datetime) -> int:
    """Return an aware time in microseconds since 1970-01-01 UTC.

    Examples
    --------
    >>> epoch_us(pd.Timestamp("1970-01-01T00:00:01Z"))
    1000000
    """
    if isinstance(time, pd.Timestamp):
        try:
            return int(time.value) // 1_000  # nanoseconds, whatever the unit of the timestamp
        except OverflowError:  # a time after 2262
            return microseconds(time - timestamp(0))
    return microseconds(time - timestamp(0))


def epochs_us(times: Any) -> Ints:
    """Return a Series or DatetimeIndex of times in microseconds since 1970-01-01 UTC, shape (n,).

    The times are trusted: a missing one becomes the smallest int64. See `require_times_us` for the checking form.
    """
    return np.asarray(pd.DatetimeIndex(times).as_unit("us").asi8)


def require_times_us(times: Any, *, name: str) -> Ints:
    """Return times in microseconds since 1970-01-01 UTC, shape (n,); times without a zone are read as UTC.

    Raises
    ------
    ParameterError
        If the values are not of a datetime64 type. Numbers are refused: they would pass for nanoseconds since 1970.
    DataError
        If a time is missing. Both messages name the argument or column, `name`.
    """
    values = pd.Series(times)
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise ParameterError(f"`{name}` must hold datetime64 values, was {values.dtype}")
    missing = np.flatnonzero(values.isna().to_numpy())
    if missing.size:
        raise DataError(f"`{name}` must hold no missing time; rows {missing[:5].tolist()} do")
    return epochs_us(values)


def parse_time(text: str, name: str) -> pd.Timestamp:
    """Return the time that an ISO 8601 text stands for; without a zone it is UTC.

    Raises
    ------
    ParameterError
        If the text is not a time, or one outside of 2009 to 2099; the message names the option or key, `name`.

    Examples
    --------
    >>> parse_time("2024-06-01T12:00Z", "--at")
    Timestamp('2024-06-01 12:00:00+0000', tz='UTC')
    """
    try:
        time = pd.Timestamp(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise ParameterError(f"`{name}` must be a time such as 2024-06-01 or 2024-06-01T12:00Z, was {text!r}") from None
    if not 2009 <= time.year < 2100:
        raise ParameterError(f"`{name}` must lie between 2009 and 2100, was {text!r}")
    return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")


def timestamp(time_us: int) -> pd.Timestamp:
    """Return the UTC time that is this many microseconds after 1970-01-01.

    Examples
    --------
    >>> timestamp(1_000_000)
    Timestamp('1970-01-01 00:00:01+0000', tz='UTC')
    """
    return pd.Timestamp(_EPOCH + timedelta(microseconds=int(time_us)))  # three times as fast as by `unit`


def timestamps(times_us: Ints) -> pd.DatetimeIndex:
    """Return the UTC times that are these many microseconds after 1970-01-01, ``datetime64[us, UTC]``."""
    return pd.DatetimeIndex(times_us.astype("datetime64[us]")).tz_localize("UTC")
