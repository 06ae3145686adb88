"""Weights of labels that overlap in time, within a symbol and across symbols that move together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from slackwater.errors import DataError, OrderError, ParameterError
from slackwater.labels._tables import first_rows, require_columns, times_us
from slackwater.types import Floats, Ints

__all__ = ["average_uniqueness", "effective_n"]


def average_uniqueness(
    labels: pd.DataFrame, *, symbol_correlation: float = 0.0, end: str = "label_end_time"
) -> NDArray[np.float64]:
    """Return the average uniqueness of each label among those that overlap it in time (method, section 1.5).

    Parameters
    ----------
    labels : DataFrame
        With the columns ``symbol``, ``event_time`` (label start, exclusive) and `end`, datetime64, UTC; rows in any
        order.
    symbol_correlation : float, default 0
        What a label of another symbol counts beside one of the own symbol, in [0, 1]: 0 if symbols move on their own,
        1 if they move as one.
    end : str, default ``"label_end_time"``
        Column with the end of each label, inclusive.

    Returns
    -------
    ndarray of float64, shape (n_labels,)
        In (0, 1], in row order: 1 for a label that overlaps no other, 1/2 for two labels over the same time.

    Raises
    ------
    ParameterError
        If `symbol_correlation` is out of range.
    SchemaError
        If a column is missing or a time is naive or missing.
    OrderError
        If a label does not end after its event.

    Notes
    -----
    Like the label, the weight is known only after its end, and later events still change it: use it to fit, never to
    predict. It takes O(n log n) time for any number of symbols, times the largest number of labels of one symbol that
    overlap.

    Examples
    --------
    >>> import pandas as pd
    >>> labels = pd.DataFrame({
    ...     "symbol": ["BTCUSDT", "ETHUSDT"],
    ...     "event_time": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
    ...     "label_end_time": pd.to_datetime(["2024-01-03", "2024-01-04"], utc=True)})
    >>> average_uniqueness(labels), average_uniqueness(labels, symbol_correlation=1.0)
    (array([1., 1.]), array([0.75, 0.75]))
    """
    if not 0.0 <= symbol_correlation <= 1.0:
        raise ParameterError(f"`symbol_correlation` must be in [0, 1], was {symbol_correlation}")
    require_columns(labels, ["symbol", "event_time", end], name="labels")
    start = times_us(labels, "event_time", name="labels")
    stop = times_us(labels, end, name="labels")
    backwards = stop <= start
    if backwards.any():
        raise OrderError(f"a label must end after its event:\n{first_rows(labels, backwards)}")
    edges, concurrent = _concurrency(start, stop)
    shared = _Shared(edges, concurrent, symbol_correlation)
    weight = np.empty(len(labels))
    for rows in labels.reset_index(drop=True).groupby("symbol", sort=False).indices.values():
        weight[rows] = _uniqueness(start[rows], stop[rows], shared)
    return weight


def _concurrency(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Return the times at which labels begin or end, and how many there are between neighbouring ones."""
    edges = np.unique(np.concatenate((start, stop)))
    begun = np.searchsorted(np.sort(start), edges[:-1], side="right")
    over = np.searchsorted(np.sort(stop), edges[:-1], side="right")
    return edges, begun - over


class _Shared:
    """What the labels of other symbols take from those of one symbol, over any span of time."""

    def __init__(self, edges: Ints, concurrent: Ints, correlation: float) -> None:
        self._edges, self._concurrent, self._correlation = edges, concurrent, correlation
        self._integrals: dict[int, Floats] = {}

    def taken(self, own: int, start: Ints, stop: Ints) -> Floats:
        """Return the integral of 1 / own - 1 / (own + correlation * others) over spans with `own` labels each."""
        if own not in self._integrals:
            # Where there are fewer than `own` labels in all, nothing is asked for.
            others = self._correlation * np.maximum(self._concurrent - own, 0)
            lost = 1.0 / own - 1.0 / (own + others)
            self._integrals[own] = np.concatenate(([0.0], np.cumsum(lost * np.diff(self._edges))))
        integral, edges = self._integrals[own], self._edges
        return np.asarray(integral[np.searchsorted(edges, stop)] - integral[np.searchsorted(edges, start)])


def _uniqueness(start: Ints, stop: Ints, shared: _Shared) -> Floats:
    # Concurrency is constant between neighbouring starts and ends, so the mean is a difference of one running
    # integral.
    edges, concurrent = _concurrency(start, stop)
    unique = np.where(concurrent > 0, 1.0 / np.maximum(concurrent, 1), 0.0) * np.diff(edges)
    for own in np.unique(concurrent[concurrent > 0]).tolist():
        at = np.flatnonzero(concurrent == own)
        unique[at] -= shared.taken(own, edges[at], edges[at + 1])
    integral = np.concatenate(([0.0], np.cumsum(unique)))
    covered = integral[np.searchsorted(edges, stop)] - integral[np.searchsorted(edges, start)]
    return np.minimum(covered / (stop - start), 1.0)


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
