"""Check of a row of features against the range of the training rows.

Beyond the last split of a column a tree returns a constant, so its probability looks as certain for values that
training never contained. The check is two numbers per column and one limit, and is stored in a bundle as JSON. It needs
numpy alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slackwater.errors import BundleError, DataError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from slackwater.types import Bools, Floats, Ints

__all__ = ["TrainingRange"]

_LARGEST_TAIL = 0.25  # beyond it, more than half of the values would lie outside
_FEWEST_ROWS = 50  # ten per block
_BLOCKS = 5
_EXCEEDING = 0.005  # Share of the out-of-sample rows that the limit may stop.
_FEWEST_COLUMNS = 2  # columns that may always be outside: one or two are an accident
_LARGEST_LIMIT = 0.5


class TrainingRange:
    """Range of every column in training, and the share of a row that may lie outside (method, section 2.4).

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
    The share is one of the known columns, so where few are known a single one outside can be enough. Of n known values
    the ``floor(tail n)`` smallest and as many of the largest lie outside. No value is interpolated, so the range of
    ``-x`` is the mirrored range of ``x``.

    Markets drift, so the limit is measured forwards in time. It errs on the high side, because its ranges come from
    fewer rows than the final one. The upper bound of 1/2 wins over the lower one of two columns: a history in which
    most columns moved to another level would otherwise switch the check off.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(2_000, 40))
    >>> known = TrainingRange().fit(X)
    >>> round(known.limit_, 3)
    0.05
    >>> known.is_outlier([X[7], X[7] + 10.0]).tolist()
    [False, True]
    """

    lower_: Floats
    upper_: Floats
    limit_: float

    def __init__(self, *, tail: float = 0.001) -> None:
        self.tail = tail

    def fit(self, X: ArrayLike) -> TrainingRange:
        """Measure the range of every column and the limit.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows >= 50, n_columns >= 1)
            The rows that the trees are fitted on, in order of time. NaN is unknown.

        Raises
        ------
        ParameterError
            If `tail` is not in [0, 0.25].
        DataError
            If `X` is not a matrix, has fewer than 50 rows or no column, or contains an infinite value.
        """
        self._check_tail()
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[0] < _FEWEST_ROWS or rows.shape[1] < 1:
            raise DataError(f"`X` must have shape (n_rows >= {_FEWEST_ROWS}, n_columns >= 1), was {rows.shape}")
        return self.fit_columns(rows.T)

    def fit_columns(self, columns: Iterable[Floats]) -> TrainingRange:
        """Measure the same from the columns of `X` in order, of which one is held at a time; errors as `fit`."""
        self._check_tail()
        ranges, drift = [], None
        for at, values in enumerate(columns):
            infinite = np.flatnonzero(np.isinf(values))
            if len(infinite):
                raise DataError(f"`X` must not hold infinite values, the first is in row {infinite[0]}, column {at}")
            drift = drift or _Drift(len(values), self.tail)
            if len(values) != drift.rows:
                raise DataError(f"`columns` must have {drift.rows} rows, column {at} had {len(values)}")
            drift.add(values)
            ranges.append(_range_of(values, self.tail))
        if drift is None or drift.rows < _FEWEST_ROWS:
            shape = (0 if drift is None else drift.rows, len(ranges))
            raise DataError(f"`X` must have shape (n_rows >= {_FEWEST_ROWS}, n_columns >= 1), was {shape}")
        self.lower_, self.upper_ = np.array(ranges).T.copy()
        self.limit_ = min(max(drift.share(), _FEWEST_COLUMNS / len(ranges)), _LARGEST_LIMIT)
        return self

    def share_outside(self, X: ArrayLike) -> Floats:
        """Return the share of the columns of every row that lie outside of their range.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows, n_columns)
            NaN is unknown; an infinite value is outside.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            In [0, 1], among the columns that have a range and are known in the row; the bounds themselves are
            inside. 1.0 where there is no such column.

        Raises
        ------
        DataError
            If `X` does not have the columns of the fit.
        sklearn.exceptions.NotFittedError
            Before `fit` or `from_dict`.
        """
        return _share(*_inside_and_outside(self._checked(X), self.lower_, self.upper_))

    def is_outlier(self, X: ArrayLike) -> Bools:
        """Return whether the share of columns outside exceeds `limit_`, shape (n_rows,); errors as `share_outside`."""
        return self.share_outside(X) > self.limit_

    def out_of_range(self, X: ArrayLike, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the names of the columns out of range for every row that is an outlier, none for the others.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows, n_columns)
            NaN is unknown; an infinite value is outside.
        names : sequence of str, shape (n_columns,)
            Names of the columns. All are returned for a row without a known value.

        Raises
        ------
        DataError, sklearn.exceptions.NotFittedError
            As `share_outside`.

        Examples
        --------
        >>> known = TrainingRange(tail=0.0).fit(np.linspace([0.0, 0.0], [1.0, 10.0], 50))
        >>> known.out_of_range([[0.5, 5.0], [5.0, 50.0]], ["a", "b"])
        [(), ('a', 'b')]
        """
        rows = self._checked(X)
        outside = (rows < self.lower_) | (rows > self.upper_)
        return [
            tuple(names[column] for column in np.flatnonzero(which).tolist()) or tuple(names) if outlier else ()
            for which, outlier in zip(outside, self.is_outlier(rows), strict=True)
        ]

    def to_dict(self) -> dict[str, float | list[float | None]]:
        """Return what `from_dict` rebuilds the range from, in types that JSON keeps exactly; no range is None."""
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
            `upper` are not lists of one length >= 1, a bound is neither None nor a finite number, a column has one
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

    def _checked(self, X: ArrayLike) -> Floats:
        self._check_is_fitted()
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.lower_.size:
            raise DataError(f"`X` must have shape (n_rows, {self.lower_.size}), was {rows.shape}")
        return rows

    def _check_tail(self) -> None:
        if not 0.0 <= self.tail <= _LARGEST_TAIL:
            raise ParameterError(f"`tail` must be in [0, {_LARGEST_TAIL}], was {self.tail}")

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "limit_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("This TrainingRange is not fitted yet: call `fit` or `from_dict` first")


