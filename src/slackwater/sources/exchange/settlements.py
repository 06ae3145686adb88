"""Interval of each funding settlement, from the times of the settlements alone.

Venues publish the interval of today only, and change it: from 8 hours to 4, 2 or 1, and back.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

__all__ = ["settlement_hours"]

#: Hours in use by venues.
_INTERVALS: Final = (1.0, 2.0, 4.0, 8.0)
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
        Time since the settlement before. Where that is not an interval of a venue, or is longer than both its
        neighbours, which agree, settlements are missing: then the interval is that of a neighbour. NaN where it cannot
        be determined.
    missing : Series of bool

    Notes
    -----
    The first settlement has nothing before it: it is given the interval of the second. The interval after a gap is
    that of the next settlement, else of the one before, so that a change within a gap is dated to its end.

    Examples
    --------
    >>> times = pd.Series(pd.to_datetime(["2024-01-01 00:00", "2024-01-01 08:00", "2024-01-01 12:00"], utc=True))
    >>> settlement_hours(times)[0].tolist()
    [8.0, 8.0, 4.0]
    """
    gaps = times.diff().dt.total_seconds().to_numpy(np.float64) / 3600.0
    hours = np.full(len(gaps), np.nan)
    for interval in _INTERVALS:
        hours[np.abs(gaps - interval) <= _TOLERANCE_HOURS] = interval
    steps = pd.Series(hours)
    before, after = steps.shift(1).to_numpy(), steps.shift(-1).to_numpy()
    hours[(hours > before) & (before == after)] = np.nan
    missing = np.isnan(hours) & ~np.isnan(gaps)
    filled = pd.Series(hours, index=times.index).bfill().ffill()
    return filled, pd.Series(missing, index=times.index)
