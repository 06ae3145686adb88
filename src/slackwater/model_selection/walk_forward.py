"""Walk-forward cross-validation for labels that overlap in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np

from slackwater.errors import ParameterError
from slackwater.model_selection._purged_splitter import PurgedSplitter, require_count, require_duration
from slackwater.types import Ints

__all__ = ["PurgedWalkForward"]


class PurgedWalkForward(PurgedSplitter):
    """Walk-forward splits, purged by the end time of each label and embargoed (method, section 2.2).

    Test blocks follow one another without overlap; the first begins `min_train` after the first event. The training
    rows of a block are all rows whose label ended at least the embargo before the block begins; with `max_train`, only
    those of the events within that time before it. Rows may be in any order, and rows of all symbols at one time are on
    the same side.

    Parameters
    ----------
    event_times, label_end_times : array-like of datetime64, shape (n_samples,)
        Time at which each label begins and time at which it is known, one entry per row of `X`. Times without a zone
        are read as UTC.
    embargo : timedelta
        Time between the end of the last training label and the start of the test block, >= 0.
    min_train : timedelta, default 180 days
        From the first event to the first test block, > 0.
    max_train : timedelta, optional
        From the earliest training event to the start of the test block, > `embargo`: the window rolls. None: it
        expands from the first event.
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
        max_train: timedelta | None = None,
        test: timedelta = timedelta(days=30),
        min_train_rows: int = 50,
    ) -> None:
        self.event_times = event_times
        self.label_end_times = label_end_times
        self.embargo = embargo
        self.min_train = min_train
        self.max_train = max_train
        self.test = test
        self.min_train_rows = min_train_rows

    def _splits(self, event: Ints, end: Ints) -> Iterator[tuple[Ints, Ints]]:
        embargo = require_duration("embargo", self.embargo, positive=False)
        min_train, length = require_duration("min_train", self.min_train), require_duration("test", self.test)
        min_train_rows = require_count("min_train_rows", self.min_train_rows)
        max_train = None if self.max_train is None else require_duration("max_train", self.max_train)
        if max_train is not None and max_train <= embargo:
            raise ParameterError(f"`max_train` must be > `embargo`, {self.embargo}, was {self.max_train}")
        if event.size == 0:
            return
        for begin in range(int(event.min()) + min_train, int(event.max()) + 1, length):
            test = np.flatnonzero((event >= begin) & (event < begin + length))
            known = end + embargo < begin
            train = np.flatnonzero(known if max_train is None else known & (event >= begin - max_train))
            if test.size and train.size >= min_train_rows:
                yield train, test

    def _settings(self) -> str:
        return (
            f"`min_train` {self.min_train}, `max_train` {self.max_train}, `embargo` {self.embargo} and "
            f"`min_train_rows` {self.min_train_rows}"
        )
