"""Discrimination and calibration of probabilities; AUC and average precision are those of scikit-learn.

All of them raise `ParameterError` if lengths differ or an argument is out of bounds, and `DataError` if a value of `y`
is not 0 or 1, or one of `p` not finite or out of its range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from slackwater.errors import ParameterError
from slackwater.metrics._inputs import classes_and_probabilities, classes_and_scores, refuse
from slackwater.metrics._ranking import tie_groups, weighted_auc
from slackwater.metrics._reliability import ReliabilityLine, reliability_line

__all__ = [
    "ReliabilityLine",
    "auc",
    "auc_from_counts",
    "auc_within",
    "average_precision",
    "brier_skill",
    "calibration_bins",
    "expected_calibration_error",
    "overconfidence",
    "reliability_line",
]


def auc(y: ArrayLike, p: ArrayLike) -> float:
    """Return the area under the ROC curve (scikit-learn).

    Parameters
    ----------
    y : array-like of int or bool, shape (n,)
        0 or 1.
    p : array-like of float, shape (n,)
        Any finite score; ties count one half.

    Returns
    -------
    float
        In [0, 1]; NaN unless both classes are present.

    Examples
    --------
    >>> auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    truth, score = classes_and_scores(y, p)
    return float(roc_auc_score(truth, score)) if _both_classes(truth) else float("nan")


def _both_classes(truth: NDArray[np.float64]) -> bool:
    return bool(truth.size) and float(np.ptp(truth)) > 0.0


def auc_from_counts(y: ArrayLike, p: ArrayLike) -> Callable[[NDArray[Any]], float]:
    """Return the AUC as a function of how often each row is counted.

    The scores are sorted once, so that each of the thousands of draws of a bootstrap costs O(n).

    Parameters
    ----------
    y, p
        As in `auc`.

    Returns
    -------
    callable
        ``counts -> float`` with `counts` an array of shape (n,), >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> auc_from_counts([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])(np.array([1, 1, 2, 1]))
    0.8333333333333334
    """
    truth, score = classes_and_scores(y, p)
    order, group = tie_groups(score)
    positive = truth[order]
    return lambda counts: weighted_auc(positive, group, np.asarray(counts, dtype=np.float64)[order])


def auc_within(y: ArrayLike, p: ArrayLike, group: ArrayLike) -> float:
    """Return the AUC over pairs of rows of the same group, such as a fold: what pooling the groups adds is left out.

    Parameters
    ----------
    y, p
        As in `auc`.
    group : array-like of int, shape (n,)
        Group of each row.

    Returns
    -------
    float
        In [0, 1]; NaN unless a group contains both classes.

    Examples
    --------
    >>> auc_within([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.9], [0, 0, 1, 1])
    1.0
    """
    truth, score = classes_and_scores(y, p)
    _, which = np.unique(group, return_inverse=True)
    if which.shape != truth.shape:
        raise ParameterError(f"`group` must be one number per row, {truth.shape}, was {which.shape}")
    won = pairs = 0.0
    for rows in (which == each for each in range(which.max(initial=-1) + 1)):
        positive = float(truth[rows].sum())
        here = positive * (float(rows.sum()) - positive)
        if here:
            won, pairs = won + here * auc(truth[rows], score[rows]), pairs + here
    return won / pairs if pairs else float("nan")


def average_precision(y: ArrayLike, p: ArrayLike) -> float:
    """Return the average precision (scikit-learn); parameters, range and errors are those of `auc`.

    Examples
    --------
    >>> average_precision([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8])
    0.8333333333333333
    """
    truth, score = classes_and_scores(y, p)
    return float(average_precision_score(truth, score)) if _both_classes(truth) else float("nan")


