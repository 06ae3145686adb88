"""Rows of a table of features that a model is fitted on: taken part by part, so that they are not held twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.types import Floats, Ints

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from slackwater.models.targets import Model

__all__ = ["FitsRows", "TableRows", "fit_model"]

_PART: Final = 8_192  # rows: 12 MB of 192 columns
_COLUMNS: Final = 8  # that lie side by side in a row are read together


class TableRows:
    """Some rows of a table, which may repeat, and some of its columns, without a copy of them.

    Parameters
    ----------
    values : array of float64, shape (n, k)
        All values of the table.
    columns : sequence of str
        Names of the columns that are taken, in order.
    rows : array of int
        Positions of the rows that are taken, in order.
    places : array of int, shape (n_columns,), optional
        Positions of the columns that are taken; all in order if not given.

    Examples
    --------
    >>> table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    >>> rows = TableRows.of(table, ["b"], np.array([2, 0, 0]))
    >>> rows.shape, rows.taken().tolist()
    ((3, 1), [[6.0], [4.0], [4.0]])
    """

    def __init__(self, values: Floats, columns: Sequence[str], rows: Ints, places: Ints | None = None) -> None:
        self.columns = list(columns)
        self.rows = rows
        self._values = values
        self._places = np.arange(values.shape[1]) if places is None else places

    @classmethod
    def of(cls, table: pd.DataFrame, columns: Sequence[str], rows: Ints) -> TableRows:
        """Return rows of a table of float64; its values are not copied where pandas keeps them in one block.

        Raises
        ------
        SchemaError
            If the table lacks a column.
        """
        places = table.columns.get_indexer(pd.Index(columns))
        if (places < 0).any():
            lacking = ", ".join(str(columns[int(at)]) for at in np.flatnonzero(places < 0))
            raise SchemaError(f"the table of features lacks the columns {lacking}")
        return cls(table.to_numpy(np.float64), columns, rows, places)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.rows), len(self.columns)

    def taken(self, part: slice = slice(None)) -> Floats:
        """Return the values of a part of the rows, a copy, shape (n, n_columns)."""
        return self._values[np.ix_(self.rows[part], self._places)]

    def by_column(self) -> Iterator[Floats]:
        """Yield the values of each column, shape (n_rows,); few columns are held at a time."""
        for start in range(0, len(self._places), _COLUMNS):
            yield from self._values[np.ix_(self.rows, self._places[start : start + _COLUMNS])].T.copy()

    def parts(self) -> Iterator[tuple[slice, Floats]]:
        """Yield parts of the rows in order, and the values of each."""
        for start in range(0, len(self), _PART):
            part = slice(start, min(start + _PART, len(self)))
            yield part, self.taken(part)

    def frame(self, part: slice = slice(None)) -> pd.DataFrame:
        """Return a part of the rows as a table; its index are the positions of the rows."""
        return pd.DataFrame(self.taken(part), columns=self.columns, index=self.rows[part], copy=False)


@runtime_checkable
class FitsRows(Protocol):
    """A model that takes its rows part by part: `slackwater.models.targets.Model` with one method more.

    It is called instead of `fit`, unless a class has changed `fit` alone of two that it inherits.
    """

    def fit_rows(
        self, rows: TableRows, y: ArrayLike, sample_weight: ArrayLike, *, init_score: ArrayLike | None
    ) -> Self:
        """Fit as `Model.fit` does on `rows.frame()`."""


def fit_model(
    model: Model, rows: TableRows, y: ArrayLike, sample_weight: ArrayLike, *, init_score: ArrayLike | None
) -> Model:
    """Fit a model on rows of a table: those that take them part by part get no copy, others a table of their own."""
    if isinstance(model, FitsRows) and not _fit_is_its_own(model):
        fitted: Model = model.fit_rows(rows, y, sample_weight, init_score=init_score)
        return fitted
    return model.fit(rows.frame(), y, sample_weight, init_score=init_score)


def _fit_is_its_own(model: FitsRows) -> bool:
    """Return whether a class has changed `fit` and inherits the other method, which would pass over the change."""
    for each in type(model).__mro__:
        if "fit" in vars(each) or "fit_rows" in vars(each):
            return "fit_rows" not in vars(each)
    return False
