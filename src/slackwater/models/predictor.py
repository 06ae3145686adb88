"""Score a LightGBM model from its text, without LightGBM.

The trees are flattened into three arrays and walked by a compiled kernel: a row costs a few microseconds,
where ``Booster.predict`` spends tens on its way to C, and importing this module loads neither LightGBM nor
scikit-learn. The result is that of ``Booster.predict(raw_score=True)`` to the last bit, because the same
comparisons are made and the same leaf values are added in the same order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba import njit

from slackwater.errors import SchemaError
from slackwater.models.model_text import ModelText, parse_model_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FlattenedTrees", "checked_matrix"]

# A split: a child >= 0 is a node, a child < 0 the leaf `~child`. One record: a visit is one cache line.
_NODE = np.dtype([("threshold", "f8"), ("feature", "i4"), ("left", "i4"), ("right", "i4"), ("missing_left", "i4")])

# LightGBM takes every value within this distance of 0 for 0 (its kZeroThreshold, a 32-bit constant).
_ZERO = float(np.float32(1e-35))


class FlattenedTrees:
    """The trees of a binary LightGBM model, ready to score.

    Create it with :meth:`from_text`.

    Attributes
    ----------
    feature_names : tuple of str
        Columns of the matrix, in order.
    n_features : int
        How many.
    n_trees : int
        Trees that are added up.
    checked_text : str
        Text of the model of which every entry was checked: what LightGBM may be given.

    Notes
    -----
    Of LightGBM's format the part is read that the models of this package use: version 4, one class, objective
    ``binary`` with ``sigmoid:1`` (a raw score is then the log-odds of the positive class), numerical splits, missing
    values absent or NaN. NaN follows the default direction of a split, or counts as 0 where training saw no NaN; -inf
    and +inf compare like any number. Everything else is refused rather than scored almost right.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> parameters = {"objective": "binary", "num_threads": 1, "verbosity": -1}
    >>> booster = lightgbm.train(parameters, lightgbm.Dataset(X, label=X[:, 0] > 0), num_boost_round=5)
    >>> trees = FlattenedTrees.from_text(booster.model_to_string())
    >>> bool((trees.predict_raw(X) == booster.predict(X, raw_score=True)).all())
    True
    >>> trees.predict_raw_row(X[7]) == float(trees.predict_raw(X)[7])
    True
    """

    text_format: ClassVar[str] = "lightgbm"

    def __init__(self, model: ModelText) -> None:
        self.feature_names = model.feature_names
        self.n_features = len(model.feature_names)
        self.n_trees = len(model.trees)
        self.checked_text = model.checked
        self._nodes = np.zeros(sum(len(tree.feature) for tree in model.trees), dtype=_NODE)
        self._roots = np.empty(self.n_trees, dtype=np.int32)
        self._leaf_values = np.array([value for tree in model.trees for value in tree.leaf_value])
        first_node = first_leaf = 0
        for index, tree in enumerate(model.trees):
            here = self._nodes[first_node : first_node + len(tree.feature)]
            here["feature"] = tree.feature
            here["threshold"] = [_comparable(threshold) for threshold in tree.threshold]
            here["missing_left"] = tree.missing_left
            for side, children in (("left", tree.left), ("right", tree.right)):
                here[side] = [child + first_node if child >= 0 else child - first_leaf for child in children]
            self._roots[index] = first_node if tree.feature else ~first_leaf
            first_node += len(tree.feature)
            first_leaf += len(tree.leaf_value)

    @classmethod
    def from_text(cls, text: str) -> FlattenedTrees:
        """Read the whole text that ``Booster.model_to_string()`` or ``Booster.save_model()`` wrote.

        Raises
        ------
        BundleError
            If the text is not a LightGBM model, is cut short or damaged, or needs something that is not
            supported here (see Notes of the class). The message names the tree and the entry.
        """
        return cls(parse_model_text(text))

    def predict_raw(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the raw score of every row, in log-odds of the positive class.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Converted to float64. NaN, -inf and +inf are allowed. The columns of a DataFrame must be
            `feature_names` in their order, unless the model was fitted without names.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Equal to ``Booster.predict(X, raw_score=True)`` of a float64 matrix.

        Raises
        ------
        SchemaError
            If the shape or the column names are not those of the model.
        """
        matrix = checked_matrix(X, self.feature_names)
        raw = np.empty(matrix.shape[0], dtype=np.float64)
        _score_rows(self._nodes, self._roots, self._leaf_values, matrix, raw)
        return raw

    def predict_raw_row(self, x: ArrayLike) -> float:
        """Return the raw score of one row, shape (n_features,): the bits and errors of :meth:`predict_raw`."""
        row = np.ascontiguousarray(x, dtype=np.float64)
        if row.shape != (self.n_features,):
            raise SchemaError(f"`x` must have shape ({self.n_features},), was {np.shape(x)}")
        return float(_score_row(self._nodes, self._roots, self._leaf_values, _read_only(row)))

    def contributions(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return what each column adds to the raw score, and last the expected score; shape (n_rows, n_features + 1).

        SHAP values. Takes milliseconds and imports LightGBM, which is given `checked_text` and nothing else.
        """
        import lightgbm  # slow to import, and only needed here

        matrix = checked_matrix(X, self.feature_names)
        return np.asarray(lightgbm.Booster(model_str=self.checked_text).predict(matrix, pred_contrib=True))

    def importance(self) -> NDArray[np.float64]:
        """Return the share of each column in the total gain, shape (n_features,); all 0 if no tree has a split."""
        import lightgbm  # slow to import, and only needed here

        booster = lightgbm.Booster(model_str=self.checked_text)
        gain = np.asarray(booster.feature_importance(importance_type="gain"), dtype=np.float64)
        return gain / gain.sum() if gain.any() else gain


def checked_matrix(X: ArrayLike, feature_names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return rows of features as float64, in memory row by row.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        The columns of a DataFrame must be `feature_names` in their order, unless these were made up by LightGBM.
    feature_names
        Columns that a model was fitted to.

    Raises
    ------
    SchemaError
        If the shape or the column names are not those of the model.
    """
    made_up = tuple(f"Column_{i}" for i in range(len(feature_names)))
    columns = getattr(X, "columns", None)
    if columns is not None and tuple(columns) != feature_names != made_up:
        missing = [name for name in feature_names if name not in set(columns)]
        detail = f"missing are {missing[:5]}" if missing else "the order or the number of columns differs"
        raise SchemaError(f"the columns of `X` must be the {len(feature_names)} `feature_names` in order: {detail}")
    matrix = np.ascontiguousarray(X, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(feature_names):
        raise SchemaError(f"`X` must have shape (n_rows, {len(feature_names)}), was {matrix.shape}")
    return _read_only(matrix)


def _comparable(threshold: float) -> float:
    """Return the threshold that sends a value where LightGBM sends it, which first rounds what is within `_ZERO`."""
    if -_ZERO <= threshold < 0.0:
        return math.nextafter(-_ZERO, -math.inf)
    if 0.0 <= threshold < _ZERO:
        return _ZERO
    return threshold


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """View the same memory read-only: pandas hands out both kinds, and numba would compile for each."""
    view = values.view()
    view.flags.writeable = False
    return view


@njit(cache=True, nogil=True)
def _leaf_value(nodes, leaf_values, root, x):  # type: ignore[no-untyped-def]
    position = root
    while position >= 0:
        node = nodes[position]
        value = x[node.feature]
        if value <= node.threshold or (node.missing_left != 0 and np.isnan(value)):
            position = node.left
        else:
            position = node.right
    return leaf_values[~position]


@njit(cache=True, nogil=True)
def _score_row(nodes, roots, leaf_values, x):  # type: ignore[no-untyped-def]
    raw = 0.0
    for root in roots:
        raw += _leaf_value(nodes, leaf_values, root, x)
    return raw


@njit(cache=True, nogil=True)
def _score_rows(nodes, roots, leaf_values, X, out):  # type: ignore[no-untyped-def]
    # A tree stays in the cache while a block of rows passes through it.
    block = 256
    out[:] = 0.0
    for start in range(0, X.shape[0], block):
        stop = min(start + block, X.shape[0])
        for root in roots:
            for i in range(start, stop):
                out[i] += _leaf_value(nodes, leaf_values, root, X[i])