def brier_skill(y: ArrayLike, p: ArrayLike, base_rate: ArrayLike) -> float:
    """Return the Brier skill score against the constant forecast of the training base rate (method, section 3.1).

    Parameters
    ----------
    y, p
        As in `auc`; `p` in [0, 1].
    base_rate : float, or array-like of shape (n,)
        Share of positives in the rows on which `p` was fitted, never in the rows that are scored, in [0, 1];
        one value per row where the folds of a walk-forward had different ones.

    Returns
    -------
    float
        At most 1. Positive: better than the base rate. NaN without rows, or if the base rate is without error.

    Notes
    -----
    The denominator is not r (1 - r): where the base rates of training and scored rows differ, a constant forecast would
    earn a skill of its own.

    Examples
    --------
    >>> brier_skill([0, 1, 1, 0], [0.25, 0.75, 0.75, 0.25], 0.5)
    0.75
    """
    truth, probability = classes_and_probabilities(y, p)
    reference = np.asarray(base_rate, dtype=np.float64)
    if reference.ndim and reference.shape != truth.shape:
        raise ParameterError(f"`base_rate` must be one number or one per row, {truth.shape}, was {reference.shape}")
    refuse(~((reference >= 0) & (reference <= 1)), reference, "`base_rate` must be in [0, 1]")
    if truth.size == 0:
        return float("nan")
    error = float(np.mean((reference - truth) ** 2))
    return 1.0 - float(np.mean((probability - truth) ** 2)) / error if error > 0 else float("nan")


def calibration_bins(p: ArrayLike, *, bins: int = 10) -> NDArray[np.int64]:
    """Return the bin of each row, in bins of equally many rows.

    Parameters
    ----------
    p : array-like of float, shape (n,)
        Probabilities.
    bins : int, default 10
        Number of bins, >= 1.

    Returns
    -------
    ndarray of int64, shape (n,)
        In [0, bins). Rows of one probability share a bin, so that neither the order of the rows nor the plateaus of an
        isotonic calibration move the error; with many ties some bins hold more rows than others, or none.

    Examples
    --------
    >>> calibration_bins([0.1, 0.2, 0.3, 0.3], bins=2)
    array([0, 0, 1, 1])
    """
    if bins < 1:
        raise ParameterError(f"`bins` must be >= 1, was {bins}")
    order, group = tie_groups(np.asarray(p, dtype=np.float64))
    n = order.size
    # The middle of a group of ties decides for all of it; without ties row k of n goes into bin floor(k bins
    # / n).
    sizes = np.bincount(group)
    middle = np.cumsum(sizes) - (sizes + 1) // 2
    which = np.empty(n, dtype=np.int64)
    which[order] = (middle * bins // max(n, 1))[group]
    return which


def expected_calibration_error(y: ArrayLike, p: ArrayLike, *, bins: int = 10) -> float:
    """Return the expected calibration error over bins of equally many rows (method, section 3.1).

    Parameters
    ----------
    y, p
        As in `auc`; `p` in [0, 1].
    bins : int, default 10
        Number of bins, >= 1.

    Returns
    -------
    float
        In [0, 1]; NaN without rows. A perfectly calibrated forecast does not reach 0 on a finite sample:
        compare with `slackwater.metrics.selection.ece_quantile_under_perfect_calibration`.

    Examples
    --------
    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], bins=2), 3)
    0.175
    """
    truth, probability = classes_and_probabilities(y, p)
    if truth.size == 0:
        return float("nan")
    residual = np.bincount(calibration_bins(probability, bins=bins), weights=truth - probability)
    return float(np.abs(residual).sum() / truth.size)


def overconfidence(y: ArrayLike, p: ArrayLike, *, bins: int = 10) -> float:
    """Return the part of the expected calibration error by which probabilities are too far from the base rate.

    A bin counts where its mean probability lies beyond its share of ones, seen from the share of ones of all rows.
    Probabilities that stay too close to the base rate add nothing: whoever acts on them is not misled about their
    chances (method, section 3.6).

    Parameters
    ----------
    y, p
        As in `auc`; `p` in [0, 1].
    bins : int, default 10
        Number of bins of equally many rows, >= 1.

    Returns
    -------
    float
        In [0, 1], at most `expected_calibration_error`; NaN without rows.

    Examples
    --------
    >>> round(overconfidence([0, 0, 0, 1, 0, 1, 1, 1], [0.1] * 4 + [0.9] * 4, bins=2), 3)  # 1 and 3 of 4 happened
    0.15
    >>> overconfidence([0, 0, 0, 1, 0, 1, 1, 1], [0.4] * 4 + [0.6] * 4, bins=2)
    0.0
    """
    truth, probability = classes_and_probabilities(y, p)
    if truth.size == 0:
        return float("nan")
    which, base = calibration_bins(probability, bins=bins), truth.mean()
    too_high = np.bincount(which, weights=probability - truth)
    beyond = np.bincount(which, weights=probability - base)
    return float(np.maximum(too_high * np.sign(beyond), 0.0).sum() / truth.size)
