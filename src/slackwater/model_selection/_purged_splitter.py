"""Parts of every purged splitter: checks of its times and parameters, and the error where no split is left."""

from __future__ import annotations

from abc import abstractmethod
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

__all__ = ["PurgedSplitter", "require_count", "require_duration"]


class PurgedSplitter(BaseCrossValidator):
    """Base of the splitters whose training labels never overlap a tested one in time."""

    event_times: Any
    label_end_times: Any

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:
        """Yield the positions of the training and the test rows of each split.

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
            If a parameter is out of bounds, or `X` and the times differ in length.
        OrderError
            If a label does not end after its event.
        DataError
            If there is no split with both test rows and enough training rows.
        """
        event, end = self._spans()
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != event.size:
            raise ParameterError(f"`X` must have one row per event time, {event.size}, had {n_rows}")
        splits = self._splits(event, end)
        first = next(splits, None)
        if first is None:
            days = int(np.ptp(event)) / DAY_US if event.size else 0.0
            raise DataError(f"no test block: {event.size} events over {days:.1f} days, with {self._settings()}")
        yield first
        yield from splits

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits that `split` yields, 0 where there is none; the arguments are ignored."""
        return sum(1 for _ in self._splits(*self._spans()))

    @abstractmethod
    def _splits(self, event: Ints, end: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Yield the splits of labels from `event` to `end`, microseconds; raise ParameterError first."""

    @abstractmethod
    def _settings(self) -> str:
        """Return the parameters that decide how many splits there are."""

    def _spans(self) -> tuple[Ints, Ints]:
        event = require_times_us(self.event_times, name="event_times")
        end = require_times_us(self.label_end_times, name="label_end_times")
        if event.size != end.size:
            raise ParameterError(
                f"`label_end_times` must have the length of `event_times`, {event.size}, had {end.size}"
            )
        wrong = np.flatnonzero(end <= event)
        if wrong.size:
            raise OrderError(f"a label must end after its event; rows {wrong[:5].tolist()} do not")
        return event, end


def require_duration(name: str, value: Any, *, positive: bool = True) -> int:
    """Return a duration in microseconds; raise ParameterError if it is not a timedelta or out of bounds."""
    if not isinstance(value, timedelta):
        raise ParameterError(f"`{name}` must be a timedelta, was {brief(value)}")
    if value < timedelta(0) or (positive and not value):
        raise ParameterError(f"`{name}` must be {'> 0' if positive else '>= 0'}, was {value}")
    return microseconds(value)


def require_count(name: str, value: Any, *, least: int = 1) -> int:
    """Return a whole number; raise ParameterError if it is not one or below the least."""
    if not isinstance(value, Integral) or value < least:
        raise ParameterError(f"`{name}` must be a whole number >= {least}, was {brief(value)}")
    return int(value)
