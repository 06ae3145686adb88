"""The line that every calibrator is, bounds and checks that calibrators share, and the reading of their numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable
from scipy.special import expit

from slackwater.errors import BundleError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CERTAINTY_LOG_ODDS",
    "COVARIANCE",
    "Line",
    "LinearCalibrator",
    "check_is_fitted",
    "check_keys",
    "check_prior",
    "log_odds_below",
    "log_odds_on",
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


class Line(NamedTuple):
    """Numbers of a calibrator: a line in the raw log-odds, and how far it may be off.

    Attributes
    ----------
    level, slope, anchor
        Calibrated log-odds are ``level + slope (raw - anchor)``.
    shift
        Added by the lower bound alone, <= 0.
    slope_variance, covariance, level_variance
        Of slope and level, at the anchor; NaN where there is no lower bound.
    """

    level: float
    slope: float
    anchor: float
    shift: float = 0.0
    slope_variance: float = math.nan
    covariance: float = math.nan
    level_variance: float = math.nan


@register_jitable  # one formula for whole columns and for kernels
def log_odds_on(raw: Any, level: float, slope: float, anchor: float) -> Any:
    """Return the calibrated log-odds of a `Line`."""
    return level + slope * (raw - anchor)


@register_jitable
def log_odds_below(
    raw: Any, level: float, slope: float, anchor: float, shift: float, of_slope: float, shared: float, of_level: float
) -> Any:
    """Return the lower bound of the calibrated log-odds of a `Line`, one-sided and normal."""
    at = raw - anchor
    deviation = np.sqrt(np.maximum(of_slope * (at * at) + 2.0 * shared * at + of_level, 0.0))
    return log_odds_on(raw, level, slope, anchor) + shift - NORMAL_90 * deviation


class LinearCalibrator(ABC):
    """Base of the calibrators: all that follows from their `line`."""

    @property
    @abstractmethod
    def line(self) -> Line:
        """Numbers of the fitted calibrator; NotFittedError before `fit` or `from_dict`."""

    def log_odds(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated log-odds, without any offset; the shape of `raw`."""
        return np.asarray(log_odds_on(np.asarray(raw, dtype=np.float64), *self.line[:3]))

    def log_odds_low(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Return the lower bound of `log_odds` that nine in ten keep; NaN where nothing was measured."""
        return np.asarray(log_odds_below(np.asarray(raw, dtype=np.float64), *self.line))

    def predict(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Return the calibrated probability of the positive class.

        In [0, 1], non-decreasing in `raw`; one value and a whole column give the same bits.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.
        """
        return np.asarray(expit(self.log_odds(raw)))


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
