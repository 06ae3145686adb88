"""Weights of overlapping labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from slackwater.errors import DataError, OrderError
from slackwater.labels._tables import first_rows, require_columns, times_us

__all__ = ["average_uniqueness", "effective_n"]


def average_uniqueness(labels: pd.DataFrame) -> NDArray[np.float64]:
    """Return the average uniqueness of each label among the labels of its own symbol.

    Parameters
    ----------
    labels : DataFrame
        With the columns ``symbol``, ``event_time`` (label start, exclusive) and ``label_end_time``
        (inclusive), datetime64, UTC; rows in any order.

    Returns
    -------
    ndarray of float64, shape (n_labels,)
        In (0, 1], in row order: 1 for a label that overlaps no other, 1/2 for two labels over the same time.

    Raises
    ------
    SchemaError
        If a column is missing or a time is naive or missing.
    OrderError
        If a label does not end after its event.

    Notes
    -----
    ``n(t)`` is the number of labels of the symbol with ``event_time < t <= label_end_time``; the weight is
    the mean of ``1 / n(t)`` over the label's own span. The mean is taken over calendar time, not over bars,
    so it needs no price path and bars of any length give the same weight. Like the label, it is known only
    after ``label_end_time``, and later events of the symbol still change it: use it to fit, never to predict.

    Symbols are not pooled: what two symbols have in common is a correlation, not an overlap, and is left to the block
    bootstrap, which draws all symbols of a calendar block together (`slackwater.metrics.selection`).

    References
    ----------
    M. López de Prado, *Advances in Financial Machine Learning* (2018), section 4.4.

    Examples
    --------
    >>> import pandas as pd
    >>> labels = pd.DataFrame({
    ...     "symbol": "BTCUSDT",
    ...     "event_time": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
    ...     "label_end_time": pd.to_datetime(["2024-01-03", "2024-01-04"], utc=True)})
    >>> average_uniqueness(labels)
    array([0.75, 0.75])
    """
    require_columns(labels, ["symbol", "event_time", "label_end_time"], name="labels")
    start = times_us(labels, "event_time", name="labels")
    end = times_us(labels, "label_end_time", name="labels")
    backwards = end <= start
    if backwards.any():
        raise OrderError(f"a label must end after its event:\n{first_rows(labels, backwards)}")
    weight = np.empty(len(labels))
    for rows in labels.reset_index(drop=True).groupby("symbol", sort=False).indices.values():
        weight[rows] = _uniqueness(start[rows], end[rows])
    return weight


def _uniqueness(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
    # Concurrency is constant between neighbouring starts and ends, so the mean is a difference of one running
    # integral.
    edges = np.unique(np.concatenate((start, end)))
    begun = np.searchsorted(np.sort(start), edges[:-1], side="right")
    over = np.searchsorted(np.sort(end), edges[:-1], side="right")
    concurrent = begun - over
    unique_share = np.where(concurrent > 0, 1.0 / np.maximum(concurrent, 1), 0.0)
    integral = np.concatenate(([0.0], np.cumsum(unique_share * np.diff(edges))))
    covered = integral[np.searchsorted(edges, end)] - integral[np.searchsorted(edges, start)]
    mean: NDArray[np.float64] = covered / (end - start)
    return np.minimum(mean, 1.0)


def effective_n(weights: ArrayLike) -> float:
    """Return the effective number of labels: the sum of their average uniqueness.

    Parameters
    ----------
    weights : array-like of float, shape (n_labels,)
        Average uniqueness, in (0, 1]; not the weights normalised to a mean of one for a fit.

    Returns
    -------
    float
        In [0, n_labels].

    Raises
    ------
    DataError
        If a weight is NaN or outside (0, 1].

    Examples
    --------
    >>> effective_n([0.75, 0.75])
    1.5
    """
    values = np.asarray(weights, dtype=np.float64)
    wrong = ~((values > 0) & (values <= 1))
    if wrong.any():
        raise DataError(f"`weights` must be in (0, 1], was {values[wrong][:5].tolist()}")
    return float(values.sum())
