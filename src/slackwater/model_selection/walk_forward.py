"""Walk-forward cross-validation for labels that overlap in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator

from slackwater.errors import DataError, OrderError, ParameterError

__all__ = ["PurgedWalkForward"]

_MICROSECOND = timedelta(microseconds=1)


class PurgedWalkForward(BaseCrossValidator):
    """Expanding walk-forward splits, purged by the end time of each label and embargoed.

    Test blocks follow one another without overlap, the first beginning `first_train` after the first event.
    The training rows of a block are all earlier rows whose label had ended, with the embargo to spare, before
    the block begins. Rows may stand in any order, and rows of all symbols at one time fall on the same side.

    Parameters
    ----------
    event_times, label_end_times : array-like of datetime64, shape (n_samples,)
        When each label begins and when it is known, one entry a row of `X`. Times without a zone are read as
        UTC.
    embargo : timedelta
        Time that must pass between the end of the last training label and the start of the test block, >= 0.
    first_train : timedelta, default 180 days
        From the first event to the first test block, > 0.
    test : timedelta, default 30 days
        Length of a test block, > 0.
    min_train_rows : int, default 50
        Blocks with fewer training rows after the purge are skipped, >= 1.

    Notes
    -----
    Row i trains for the block that begins at a if and only if ``label_end_time[i] + embargo < a``. The
    comparison is with the start of the block, not with its first event, and it is strict: a label that ends
    at the very stamp at which the block begins is published after it. Where all labels run for the full
    horizon H this is the "gap of at least H + embargo" between the last training event and the test block; a
    label that ended early, at a barrier, may train as soon as its own end and the embargo have passed. Events
    near the block therefore train more often if they touched a barrier: that is a selection among training
    rows, and never a leak.

    Blocks without a test row, or with fewer than `min_train_rows`, yield nothing. The first training set is
    shorter than `first_train` by the purged stretch.

    References
    ----------
    M. López de Prado, *Advances in Financial Machine Learning* (2018), chapter 7.

    Examples
    --------
    >>> import numpy as np
    >>> from datetime import timedelta
    >>> events = np.datetime64("2024-01-01") + np.arange(300) * np.timedelta64(1, "D")
    >>> splitter = PurgedWalkForward(
    ...     event_times=events, label_end_times=events + np.timedelta64(1, "D"), embargo=timedelta(days=2))
    >>> X = np.zeros((300, 1))
    >>> splitter.get_n_splits()
    4
    >>> train, test = next(splitter.split(X))
    >>> train[-1], test[0], test[-1]
    (np.int64(176), np.int64(180), np.int64(209))
    """

    def __init__(
        self,
        *,
        event_times: Any,
        label_end_times: Any,
        embargo: timedelta,
        first_train: timedelta = timedelta(days=180),
        test: timedelta = timedelta(days=30),
        min_train_rows: int = 50,
    ) -> None:
        self.event_times = event_times
        self.label_end_times = label_end_times
        self.embargo = embargo
        self.first_train = first_train
        self.test = test
        self.min_train_rows = min_train_rows

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the positions of the training and the test rows of each block, in order of time.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Only its length is used.
        y, groups : None
            Ignored; they are here for scikit-learn.

        Yields
        ------
        train, test : ndarray of int64
            Positions in `X`, increasing. Never empty, never overlapping.

        Raises
        ------
        ParameterError
            If a duration is out of bounds, or `X` and the times differ in length.
        OrderError
            If a label does not end after its event.
        DataError
            If no block has both test rows and enough training rows.
        """
        event, end = _spans(self.event_times, self.label_end_times)
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != event.size:
            raise ParameterError(f"`X` must have one row an event time, {event.size}, had {n_rows}")
        blocks = self._blocks(event, end)
        first = next(blocks, None)
        if first is None:
            days = int(np.ptp(event)) * _MICROSECOND / timedelta(days=1) if event.size else 0.0
            raise DataError(
                f"no test block: {event.size} events over {days:.1f} days, with `first_train` "
                f"{self.first_train}, `embargo` {self.embargo} and `min_train_rows` {self.min_train_rows}"
            )
        yield first
        yield from blocks

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Count the blocks that `split` yields; the arguments are ignored.

        Returns
        -------
        int
            0 where `split` would raise for want of events.
        """
        return sum(1 for _ in self._blocks(*_spans(self.event_times, self.label_end_times)))

    def _blocks(
        self, event: NDArray[np.int64], end: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        for name in ("first_train", "test"):
            if getattr(self, name) <= timedelta(0):
                raise ParameterError(f"`{name}` must be > 0, was {getattr(self, name)}")
        if self.min_train_rows < 1:
            raise ParameterError(f"`min_train_rows` must be >= 1, was {self.min_train_rows}")
        embargo = _embargo(self.embargo)
        if event.size == 0:
            return
        length = self.test // _MICROSECOND
        start = event.min() + self.first_train // _MICROSECOND
        for begin in range(int(start), int(event.max()) + 1, length):
            test = np.flatnonzero((event >= begin) & (event < begin + length))
            train = np.flatnonzero(end + embargo < begin)
            if test.size and train.size >= self.min_train_rows:
                yield train, test


def _spans(event_times: Any, label_end_times: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    event = _microseconds(event_times, name="event_times")
    end = _microseconds(label_end_times, name="label_end_times")
    if event.size != end.size:
        raise ParameterError(f"`label_end_times` must have the length of `event_times`, {event.size}, had {end.size}")
    wrong = np.flatnonzero(end <= event)
    if wrong.size:
        raise OrderError(f"a label must end after its event; rows {wrong[:5].tolist()} do not")
    return event, end


def _microseconds(times: Any, *, name: str) -> NDArray[np.int64]:
    values = pd.Series(times)
    # Numbers would pass for nanoseconds since 1970 without a word.
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise ParameterError(f"`{name}` must hold datetime64 values, was {values.dtype}")
    missing = np.flatnonzero(values.isna().to_numpy())
    if missing.size:
        raise DataError(f"`{name}` must hold no missing time; rows {missing[:5].tolist()} do")
    return pd.DatetimeIndex(values).as_unit("us").asi8


def _embargo(embargo: timedelta) -> int:
    if embargo < timedelta(0):
        raise ParameterError(f"`embargo` must be >= 0, was {embargo}")
    return embargo // _MICROSECOND
