"""Results of trades over time, with standard errors clustered by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from slackwater.metrics._inputs import check_same_length, finite_values
from slackwater.times import DAY_US, require_times_us

__all__ = [
    "ClusteredMean",
    "halves_positive",
    "positive_quarter_share",
    "stamp_weighted_mean",
    "trade_weighted_mean",
]


@dataclass(frozen=True, kw_only=True)
class ClusteredMean:
    """A mean with its standard error clustered by UTC day.

    Attributes
    ----------
    mean, standard_error : float
        In the unit of the values.
    t : float
        mean / standard_error.
    days : int
        Days with at least one value, the clusters; with fewer than two the error and t are NaN.
    """

    mean: float
    standard_error: float
    t: float
    days: int


def halves_positive(net: ArrayLike, times: Any) -> tuple[bool, bool]:
    """Return whether the first and the second half of the time each had a positive net result.

    Parameters
    ----------
    net : array-like of float, shape (n_trades,)
        Net result of each trade, any unit.
    times : array-like of datetime64, shape (n_trades,)
        Time of each trade, in any order. Times without a zone are read as UTC.

    Returns
    -------
    tuple of bool
        First half, second half; cut midway between the first and the last trade. A half without trades earned
        none.

    Raises
    ------
    ParameterError
        If the lengths differ.
    DataError
        If a result is not finite or a time is missing.

    Examples
    --------
    >>> import numpy as np
    >>> halves_positive([1.0, -2.0], np.array(["2024-01-01", "2024-06-01"], dtype="datetime64[us]"))
    (True, False)
    """
    values, stamps = _values_at(net, times)
    if values.size == 0:
        return False, False
    first = stamps <= (stamps.min() + stamps.max()) // 2
    return bool(values[first].sum() > 0), bool(values[~first].sum() > 0)


def positive_quarter_share(net: ArrayLike, times: Any) -> float:
    """Return the share of calendar quarters with a positive net result.

    Parameters
    ----------
    net, times
        As in `halves_positive`.

    Returns
    -------
    float
        In [0, 1], of the quarters (UTC) from the first to the last trade; one without trades earned none. NaN
        without trades.

    Raises
    ------
    ParameterError
        If the lengths differ.
    DataError
        If a result is not finite or a time is missing.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.array(["2024-01-01", "2024-04-01", "2024-12-01"], dtype="datetime64[us]")
    >>> positive_quarter_share([1.0, -2.0, 3.0], times)
    0.5
    """
    values, stamps = _values_at(net, times)
    if values.size == 0:
        return float("nan")
    when = pd.DatetimeIndex(stamps.astype("datetime64[us]"))
    quarter = (when.year * 4 + when.quarter).to_numpy(dtype=np.int64)
    return float(np.mean(np.bincount(quarter - quarter.min(), weights=values) > 0))


def trade_weighted_mean(net: ArrayLike, times: Any) -> ClusteredMean:
    """Return the mean result per trade, with the standard error clustered by UTC day.

    Parameters
    ----------
    net, times
        As in `halves_positive`.

    Returns
    -------
    ClusteredMean
        NaN without trades.

    Raises
    ------
    ParameterError
        If the lengths differ.
    DataError
        If a result is not finite or a time is missing.

    Notes
    -----
    CR1: SE² = G / (G - 1) sum_g (sum_{i in g} (x_i - mean))² / n² over the G days.

    References
    ----------
    A. C. Cameron and D. L. Miller, *A practitioner's guide to cluster-robust inference*, Journal of Human
    Resources 50 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> times = np.datetime64("2024-01-01") + np.arange(4) * np.timedelta64(1, "D")
    >>> trade_weighted_mean([1.0, 3.0, 1.0, 3.0], times).mean
    2.0
    """
    return _clustered_by_day(*_values_at(net, times))


def stamp_weighted_mean(net: ArrayLike, times: Any) -> ClusteredMean:
    """Return the mean result per entry time, all trades of one time counting as one, clustered by UTC day.

    Parameters
    ----------
    net, times
        As in `halves_positive`.

    Returns
    -------
    ClusteredMean
        NaN without trades.

    Raises
    ------
    ParameterError
        If the lengths differ.
    DataError
        If a result is not finite or a time is missing.

    Notes
    -----
    Report it beside `trade_weighted_mean`: only the comparison shows a result that depends on the few times at which
    every symbol had an event.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.array(["2024-01-01", "2024-01-01", "2024-01-02"], dtype="datetime64[us]")
    >>> stamp_weighted_mean([6.0, 6.0, 0.0], times).mean
    3.0
    """
    values, stamps = _values_at(net, times)
    distinct, which = np.unique(stamps, return_inverse=True)
    return _clustered_by_day(np.bincount(which, weights=values) / np.bincount(which), distinct)


def _clustered_by_day(values: NDArray[np.float64], stamps: NDArray[np.int64]) -> ClusteredMean:
    n = values.size
    mean = float(values.mean()) if n else float("nan")
    _, which = np.unique(stamps // DAY_US, return_inverse=True)
    sums = np.bincount(which, weights=values - mean)
    days = sums.size
    if days < 2:
        return ClusteredMean(mean=mean, standard_error=float("nan"), t=float("nan"), days=days)
    error = float(np.sqrt(days / (days - 1) * np.sum(sums**2)) / n)
    return ClusteredMean(mean=mean, standard_error=error, t=mean / error if error > 0 else float("nan"), days=days)


def _values_at(net: ArrayLike, times: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, stamps = finite_values(net, name="net"), require_times_us(times, name="times")
    check_same_length(stamps, values, "times", "net")
    return values, stamps
