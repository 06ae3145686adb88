"""Boosted trees, calibrated on the last part of their training rows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import joblib
import lightgbm
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from slackwater.errors import DataError, ParameterError, SchemaError
from slackwater.model_selection.calibration_split import calibration_split
from slackwater.models.calibration import IdentityCalibrator, SigmoidCalibrator
from slackwater.models.parameters import ModelParameters
from slackwater.numbers import brief

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReversalClassifier"]

_DEFAULTS = ModelParameters()
_UNKEPT: Final = re.compile(r'[\s\[\]{}:,"]')
# scikit-learn's own conventions hold for the other two: `random_state` may be None, `n_jobs` -1.
_CHECKED = tuple(each.name for each in fields(ModelParameters) if each.name not in ("random_state", "n_jobs"))
_KINDS: dict[type, tuple[type, str]] = {int: (Integral, "an int"), float: (Real, "a number"), str: (str, "a text")}


class ReversalClassifier(ClassifierMixin, BaseEstimator):
    """Binary gradient-boosted trees (LightGBM), calibrated on the last part of the training rows.

    Parameters
    ----------
    n_estimators, num_leaves, learning_rate, min_child_samples, colsample_bytree, subsample, subsample_freq, reg_lambda
        Trees, as in LightGBM's own classifier; ranges and defaults are those of
        :class:`~slackwater.models.parameters.ModelParameters`.
    calibration, calibration_fraction
        See the same class.
    embargo : timedelta or None, default=None
        Time between the end of a label and the first calibration row, >= 0; a row whose label ends later is not used
        to fit the calibrator. None is zero. Used only if `fit` gets the times.
    random_state : int, RandomState or None, default=0
        Source of the draws of rows and columns. An int gives the same trees each time.
    n_jobs : int or None, default=1
        Threads, as in joblib: -1 all processors, None one. The trees do not depend on it.

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
    The fit is that of method, section 2.3. Only training rows are used, and the calibrator belongs to the procedure
    rather than to this one set of trees. Where the head or the tail contains one class only, `fit` warns and does not
    calibrate.

    :meth:`decision_function` returns the log-odds before calibration, whereas :meth:`predict` follows
    :meth:`predict_proba`: close to even odds the two may disagree about the class of a row, but never about the order
    of two rows.

    Classes are not reweighted, which would break the calibration. NaN means "unknown" and is allowed, infinity is not.

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

    text_format: ClassVar[str] = "lightgbm"

    def __init__(
        self,
        *,
        n_estimators: int = _DEFAULTS.n_estimators,
        num_leaves: int = _DEFAULTS.num_leaves,
        learning_rate: float = _DEFAULTS.learning_rate,
        min_child_samples: int = _DEFAULTS.min_child_samples,
        colsample_bytree: float = _DEFAULTS.colsample_bytree,
        subsample: float = _DEFAULTS.subsample,
        subsample_freq: int = _DEFAULTS.subsample_freq,
        reg_lambda: float = _DEFAULTS.reg_lambda,
        calibration: str = _DEFAULTS.calibration,
        calibration_fraction: float = _DEFAULTS.calibration_fraction,
        embargo: timedelta | None = None,
        random_state: int | np.random.RandomState | None = _DEFAULTS.random_state,
        n_jobs: int | None = _DEFAULTS.n_jobs,
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
        init_score: ArrayLike | None = None,
        mean_uniqueness: float = 1.0,
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
            Time at which each row was known, non-decreasing. Needed for the purge.
        label_end_times : array-like of datetimes, shape (n_rows,), optional
            Time at which each label was known. Needed for the purge: without both times, labels that reach into the
            calibration tail stay in the head.
        init_score : array-like of shape (n_rows,), optional
            Log-odds from which the trees start, such as the fair odds of each trade, finite. They are not part of the
            model: trees and calibrator then contain the log-odds above them, as do :meth:`decision_function` and
            :meth:`predict_proba`. Without them the trees start from the share of the positive class.
        mean_uniqueness : float, default=1.0
            Number of independent rows that a weight of one stands for, in (0, 1]: the mean uniqueness of overlapping
            labels. Widens the bounds of the calibrator.

        Raises
        ------
        ParameterError
            If a parameter of the constructor is out of range, or one of the times is given without the other.
        SchemaError
            If LightGBM cannot keep the name of a column, or the times are not datetimes, not as many as the rows, or
            some are missing (NaT).
        OrderError
            If `event_times` run backwards, or a label ends before its event.
        DataError
            If `y` contains one class only.
        ValueError
            If `X` contains infinity, or `y` more than two classes.
        """
        self._check_parameters()
        _check_names(getattr(X, "columns", ()))
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
        if not 0.0 < mean_uniqueness <= 1.0:
            raise ParameterError(f"`mean_uniqueness` must be in (0, 1], was {mean_uniqueness!r}")
        sample = _Sample(rows, target, weight, _checked_init_score(init_score, len(rows)))
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self.calibrator_ = self._fitted_calibrator(
            sample.take(head), sample.take(tail), seed=seed, mean_uniqueness=mean_uniqueness
        )
        self.booster_ = self._boosted(sample, seed=seed)
        return self

    def to_text(self) -> str:
        """Return the trees as LightGBM's text, which `slackwater.models.predictor.FlattenedTrees` reads."""
        check_is_fitted(self)
        return str(self.booster_.model_to_string())

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return raw log-odds of the positive class before calibration, shape (n_rows,): the sum of the trees.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; NaN is allowed.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return self._raw(self.booster_, rows)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the calibrated probability of each class for `X` as in :meth:`decision_function`.

        Returns
        -------
        ndarray of float64, shape (n_rows, 2)
            In [0, 1], in the order of `classes_`; a row sums to 1.
        """
        raw = self.decision_function(X)
        positive = self.calibrator_.predict(raw)
        return np.column_stack([1.0 - positive, positive])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the more probable class of each row by :meth:`predict_proba`; the first one at even odds."""
        more_probable = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[more_probable])

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Return the share of each column in the total gain, shape (n_features_in_,); all 0 if no tree has a split."""
        check_is_fitted(self)
        gain = np.asarray(self.booster_.feature_importance(importance_type="gain"), dtype=np.float64)
        return gain / gain.sum() if gain.any() else gain

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _check_parameters(self) -> None:
        given = {name: getattr(self, name) for name in _CHECKED}
        for name, value in given.items():
            kind, text = _KINDS[type(getattr(_DEFAULTS, name))]
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ParameterError(f"`{name}` must be {text}, was {value!r}")
        ModelParameters(**given)  # the bounds
        if self.calibration not in ("sigmoid", "none"):
            raise ParameterError(f"`calibration` must be 'sigmoid' or 'none', was {self.calibration!r}")
        if self.embargo is not None and not (isinstance(self.embargo, timedelta) and self.embargo >= timedelta(0)):
            raise ParameterError(f"`embargo` must be None or a timedelta >= 0, was {self.embargo!r}")

    def _fitted_calibrator(
        self, head: _Sample, tail: _Sample, *, seed: int, mean_uniqueness: float
    ) -> IdentityCalibrator | SigmoidCalibrator:
        if self.calibration == "none":
            return IdentityCalibrator()
        for place, rows in (("before", head), ("in", tail)):
            n_classes = np.unique(rows.target[rows.weight > 0]).size
            if n_classes < 2:
                warnings.warn(
                    f"calibration skipped: the {rows.target.size} rows {place} the calibration tail contain "
                    f"{n_classes} of 2 classes, so the raw log-odds are not calibrated",
                    UserWarning,
                    stacklevel=3,
                )
                return IdentityCalibrator()
        raw = self._raw(self._boosted(head, seed=seed), tail.X)
        if tail.base is None:
            effective = mean_uniqueness * float(tail.weight.sum())
            return SigmoidCalibrator().fit(raw, tail.target, tail.weight, effective_rows=effective)
        # The prior holds the offered odds to be fair, and what the trees add to them to be noise.
        return SigmoidCalibrator(prior_slope=0.0).fit(raw, tail.target, mean_uniqueness * tail.weight, offset=tail.base)

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


def _check_names(names: Iterable[object]) -> None:
    """Refuse names that LightGBM refuses without naming them, or that its text would not give back."""
    for name in names:
        if isinstance(name, str) and (not name or _UNKEPT.search(name)):
            raise SchemaError(f'the column {brief(name)} must be renamed: no blanks and none of [ ] {{ }} : , " in it')


def _checked_init_score(init_score: ArrayLike | None, n_rows: int) -> NDArray[np.float64] | None:
    if init_score is None:
        return None
    base = np.asarray(init_score, dtype=np.float64)
    if base.shape != (n_rows,) or not np.isfinite(base).all():
        raise DataError(f"`init_score` must be {n_rows} finite numbers, had shape {base.shape}")
    return base


def _two_classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes in order, and for each row the position of its class."""
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind != "binary":
        # The wording is scikit-learn's, and its estimator checks look for it.
        raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
    classes, target = np.unique(y, return_inverse=True)
    if classes.size < 2:
        raise DataError(f"`y` must contain two classes, had 1 class: {classes.tolist()}")
    return classes, target
