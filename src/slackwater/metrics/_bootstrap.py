"""Stationary block bootstrap on calendar time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from slackwater.errors import ParameterError
from slackwater.metrics._inputs import classes_and_probabilities
from slackwater.metrics.classification import auc, auc_from_counts, calibration_bins
from slackwater.times import DAY, DAY_US, require_times_us

__all__ = [
    "FEWEST_BLOCKS",
    "Interval",
    "Stretch",
    "block_bootstrap_indices",
    "bootstrap_difference",
    "bootstrap_interval",
    "ece_quantile_under_perfect_calibration",
    "interval_of_draws",
]

_MEAN_BLOCK = 14 * DAY
FEWEST_BLOCKS = 6
"""Mean blocks that a calendar must have for an interval: with fewer, its own width is hardly known."""
# A statistic that is undefined in more of the draws than this has no interval.
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Percentile interval of a bootstrap, stretched for the length of the calendar (`Stretch`).

    Attributes
    ----------
    low, high : float
        Bounds, in the unit of the statistic; NaN where the sample is too short to give any. On a short calendar they
        may lie beyond what the statistic can reach, such as 1 for an AUC.
    standard_error : float
        Standard deviation over the draws, times `Stretch.of_error`.
    draws : int
        Draws in which the statistic was defined.
    """

    low: float
    high: float
    standard_error: float
    draws: int


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Factors that undo what the draws of blocks from a short calendar lack (method, section 3.3).

    Attributes
    ----------
    of_error : float
        True standard error over that of the draws, for days without memory: in a sample, days that follow one another
        are correlated negatively about its own mean, and blocks keep that.
    degrees_of_freedom : float
        Of the variance of the draws, whose own error matters where there are few blocks.

    Examples
    --------
    >>> stretch = Stretch.of(182, mean_block=timedelta(days=14))
    >>> round(stretch.of_error, 3), round(stretch.degrees_of_freedom, 1), round(stretch.of_bound(0.95), 3)
    (1.077, 14.5, 1.174)
    """

    of_error: float
    degrees_of_freedom: float

    @classmethod
    def of(cls, days: int, *, mean_block: timedelta) -> Stretch:
        """Return the factors of a calendar of so many days, more than `mean_block`."""
        lag = np.arange(1, days)
        # Weight of the sample's autocovariance at each lag in the variance of a drawn mean (Politis and Romano 1994).
        weight = (1.0 - lag / days) * (1.0 - DAY / mean_block) ** lag
        kept = 1.0 - 1.0 / days - 2.0 / days * float(weight.sum())
        return cls(of_error=kept**-0.5, degrees_of_freedom=days / (1.0 + 2.0 * float(weight @ weight)))

    def of_bound(self, confidence: float) -> float:
        """Return the factor on the distance of a bound from the estimate: that of the error, and Student's."""
        upper = (1.0 + confidence) / 2.0
        return self.of_error * float(t.ppf(upper, self.degrees_of_freedom) / norm.ppf(upper))

    def bounds(self, estimate: float, draws: NDArray[np.float64], *, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of an estimate: the percentiles of its draws, stretched about it."""
        low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
        factor = self.of_bound(confidence)
        return estimate + factor * float(low - estimate), estimate + factor * float(high - estimate)


def block_bootstrap_indices(
    times: Any, *, mean_block: timedelta = _MEAN_BLOCK, draws: int = 2000, seed: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Draw rows in blocks of calendar time, the rows of all symbols together (method, section 3.3).

    Parameters
    ----------
    times : array-like of datetime64, shape (n,)
        Time of each row, in any order. Times without a zone are read as UTC.
    mean_block : timedelta, default 14 days
        Mean length of a block, >= 1 day.
    draws : int, default 2000
        Number of draws, >= 1.
    seed : int, default 0
        The same seed gives the same draws.

    Returns
    -------
    iterator of ndarray of int64
        Positions in `times`, one array per draw, in the order of the drawn days. Draws differ in length, as
        days differ in the number of their events.

    Raises
    ------
    ParameterError
        If `mean_block` is shorter than a day, `draws` is below 1, or `times` is empty or not of times.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.datetime64("2024-01-01") + np.arange(5) * np.timedelta64(1, "D")
    >>> [rows.size for rows in block_bootstrap_indices(times, mean_block=timedelta(days=2), draws=3)]
    [5, 5, 5]
    """
    if mean_block < DAY:
        raise ParameterError(f"`mean_block` must be >= 1 day, was {mean_block}")
    if draws < 1:
        raise ParameterError(f"`draws` must be >= 1, was {draws}")
    stamps = require_times_us(times, name="times")
    if stamps.size == 0:
        raise ParameterError("`times` must hold at least one time, was empty")
    return _draw(stamps, restart=DAY / mean_block, draws=draws, seed=seed)


def _draw(stamps: NDArray[np.int64], *, restart: float, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    day = stamps // DAY_US
    day -= day.min()
    by_time = np.argsort(stamps, kind="stable")
    rows_a_day = np.bincount(day)
    first_row = np.cumsum(rows_a_day) - rows_a_day
    days = rows_a_day.size
    place = np.arange(days)
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        restarts = rng.random(days) < restart
        restarts[0] = True
        block_begin = np.maximum.accumulate(np.where(restarts, place, 0))
        drawn = (rng.integers(days, size=days)[block_begin] + place - block_begin) % days
        sizes = rows_a_day[drawn]
        offset = first_row[drawn] - (np.cumsum(sizes) - sizes)
        yield by_time[np.repeat(offset, sizes) + np.arange(sizes.sum())]


def bootstrap_interval(
    statistic: Callable[..., float],
    times: Any,
    *arrays: ArrayLike,
    mean_block: timedelta = _MEAN_BLOCK,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the interval of a statistic under the stationary block bootstrap (method, section 3.3).

    The distances of the percentiles from the statistic of the sample are stretched by `Stretch.of_bound`, which keeps
    the coverage near `confidence` from six mean blocks on (``campaigns/interval_coverage.py``).

    Parameters
    ----------
    statistic : callable
        ``statistic(*arrays) -> float``; it is given the drawn rows of each array. `auc` of
        `slackwater.metrics.classification` is recognised and sorts its scores once for all draws.
    times : array-like of datetime64, shape (n,)
        Time of each row.
    *arrays : array-like, shape (n,)
        What the statistic takes.
    mean_block, draws, seed
        As in `block_bootstrap_indices`.
    confidence : float, default 0.95
        In (0, 1).

    Returns
    -------
    Interval
        All NaN with 0 draws where the calendar is shorter than six mean blocks; NaN bounds where the
        statistic is undefined in the sample, or in more than 5 % of the draws.

    Raises
    ------
    ParameterError
        If an array differs in length from `times`, or an argument is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.datetime64("2024-01-01") + np.arange(400) * np.timedelta64(1, "D")
    >>> interval = bootstrap_interval(np.mean, times, np.arange(400) % 2, draws=200)
    >>> interval.low < 0.5 < interval.high, interval.draws
    (True, 200)
    """
    return _interval(_on_rows(statistic, arrays, n_rows=len(times)), times, mean_block, draws, seed, confidence)


def bootstrap_difference(
    statistic: Callable[..., float],
    times: Any,
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    *,
    mean_block: timedelta = _MEAN_BLOCK,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the interval of ``statistic(*first) - statistic(*second)``, both on the same drawn rows.

    Parameters
    ----------
    statistic, times
        As in `bootstrap_interval`.
    first, second : sequence of array-like, each of shape (n,)
        What the statistic takes, for the two things compared, such as ``(y, p_model)`` and ``(y, p_price_only)``.
    mean_block, draws, seed, confidence
        As in `bootstrap_interval`, whose errors are those of this function too.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.datetime64("2024-01-01") + np.arange(400) * np.timedelta64(1, "D")
    >>> x = np.arange(400.0)
    >>> interval = bootstrap_difference(np.mean, times, (x + 1,), (x,), draws=50)
    >>> round(interval.low, 6), round(interval.high, 6)
    (1.0, 1.0)
    """
    one, other = (_on_rows(statistic, arrays, n_rows=len(times)) for arrays in (first, second))
    return _interval(lambda rows: one(rows) - other(rows), times, mean_block, draws, seed, confidence)


def interval_of_draws(
    estimate: float, values: ArrayLike, *, days: int, mean_block: timedelta = _MEAN_BLOCK, confidence: float = 0.95
) -> Interval:
    """Return the interval of a statistic whose values on the draws are known: for many statistics of the same draws.

    Parameters
    ----------
    estimate
        The statistic of the sample.
    values : array-like of float, shape (draws,)
        The statistic on each draw of `block_bootstrap_indices`; NaN where it is undefined.
    days
        Days of the calendar, from the first time to the last.
    mean_block, confidence
        As in `bootstrap_interval`, whose result this is.
    """
    _check_probability(confidence, "confidence")
    given = np.asarray(values, dtype=np.float64)
    if days * DAY < FEWEST_BLOCKS * mean_block:
        return _bounded(estimate, np.empty(0), None, given.size, confidence)
    return _bounded(estimate, given[~np.isnan(given)], Stretch.of(days, mean_block=mean_block), given.size, confidence)


def ece_quantile_under_perfect_calibration(
    y: ArrayLike,
    p: ArrayLike,
    times: Any,
    *,
    quantile: float = 0.99,
    bins: int = 10,
    mean_block: timedelta = _MEAN_BLOCK,
    draws: int = 2000,
    seed: int = 0,
) -> float:
    """Return the calibration error that a perfect forecast stays below in most samples (method, section 3.1).

    Parameters
    ----------
    y, p
        As in `slackwater.metrics.classification.auc`; `p` in [0, 1].
    times : array-like of datetime64, shape (n,)
        Time of each row.
    quantile : float, default 0.99
        In (0, 1).
    bins : int, default 10
        Bins of the expected calibration error, >= 1.
    mean_block, draws, seed
        As in `block_bootstrap_indices`.

    Returns
    -------
    float
        Quantile of the expected calibration error, times `Stretch.of_error`, in [0, 1]; NaN where the calendar is
        shorter than six mean blocks.

    Raises
    ------
    ParameterError
        If the lengths differ or an argument is out of bounds.
    DataError
        If `p` is not in [0, 1] or `y` is not 0 or 1.
    """
    truth, probability = classes_and_probabilities(y, p)
    _check_probability(quantile, "quantile")
    which = calibration_bins(probability, bins=bins)
    residual = truth - probability
    rows_a_bin = np.bincount(which, minlength=bins)
    residual -= (np.bincount(which, weights=residual, minlength=bins) / np.maximum(rows_a_bin, 1))[which]

    def error(rows: NDArray[np.int64]) -> float:
        sums = np.bincount(which[rows], weights=residual[rows])
        return float(np.abs(sums).sum() / rows.size) if rows.size else float("nan")

    _check_length(truth, len(times))
    values, stretch = _replicates(error, times, mean_block, draws, seed)
    return min(1.0, stretch.of_error * float(np.quantile(values, quantile))) if values.size else float("nan")


def _on_rows(
    statistic: Callable[..., float], arrays: Sequence[ArrayLike], *, n_rows: int
) -> Callable[[NDArray[np.int64]], float]:
    given = [np.asarray(array) for array in arrays]
    for array in given:
        _check_length(array, n_rows)
    if statistic is auc:  # sorts its scores once for all draws
        of_counts = auc_from_counts(*given)
        return lambda rows: of_counts(np.bincount(rows, minlength=n_rows))
    return lambda rows: float(statistic(*(array[rows] for array in given)))


def _check_length(array: NDArray[Any], n_rows: int) -> None:
    if array.shape[:1] != (n_rows,):
        raise ParameterError(f"every array must have one row per time, {n_rows}, one had the shape {array.shape}")


def _check_probability(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise ParameterError(f"`{name}` must be in (0, 1), was {value}")


def _replicates(
    statistic: Callable[[NDArray[np.int64]], float], times: Any, mean_block: timedelta, draws: int, seed: int
) -> tuple[NDArray[np.float64], Stretch]:
    """Return the defined values of the statistic over the draws, none if the calendar is too short, and its stretch."""
    samples = block_bootstrap_indices(times, mean_block=mean_block, draws=draws, seed=seed)
    days = int(np.ptp(require_times_us(times, name="times") // DAY_US)) + 1
    if days * DAY < FEWEST_BLOCKS * mean_block:
        return np.empty(0), Stretch(of_error=np.nan, degrees_of_freedom=np.nan)
    values = np.array([statistic(rows) for rows in samples])
    return values[~np.isnan(values)], Stretch.of(days, mean_block=mean_block)


def _interval(
    statistic: Callable[[NDArray[np.int64]], float],
    times: Any,
    mean_block: timedelta,
    draws: int,
    seed: int,
    confidence: float,
) -> Interval:
    _check_probability(confidence, "confidence")
    values, stretch = _replicates(statistic, times, mean_block, draws, seed)
    return _bounded(statistic(np.arange(len(times))), values, stretch, draws, confidence)


def _bounded(
    estimate: float, values: NDArray[np.float64], stretch: Stretch | None, draws: int, confidence: float
) -> Interval:
    """Return the interval of an estimate from the defined values of its draws."""
    if stretch is None or values.size < max(2.0, (1 - _MOST_UNDEFINED) * draws) or np.isnan(estimate):
        return Interval(low=np.nan, high=np.nan, standard_error=np.nan, draws=values.size)
    low, high = stretch.bounds(estimate, values, confidence=confidence)
    error = stretch.of_error * float(values.std(ddof=1))
    return Interval(low=low, high=high, standard_error=error, draws=values.size)
