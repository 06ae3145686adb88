"""Significance of a result, given its uncertainty and the number of trials.

The block bootstrap gives the uncertainty; the deflated Sharpe ratio and combinatorially symmetric
cross-validation account for the number of trials (method, section 3.5).
All of them raise `DataError` if a value is not finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from slackwater.errors import ParameterError
from slackwater.metrics._block_length import politis_white_block_length
from slackwater.metrics._bootstrap import (
    FEWEST_BLOCKS,
    Interval,
    Stretch,
    block_bootstrap_indices,
    bootstrap_difference,
    bootstrap_interval,
    ece_quantile_under_perfect_calibration,
    interval_of_draws,
)
from slackwater.metrics._inputs import finite_values, refuse

__all__ = [
    "FEWEST_BLOCKS",
    "BacktestOverfitting",
    "DetectableEffect",
    "Interval",
    "Stretch",
    "block_bootstrap_indices",
    "bootstrap_difference",
    "bootstrap_interval",
    "deflated_sharpe_ratio",
    "ece_quantile_under_perfect_calibration",
    "expected_maximum_sharpe_ratio",
    "interval_of_draws",
    "minimum_detectable_effect",
    "minimum_track_record_length",
    "politis_white_block_length",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
]

# 12,870 splits; two blocks more would be 48,620.
_MOST_BLOCKS = 16
_SHARPES_AT_ONCE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class DetectableEffect:
    """Effect that a sample of this size could detect.

    Attributes
    ----------
    smallest_effect_bps : float
        Smallest mean, in basis points per trade, that would have reached the t value.
    years_needed : float
        Years of data at the same rate of trades for the effect in question to reach the t value.
    """

    smallest_effect_bps: float
    years_needed: float


@dataclass(frozen=True, kw_only=True)
class BacktestOverfitting:
    """Outcome of combinatorially symmetric cross-validation.

    Attributes
    ----------
    probability : float
        PBO: share of splits in which the best trial in sample is at or below the median out of sample, in [0, 1].
    probability_of_loss : float
        Share of splits in which the best trial in sample has an out-of-sample Sharpe ratio <= 0, in [0, 1].
    neutral : float
        PBO of trials of which none is better than another, in [1/2, 2/3]: 1/2, and somewhat more for an odd number of
        trials, as the middle rank counts as overfitted. A PBO is read beside it; only 0 is far from it.
    splits : int
        Splits examined; 0 with a single trial, to which none of this applies (the shares are then NaN).
    """

    probability: float
    probability_of_loss: float
    neutral: float
    splits: int


def probabilistic_sharpe_ratio(returns: ArrayLike, *, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark.

    Parameters
    ----------
    returns : array-like of float, shape (n,)
        Returns per period, any unit, taken as independent: where trades overlap, give one per day rather than one per
        trade.
    benchmark : float, default 0
        Sharpe ratio per period, not annualised.

    Returns
    -------
    float
        In [0, 1]; NaN with fewer than three returns or without any spread.

    Examples
    --------
    >>> probabilistic_sharpe_ratio([0.01, -0.01, 0.01, -0.01])
    0.5
    """
    values = finite_values(returns, name="returns")
    ratio, variance = _sharpe_ratio(values)
    if np.isnan(variance):
        return float("nan")
    return float(norm.cdf((ratio - benchmark) * np.sqrt(values.size - 1) / np.sqrt(variance)))


