"""Combinatorial cross-validation for labels that overlap in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from typing import Any

import numpy as np

from slackwater.errors import DataError, ParameterError
from slackwater.model_selection._purged_splitter import PurgedSplitter, require_count, require_duration
from slackwater.types import Bools, Ints

__all__ = ["CombinatorialPurgedCV"]


class CombinatorialPurgedCV(PurgedSplitter):
    """Every choice of some groups of time as test set, purged and embargoed on both sides (method, section 2.2).

    The event times are cut into groups that follow one another, with about the same number of different times each.
    Each choice of `n_test_groups` of them is the test set of one split. A row trains if its label ended at least the
    embargo before every tested group that begins after it, and if it begins at least the embargo after the last label
    of every tested group before it. Rows may be in any order.

    Rows of all symbols at one time are in one group, so that a cascade of the whole market is never trained on with one
    symbol and tested with another; where it lasts across a cut, its labels overlap and the purge removes them.

    Parameters
    ----------
    event_times, label_end_times : array-like of datetime64, shape (n_samples,)
        Time at which each label begins and time at which it is known, one entry per row of `X`. Times without a zone
        are read as UTC.
    embargo : timedelta
        Time between a training label and a tested one, on both sides, >= 0.
    n_groups : int, default 6
        Groups of time, >= 2.
    n_test_groups : int, default 2
        Groups that are tested together, in [1, `n_groups` - 1].
    min_train_rows : int, default 50
        Training rows that every split must have after the purge, >= 1. A split with fewer is an error rather than left
        out: each of the paths needs all of them.

    Notes
    -----
    Training rows lie on both sides of the test set: these splits show how much a result varies over histories (López de
    Prado 2018, chapter 12), not what was knowable at the time, which only walk-forward shows.

    Examples
    --------
    >>> import numpy as np
    >>> from datetime import timedelta
    >>> events = np.datetime64("2024-01-01") + np.arange(300) * np.timedelta64(1, "D")
    >>> splitter = CombinatorialPurgedCV(
    ...     event_times=events, label_end_times=events + np.timedelta64(1, "D"), embargo=timedelta(days=2))
    >>> splitter.get_n_splits(), splitter.paths().shape
    (15, (5, 300))
    >>> train, test = next(splitter.split(np.zeros((300, 1))))
    >>> test[-1], train[0]
    (np.int64(99), np.int64(103))
    """

    def __init__(
        self,
        *,
        event_times: Any,
        label_end_times: Any,
        embargo: timedelta,
        n_groups: int = 6,
        n_test_groups: int = 2,
        min_train_rows: int = 50,
    ) -> None:
        self.event_times = event_times
        self.label_end_times = label_end_times
        self.embargo = embargo
        self.n_groups = n_groups
        self.n_test_groups = n_test_groups
        self.min_train_rows = min_train_rows

    def paths(self) -> Ints:
        """Return which split predicts each row on each path through the whole history.

        Returns
        -------
        ndarray of int64, shape (n_paths, n_samples)
            Number of the split, in the order of `split`. With ``predictions`` of shape (n_splits, n_samples), those of
            the first path are ``predictions[paths[0], np.arange(n_samples)]``. Every test set is used once.
        """
        event, _ = self._spans()
        tested = self._tested_groups()
        split_of_group = np.array([np.flatnonzero(column) for column in tested.T]).T
        return split_of_group[:, self._groups(event)]

    def _splits(self, event: Ints, end: Ints) -> Iterator[tuple[Ints, Ints]]:
        embargo = require_duration("embargo", self.embargo, positive=False)
        min_train_rows = require_count("min_train_rows", self.min_train_rows)
        tested = self._tested_groups()
        if event.size == 0:
            return
        group = self._groups(event)
        # Rows that keep clear of each group: shape (n_groups, n_samples).
        clear = np.array(
            [
                (end + embargo < event[members].min()) | (event > end[members].max() + embargo)
                for members in (group == number for number in range(self.n_groups))
            ]
        )
        for number, of_split in enumerate(tested):
            train = np.flatnonzero(clear[of_split].all(axis=0))
            if train.size < min_train_rows:
                raise DataError(
                    f"split {number} has {train.size} training rows after the purge, of {event.size} events; "
                    f"`min_train_rows` is {min_train_rows}: use fewer groups, or a shorter embargo than {self.embargo}"
                )
            yield train, np.flatnonzero(of_split[group])

    def _settings(self) -> str:
        return f"`n_groups` {self.n_groups} and `n_test_groups` {self.n_test_groups}"

    def _tested_groups(self) -> Bools:
        """Return which groups each split tests, shape (n_splits, n_groups)."""
        n_groups = require_count("n_groups", self.n_groups, least=2)
        n_test_groups = require_count("n_test_groups", self.n_test_groups)
        if n_test_groups >= n_groups:
            raise ParameterError(f"`n_test_groups` must be < `n_groups`, {n_groups}, was {n_test_groups}")
        return np.array(
            [np.isin(np.arange(n_groups), chosen) for chosen in combinations(range(n_groups), n_test_groups)]
        )

    def _groups(self, event: Ints) -> Ints:
        """Return the group of each row: different times are divided evenly, so that one time is never divided."""
        times, which = np.unique(event, return_inverse=True)
        if times.size < self.n_groups:
            raise DataError(
                f"`n_groups` must be <= the number of different event times, {times.size}, was {self.n_groups}"
            )
        return np.asarray(np.arange(times.size) * self.n_groups // times.size, dtype=np.int64)[which]
