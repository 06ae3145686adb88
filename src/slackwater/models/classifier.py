"""The reversal classifier: boosted trees, calibrated on the last of their own training rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from datetime import timedelta
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import lightgbm
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from slackwater.errors import DataError, ParameterError
from slackwater.model_selection.calibration_split import calibration_split
from slackwater.models.calibration import IdentityCalibrator, SigmoidCalibrator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReversalClassifier"]

_LEAST = {"n_estimators": 1, "num_leaves": 2, "min_child_samples": 1, "subsample_freq": 0}
_INTERVALS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "learning_rate": ("(0, inf)", lambda value: 0 < value < math.inf),
    "reg_lambda": ("[0, inf)", lambda value: 0 <= value < math.inf),
    "colsample_bytree": ("(0, 1]", lambda value: 0 < value <= 1),
    "subsample": ("(0, 1]", lambda value: 0 < value <= 1),
    "calibration_fraction": ("(0, 1)", lambda value: 0 < value < 1),
}


class ReversalClassifier(ClassifierMixin, BaseEstimator):
    """Binary gradient-boosted trees (LightGBM) with a calibration that is fitted inside the training rows.

    Parameters
    ----------
    n_estimators : int, default=250
        Trees, >= 1.
    num_leaves : int, default=8
        Leaves a tree at most, >= 2.
    learning_rate : float, default=0.02
        Shrinkage of each tree, > 0.
    min_child_samples : int, default=60
        Rows a leaf at least, >= 1.
    colsample_bytree : float, default=0.4
        Fraction of the columns drawn for each tree, in (0, 1].
    subsample : float, default=0.7
        Fraction of the rows drawn without replacement, in (0, 1].
    subsample_freq : int, default=1
        Draw new rows every so many trees; 0 draws none.
    reg_lambda : float, default=20.0
        L2 penalty on the leaf values, >= 0.
    calibration : {"sigmoid", "none"}, default="sigmoid"
        How log-odds become probabilities: by a :class:`~slackwater.models.calibration.SigmoidCalibrator`, or
        taken at their word.
    calibration_fraction : float, default=0.2
        Fraction of the rows, the last in time, on which the calibrator is fitted; in (0, 1).
    embargo : timedelta or None, default=None
        Time that must pass between the end of a label and the first calibration row, >= 0; a row whose label
        ends later does not help to fit the calibrator. None is no time. Used only if `fit` gets the times.
    random_state : int, RandomState or None, default=0
        Draws of rows and columns. An int gives the same trees each time.
    n_jobs : int or None, default=1
        Threads, as in joblib: -1 all processors, None one. The trees do not depend on it. Two save a third of
        the time on an idle machine (3,000 rows, 60 columns). On a busy one LightGBM's threads spin while they
        wait for each other, and a fit that takes one thread 0.7 s took two of them 20 to 60 s.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels in order; the second is the positive class.
    booster_ : lightgbm.Booster
        The trees, fitted on all rows.
    calibrator_ : SigmoidCalibrator or IdentityCalibrator
        From raw log-odds to probability.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names, if `X` was a DataFrame.

    Notes
    -----
    The recipe, for rows in order of time:

    1. The last `calibration_fraction` of the rows are the tail.
    2. Of the rows before it, those whose label ended at least `embargo` before the first event of the tail are
       the head (purge).
    3. Trees fitted on the head score the tail, and the calibrator is fitted to these scores.
    4. The trees are fitted anew on all rows.

    What is calibrated is therefore the recipe, not this one set of trees, and nothing but training rows is
    touched. Where the head or the tail holds one class only, there is nothing to calibrate on: `fit` warns,
    and takes the log-odds at their word (`IdentityCalibrator`).

    :meth:`decision_function` gives the log-odds before calibration, whereas :meth:`predict` follows
    :meth:`predict_proba`: close to even odds the two may disagree about the class of a row. They never
    disagree about the order of two rows, for the calibration is monotone.

    Classes are not reweighted, which would break the calibration. NaN means "unknown" and is allowed:
    LightGBM learns at each split which way it goes. Infinity is refused.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2_000, 5))
    >>> y = X[:, 0] + rng.normal(size=2_000) > 0
    >>> classifier = ReversalClassifier(n_estimators=50).fit(X[:1_500], y[:1_500])
    >>> classifier.predict_proba(X[1_500:]).shape
    (500, 2)
    >>> int(classifier.feature_importances_.argmax())
    0
    """

    def __init__(
        self,
        *,
        n_estimators: int = 250,
        num_leaves: int = 8,
        learning_rate: float = 0.02,
        min_child_samples: int = 60,
        colsample_bytree: float = 0.4,
        subsample: float = 0.7,
        subsample_freq: int = 1,
        reg_lambda: float = 20.0,
        calibration: str = "sigmoid",
        calibration_fraction: float = 0.2,
        embargo: timedelta | None = None,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.num_leaves = num_leaves
        self.learning_rate = learning_rate
        self.min_child_samples = min_child_samples
        self.colsample_bytree = colsample_bytree
        self.subsample = subsample
        self.subsample_freq = subsample_freq
        self.reg_lambda = reg_lambda
        self.calibration = calibration
        self.calibration_fraction = calibration_fraction
        self.embargo = embargo
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        event_times: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None,
        base_log_odds: ArrayLike | None = None,
        independence: float = 1.0,
    ) -> ReversalClassifier:
        """Fit the calibrator on the last rows, and the trees on all of them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features in order of time, converted to float64; NaN is allowed.
        y : array-like of shape (n_rows,)
            Labels of two classes.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, >= 0, such as its mean uniqueness; 1 each if not given.
        event_times : array-like of datetimes, shape (n_rows,), optional
            When each row was known; must not run backwards. Needed for the purge.
        label_end_times : array-like of datetimes, shape (n_rows,), optional
            When each label was settled. Needed for the purge: without the two, labels that reach into the
            calibration tail stay in the head.
        base_log_odds : array-like of shape (n_rows,), optional
            Log-odds from which the trees start, such as those that each bet is offered at, finite. They are no part
            of the model: trees and calibrator then hold what is known beyond them, and :meth:`decision_function`
            and :meth:`predict_proba` speak of even odds. Without them the trees start from the share of the
            positive class.
        independence : float, default=1.0
            Independent rows that a weight of one stands for, in (0, 1]: the mean uniqueness where labels overlap.
            Widens the bounds of the calibrator.

        Returns
        -------
        ReversalClassifier
            Itself.

        Raises
        ------
        ParameterError
            If a parameter of the constructor is out of range, or one of the times is given without the other.
        SchemaError
            If the times are no datetimes, not as many as the rows, or some are missing (NaT).
        OrderError
            If `event_times` run backwards, or a label ends before its event.
        DataError
            If `y` holds one class only.
        ValueError
            If `X` holds infinity, or `y` more than two classes.
        """
        self._check_parameters()
        rows, labels = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        self.classes_, target = _two_classes(labels)
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        head, tail = calibration_split(
            len(rows),
            fraction=self.calibration_fraction,
            embargo=self.embargo,
            event_times=event_times,
            label_end_times=label_end_times,
        )
        if not 0.0 < independence <= 1.0:
            raise ParameterError(f"`independence` must be in (0, 1], was {independence!r}")
        sample = _Sample(rows, target, weight, _checked_base(base_log_odds, len(rows)))
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self.calibrator_ = self._fitted_calibrator(
            sample.take(head), sample.take(tail), seed=seed, independence=independence
        )
        self.booster_ = self._boosted(sample, seed=seed)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Raw log-odds of the positive class: the sum of the trees, before calibration.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; NaN is allowed.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            The score of ``booster_.predict(X, raw_score=True)``.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return self._raw(self.booster_, rows)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; NaN is allowed.

        Returns
        -------
        ndarray of float64, shape (n_rows, 2)
            In [0, 1], in the order of `classes_`; a row sums to 1.
        """
        raw = self.decision_function(X)
        positive = self.calibrator_.predict(raw)
        return np.column_stack([1.0 - positive, positive])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """More probable class of each row, by :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; NaN is allowed.

        Returns
        -------
        ndarray of shape (n_rows,)
            Elements of `classes_`; the first one at even odds.
        """
        more_probable = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[more_probable])

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of each column in the total gain, shape (n_features_in_,); all 0 if no tree has a split."""
        check_is_fitted(self)
        gain = np.asarray(self.booster_.feature_importance(importance_type="gain"), dtype=np.float64)
        return gain / gain.sum() if gain.any() else gain

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _check_parameters(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise ParameterError(f"`{name}` must be an int >= {least}, was {value!r}")
        for name, (interval, contains) in _INTERVALS.items():
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not contains(float(value)):
                raise ParameterError(f"`{name}` must be in {interval}, was {value!r}")
        if self.calibration not in ("sigmoid", "none"):
            raise ParameterError(f"`calibration` must be 'sigmoid' or 'none', was {self.calibration!r}")
        if self.embargo is not None and not (isinstance(self.embargo, timedelta) and self.embargo >= timedelta(0)):
            raise ParameterError(f"`embargo` must be None or a timedelta >= 0, was {self.embargo!r}")

    def _fitted_calibrator(
        self, head: _Sample, tail: _Sample, *, seed: int, independence: float
    ) -> IdentityCalibrator | SigmoidCalibrator:
        if self.calibration == "none":
            return IdentityCalibrator()
        for place, rows in (("before", head), ("in", tail)):
            n_classes = np.unique(rows.target[rows.weight > 0]).size
            if n_classes < 2:
                warnings.warn(
                    f"calibration skipped: the {rows.target.size} rows {place} the calibration tail hold "
                    f"{n_classes} of 2 classes, so the raw log-odds are taken at their word",
                    UserWarning,
                    stacklevel=3,
                )
                return IdentityCalibrator()
        raw = self._raw(self._boosted(head, seed=seed), tail.X)
        if tail.base is None:
            effective = independence * float(tail.weight.sum())
            return SigmoidCalibrator().fit(raw, tail.target, tail.weight, effective_rows=effective)
        # Odds on offer count as fair, and what the trees see beyond them as noise, until enough rows say otherwise.
        return SigmoidCalibrator(prior_slope=0.0).fit(raw, tail.target, independence * tail.weight, offset=tail.base)

    def _boosted(self, sample: _Sample, *, seed: int) -> lightgbm.Booster:
        parameters = {
            "objective": "binary",
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": self.colsample_bytree,
            "bagging_fraction": self.subsample,
            "bagging_freq": self.subsample_freq,
            "lambda_l2": self.reg_lambda,
            "seed": seed,
            "num_threads": self._n_threads(),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        names: Any = list(self.feature_names_in_) if hasattr(self, "feature_names_in_") else "auto"
        data = lightgbm.Dataset(
            sample.X, label=sample.target, weight=sample.weight, init_score=sample.base, feature_name=names
        )
        return lightgbm.train(parameters, data, num_boost_round=self.n_estimators)

    def _raw(self, booster: lightgbm.Booster, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(booster.predict(X, raw_score=True, num_threads=self._n_threads()))

    def _n_threads(self) -> int:
        return int(joblib.effective_n_jobs(self.n_jobs))


class _Sample(NamedTuple):
    """Rows with their classes, weights and the log-odds that the trees start from, if any."""

    X: NDArray[np.float64]
    target: NDArray[np.intp]
    weight: NDArray[np.float64]
    base: NDArray[np.float64] | None

    def take(self, rows: NDArray[np.intp]) -> _Sample:
        base = None if self.base is None else self.base[rows]
        return _Sample(self.X[rows], self.target[rows], self.weight[rows], base)


def _checked_base(base_log_odds: ArrayLike | None, n_rows: int) -> NDArray[np.float64] | None:
    if base_log_odds is None:
        return None
    base = np.asarray(base_log_odds, dtype=np.float64)
    if base.shape != (n_rows,) or not np.isfinite(base).all():
        raise DataError(f"`base_log_odds` must be {n_rows} finite numbers, had shape {base.shape}")
    return base


def _two_classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Classes in order, and for each row the place of its class."""
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind != "binary":
        # The wording is scikit-learn's, and its estimator checks look for it.
        raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
    classes, target = np.unique(y, return_inverse=True)
    if classes.size < 2:
        raise DataError(f"`y` must hold two classes, held 1 class: {classes.tolist()}")
    return classes, target
