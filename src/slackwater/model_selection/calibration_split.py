"""Split of the training rows into those for the first trees and those for the calibrator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, ParameterError, SchemaError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["calibration_split"]


def calibration_split(
    n_rows: int,
    *,
    fraction: float,
    embargo: timedelta | None = None,
    event_times: ArrayLike | None = None,
    label_end_times: ArrayLike | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cut rows that are in order of time into a head and a tail, and purge the head against the tail.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    fraction : float
        Fraction of the rows in the tail, rounded, the last in time; in (0, 1).
    embargo : timedelta or None
        Time between the end of a label in the head and the first event of the tail, >= 0. None
        is zero.
    event_times, label_end_times : array-like of datetimes, shape (n_rows,), optional
        Time at which each row was known, and at which its label was known. Without them nothing is purged.

    Returns
    -------
    head, tail : ndarray of intp
        Row numbers. Of the rows before the tail, the head keeps those with
        ``label_end_time + embargo <= first event_time of the tail``.

    Raises
    ------
    ParameterError
        If one of the times is given without the other.
    SchemaError
        If the times are not datetimes, some are missing (NaT), they are not as many as the rows, or only one
        of the two carries a time zone.
    OrderError
        If `event_times` run backwards, or a label ends before its event.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=5, tz="UTC")
    >>> head, tail = calibration_split(
    ...     5, fraction=0.4, event_times=days, label_end_times=days + pd.Timedelta("36h")
    ... )
    >>> head, tail  # the label of row 2 ends half a day into the tail
    (array([0, 1]), array([3, 4]))
    """
    tail_start = n_rows - round(n_rows * fraction)
    head, tail = np.arange(tail_start), np.arange(tail_start, n_rows)
    if event_times is None and label_end_times is None:
        return head, tail
    if event_times is None or label_end_times is None:
        raise ParameterError("`event_times` and `label_end_times` must be given together, one was None")
    events = _datetimes(event_times, "event_times", n_rows)
    label_ends = _datetimes(label_end_times, "label_end_times", n_rows)
    if (events.tz is None) != (label_ends.tz is None):
        raise SchemaError("`event_times` and `label_end_times` must both carry a time zone, or neither")
    backwards = np.flatnonzero(events[1:] < events[:-1])
    if backwards.size:
        raise OrderError(f"`event_times` must not run backwards, did at row {backwards[0] + 1}")
    early = np.flatnonzero(label_ends < events)
    if early.size:
        raise OrderError(f"`label_end_times` must not lie before `event_times`, did at row {early[0]}")
    if tail.size:
        known = label_ends[:tail_start] + (embargo or timedelta(0)) <= events[tail_start]
        head = head[np.asarray(known)]
    return head, tail


def _datetimes(times: ArrayLike, name: str, n_rows: int) -> Any:
    index = pd.Index(times)
    if not isinstance(index, pd.DatetimeIndex):
        raise SchemaError(f"`{name}` must be datetimes, was {index.dtype}")
    if len(index) != n_rows or index.hasnans:
        missing = int(index.isna().sum())
        raise SchemaError(f"`{name}` must be {n_rows} times without NaT, was {len(index)} with {missing} NaT")
    return index
