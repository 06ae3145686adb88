"""Stamps in whatever form a file has them become UTC."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.times import MINUTE_US, SECOND_US, epochs_us
from slackwater.types import Ints

__all__ = ["Clock", "utc"]

UNITS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Ticks per second. Between 2001 and 2100 no number fits two of them."""
EARLIEST: Final = 1e9
LATEST: Final = 4.1e9
ROUNDED: Final = 100 * SECOND_US
"""A spreadsheet that shows 1.70927E+12 stores multiples of 10^5 to 10^7 ms, all of them multiples of 100 s."""
FEWEST: Final = 5

_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_EXPONENT: Final = re.compile(r"[+-]?\d+(?:\.(\d*))?[eE]\+?(\d+)")
_DATE: Final = r"\s*\d{4}-\d{2}(?:-\d{2})?\s*"
_MOMENT: Final = r"\s*\d{4}-?\d{2}-?\d{2}[T ]\s*\d{2}.*"
_ZONE: Final = r"[T ]\s*\d{2}.*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)\s*$"


class Clock(str):
    """Form of the stamps of a file, such as ``ms since 1970``."""

    @property
    def naive(self) -> bool:
        """Whether the stamps name no zone."""
        return ", naive" in self


def utc(
    values: pd.Series, where: str, offset: timedelta | None, *, dates_begin: bool = False
) -> tuple[pd.Series, Clock]:
    """Return stamps as UTC, and the form in which they were.

    Parameters
    ----------
    values
        Times, ISO 8601 text, or numbers since 1970 in s, ms, us or ns, recognised by their size.
    where
        File and column, for messages.
    offset
        How far the clock of the file is ahead of UTC, for stamps that name no zone. None: they state their zone, or
        count from 1970.
    dates_begin
        Whether a bare date stands for the first moment of its day; else it is refused.

    Raises
    ------
    SchemaError
        If a stamp is missing, is not a time or is a bare date, numbers do not share a unit, stamps were rounded by a
        spreadsheet, or times state no zone and `offset` is None.
    """
    if values.isna().any():
        row = int(np.flatnonzero(values.isna().to_numpy())[0])
        raise SchemaError(f"{where} lacks a time in {int(values.isna().sum())} rows, the first is row {row}")
    if pd.api.types.is_bool_dtype(values):
        raise SchemaError(f"{where} must hold times, holds `{values.dtype}`")
    values = _counted(values, where)
    if pd.api.types.is_numeric_dtype(values):
        times, form = _since_1970(values, where)
    elif pd.api.types.is_datetime64_any_dtype(values):
        times, form = values, "times"
    else:
        times, form = _text(values, where, dates_begin), "ISO 8601"
    if times.dt.tz is None:
        if offset is None:
            raise SchemaError(
                f"{where} must hold timezone-aware times (UTC), holds naive times, first {times.head(3).tolist()}; "
                'give how far they are ahead of UTC, such as `utc_offset: "+00:00"`'
            )
        # An offset belongs to stamps that name no zone alone.
        times, form = times.dt.tz_localize("UTC") - offset, f"{form}, naive"
        form = f"{form}, {_signed(offset)} of UTC" if offset else form
    times = times.dt.tz_convert("UTC").dt.as_unit("us")
    _refuse_rounded(epochs_us(times), where)
    return times, Clock(form)


def _counted(values: pd.Series, where: str) -> pd.Series:
    """Return the text of numbers as numbers.

    Raises
    ------
    SchemaError
        If it is written with an exponent that stands for lost digits.
    """
    if values.dtype == "category":
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values) or values.empty:
        return values
    cells = values.map(lambda value: value.strip() if isinstance(value, str) else "")
    if not cells.map(lambda cell: _NUMBER.fullmatch(cell) is not None).all():
        return values
    for row, match in enumerate(cells.map(_EXPONENT.fullmatch)):
        if match is not None and len(match[1] or "") < int(match[2]):
            raise SchemaError(
                f"{where} is written with an exponent, {cells.iloc[row]} in row {row}: a spreadsheet cut its digits "
                "off; export the stamps as text or as whole numbers"
            )
    whole = cells.map(str.isdigit).all() and cells.map(len).max() < len(str(2**63))
    return cells.astype("int64" if whole else "float64")


def _since_1970(values: pd.Series, where: str) -> tuple[pd.Series, str]:
    if values.dtype.kind == "f" and values.dtype.itemsize < 8:
        raise SchemaError(f"{where} holds `{values.dtype}`, which is too coarse for times; store them as int64")
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


def _text(values: pd.Series, where: str, dates_begin: bool) -> pd.Series:
    dates = values.map(lambda value: isinstance(value, date) and not isinstance(value, datetime)).to_numpy(dtype=bool)
    if dates.any():
        values = values.mask(dates, values[dates].map(str))
    texts = values.map(lambda value: isinstance(value, str)).to_numpy(dtype=bool)
    if texts.any():
        bare = values.astype("str").str.fullmatch(_DATE).to_numpy(dtype=bool)
        if bare.any() and not (dates_begin and bare.all()):
            raise SchemaError(
                f"{where} holds bare dates, such as {values[bare].iloc[0]!r}, and a date is not a moment; give each "
                "stamp its time of day, or name the column as `open_time` with `bar_length: 1d` if each row covers a "
                "day that begins at 00:00"
            )
        # pandas takes "now" and "today" for times.
        strange = values[~texts | ~(bare | values.astype("str").str.fullmatch(_MOMENT).to_numpy(dtype=bool))]
        if len(strange):
            raise SchemaError(f"{where} must hold ISO 8601 times of one zone: {strange.iloc[0]!r:.60} is not one")
        zoned = values.astype("str").str.contains(_ZONE, regex=True).to_numpy(dtype=bool)
        if zoned.any() and not zoned.all():
            raise SchemaError(
                f"{where} must hold ISO 8601 times of one zone: {values[~zoned].iloc[0]!r:.60} names none, "
                f"{values[zoned].iloc[0]!r:.60} does"
            )
    try:
        return pd.to_datetime(values, format="ISO8601", utc=bool(texts.any() and zoned.all()))
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise SchemaError(f"{where} must hold ISO 8601 times of one zone: {reason}") from error


def _refuse_rounded(stamps: Ints, where: str) -> None:
    """Raise SchemaError if stamps off the whole minute are multiples of 100 s, as a spreadsheet leaves them."""
    odd = stamps[stamps % MINUTE_US != 0]
    if len(odd) >= FEWEST and (odd % ROUNDED == 0).mean() > 0.9:
        raise SchemaError(
            f"{where}: its stamps are rounded to {_largest(odd)} s, {len(np.unique(stamps)):,} different ones in "
            f"{len(stamps):,} rows; a spreadsheet cut their digits off (1.70927E+12): export them as whole numbers"
        )


def _largest(stamps: Ints) -> int:
    sizes = (10_000, 1_000, 100)
    return next((size for size in sizes if (stamps % (size * SECOND_US) == 0).mean() > 0.9), sizes[-1])


def _signed(offset: timedelta) -> str:
    minutes = round(offset / timedelta(minutes=1))
    return f"{'+' if minutes >= 0 else '-'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