def _range_of(values: Floats, tail: float) -> tuple[float, float]:
    """Return the lower and upper bound of a column; NaN where no value is known."""
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return np.nan, np.nan
    left_out = int(tail * known.size)
    return float(known[left_out]), float(known[-1 - left_out])


class _Drift:
    """The share outside that nearly no row exceeds against the range of the rows before it, column by column."""

    def __init__(self, rows: int, tail: float) -> None:
        self.rows, self._tail = rows, tail
        self._blocks = [
            slice(block[0], block[-1] + 1) for block in np.array_split(np.arange(rows), _BLOCKS) if len(block)
        ]
        self._inside, self._outside = np.zeros((2, rows), dtype=np.int64)

    def add(self, values: Floats) -> None:
        """Count a column inside and outside, in every row but those of the first block."""
        for block in self._blocks[1:]:
            lower, upper = _range_of(values[: block.start], self._tail)
            own = values[block]
            self._inside[block] += (own >= lower) & (own <= upper)
            self._outside[block] += (own < lower) | (own > upper)

    def share(self) -> float:
        """Return the share."""
        later = slice(self._blocks[1].start, None)
        inside, outside = self._inside[later], self._outside[later]
        measured = np.sort(_share(inside, outside)[inside + outside > 0])
        return float(measured[-1 - int(_EXCEEDING * measured.size)]) if measured.size else 0.0


def _inside_and_outside(rows: Floats, lower: Floats, upper: Floats) -> tuple[Ints, Ints]:
    """Count the columns of every row inside and outside; an unknown value or bound is neither."""
    inside = np.count_nonzero((rows >= lower) & (rows <= upper), axis=1)
    outside = np.count_nonzero((rows < lower) | (rows > upper), axis=1)
    return inside, outside


def _share(inside: Ints, outside: Ints) -> Floats:
    known = inside + outside
    return np.where(known > 0, outside / np.maximum(known, 1), 1.0)


def _nan_as_none(bounds: Floats) -> list[float | None]:
    return [None if np.isnan(bound) else bound for bound in bounds.tolist()]


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
