"""Checks of the arrays given to a metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slackwater.errors import DataError, ParameterError

__all__ = [
    "check_same_length",
    "classes_and_probabilities",
    "classes_and_scores",
    "finite_values",
    "refuse",
]


def classes_and_scores(y: ArrayLike, p: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `y` (0 or 1) and `p` (finite) as arrays of one shape (n,)."""
    truth, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if truth.ndim != 1 or score.shape != truth.shape:
        raise ParameterError(f"`p` must have the shape of `y`, (n,); they were {score.shape} and {truth.shape}")
    refuse(~((truth == 0) | (truth == 1)), truth, "`y` must be 0 or 1")
    refuse(~np.isfinite(score), score, "`p` must be finite")
    return truth, score


def classes_and_probabilities(y: ArrayLike, p: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `y` (0 or 1) and `p` (in [0, 1]) as arrays of one shape (n,)."""
    truth, probability = classes_and_scores(y, p)
    refuse((probability < 0) | (probability > 1), probability, "`p` must be in [0, 1]")
    return truth, probability


def refuse(wrong: NDArray[np.bool_], values: NDArray[np.float64], rule: str) -> None:
    """Raise DataError that shows the first wrong values, if there is one."""
    if wrong.any():
        rows = np.flatnonzero(wrong)[:5]
        raise DataError(f"{rule}, was {np.ravel(values)[rows].tolist()} in rows {rows.tolist()}")


def finite_values(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Return an array of shape (n,); raise on another shape and on values that are not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ParameterError(f"`{name}` must have the shape (n,), was {array.shape}")
    refuse(~np.isfinite(array), array, f"`{name}` must be finite")
    return array


def check_same_length(array: NDArray[Any], other: NDArray[Any], name: str, other_name: str) -> None:
    """Raise ParameterError if two arrays differ in length."""
    if array.size != other.size:
        raise ParameterError(f"`{name}` must have the length of `{other_name}`, {other.size}, had {array.size}")
