"""Block length that the dependence of a series asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slackwater.metrics._inputs import finite_values

__all__ = ["politis_white_block_length"]


def politis_white_block_length(values: ArrayLike) -> float:
    """Return the mean block length of the stationary bootstrap that is best for the mean of a series.

    Parameters
    ----------
    values : array-like of float, shape (n,)
        Values at equal distances in time, any unit, in order.

    Returns
    -------
    float
        In steps of the series, in [1, min(3 sqrt(n), n / 3)]; NaN with fewer than ten values or without any spread.

    Notes
    -----
    Politis and White (2004) with the correction of Patton, Politis and White (2009). Independent values need blocks of
    1; with the autocorrelation ``r ** k`` the length tends to ``(2 r / (1 - r ** 2)) ** (2 / 3) * n ** (1 / 3)``.

    Examples
    --------
    >>> politis_white_block_length(np.tile([1.0, 1.0, 1.0, -1.0, -1.0, -1.0], 50)) > 3.0
    True
    """
    series = finite_values(values, name="values")
    n = series.size
    if n < 10 or np.ptp(series) == 0:
        return float("nan")
    longest = int(np.ceil(np.sqrt(n)))
    quiet = max(5, int(np.sqrt(np.log10(n))))
    covariance = _autocovariances(series, min(n - 1, longest + quiet))
    # 1. The bandwidth is twice the last lag before `quiet` lags in a row without correlation.
    correlated = np.abs(covariance[1:] / covariance[0]) >= 2.0 * np.sqrt(np.log10(n) / n)
    runs = np.convolve(correlated, np.ones(quiet, dtype=int), "valid")
    silent = np.flatnonzero(runs == 0)
    # Without such a run: the last lag that is correlated.
    last = int(silent[0]) if silent.size else int(np.flatnonzero(correlated)[-1]) + 1
    bandwidth = min(2 * max(last, 1), covariance.size - 1)
    # 2. The flat-top window: 1 up to half of the bandwidth, from there down to 0 at its end.
    lag = np.arange(1, bandwidth + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - lag / bandwidth))
    weighed = window * covariance[1 : bandwidth + 1]
    slope, spectrum = 2.0 * float(weighed @ lag), float(covariance[0] + 2.0 * weighed.sum())
    if spectrum == 0.0:
        return float("nan")
    # 3. The length that has the least mean squared error of the variance.
    length = (slope / spectrum) ** 2
    return float(np.clip(length ** (1 / 3) * n ** (1 / 3), 1.0, min(3.0 * np.sqrt(n), n / 3.0)))


def _autocovariances(series: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    centred = series - series.mean()
    return np.array([centred[: series.size - lag] @ centred[lag:] for lag in range(longest + 1)]) / series.size
