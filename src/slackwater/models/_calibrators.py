"""Bounds and checks that calibrators share, and the reading of their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slackwater.errors import BundleError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CERTAINTY_LOG_ODDS",
    "COVARIANCE",
    "NORMAL_90",
    "check_is_fitted",
    "check_keys",
    "check_prior",
    "deviation",
    "read_covariance",
]

# Log-odds of 30 are a probability within 1e-13 of 1: in the fit, more would pass for infinite evidence.
CERTAINTY_LOG_ODDS: Final = 30.0
NORMAL_90: Final = 1.2815515655446004  # 90 % quantile of the standard normal distribution
_LARGEST: Final = 1e9  # beyond what any calibration fits, and far below an overflow
COVARIANCE: Final = ("slope_variance", "covariance", "intercept_variance")


def check_prior(prior_rows: float, prior_slope: float) -> None:
    if not (math.isfinite(prior_rows) and prior_rows > 0):
        raise ParameterError(f"`prior_rows` must be finite and > 0, was {prior_rows}")
    if not 0.0 <= prior_slope <= 1.0:
        raise ParameterError(f"`prior_slope` must be in [0, 1], was {prior_slope}")


def check_is_fitted(calibrator: object) -> None:
    if not hasattr(calibrator, "slope_"):
        from sklearn.exceptions import NotFittedError

        name = type(calibrator).__name__
        raise NotFittedError(f"This {name} is not fitted yet: call `fit` or `from_dict` first")


def deviation(covariance: tuple[float, float, float], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of slope × at + level."""
    of_slope, shared, of_level = covariance
    return np.sqrt(np.maximum(of_slope * at**2 + 2.0 * shared * at + of_level, 0.0))


def read_covariance(numbers: Mapping[str, float]) -> tuple[float, float, float]:
    for name in ("slope_variance", "intercept_variance"):
        if numbers[name] < 0.0:
            raise BundleError(f"calibrator: `{name}` must be >= 0, was {numbers[name]}")
    of_slope, shared, of_level = (numbers[name] for name in COVARIANCE)
    return of_slope, shared, of_level


def check_keys(values: Mapping[str, Any], *, method: str, numbers: tuple[str, ...]) -> dict[str, float]:
    """Refuse missing, unknown and mistyped entries; return the numbers."""
    expected = {"method", *numbers}
    if not isinstance(values, Mapping) or set(values) != expected or values["method"] != method:
        raise BundleError(
            f"calibrator: expected method '{method}' and exactly the keys {sorted(expected)}, was {values}"
        )
    for name in numbers:
        value = values[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and abs(value) <= _LARGEST):
            raise BundleError(f"calibrator: `{name}` must be a number within ±{_LARGEST:g}, was {value!r}")
    return {name: float(values[name]) for name in numbers}
