"""Stamps in whatever form a file has them become UTC."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError

__all__ = ["Clock", "utc"]

UNITS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Ticks per second. Between 2001 and 2100 no number fits two of them."""
EARLIEST: Final = 1e9
LATEST: Final = 4.1e9


class Clock(str):
    """Form of the stamps of a file, such as ``ms since 1970``."""


def utc(values: pd.Series, where: str, offset: timedelta | None) -> tuple[pd.Series, Clock]:
    """Return stamps as UTC, and the form in which they were.

    Parameters
    ----------
    values
        Times, ISO 8601 text, or numbers since 1970 in s, ms, us or ns, recognised by their size.
    where
        File and column, for messages.
    offset
        How far the clock of the file is ahead of UTC. None: the stamps state their zone, or count from 1970.

    Raises
    ------
    SchemaError
        If a stamp is missing or is not a time, numbers do not share a unit, or times state no zone and `offset` is
        None.
    """
    if values.isna().any():
        row = int(np.flatnonzero(values.isna().to_numpy())[0])
        raise SchemaError(f"{where} lacks a time in {int(values.isna().sum())} rows, the first is row {row}")
    if pd.api.types.is_bool_dtype(values):
        raise SchemaError(f"{where} must hold times, holds `{values.dtype}`")
    if pd.api.types.is_numeric_dtype(values):
        times, form = _since_1970(values, where)
    elif pd.api.types.is_datetime64_any_dtype(values):
        times, form = values, "times"
    else:
        times, form = _text(values, where), "ISO 8601"
    if times.dt.tz is None:
        if offset is None:
            raise SchemaError(
                f"{where} must hold timezone-aware times (UTC), holds naive times, first {times.head(3).tolist()}; "
                'give how far they are ahead of UTC, such as `utc_offset: "+00:00"`'
            )
        times, form = times.dt.tz_localize("UTC"), f"{form}, naive"
    times = times.dt.tz_convert("UTC").dt.as_unit("us")
    if offset:
        times = times - offset
        form = f"{form}, {_signed(offset)} of UTC"
    return times, Clock(form)


def _since_1970(values: pd.Series, where: str) -> tuple[pd.Series, str]:
    number = values.astype("float64")
    for unit, ticks in UNITS.items():
        if number.between(EARLIEST * ticks, LATEST * ticks).all():
            if values.dtype.kind in "iu":
                return pd.to_datetime(values, unit=unit, utc=True), f"{unit} since 1970"
            # Whole microseconds: a float of seconds holds no more.
            exact = np.round(number.to_numpy() / ticks * 1e6).astype(np.int64)
            return pd.Series(pd.to_datetime(exact, unit="us", utc=True), index=values.index), f"{unit} since 1970"
    raise SchemaError(
        f"{where} must hold times since 1970, all in s, ms, us or ns, between 2001 and 2100; holds "
        f"{number.min():.17g} to {number.max():.17g}"
    )


def _text(values: pd.Series, where: str) -> pd.Series:
    texts = values.map(lambda value: isinstance(value, str)).to_numpy(dtype=bool)
    if texts.any():
        # pandas takes "now" and "today" for times.
        strange = values[~texts | ~values.astype("str").str.match(r"\s*\d").to_numpy(dtype=bool)]
        if len(strange):
            raise SchemaError(f"{where} must hold ISO 8601 times of one zone: {strange.iloc[0]!r:.60} is not one")
    try:
        return pd.to_datetime(values, format="ISO8601")
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise SchemaError(f"{where} must hold ISO 8601 times of one zone: {reason}") from error


def _signed(offset: timedelta) -> str:
    minutes = round(offset / timedelta(minutes=1))
    return f"{'+' if minutes >= 0 else '-'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
