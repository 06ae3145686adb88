"""Calibration of the raw log-odds of a model.

A calibrator is a few numbers or none, and is stored in a bundle as JSON. Importing this module, loading a
calibrator and predicting with it import neither scikit-learn nor LightGBM: a live scorer needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from scipy.special import expit

from slackwater.errors import BundleError, ParameterError
from slackwater.models._calibrators import (
    CERTAINTY_LOG_ODDS,
    COVARIANCE,
    Line,
    LinearCalibrator,
    check_is_fitted,
    check_keys,
    check_prior,
    read_covariance,
)
from slackwater.models._likelihood import (
    SMALLEST_SPREAD_LOG_ODDS,
    checked_rows,
    covariance_of,
    fitted_intercept,
    most_likely,
    variance_between,
)
from slackwater.models.platt import SigmoidCalibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AnchoredCalibrator", "IdentityCalibrator", "SigmoidCalibrator", "calibrator_from_dict"]

# The bound trusts the odds that it starts from no more than a few rows: where the outcomes fall short, it follows.
_PRIOR_ROWS_OF_BOUND: Final = 50.0


class IdentityCalibrator(LinearCalibrator):
    """No calibration: ``p = 1 / (1 + exp(-raw))``.

    Examples
    --------
    >>> float(IdentityCalibrator().predict(0.0))
    0.5
    """

    method: ClassVar[str] = "identity"
    slope_: float = 1.0

    @property
    def line(self) -> Line:
        """The identity; without calibration rows there is no lower bound."""
        return Line(level=0.0, slope=self.slope_, anchor=0.0)

    def to_dict(self) -> dict[str, str | float]:
        """Return what is needed to rebuild the calibrator, in types that JSON keeps exactly."""
        return {"method": self.method}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IdentityCalibrator:
        """Rebuild from :meth:`to_dict`; raise BundleError if `values` describes no identity calibrator."""
        check_keys(values, method=cls.method, numbers=())
        return cls()


class AnchoredCalibrator(LinearCalibrator):
    """Log-odds drawn towards the base rate: ``anchor + slope (raw - anchor)`` (method, section 2.3).

    The slope lies in [0, 1], and there is no intercept. So calibration keeps the order of the predictions of a model,
    and those of several fits can be compared.

    Parameters
    ----------
    anchor : float, default=0.0
        Log-odds that stay where they are, such as those of the base rate; 0 for log-odds above an offset. Finite.
    prior_rows : float, default=1000.0
        Number of pseudo-observations in favour of `prior_slope`. Finite and > 0.
    prior_slope : float, default=0.5
        Slope without any row, in [0, 1].

    Attributes
    ----------
    slope_ : float
        Factor on the log-odds beyond the anchor, in [0, 1].
    shift_ : float
        Added to the log-odds by the lower bound alone, <= 0: how far the outcomes fell short of the calibrated
        log-odds.
    covariance_ : tuple of three floats, or None
        Variance of the slope, covariance, variance of the level, of which the lower bound is made. None where nothing
        was measured: without rows, or if their log-odds did not differ.

    Notes
    -----
    The level differs between blocks of time by more than its rows explain. Its variance therefore contains that between
    blocks (DerSimonian and Laird 1986), so that the bound holds for a block to come, and not for the mean of those
    seen.

    Examples
    --------
    >>> import numpy as np
    >>> raw = np.linspace(-2.0, 2.0, 40_000)
    >>> happened = np.random.default_rng(0).random(40_000) < 1 / (1 + np.exp(-0.3 * raw))  # a third as sure
    >>> calibrator = AnchoredCalibrator().fit(raw, happened)
    >>> round(calibrator.slope_, 1), float(calibrator.log_odds(0.0))
    (0.3, 0.0)
    """

    method: ClassVar[str] = "anchored"
    slope_: float
    shift_: float
    covariance_: tuple[float, float, float] | None

    def __init__(self, *, anchor: float = 0.0, prior_rows: float = 1000.0, prior_slope: float = 0.5) -> None:
        self.anchor = anchor
        self.prior_rows = prior_rows
        self.prior_slope = prior_slope

    def fit(
        self,
        raw: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        anchors: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        blocks: ArrayLike | None = None,
    ) -> AnchoredCalibrator:
        """Fit the slope on rows that the models which scored them were not fitted on.

        Parameters
        ----------
        raw : array-like of float64, shape (n_rows,)
            Log-odds of each row. Without rows the prior alone holds, and there is no lower bound.
        y : array-like of bool or {0, 1}, shape (n_rows,)
            Outcome, 1 for the positive class.
        sample_weight : array-like of float64, shape (n_rows,), optional
            How many independent rows each row stands for, >= 0 with a positive sum; 1 each if not given.
        anchors : array-like of float64, shape (n_rows,), optional
            Anchor of the model that scored each row; `anchor` if not given.
        offset : array-like of float64, shape (n_rows,), optional
            Log-odds of each row that the model started from and that are not in `raw`; 0 each if not given.
        blocks : array-like of int, shape (n_rows,), optional
            Number of the block of time of each row; all in one if not given.

        Raises
        ------
        ParameterError
            If `anchor`, `prior_rows` or `prior_slope` is out of range.
        DataError
            If the lengths differ, `raw`, an anchor, an offset or a weight is not finite, a weight is negative, all
            weights are 0, or `y` holds anything but 0 and 1.
        """
        check_prior(self.prior_rows, self.prior_slope)
        if not math.isfinite(self.anchor):
            raise ParameterError(f"`anchor` must be finite, was {self.anchor}")
        self.slope_, self.shift_, self.covariance_ = self.prior_slope, 0.0, None
        if not np.size(raw):
            return self
        start = np.full(np.shape(raw), self.anchor) if anchors is None else np.asarray(anchors, dtype=np.float64)
        given, outcome, weight, offsets = checked_rows(raw, y, sample_weight, offset)
        _, _, _, start = checked_rows(raw, y, sample_weight, start)
        beyond = np.clip(given - start, -CERTAINTY_LOG_ODDS, CERTAINTY_LOG_ODDS)
        if float(np.ptp(beyond)) < SMALLEST_SPREAD_LOG_ODDS:
            return self
        base = offsets + start
        prior_weight = self.prior_rows * weight / weight.sum()
        believed = expit(base + self.prior_slope * beyond)
        happened = weight * outcome + prior_weight * believed
        failed = weight * (1.0 - outcome) + prior_weight * (1.0 - believed)
        scale = float(np.sqrt(np.mean(beyond**2)))
        (slope,) = most_likely(beyond[None, :] / scale, happened, failed, base)
        self.slope_ = min(max(slope / scale, 0.0), 1.0)
        one_block = np.zeros(len(beyond), dtype=np.intp)
        self._bound(
            beyond,
            base + self.slope_ * beyond,
            outcome,
            weight,
            one_block if blocks is None else np.unique(blocks, return_inverse=True)[1],
        )
        return self

    def _bound(
        self,
        beyond: NDArray[np.float64],
        at: NDArray[np.float64],
        outcome: NDArray[np.float64],
        weight: NDArray[np.float64],
        block: NDArray[np.intp],
    ) -> None:
        """Measure by how much the calibrated log-odds of the rows, with their offsets, missed the outcomes."""
        prior_weight = _PRIOR_ROWS_OF_BOUND * weight / weight.sum()
        happened = weight * outcome + prior_weight * expit(at)
        level = fitted_intercept(at, happened, weight + prior_weight - happened)
        p = expit(at + level)
        information = (weight + prior_weight) * p * (1.0 - p)
        of_slope, shared, of_level = covariance_of(beyond, information, information)
        self.shift_ = min(level, 0.0)
        self.covariance_ = of_slope, shared, of_level + variance_between(outcome, p, weight, block)

    @property
    def line(self) -> Line:
        """The fitted line; its lower bound is that of the next block, and its coverage was measured (decision 19)."""
        check_is_fitted(self)
        measured = (math.nan,) * 3 if self.covariance_ is None else self.covariance_
        return Line(self.anchor, self.slope_, self.anchor, self.shift_, *measured)

    def to_dict(self) -> dict[str, str | float]:
        """Return what is needed to predict again, in types that JSON keeps exactly."""
        check_is_fitted(self)
        bound = {} if self.covariance_ is None else dict(zip(COVARIANCE, self.covariance_, strict=True))
        return {"method": self.method, "anchor": self.anchor, "slope": self.slope_, "shift": self.shift_, **bound}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AnchoredCalibrator:
        """Rebuild a fitted calibrator from :meth:`to_dict`.

        Raises
        ------
        BundleError
            If `values` does not describe an anchored calibrator, a number is not finite, the slope is not in [0, 1], a
            variance is < 0 or the shift > 0.
        """
        measured = isinstance(values, Mapping) and any(name in values for name in COVARIANCE)
        names = ("anchor", "slope", "shift", *(COVARIANCE if measured else ()))
        numbers = check_keys(values, method=cls.method, numbers=names)
        if not 0.0 <= numbers["slope"] <= 1.0:
            raise BundleError(f"calibrator: `slope` must be in [0, 1], was {numbers['slope']}")
        if numbers["shift"] > 0.0:
            raise BundleError(f"calibrator: `shift` must be <= 0, was {numbers['shift']}")
        calibrator = cls(anchor=numbers["anchor"])
        calibrator.slope_, calibrator.shift_ = numbers["slope"], numbers["shift"]
        calibrator.covariance_ = read_covariance(numbers) if measured else None
        return calibrator


def calibrator_from_dict(values: Mapping[str, Any]) -> IdentityCalibrator | AnchoredCalibrator | SigmoidCalibrator:
    """Rebuild whichever calibrator wrote `values`.

    Raises
    ------
    BundleError
        If `values` does not describe a known calibrator.

    Examples
    --------
    >>> calibrator_from_dict({"method": "identity"}).predict([0.0])
    array([0.5])
    """
    method = values.get("method") if isinstance(values, Mapping) else None
    for kind in (AnchoredCalibrator, SigmoidCalibrator, IdentityCalibrator):
        if method == kind.method:
            return kind.from_dict(values)
    raise BundleError(f"calibrator: `method` must be 'anchored', 'sigmoid' or 'identity', was {method!r}")
