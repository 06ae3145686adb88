"""Maximum likelihood of few coefficients in log-odds, and how far the rows leave them open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

from slackwater.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SMALLEST_SPREAD_LOG_ODDS",
    "checked_rows",
    "covariance_of",
    "fitted_intercept",
    "maximum_likelihood",
    "most_likely",
    "variance_between",
]

# A thousandth in log-odds is at most .025 % in probability. A slope fitted to a smaller
# spread would be applied to refitted trees with a larger one.
SMALLEST_SPREAD_LOG_ODDS: Final = 1e-3


def checked_rows(
    raw: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, offset: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    log_odds = np.asarray(raw, dtype=np.float64)
    outcome = np.asarray(y, dtype=np.float64)
    weight = np.ones(log_odds.shape) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    base = np.zeros(log_odds.shape) if offset is None else np.asarray(offset, dtype=np.float64)
    shapes = {log_odds.shape, outcome.shape, weight.shape, base.shape}
    if log_odds.ndim != 1 or not log_odds.size or len(shapes) > 1:
        raise DataError(f"`raw`, `y`, `sample_weight` and `offset` must be columns of one length >= 1, had {shapes}")
    for name, column in (("raw", log_odds), ("offset", base)):
        if not np.isfinite(column).all():
            raise DataError(f"`{name}` must be finite, first bad row {int(np.argmin(np.isfinite(column)))}")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise DataError(f"`y` must hold only 0 and 1, held {np.unique(outcome)[:5].tolist()}")
    if not (np.isfinite(weight).all() and (weight >= 0.0).all() and weight.sum() > 0.0):
        raise DataError("`sample_weight` must be finite and >= 0 with a positive sum")
    return log_odds, outcome, weight, base


def maximum_likelihood(
    log_odds: NDArray[np.float64],
    happened: NDArray[np.float64],
    failed: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> tuple[float, float]:
    """Slope and intercept, given how often (in weight) each row happened and failed."""
    centre, scale = float(log_odds.mean()), float(log_odds.std())
    standardised = (log_odds - centre) / scale
    slope, intercept = most_likely(np.stack([standardised, np.ones_like(standardised)]), happened, failed, offset)
    slope /= scale
    return slope, intercept - slope * centre


def fitted_intercept(
    log_odds: NDArray[np.float64], happened: NDArray[np.float64], failed: NDArray[np.float64]
) -> float:
    (intercept,) = most_likely(np.ones((1, log_odds.size)), happened, failed, log_odds)
    return intercept


def most_likely(
    columns: NDArray[np.float64],
    happened: NDArray[np.float64],
    failed: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> list[float]:
    """Coefficients of the columns, shape (n, n_rows), that maximise the likelihood of a logistic regression."""
    from scipy.optimize import minimize  # only needed to fit

    total = happened + failed
    scale = float(total.sum())

    def loss(coefficients: NDArray[np.float64]) -> float:
        at = offset + coefficients @ columns
        return float(happened @ np.logaddexp(0.0, -at) + failed @ np.logaddexp(0.0, at)) / scale

    def gradient(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        at = offset + coefficients @ columns
        return np.asarray(columns @ (total * expit(at) - happened) / scale)

    def curvature(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        p = expit(offset + coefficients @ columns)
        return np.asarray((columns * (total * p * (1.0 - p))) @ columns.T / scale)

    start = np.zeros(len(columns))
    found = minimize(loss, start, method="trust-exact", jac=gradient, hess=curvature, options={"gtol": 1e-11})
    coefficients: list[float] = found.x.tolist()
    return coefficients


def covariance_of(
    log_odds: NDArray[np.float64], information: NDArray[np.float64], spread_of_score: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Variance of the slope, covariance, variance of the intercept; the slope is exact where nothing spreads.

    The sandwich of the information of the rows about the spread of their score, which is larger where rows repeat.
    """
    total, excess = information.sum(), spread_of_score - information
    of_total = float(spread_of_score.sum() / total)
    if float(np.ptp(log_odds)) < SMALLEST_SPREAD_LOG_ODDS:
        return 0.0, 0.0, float(1.0 / total) * of_total
    centre = float(information @ log_odds / total)
    centred = log_odds - centre
    spread = float(information @ centred**2)
    # About the centre, slope and intercept share no information: only the excess of the spread links them.
    slope_variance = 1.0 / spread * (float(spread_of_score @ centred**2) / spread)
    covariance = float(excess @ centred) / spread / float(total)
    intercept_variance = float(1.0 / total) * of_total - 2.0 * centre * covariance + centre**2 * slope_variance
    return slope_variance, covariance - centre * slope_variance, intercept_variance


def variance_between(
    outcome: NDArray[np.float64], p: NDArray[np.float64], weight: NDArray[np.float64], block: NDArray[np.intp]
) -> float:
    """Return the variance of the level between blocks of time beyond that of their rows (DerSimonian and Laird).

    Of each block the level, in log-odds, is the first step of Newton from the predicted probabilities.
    """
    information = np.bincount(block, weights=weight * p * (1.0 - p))
    missed = np.bincount(block, weights=weight * (outcome - p))
    counted = information > 0.0
    information, missed = information[counted], missed[counted]
    freedom = information.sum() - (information**2).sum() / information.sum() if information.size else 0.0
    if information.size < 2 or not freedom > 0.0:
        return 0.0
    excess = float((missed**2 / information).sum()) - (information.size - 1)
    return max(excess / float(freedom), 0.0)
