"""Score a LightGBM model from its text, without LightGBM.

The trees are laid out for a compiled kernel (`slackwater.models.forest`): a row costs a few microseconds,
where ``Booster.predict`` spends tens on its way to C, and importing this module loads neither LightGBM nor
scikit-learn. The result is that of ``Booster.predict(raw_score=True)`` to the last bit, because the same
comparisons are made and the same leaf values are added in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slackwater.errors import SchemaError
from slackwater.models.forest import forest_of, score_rows
from slackwater.models.model_text import ModelText, parse_model_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FlattenedTrees", "checked_matrix"]


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
        How many trees are added up.
    trees : tuple of Tree
        The trees, in the order of their sum.
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
        self.checked_text = model.checked
        self.trees = tuple(model.trees)
        self.n_trees = len(self.trees)
        self._forest = forest_of(self.trees, self.n_features)

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
        score_rows(*self._forest, matrix, raw)
        return raw

    def predict_raw_row(self, x: ArrayLike) -> float:
        """Return the raw score of one row, shape (n_features,): the bits and errors of :meth:`predict_raw`."""
        row = np.ascontiguousarray(x, dtype=np.float64)
        if row.shape != (self.n_features,):
            raise SchemaError(f"`x` must have shape ({self.n_features},), was {np.shape(x)}")
        raw = np.empty(1)
        score_rows(*self._forest, _read_only(row)[None, :], raw)
        return float(raw[0])

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


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """View the same memory read-only: pandas hands out both kinds, and numba would compile for each."""
    view = values.view()
    view.flags.writeable = False
    return view