def minimum_track_record_length(returns: ArrayLike, *, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Return the number of periods after which returns like these would show a Sharpe ratio above a benchmark.

    Parameters
    ----------
    returns, benchmark
        As in `probabilistic_sharpe_ratio`.
    confidence : float, default 0.95
        Probability to be reached, in (0.5, 1).

    Returns
    -------
    float
        Periods, >= 1: with as many, the probabilistic Sharpe ratio is `confidence`. inf if the Sharpe ratio of the
        returns does not exceed the benchmark; NaN with fewer than three returns or without any spread.

    Raises
    ------
    ParameterError
        If `confidence` is out of bounds.

    Examples
    --------
    >>> round(minimum_track_record_length([0.02, -0.01, 0.015, -0.005, 0.01, 0.0]), 1)
    16.5
    """
    if not 0.5 < confidence < 1.0:
        raise ParameterError(f"`confidence` must be in (0.5, 1), was {confidence}")
    ratio, variance = _sharpe_ratio(finite_values(returns, name="returns"))
    if ratio <= benchmark:
        return float("inf")
    return float(1.0 + variance * (norm.ppf(confidence) / (ratio - benchmark)) ** 2)


def _sharpe_ratio(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the Sharpe ratio per period and the variance of its estimate times n - 1; NaN where there is none."""
    if values.size < 3 or np.ptp(values) == 0:
        return float("nan"), float("nan")
    centred = values - values.mean()
    spread = np.sqrt(np.mean(centred**2))
    skewness, kurtosis = np.mean(centred**3) / spread**3, np.mean(centred**4) / spread**4
    ratio = float(values.mean() / values.std(ddof=1))
    variance = float(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    return ratio, variance if variance > 0 else float("nan")


def expected_maximum_sharpe_ratio(trial_variance: float, n_trials: float) -> float:
    """Return the expected largest Sharpe ratio of several trials without an edge.

    Parameters
    ----------
    trial_variance : float
        Variance of the Sharpe ratios (a period) over the trials, >= 0.
    n_trials : float
        Number of independent trials, >= 1; may be a fraction where correlated trials are counted as clusters.

    Returns
    -------
    float
        >= 0; 0 for one trial.

    Raises
    ------
    ParameterError
        If an argument is out of bounds.

    Examples
    --------
    >>> round(expected_maximum_sharpe_ratio(0.01, 100), 4)
    0.2531
    """
    if not trial_variance >= 0:
        raise ParameterError(f"`trial_variance` must be >= 0, was {trial_variance}")
    if not n_trials >= 1:
        raise ParameterError(f"`n_trials` must be >= 1, was {n_trials}")
    if n_trials == 1:
        return 0.0
    quantiles = norm.ppf([1 - 1 / n_trials, 1 - 1 / (n_trials * np.e)])
    expected = np.sqrt(trial_variance) * ((1 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])
    # The asymptotic formula dips below zero for less than about one and a half trials.
    return max(0.0, float(expected))


def deflated_sharpe_ratio(returns: ArrayLike, *, trial_sharpe_ratios: ArrayLike, n_trials: int | None = None) -> float:
    """Return the probability that the true Sharpe ratio exceeds what the best of all trials would reach by chance.

    Parameters
    ----------
    returns : array-like of float, shape (n,)
        Returns per period of the chosen trial, as in `probabilistic_sharpe_ratio`.
    trial_sharpe_ratios : array-like of float, shape (n_trials,)
        Sharpe ratio per period, not annualised, of every trial made, the chosen one among them; at least two that
        differ. A single trial needs no deflation: that is `probabilistic_sharpe_ratio`.
    n_trials : int, optional
        Number of trials where some have no ratio, such as one that failed; at least that of the ratios, the default.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ParameterError
        If there are fewer than two different ratios: their variance, which deflates, is then not known. If there are
        more ratios than trials.

    Examples
    --------
    >>> returns = [0.02, -0.01, 0.015, -0.005, 0.01, 0.0]
    >>> round(deflated_sharpe_ratio(returns, trial_sharpe_ratios=[0.4, 0.1, -0.2]), 3)
    0.644
    """
    ratios = finite_values(trial_sharpe_ratios, name="trial_sharpe_ratios")
    if np.unique(ratios).size < 2:
        raise ParameterError(
            f"`trial_sharpe_ratios` must hold at least two ratios that differ, held {ratios.size}: one has no variance "
            "to deflate by; give those of all trials, or use `probabilistic_sharpe_ratio` for a single one"
        )
    tried = ratios.size if n_trials is None else n_trials
    if tried < ratios.size:
        raise ParameterError(f"`n_trials` must be at least the number of ratios, {ratios.size}, was {tried}")
    variance = float(ratios.var(ddof=1))
    return probabilistic_sharpe_ratio(returns, benchmark=expected_maximum_sharpe_ratio(variance, tried))


def minimum_detectable_effect(
    standard_error_bps: float, *, years: float, t: float = 3.0, effect_bps: float = 15.0
) -> DetectableEffect:
    """Return the smallest detectable effect, and the years of data that a given effect needs (method, section 3.2).

    Parameters
    ----------
    standard_error_bps : float
        Standard error of the mean, clustered or from the block bootstrap, basis points per trade, >= 0 or NaN.
    years : float
        Length of the sample, > 0.
    t : float, default 3
        t value to be reached, > 0.
    effect_bps : float, default 15
        Effect in question, basis points per trade, > 0.

    Returns
    -------
    DetectableEffect
        NaN where the standard error is.

    Raises
    ------
    ParameterError
        If an argument is out of bounds.

    Examples
    --------
    >>> minimum_detectable_effect(10.0, years=4.0)
    DetectableEffect(smallest_effect_bps=30.0, years_needed=16.0)
    """
    for name, value in {"years": years, "t": t, "effect_bps": effect_bps}.items():
        if not value > 0:
            raise ParameterError(f"`{name}` must be > 0, was {value}")
    if standard_error_bps < 0:
        raise ParameterError(f"`standard_error_bps` must be >= 0, was {standard_error_bps}")
    smallest = t * standard_error_bps
    return DetectableEffect(smallest_effect_bps=smallest, years_needed=years * (smallest / effect_bps) ** 2)


def probability_of_backtest_overfitting(trial_returns: ArrayLike, *, blocks: int = 16) -> BacktestOverfitting:
    """Return the probability that choosing the best trial in sample was overfitting, by symmetric cross-validation.

    Parameters
    ----------
    trial_returns : array-like of float, shape (n_periods, n_trials)
        Returns of every trial over the same periods, in order of time.
    blocks : int, default 16
        Blocks of time, even, in [2, 16].

    Returns
    -------
    BacktestOverfitting
        Not applicable (NaN, 0 splits) with one trial. A trial that never trades has a Sharpe ratio of 0.

    Raises
    ------
    ParameterError
        If `blocks` is odd or out of bounds, or there are fewer than two periods per block.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=(400, 3))
    >>> probability_of_backtest_overfitting(noise + [0.0, 0.0, 1.0], blocks=4)
    BacktestOverfitting(probability=0.0, probability_of_loss=0.0, neutral=0.6666666666666666, splits=6)
    """
    returns = np.asarray(trial_returns, dtype=np.float64)
    if blocks % 2 or not 2 <= blocks <= _MOST_BLOCKS:
        raise ParameterError(f"`blocks` must be even and in [2, {_MOST_BLOCKS}], was {blocks}")
    if returns.ndim != 2 or returns.shape[1] < 1:
        raise ParameterError(f"`trial_returns` must have the shape (n_periods, n_trials), was {returns.shape}")
    if returns.shape[0] < 2 * blocks:
        raise ParameterError(f"`trial_returns` must have two periods per block, {2 * blocks}, had {len(returns)}")
    refuse(~np.isfinite(returns), returns, "`trial_returns` must be finite")
    n_trials = returns.shape[1]
    if n_trials == 1:
        return BacktestOverfitting(probability=np.nan, probability_of_loss=np.nan, neutral=np.nan, splits=0)

    parts = np.array_split(returns, blocks)
    moments = np.array([[np.full(n_trials, len(part)), part.sum(0), (part**2).sum(0)] for part in parts])
    in_sample = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(in_sample), blocks))
    np.put_along_axis(chosen, in_sample, 1.0, axis=1)
    ranks, results = [], []
    # A few splits at a time: all of them for thousands of trials would fill the memory.
    for some in np.array_split(chosen, math.ceil(chosen.shape[0] * n_trials / _SHARPES_AT_ONCE)):
        best = np.argmax(_sharpe_ratios(some, moments), axis=1)
        outside = _sharpe_ratios(1.0 - some, moments)
        split = np.arange(len(best))
        ranks.append(rankdata(outside, axis=1)[split, best] / (n_trials + 1))
        results.append(outside[split, best])
    rank, result = np.concatenate(ranks), np.concatenate(results)
    return BacktestOverfitting(
        probability=float(np.mean(rank <= 0.5)),
        probability_of_loss=float(np.mean(result <= 0)),
        neutral=(n_trials + 1) // 2 / n_trials,
        splits=len(rank),
    )


def _sharpe_ratios(chosen: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sharpe ratio of each trial over the chosen blocks of each split, from count, sum and sum of squares."""
    n, total, squares = np.einsum("sb,bmt->mst", chosen, moments)
    mean = total / n
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    without_spread = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.divide(mean, deviation, out=without_spread, where=deviation > 0)
