"""Calibration as a straight line in logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from slackwater.metrics._inputs import classes_and_probabilities

__all__ = ["ReliabilityLine", "reliability_line"]

_NEWTON_STEPS = 50
_NEWTON_TOLERANCE = 1e-10
# Beyond this slope the classes are separable and the likelihood has no maximum.
_STEEPEST_SLOPE = 1e6
# Keeps the logit of an overconfident 0 or 1 finite.
_SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True, kw_only=True)
class ReliabilityLine:
    """Line logit(P(y = 1)) = intercept + slope × logit(p); slope 1 and intercept 0 are perfect calibration.

    Attributes
    ----------
    slope : float
        Below 1: probabilities too far from 1/2 (overconfident). Above 1: not far enough.
    intercept : float
        Above 0: probabilities too low.
    """

    slope: float
    intercept: float


def reliability_line(y: ArrayLike, p: ArrayLike) -> ReliabilityLine:
    """Return slope and intercept of the calibration in logits.

    Parameters
    ----------
    y : array-like of int or bool, shape (n,)
        0 or 1.
    p : array-like of float, shape (n,)
        Probabilities, in [0, 1]; clipped to [1e-6, 1 - 1e-6].

    Returns
    -------
    ReliabilityLine
        Both NaN where no line exists: one class only, one probability only, or classes that a threshold
        separates.

    Raises
    ------
    ParameterError
        If the lengths differ.
    DataError
        If `p` is not in [0, 1] or `y` is not 0 or 1.

    Notes
    -----
    Maximum likelihood without a penalty, by Newton's method.

    References
    ----------
    D. R. Cox, *Two further applications of a model for binary regression*, Biometrika 45 (1958).

    Examples
    --------
    >>> line = reliability_line([0, 1, 0, 0, 1, 1, 1, 0], [0.25, 0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75])
    >>> round(line.slope, 6), abs(round(line.intercept, 6))
    (1.0, 0.0)
    """
    truth, probability = classes_and_probabilities(y, p)
    undefined = ReliabilityLine(slope=float("nan"), intercept=float("nan"))
    x = logit(probability.clip(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY))
    if truth.size == 0 or np.ptp(truth) == 0 or np.ptp(x) == 0:
        return undefined
    # In centred and scaled form the two steps of Newton do not disturb one another.
    centre, scale = x.mean(), x.std()
    z = (x - centre) / scale
    a, b = float(logit(truth.mean())), 0.0
    for _ in range(_NEWTON_STEPS):
        fitted = expit(a + b * z)
        spread = fitted * (1 - fitted)
        gradient_a, gradient_b = np.sum(truth - fitted), np.sum((truth - fitted) * z)
        h_aa, h_ab, h_bb = np.sum(spread), np.sum(spread * z), np.sum(spread * z * z)
        determinant = h_aa * h_bb - h_ab * h_ab
        if determinant <= 0:
            return undefined
        step_a = (h_bb * gradient_a - h_ab * gradient_b) / determinant
        step_b = (h_aa * gradient_b - h_ab * gradient_a) / determinant
        a, b = a + step_a, b + step_b
        if not abs(b) < _STEEPEST_SLOPE:
            return undefined
        if abs(step_a) + abs(step_b) < _NEWTON_TOLERANCE:
            return ReliabilityLine(slope=float(b / scale), intercept=float(a - b / scale * centre))
    return undefined
