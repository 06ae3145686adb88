"""Whether a row of features lies outside of what the trees have learned from.

Beyond the last split of a column a tree answers with a constant: of values that training never saw it knows
nothing, and its probability looks as sure as ever. The check is two numbers a column and one limit, so it
travels in a bundle as JSON. It needs numpy alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slackwater.errors import BundleError, DataError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["TrainingRange"]

_LARGEST_TAIL = 0.25  # More than half of the values left outside would not be a range.
_FEWEST_ROWS = 50  # Ten a block.
_BLOCKS = 5
_EXCEEDING = 0.005  # Share of the out-of-sample rows that the limit may stop.
_FEWEST_COLUMNS = 2  # Columns that may be outside whatever training says: one or two are an accident.
_LARGEST_LIMIT = 0.5


class TrainingRange:
    """The range of every column in training, and how much of a row may lie outside.

    Parameters
    ----------
    tail : float, default=0.001
        Share of the known values of a column that may lie outside of its range on each side. In [0, 0.25].

    Attributes
    ----------
    lower_, upper_ : ndarray of float64, shape (n_columns,)
        The `tail` and ``1 - tail`` quantiles of the known (not NaN) values of each column, in its own unit. Both
        are values that occurred. NaN for a column without a known value, which never counts.
    limit_ : float
        Share of the columns of a row that may lie outside before the row is an outlier. In (0, 0.5].

    Notes
    -----
    Columns are looked at one by one: a row of familiar values in a combination that never occurred is no outlier.
    The share is one of the known columns, so where few are known a single one outside can be enough.

    Of n known values the ``floor(tail n)`` smallest and as many of the largest lie outside. No value is
    interpolated, so the range of ``-x`` is the mirrored range of ``x``, and below ``1 / tail`` values it is
    that of the minimum and the maximum.

    Markets drift, so rows of tomorrow leave the range of today more often than training's own rows do, which
    made the range. The limit is therefore measured forwards in time: the rows are cut into five consecutive
    blocks, the rows of each block but the first are held against the range of all rows before it, and `limit_`
    is the .995 quantile of the shares found outside: one in two hundred of the rows that came next exceeded it,
    or fewer. It errs on the high side, because its ranges come from fewer rows than the final one; with a few
    hundred rows the check is lenient. Rows of which nothing was known yet measure no drift and are left out.

    Two bounds keep the limit sensible. It is at least ``2 / n_columns``: in a calm history the quantile can be
    0, and then a single value a hair beyond a maximum would make an outlier. It is at most 1/2, which wins over
    the former: a history in which most columns moved to another level would otherwise raise the limit towards 1
    and switch the check off, but a row of which most is outside is foreign to the trees whatever came before.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(2_000, 40))
    >>> known = TrainingRange().fit(X)
    >>> round(known.limit_, 3)
    0.05
    >>> known.is_outlier([X[7], X[7] + 10.0]).tolist()
    [False, True]
    """

    lower_: NDArray[np.float64]
    upper_: NDArray[np.float64]
    limit_: float

    def __init__(self, *, tail: float = 0.001) -> None:
        self.tail = tail

    def fit(self, X: ArrayLike) -> TrainingRange:
        """Measure the range of every column, and the limit.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows >= 50, n_columns >= 1)
            The rows that the trees are fitted on, in order of time. NaN is unknown.

        Returns
        -------
        TrainingRange
            Itself.

        Raises
        ------
        ParameterError
            If `tail` is not in [0, 0.25].
        DataError
            If `X` is no matrix, has fewer than 50 rows or no column, or holds an infinite value.
        """
        if not 0.0 <= self.tail <= _LARGEST_TAIL:
            raise ParameterError(f"`tail` must be in [0, {_LARGEST_TAIL}], was {self.tail}")
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[0] < _FEWEST_ROWS or rows.shape[1] < 1:
            raise DataError(f"`X` must have shape (n_rows >= {_FEWEST_ROWS}, n_columns >= 1), was {rows.shape}")
        infinite = np.argwhere(np.isinf(rows))
        if len(infinite):
            row, column = infinite[0]
            raise DataError(f"`X` must not hold infinite values, the first is in row {row}, column {column}")
        self.lower_, self.upper_ = _range_of(rows, self.tail)
        at_least = _FEWEST_COLUMNS / rows.shape[1]
        self.limit_ = min(max(_drift(rows, self.tail), at_least), _LARGEST_LIMIT)
        return self

    def share_outside(self, X: ArrayLike) -> NDArray[np.float64]:
        """Share of the columns of every row that lie outside of their range.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows, n_columns)
            NaN is unknown; an infinite value is outside.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            In [0, 1], among the columns that have a range and are known in the row; the bounds themselves are
            inside. 1.0 where there is no such column: of that row nothing is known.

        Raises
        ------
        DataError
            If `X` is no matrix with the columns of the fit.
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.
        """
        self._check_is_fitted()
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.lower_.size:
            raise DataError(f"`X` must have shape (n_rows, {self.lower_.size}), was {rows.shape}")
        return _share(*_inside_and_outside(rows, self.lower_, self.upper_))

    def is_outlier(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Whether more of a row lies outside than `limit_`.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows, n_columns)
            NaN is unknown; an infinite value is outside.

        Returns
        -------
        ndarray of bool, shape (n_rows,)
            True where `share_outside` is above `limit_`; a share that equals it is no outlier. True also for a
            row of which nothing is known.

        Raises
        ------
        DataError
            If `X` is no matrix with the columns of the fit.
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.
        """
        return self.share_outside(X) > self.limit_

    def out_of_range(self, X: ArrayLike, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Names of the columns outside of their range, of every row that is an outlier; none for the others.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows, n_columns)
            NaN is unknown; an infinite value is outside.
        names : sequence of str, shape (n_columns,)
            Of the columns. They stand for the whole row where nothing of it is known.

        Raises
        ------
        DataError
            If `X` is no matrix with the columns of the fit.
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.

        Examples
        --------
        >>> known = TrainingRange(tail=0.0).fit(np.linspace([0.0, 0.0], [1.0, 10.0], 50))
        >>> known.out_of_range([[0.5, 5.0], [5.0, 50.0]], ["a", "b"])
        [(), ('a', 'b')]
        """
        rows = np.asarray(X, dtype=np.float64)
        found = []
        for row, outlier in zip(rows, self.is_outlier(rows), strict=True):
            outside = self.outside(row) if outlier else ()
            found.append(tuple(names[column] for column in outside) or tuple(names) if outlier else ())
        return found

    def outside(self, row: ArrayLike) -> NDArray[np.intp]:
        """Positions of the columns of one row that lie outside of their range.

        Parameters
        ----------
        row : array-like of float64, shape (n_columns,)
            NaN is unknown; an infinite value is outside.

        Returns
        -------
        ndarray of int, shape (n_outside,)
            Ascending.

        Raises
        ------
        DataError
            If the shape is not that of a row of the fit.
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.

        Examples
        --------
        >>> known = TrainingRange(tail=0.0).fit(np.linspace([0.0, 0.0], [1.0, 10.0], 50))
        >>> known.outside([5.0, 5.0]).tolist()
        [0]
        """
        values = self._checked_row(row)
        return np.flatnonzero((values < self.lower_) | (values > self.upper_))

    def to_dict(self) -> dict[str, float | list[float | None]]:
        """Everything needed to check again, in types that JSON keeps exactly; an absent range is None.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.
        """
        self._check_is_fitted()
        return {
            "tail": float(self.tail),
            "limit": float(self.limit_),
            "lower": _nan_as_none(self.lower_),
            "upper": _nan_as_none(self.upper_),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRange:
        """Rebuild a fitted range from :meth:`to_dict`.

        Raises
        ------
        BundleError
            If the keys are not those of :meth:`to_dict`, `tail` or `limit` is outside of its interval, `lower` and
            `upper` are no lists of one length >= 1, a bound is neither None nor a finite number, a column has one
            bound without the other, or a lower bound is above its upper one.
        """
        expected = {"tail", "limit", "lower", "upper"}
        if not isinstance(values, Mapping) or set(values) != expected:
            found = list(values) if isinstance(values, Mapping) else type(values).__name__
            raise BundleError(f"training range: expected exactly the keys {sorted(expected)}, was {found}")
        lower, upper = values["lower"], values["upper"]
        if not (isinstance(lower, list) and isinstance(upper, list) and len(lower) == len(upper) >= 1):
            raise BundleError("training range: `lower` and `upper` must be lists of one length >= 1")
        for column, (low, high) in enumerate(zip(lower, upper, strict=True)):
            if low is None and high is None:
                continue
            if not (_is_finite_number(low) and _is_finite_number(high) and low <= high):
                raise BundleError(
                    f"training range: the bounds of column {column} must be two finite numbers, lower <= upper, "
                    f"or both None, were {low!r} and {high!r}"
                )
        for name, most in (("tail", _LARGEST_TAIL), ("limit", 1.0)):
            if not (_is_finite_number(values[name]) and 0.0 <= values[name] <= most):
                raise BundleError(f"training range: `{name}` must be in [0, {most}], was {values[name]!r}")
        known = cls(tail=float(values["tail"]))
        known.limit_ = float(values["limit"])
        # None becomes NaN.
        known.lower_, known.upper_ = np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64)
        return known

    def _checked_row(self, row: ArrayLike) -> NDArray[np.float64]:
        self._check_is_fitted()
        values = np.asarray(row, dtype=np.float64)
        if values.shape != self.lower_.shape:
            raise DataError(f"`row` must have shape {self.lower_.shape}, was {values.shape}")
        return values

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "limit_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("This TrainingRange is not fitted yet: call `fit` or `from_dict` first")


def _range_of(rows: NDArray[np.float64], tail: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper bound of every column; NaN where no value is known."""
    ascending = np.sort(rows, axis=0)  # NaN last.
    n_known = np.count_nonzero(~np.isnan(rows), axis=0)
    left_out = np.floor(tail * n_known).astype(np.intp)
    column = np.arange(rows.shape[1])
    # Without a known value the last position is row -1, which is NaN as every other.
    return ascending[left_out, column], ascending[n_known - 1 - left_out, column]


def _drift(rows: NDArray[np.float64], tail: float) -> float:
    """Share outside that nearly no row exceeded which came after those that its range was measured on."""
    shares = []
    for block in np.array_split(np.arange(len(rows)), _BLOCKS)[1:]:
        inside, outside = _inside_and_outside(rows[block], *_range_of(rows[: block[0]], tail))
        anything_known = inside + outside > 0
        shares.append(_share(inside, outside)[anything_known])
    measured = np.sort(np.concatenate(shares))
    if not measured.size:
        return 0.0
    return float(measured[-1 - int(_EXCEEDING * measured.size)])


def _inside_and_outside(
    rows: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many columns of every row are inside and outside. An unknown value or bound is neither."""
    inside = np.count_nonzero((rows >= lower) & (rows <= upper), axis=1)
    outside = np.count_nonzero((rows < lower) | (rows > upper), axis=1)
    return inside, outside


def _share(inside: NDArray[np.int64], outside: NDArray[np.int64]) -> NDArray[np.float64]:
    known = inside + outside
    return np.where(known > 0, outside / np.maximum(known, 1), 1.0)


def _nan_as_none(bounds: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(bound) else bound for bound in bounds.tolist()]


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
