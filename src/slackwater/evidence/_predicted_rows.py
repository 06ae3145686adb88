"""Rows of which everything that a metric of predictions needs is known."""

from __future__ import annotations

import pandas as pd

from slackwater.errors import DataError

__all__ = ["predicted_rows"]


def predicted_rows(scored: pd.DataFrame, target: str, *columns: str) -> pd.DataFrame:
    """Return the rows in which all columns are known: a fold with too few labels of one kind predicts nothing.

    Raises
    ------
    DataError
        If there are none, naming the target and the columns.
    """
    known = scored[scored[list(columns)].notna().all(axis=1)]
    if known.empty:
        raise DataError(
            f"no event of the test blocks has all of {', '.join(columns)}: the rows before each of them hold too few "
            f"labels of one kind to predict {target}; take a longer history, or a longer `validation.min_train`"
        )
    return known
