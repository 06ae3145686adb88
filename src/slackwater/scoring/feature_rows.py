"""Predictions from rows of features that were computed before, such as those of a features table or of a request."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.scoring.scorer import ReversalScorer

__all__ = ["predict_rows"]


def predict_rows(scorer: ReversalScorer, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the models of a scorer say of events, from their features alone.

    Parameters
    ----------
    scorer
        The scorer.
    rows
        One row per event: every feature of the bundle as `ReversalScorer.score` returns it (not oriented), and
        `direction` of the prior move, 1 or -1. Other columns are not read; NaN is a feature that is not known.

    Returns
    -------
    DataFrame
        `p_direction` and `p_hit` (calibrated probabilities), `trade_edge` and `trade_edge_low` (log-odds above the fair
        ones), and the outputs of other targets, with the index of `rows`: the values of `ReversalScorer.score`.

    Raises
    ------
    SchemaError
        If a column is absent or not numeric, or a direction is not 1 or -1.
    """
    names = [*scorer._orientation.names, "direction"]
    if absent := [name for name in names if name not in rows]:
        raise SchemaError(f"rows of features lack {len(absent)} columns, such as {', '.join(absent[:5])}")
    try:
        values = rows[names].to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"rows of features must be numbers: {error}") from error
    direction = values[:, -1]
    if wrong := np.flatnonzero(np.abs(direction) != 1.0).tolist():
        raise SchemaError(
            f"`direction` must be 1 or -1, was {direction[wrong[0]]} in row {wrong[0]} and {len(wrong) - 1} others"
        )
    features = np.full((len(rows), len(scorer._engine.names)), np.nan)  # the models read those of the bundle alone
    features[:, scorer._columns] = values[:, :-1]
    models = scorer._compiled
    return pd.DataFrame(models(features, direction)[:, : len(models.columns)], index=rows.index, columns=models.columns)
