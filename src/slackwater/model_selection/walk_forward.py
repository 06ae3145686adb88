"""Walk-forward cross-validation for labels that overlap in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from slackwater.errors import DataError, OrderError, ParameterError
from slackwater.numbers import brief
from slackwater.times import DAY_US, microseconds, require_times_us
from slackwater.types import Ints

__all__ = ["PurgedWalkForward"]


class PurgedWalkForward(BaseCrossValidator):
    """Expanding walk-forward splits, purged by the end time of each label and embargoed (method, section 2.2).

    Test blocks follow one another without overlap; the first begins `min_train` after the first event. The training
    rows of a block are all rows whose label ended at least the embargo before the block begins. Rows may be in any
    order, and rows of all symbols at one time are on the same side.

    Parameters
    ----------
    event_times, label_end_times : array-like of datetime64, shape (n_samples,)
        Time at which each label begins and time at which it is known, one entry per row of `X`. Times without a zone
        are read as UTC.
    embargo : timedelta
        Time between the end of the last training label and the start of the test block, >= 0.
    min_train : timedelta, default 180 days
        From the first event to the first test block, > 0.
    test : timedelta, default 30 days
        Length of a test block, > 0.
    min_train_rows : int, default 50
        Blocks with fewer training rows after the purge are skipped, >= 1.

    Notes
    -----
    The comparison with the start of a block is strict: a label that ends exactly when the block begins is published
    after it. A label that ended early, at a barrier, may train as soon as its own end and the embargo have passed; this
    selects among training rows and is not a leak.

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
        min_train: timedelta = timedelta(days=180),
        test: timedelta = timedelta(days=30),
        min_train_rows: int = 50,
    ) -> None:
        self.event_times = event_times
        self.label_end_times = label_end_times
        self.embargo = embargo
        self.min_train = min_train
        self.test = test
        self.min_train_rows = min_train_rows

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:
        """Yield the positions of the training and the test rows of each block, in order of time.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Only the length is used.
        y, groups : None
            Ignored; scikit-learn passes them.

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
            raise ParameterError(f"`X` must have one row per event time, {event.size}, had {n_rows}")
        blocks = self._blocks(event, end)
        first = next(blocks, None)
        if first is None:
            days = int(np.ptp(event)) / DAY_US if event.size else 0.0
            raise DataError(
                f"no test block: {event.size} events over {days:.1f} days, with `min_train` "
                f"{self.min_train}, `embargo` {self.embargo} and `min_train_rows` {self.min_train_rows}"
            )
        yield first
        yield from blocks

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of blocks that `split` yields, 0 if it would raise for lack of events; ignore arguments."""
        return sum(1 for _ in self._blocks(*_spans(self.event_times, self.label_end_times)))

    def _blocks(self, event: Ints, end: Ints) -> Iterator[tuple[Ints, Ints]]:
        for name in ("embargo", "min_train", "test"):
            if not isinstance(getattr(self, name), timedelta):
                raise ParameterError(f"`{name}` must be a timedelta, was {brief(getattr(self, name))}")
        for name in ("min_train", "test"):
            if getattr(self, name) <= timedelta(0):
                raise ParameterError(f"`{name}` must be > 0, was {getattr(self, name)}")
        if not isinstance(self.min_train_rows, Integral) or self.min_train_rows < 1:
            raise ParameterError(f"`min_train_rows` must be a whole number >= 1, was {brief(self.min_train_rows)}")
        if self.embargo < timedelta(0):
            raise ParameterError(f"`embargo` must be >= 0, was {self.embargo}")
        embargo = microseconds(self.embargo)
        if event.size == 0:
            return
        length = microseconds(self.test)
        start = event.min() + microseconds(self.min_train)
        for begin in range(int(start), int(event.max()) + 1, length):
            test = np.flatnonzero((event >= begin) & (event < begin + length))
            train = np.flatnonzero(end + embargo < begin)
            if test.size and train.size >= self.min_train_rows:
                yield train, test


def _spans(event_times: Any, label_end_times: Any) -> tuple[Ints, Ints]:
    event = require_times_us(event_times, name="event_times")
    end = require_times_us(label_end_times, name="label_end_times")
    if event.size != end.size:
        raise ParameterError(f"`label_end_times` must have the length of `event_times`, {event.size}, had {end.size}")
    wrong = np.flatnonzero(end <= event)
    if wrong.size:
        raise OrderError(f"a label must end after its event; rows {wrong[:5].tolist()} do not")
    return event, end
