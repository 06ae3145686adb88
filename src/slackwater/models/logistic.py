"""Logistic regression on normal scores of the features: what is monotone in single features, and nothing else.

Importing this module and reading a model from its text import neither scikit-learn nor LightGBM.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
from numba import njit
from scipy.special import expit, logit, ndtri

from slackwater.errors import BundleError, DataError, ParameterError
from slackwater.models.predictor import checked_matrix
from slackwater.models.table_rows import TableRows
from slackwater.numbers import brief
from slackwater.storage import strict_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from slackwater.types import Floats

__all__ = ["RankLogistic", "normal_score"]

_MOST_KNOTS: Final = 64  # Further out than 1/128 of the training rows a score stays where it is: ±2.4.
_LARGEST_SCORE: Final = 10.0  # of a value that occurred once among 10^23
_NEWTON_STEPS: Final = 100
_TOLERANCE: Final = 1e-10
_BLOCK: Final = 32_768
"""Rows whose weighted copy the sum of the curvature holds at a time: 50 MB of 192 columns."""
_COLUMN_KEYS: Final = {"name", "coefficient", "knots", "scores"}


class _Column(NamedTuple):
    """Coefficient of a column, and the line from its values to normal scores; both empty if nothing was known."""

    name: str
    coefficient: float
    knots: list[float]
    scores: list[float]


class Curves(NamedTuple):
    """A fitted `RankLogistic` as kernels take it: column c has the knots from ``starts[c]`` to ``starts[c + 1]``."""

    intercept: float
    coefficients: Floats
    starts: NDArray[np.int64]
    knots: Floats
    scores: Floats


class RankLogistic:
    """Logistic regression with an L2 penalty on normal scores of the features (method, section 2.3).

    Every column is replaced by the normal quantile of its rank among the training rows, so that neither its unit nor
    its tails matter; a missing value counts as the median.

    Parameters
    ----------
    c : float, default=0.003
        Inverse strength of the penalty, finite and > 0, as in scikit-learn: the loss is
        ``c Σ weight · log loss + ½ Σ coefficient²``. The intercept is free.

    Attributes
    ----------
    feature_names : tuple of str
        Columns of the matrix, in order.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.exp(3.0 * rng.normal(size=(2_000, 2)))
    >>> y = np.log(X[:, 0]) + 3.0 * rng.normal(size=2_000) > 0.0
    >>> model = RankLogistic(c=1.0).fit(X, y)
    >>> model.decision_function([[1e-3, 1.0], [1e3, 1.0]]).round(1).tolist()
    [-3.9, 4.0]
    >>> bool((RankLogistic.from_text(model.to_text()).predict_raw(X) == model.decision_function(X)).all())
    True
    """

    text_format: ClassVar[str] = "logistic"
    feature_names: tuple[str, ...]
    _starts: NDArray[np.int64]
    _knots: Floats
    _scores: Floats

    def __init__(self, *, c: float = 0.003) -> None:
        if isinstance(c, bool) or not (isinstance(c, int | float) and math.isfinite(c) and c > 0.0):
            raise ParameterError(f"`c` must be finite and > 0, was {brief(c)}")
        self.c = c

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        init_score: ArrayLike | None = None,
    ) -> RankLogistic:
        """Fit scores, coefficients and intercept.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; NaN is allowed, infinity is not.
        y : array-like of {0, 1} or bool, shape (n_rows,)
            Labels; both must occur.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, >= 0; 1 each if not given.
        init_score : array-like of shape (n_rows,), optional
            Log-odds of each row to which the model adds, finite; they are not part of it. 0 each if not given.

        Raises
        ------
        DataError
            If the lengths differ, `X` contains infinity or a column whose range is not finite, a weight or `init_score`
            is not finite, a weight is negative, or `y` does not contain both classes with a positive weight, and
            nothing but 0 and 1; or if `init_score` is so large that no coefficient can be told.
        """
        matrix = np.ascontiguousarray(X, dtype=np.float64)
        if matrix.ndim != 2 or not matrix.size:
            raise DataError(f"`X` must have shape (n_rows >= 1, n_features >= 1), was {matrix.shape}")
        names = getattr(X, "columns", [f"Column_{at}" for at in range(matrix.shape[1])])
        rows = TableRows(matrix, [str(name) for name in names], np.arange(len(matrix)))
        return self.fit_rows(rows, y, sample_weight, init_score=init_score)

    def fit_rows(
        self,
        rows: TableRows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        init_score: ArrayLike | None = None,
    ) -> RankLogistic:
        """Fit on rows of a table, the same model as by `fit`; their scores are held, not the rows themselves."""
        outcome, weight, base = _checked(rows, y, sample_weight, init_score)
        lines = [_normal_scores(values) for values in rows.by_column()]
        self._take(rows.columns, np.zeros(rows.shape[1]), lines)
        scores = np.ones((len(rows), rows.shape[1] + 1))  # the last column: the intercept
        for part, values in rows.parts():
            found = np.empty_like(values)
            _score_rows(self._starts, self._knots, self._scores, values, found)
            scores[part, :-1] = found
        self._coefficients, self._intercept = _fitted(scores, outcome, self.c * weight, base)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return log-odds without `init_score`, shape (n_rows,); errors as `FlattenedTrees.predict_raw`.

        Infinite values count as the largest or smallest of training.
        """
        matrix = self._matrix(X)
        raw = np.empty(matrix.shape[0])
        _log_odds(self._starts, self._knots, self._scores, self._coefficients, self._intercept, matrix, raw)
        return raw

    predict_raw = decision_function

    @property
    def curves(self) -> Curves:
        """Numbers of the fitted model."""
        self._require_fit()
        return Curves(self._intercept, self._coefficients, self._starts, self._knots, self._scores)

    def contributions(self, X: ArrayLike) -> Floats:
        """Return what each column adds to the log-odds, and last the intercept; shape (n_rows, n_features + 1)."""
        matrix = self._matrix(X)
        scores = np.empty_like(matrix)
        _score_rows(self._starts, self._knots, self._scores, matrix, scores)
        return np.column_stack([scores * self._coefficients, np.full(len(matrix), self._intercept)])

    def importance(self) -> Floats:
        """Return the share of each column in the sum of absolute coefficients, shape (n_features,)."""
        self._require_fit()
        size = np.abs(self._coefficients)
        return np.asarray(size / size.sum()) if size.any() else size

    def to_text(self) -> str:
        """Return the model as JSON, every number to its last bit."""
        self._require_fit()
        parts = [slice(*bounds) for bounds in zip(self._starts[:-1], self._starts[1:], strict=True)]
        columns = [
            _Column(name, coefficient, self._knots[part].tolist(), self._scores[part].tolist())._asdict()
            for name, coefficient, part in zip(self.feature_names, self._coefficients.tolist(), parts, strict=True)
        ]
        return json.dumps({"c": self.c, "intercept": self._intercept, "columns": columns}, allow_nan=False) + "\n"

    @classmethod
    def from_text(cls, text: str) -> RankLogistic:
        """Read what `to_text` wrote; every entry is checked, since the text may come from anywhere.

        Raises
        ------
        BundleError
            If it is not JSON, an entry is missing, unknown or repeated, a number is not finite, or the knots of a
            column do not increase; the message names the column.
        """
        content = _object(text, {"c", "intercept", "columns"})
        c, intercept = (_number(content[key], f"`{key}`") for key in ("c", "intercept"))
        if c <= 0.0:
            raise BundleError(f"logistic model: `c` must be > 0, was {c}")
        if not isinstance(content["columns"], list) or not content["columns"]:
            raise BundleError("logistic model: `columns` must be a list of at least one column")
        columns = [_column(each, at) for at, each in enumerate(content["columns"])]
        names = [column.name for column in columns]
        if len(set(names)) < len(names):
            raise BundleError("logistic model: two columns have the same name")
        model = cls(c=c)
        model._take(
            names,
            np.array([column.coefficient for column in columns]),
            [(np.array(column.knots), np.array(column.scores)) for column in columns],
        )
        model._intercept = intercept
        return model

    def _matrix(self, X: ArrayLike) -> NDArray[np.float64]:
        self._require_fit()
        return checked_matrix(X, self.feature_names)

    def _require_fit(self) -> None:
        if not hasattr(self, "_intercept"):
            raise DataError("this RankLogistic has not been fitted: call `fit` first")

    def _take(self, names: Sequence[str], coefficients: Floats, lines: Sequence[tuple[Floats, Floats]]) -> None:
        self.feature_names = tuple(names)
        self._coefficients = coefficients
        self._starts = np.cumsum([0, *(len(knots) for knots, _ in lines)])
        self._knots = np.concatenate([knots for knots, _ in lines]).astype(np.float64)
        self._scores = np.concatenate([scores for _, scores in lines]).astype(np.float64)


