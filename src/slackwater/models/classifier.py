"""Boosted trees: the default engine of the trainer, and a classifier of scikit-learn on their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Final

import joblib
import lightgbm
import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from slackwater.errors import DataError, ParameterError, SchemaError
from slackwater.models.parameters import TreeParameters
from slackwater.models.table_rows import TableRows
from slackwater.numbers import brief
from slackwater.parallel.process import has_one_thread

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReversalClassifier"]

_DEFAULTS = TreeParameters()
_BINNED_BY: Final = 50_000
"""Rows that decide the borders of the bins, at random where there are more: some 200 of them in each of 255 bins."""
_UNKEPT: Final = re.compile(r'[\s\[\]{}:,"]')
# scikit-learn's own conventions hold for the other two: `random_state` may be None, `n_jobs` -1.
_CHECKED = tuple(each.name for each in fields(TreeParameters) if each.name not in ("random_state", "n_jobs"))
_KINDS: dict[type, tuple[type, str]] = {int: (Integral, "an int"), float: (Real, "a number")}


class ReversalClassifier(ClassifierMixin, BaseEstimator):
    """Binary gradient-boosted trees (LightGBM).

    Parameters
    ----------
    n_estimators, num_leaves, learning_rate, min_child_samples, colsample_bytree, subsample, subsample_freq, reg_lambda
        Trees, as in LightGBM's own classifier; ranges and defaults are those of
        :class:`~slackwater.models.parameters.TreeParameters`.
    random_state : int, RandomState or None, default=0
        Source of the draws of rows and columns. An int gives the same trees each time.
    n_jobs : int or None, default=1
        Threads, as in joblib: -1 all processors, None one. The trees do not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels in order; the second is the positive class.
    booster_ : lightgbm.Booster
        The trees.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names, if `X` was a DataFrame.

    Notes
    -----
    Probabilities are those of the trees, which tend to be too far from the base rate. Calibration needs predictions of
    rows that the trees have not seen, and therefore belongs to :class:`~slackwater.models.training.Trainer`.

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
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        init_score: ArrayLike | None = None,
    ) -> ReversalClassifier:
        """Fit the trees.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features, converted to float64; NaN is allowed.
        y : array-like of shape (n_rows,)
            Labels of two classes.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, >= 0, such as its mean uniqueness; 1 each if not given.
        init_score : array-like of shape (n_rows,), optional
            Log-odds from which the trees start, such as the fair odds of each trade, finite. They are not part of the
            model: the trees then contain the log-odds above them, as do :meth:`decision_function` and
            :meth:`predict_proba`. Without them the trees start from the share of the positive class.

        Raises
        ------
        ParameterError
            If a parameter of the constructor is out of range.
        SchemaError
            If LightGBM cannot keep the name of a column.
        DataError
            If `y` contains one class only, or `init_score` is not one finite number per row.
        ValueError
            If `X` contains infinity, or `y` more than two classes.
        """
        self._check_parameters()
        _check_names(getattr(X, "columns", ()))
        rows, labels = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        return self._fitted(rows, labels, sample_weight, init_score)

    def fit_rows(
        self,
        rows: TableRows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        init_score: ArrayLike | None = None,
    ) -> ReversalClassifier:
        """Fit the trees on rows of a table: the same trees as by :meth:`fit`, whose parameters and errors hold.

        Above 50,000 rows LightGBM takes them part by part, so that they are held in its bins alone, a byte per value.
        """
        if len(rows) <= _BINNED_BY:
            return self.fit(rows.frame(), y, sample_weight, init_score=init_score)
        self._check_parameters()
        _check_names(rows.columns)
        validate_data(self, rows.frame(slice(1)), skip_check_array=True)  # the names of the columns
        for part, values in rows.parts():
            if np.isinf(values).any():
                raise ValueError(f"Input X contains infinity, within rows {part.start} to {part.stop - 1}.")
        labels = column_or_1d(y)
        check_consistent_length(rows.rows, labels)
        return self._fitted(_Streamed(rows), labels, sample_weight, init_score)

    def _fitted(
        self, X: Any, y: NDArray[Any], sample_weight: ArrayLike | None, init_score: ArrayLike | None
    ) -> ReversalClassifier:
        self.classes_, target = _two_classes(y)
        weight = _check_sample_weight(sample_weight, target, dtype=np.float64, ensure_non_negative=True)
        self.booster_ = self._boosted(X, target, weight, _checked_init_score(init_score, len(target)))
        return self

    def to_text(self) -> str:
        """Return the trees as LightGBM's text, which `slackwater.models.predictor.FlattenedTrees` reads."""
        check_is_fitted(self)
        return str(self.booster_.model_to_string())

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return log-odds of the positive class, shape (n_rows,): the sum of the trees.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; NaN is allowed.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return np.asarray(self.booster_.predict(rows, raw_score=True, num_threads=self._n_threads()))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class for `X` as in :meth:`decision_function`.

        Returns
        -------
        ndarray of float64, shape (n_rows, 2)
            In [0, 1], in the order of `classes_`; a row sums to 1.
        """
        positive = expit(self.decision_function(X))
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
        TreeParameters(**given)  # the bounds

    def _boosted(
        self,
        X: NDArray[np.float64] | _Streamed,
        target: NDArray[np.intp],
        weight: NDArray[np.float64],
        base: NDArray[np.float64] | None,
    ) -> lightgbm.Booster:
        parameters = {
            "objective": "binary",
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": self.colsample_bytree,
            "bagging_fraction": self.subsample,
            "bagging_freq": self.subsample_freq,
            "lambda_l2": self.reg_lambda,
            "seed": int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)),
            "num_threads": self._n_threads(),
            "deterministic": True,
            "force_row_wise": True,
            # LightGBM copies these rows: its own default, 200,000, takes 600 MB of 192 columns.
            "bin_construct_sample_cnt": _BINNED_BY,
            "verbosity": -1,
        }
        names: Any = list(self.feature_names_in_) if hasattr(self, "feature_names_in_") else "auto"
        return self._train(parameters, X, target, weight, base, names)

    def _train(
        self,
        parameters: dict[str, Any],
        X: NDArray[np.float64] | _Streamed,
        target: NDArray[np.intp],
        weight: NDArray[np.float64],
        base: NDArray[np.float64] | None,
        names: Any,
    ) -> lightgbm.Booster:
        data = _Data(X, label=target, weight=weight, init_score=base, feature_name=names)
        return lightgbm.train(parameters, data, num_boost_round=self.n_estimators)

    def _n_threads(self) -> int:
        return 1 if has_one_thread() else int(joblib.effective_n_jobs(self.n_jobs))


class _Data(lightgbm.Dataset):
    """Rows that are binned under all parameters of the fit, however they are given.

    LightGBM bins a sequence under some of them alone. Without `num_threads` it does so with all threads, and sets that
    for the whole process: another fit, in another thread, then writes to a thread's buffer that it does not have.
    """

    def get_params(self) -> dict[str, Any]:
        return dict(self.params or {})


class _Streamed(lightgbm.Sequence):
    """Rows of a table as LightGBM reads them: one after the other for its bins, then in parts."""

    batch_size = 8_192

    def __init__(self, rows: TableRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: Any) -> NDArray[np.float64]:
        if isinstance(at, slice):
            return self._rows.taken(at)
        return self._rows.taken(slice(at, at + 1))[0]


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
