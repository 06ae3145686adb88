"""Interval of each funding settlement, from the times of the settlements alone.

Venues publish the interval of today only, and change it: from 8 hours to 4, 2 or 1, and back.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

__all__ = ["settlement_hours"]

#: The longest interval that is believed at once; a longer one must recur.
_USUAL_HOURS: Final = 8.0
_LONGEST_HOURS: Final = 24.0
_RECURRING: Final = 3
#: Settlements are stamped within this of their hour.
_TOLERANCE_HOURS: Final = 1.0 / 60.0


def settlement_hours(times: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return the interval of each settlement in hours, and whether settlements before it are missing.

    Parameters
    ----------
    times
        Settlements of one symbol, ascending.

    Returns
    -------
    hours : Series of float64
        Time since the settlement before, a whole number of hours. Where settlements are missing, the interval is that
        of a neighbour. NaN where it cannot be determined.
    missing : Series of bool

    Notes
    -----
    A time between settlements is an interval if a time beside it is equal, or if it is shorter than both: a change of
    the schedule may shorten one. At the ends, and beside a gap, what is not longer than 8 hours is an interval; beyond
    8 hours three equal ones in a row are, or all of them. Elsewhere settlements are missing.

    The first settlement has nothing before it: it is given the interval of the second. The interval after a gap is
    that of the next settlement, else of the one before, so that a change within a gap is dated to its end.

    Examples
    --------
    >>> times = pd.Series(pd.to_datetime(["2024-01-01 00:00", "2024-01-01 08:00", "2024-01-01 12:00"], utc=True))
    >>> settlement_hours(times)[0].tolist()
    [8.0, 8.0, 4.0]
    """
    passed = times.diff().dt.total_seconds().to_numpy(np.float64) / 3600.0
    whole = np.round(passed)
    due = (np.abs(passed - whole) <= _TOLERANCE_HOURS) & (whole >= 1.0) & (whole <= _LONGEST_HOURS)
    steps = pd.Series(np.where(due, whole, np.nan))
    runs = steps.groupby((steps != steps.shift()).cumsum()).transform("size")
    recurs = (runs >= _RECURRING) | ((steps.iloc[1:] == steps.max()).all() and len(steps) > 2)
    steps = steps.where((steps <= _USUAL_HOURS) | recurs)
    before, after = steps.shift(1), steps.shift(-1)
    longer = before.notna() & after.notna() & ((steps > before) | (steps > after))
    hours = steps.where((steps == before) | (steps == after) | ~longer).to_numpy()
    missing = np.isnan(hours) & ~np.isnan(passed)
    filled = pd.Series(hours, index=times.index).bfill().ffill()
    return filled, pd.Series(missing, index=times.index)