def _normal_scores(values: Floats) -> tuple[Floats, Floats]:
    """Return knots in increasing order and the normal quantile of their mid-rank; ties have one rank."""
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if not known.size:
        return known, known
    if not math.isfinite(float(known[-1]) - float(known[0])):
        span = f"from {known[0]:g} to {known[-1]:g}"
        raise DataError(f"`X`: a column reaches {span}, which is too far for its differences")
    rank = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
    if known.size > _MOST_KNOTS:
        wanted = (np.arange(_MOST_KNOTS) + 0.5) / _MOST_KNOTS
        at = np.unique(np.searchsorted(rank, wanted).clip(max=known.size - 1))
        known, rank = known[at], rank[at]
    return known, ndtri(rank)


def _fitted(scores: Floats, outcome: Floats, weight: Floats, base: Floats) -> tuple[Floats, float]:
    """Minimise the penalised loss by Newton's method, halving steps that do not descend; the last column is 1."""
    penalty = np.append(np.ones(scores.shape[1] - 1), 0.0)
    at = np.zeros(scores.shape[1])
    at[-1] = logit(np.average(outcome, weights=weight)) - np.average(base, weights=weight)

    def loss(coefficients: Floats) -> float:
        log_odds = base + scores @ coefficients
        error = outcome @ (weight * np.logaddexp(0.0, -log_odds)) + (1.0 - outcome) @ (
            weight * np.logaddexp(0.0, log_odds)
        )
        return float(error + 0.5 * penalty @ coefficients**2)

    best = loss(at)
    for _ in range(_NEWTON_STEPS):
        p = expit(base + scores @ at)
        gradient = scores.T @ (weight * (p - outcome)) + penalty * at
        curvature = np.diag(penalty) + _outer(scores, weight * p * (1.0 - p))
        try:
            step = np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:
            message = "`init_score` or `sample_weight` is so large or small that no row tells the coefficients"
            raise DataError(message) from None
        length, found = 1.0, loss(at - step)
        while not found <= best and length > _TOLERANCE:
            length *= 0.5
            found = loss(at - length * step)
        if not found <= best:
            break  # no smaller loss within rounding
        at, best = at - length * step, found
        if float(np.abs(step).max()) < _TOLERANCE:
            break
    return at[:-1], float(at[-1])


def _outer(scores: Floats, weight: Floats) -> Floats:
    """Return the weighted sum of the outer products of the rows."""
    total = np.zeros((scores.shape[1], scores.shape[1]))
    for start in range(0, len(scores), _BLOCK):
        part = slice(start, start + _BLOCK)
        total += (scores[part].T * weight[part]) @ scores[part]
    return total


def _checked(
    rows: TableRows, y: ArrayLike, sample_weight: ArrayLike | None, init_score: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    if not all(rows.shape):
        raise DataError(f"`X` must have shape (n_rows >= 1, n_features >= 1), was {rows.shape}")
    for part, values in rows.parts():
        infinite = np.argwhere(np.isinf(values))
        if len(infinite):
            row, column = infinite[0]
            raise DataError(f"`X` must not hold infinity, the first is in row {part.start + row}, column {column}")
    outcome = np.asarray(y, dtype=np.float64)
    weight = np.ones(len(rows)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    base = np.zeros(len(rows)) if init_score is None else np.asarray(init_score, dtype=np.float64)
    for name, column in (("y", outcome), ("sample_weight", weight), ("init_score", base)):
        if column.shape != (len(rows),) or not np.isfinite(column).all():
            raise DataError(f"`{name}` must be {len(rows)} finite numbers, had shape {column.shape}")
    if (weight < 0.0).any():
        raise DataError("`sample_weight` must be >= 0")
    found = np.unique(outcome[weight > 0.0]).tolist()
    if found != [0.0, 1.0]:
        raise DataError(f"`y` must hold both 0 and 1, and nothing else, held {brief(found)}")
    return outcome, weight, base


def _object(text: str, keys: set[str]) -> dict[str, Any]:
    try:
        content = strict_json(text)
    except ValueError as error:
        raise BundleError(f"logistic model: it is not valid JSON: {error}") from error
    return _with_keys(content, keys, "it")


def _with_keys(content: object, keys: set[str], where: str) -> dict[str, Any]:
    if not isinstance(content, Mapping) or set(content) != keys:
        found = sorted(content) if isinstance(content, Mapping) else content
        raise BundleError(f"logistic model: {where} must have exactly the keys {sorted(keys)}, was {brief(found)}")
    return dict(content)


def _column(content: object, at: int) -> _Column:
    where = f"column {at}"
    entry = _with_keys(content, _COLUMN_KEYS, where)
    name = entry["name"]
    if not isinstance(name, str) or not name:
        raise BundleError(f"logistic model: {where}: `name` must be a text, was {brief(name)}")
    lines = []
    for key in ("knots", "scores"):
        if not isinstance(entry[key], list):
            raise BundleError(f"logistic model: {where}: `{key}` must be a list, was {brief(entry[key])}")
        lines.append([_number(value, f"{where}: `{key}`") for value in entry[key]])
    knots, scores = lines
    if len(knots) != len(scores) or len(knots) > _MOST_KNOTS:
        raise BundleError(f"logistic model: {where}: must have as many knots as scores, at most {_MOST_KNOTS}")
    for line, key in ((knots, "knots"), (scores, "scores")):
        if any(not first < second for first, second in pairwise(line)):
            raise BundleError(f"logistic model: {where}: `{key}` must increase")
    if knots and not math.isfinite(knots[-1] - knots[0]):
        raise BundleError(f"logistic model: {where}: `knots` lie too far apart")
    if any(abs(score) > _LARGEST_SCORE for score in scores):
        raise BundleError(f"logistic model: {where}: `scores` must be within ±{_LARGEST_SCORE:g}")
    return _Column(name, _number(entry["coefficient"], f"{where}: `coefficient`"), knots, scores)


def _number(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise BundleError(f"logistic model: {where} must be a finite number, was {brief(value)}")


@njit(cache=True, nogil=True, forceinline=True)
def normal_score(starts, knots, scores, column, value):  # type: ignore[no-untyped-def]
    """Return the normal score of a value of a column, 0 for a missing one."""
    first, last = starts[column], starts[column + 1] - 1
    if np.isnan(value) or last < first:
        return 0.0
    if value <= knots[first]:
        return scores[first]
    if value >= knots[last]:
        return scores[last]
    while last - first > 1:
        middle = (first + last) // 2
        if knots[middle] <= value:
            first = middle
        else:
            last = middle
    share = (value - knots[first]) / (knots[last] - knots[first])
    return scores[first] + share * (scores[last] - scores[first])


@njit(cache=True, nogil=True)
def _score_rows(starts, knots, scores, X, out):  # type: ignore[no-untyped-def]
    for row in range(X.shape[0]):
        for column in range(X.shape[1]):
            out[row, column] = normal_score(starts, knots, scores, column, X[row, column])


@njit(cache=True, nogil=True)
def _log_odds(starts, knots, scores, coefficients, intercept, X, out):  # type: ignore[no-untyped-def]
    for row in range(X.shape[0]):
        raw = intercept
        for column in range(X.shape[1]):
            raw += coefficients[column] * normal_score(starts, knots, scores, column, X[row, column])
        out[row] = raw
