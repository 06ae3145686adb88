"""Shares of every model feature in training, and how far stretches of training lie from the rest of it.

The population stability index (PSI) compares the shares of later events with them (method, section 2.4). It needs numpy
and pydantic alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slackwater.errors import BundleError, DataError
from slackwater.numbers import brief
from slackwater.times import DAY_US, require_times_us
from slackwater.types import Bools, Floats, Ints

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["NoDrift", "TrainingShares"]

_BINS: Final = 10
_DAYS: Final = (3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224)
_STRETCHES: Final = 20  # that training must have of a length: with fewer, a bound of 95 % is the largest of a handful
_CONFIDENCE: Final = 0.95
_OF_TWO: Final = 0.975  # of each of two limits, so that 95 % of the stretches keep both
_HALF: Final = 0.5  # event that is added to every bin, so that an empty one does not make the index infinite
_DIGITS: Final = 4

_Share = Annotated[float, Field(ge=0, le=1)]
_Psi = Annotated[float, Field(ge=0)]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NoDrift(_Stored):
    """PSI of the stretches of training of one length, each against the rest of training.

    Attributes
    ----------
    days : int
        Length: days with an event, one after another.
    events : float
        Median number of events of a stretch.
    expected, bound : tuple of float or None, shape (n_columns,)
        Mean and 95 % quantile of the PSI of each column, >= 0; None for one that became known too late in training.
    families : dict
        Mean and 95 % quantile of the mean PSI of the columns of each family; a family without any bound is absent.
    share_beyond, largest_ratio : float
        97.5 % quantiles, of the share of columns of a stretch that lie beyond their bound, in [0, 1], and of the
        largest PSI as a multiple of its bound.
    """

    days: Annotated[int, Field(ge=1)]
    events: Annotated[float, Field(ge=0)]
    expected: tuple[_Psi | None, ...]
    bound: tuple[_Psi | None, ...]
    families: dict[str, tuple[_Psi, _Psi]]
    share_beyond: _Share
    largest_ratio: _Psi


class TrainingShares(_Stored):
    """Bins of every column and the number of training events in each.

    Attributes
    ----------
    families : tuple of str, shape (n_columns,)
        Family of each column.
    edges : tuple of tuples of float
        Ascending upper edges of all bins but the last, by column; an edge belongs to the bin below it.
    counts : tuple of tuples of int
        Events by bin, by column, from the first at which the column was known: what is unknown before is warm-up. The
        last bin counts unknown values, so there are two more than edges.
    days : int
        Days of training with an event.
    no_drift : tuple of NoDrift
        By length, ascending; none where training has fewer than 60 days with an event.

    Notes
    -----
    The bins are the deciles of the known values. A value that is a tenth of them or more has a bin of its own. Half an
    event is added to each bin of both sides.

    The usual bounds of a PSI, .1 and .25, or the chi-squared distribution of independent events, do not fit events that
    cluster: a month of a market without any drift has most of its features beyond them. So the bound of a sample is
    that of training itself: every stretch of as many days is compared with the rest of training, and 95 % of them stay
    below it. What training contained, such as a year of changing volatility, is therefore not drift.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> times = np.datetime64("2024-01-01") + np.arange(2_000) * np.timedelta64(1, "h")
    >>> shares = TrainingShares.of(rng.normal(size=(2_000, 1)), times, ["price"])
    >>> month, shifted = rng.normal(size=(168, 1)), rng.normal(1.0, size=(168, 1))
    >>> null = shares.no_drift_of(168, 7)
    >>> [bool(shares.psi(sample)[0] > null.bound[0]) for sample in (month, shifted)]
    [False, True]
    """

    families: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...]
    days: Annotated[int, Field(ge=1)]
    no_drift: tuple[NoDrift, ...]

    @classmethod
    def of(cls, X: ArrayLike, times: Any, families: Sequence[str]) -> TrainingShares:
        """Measure the shares of training rows.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows >= 1, n_columns >= 1)
            Oriented features of events of the kind that the bundle scores. NaN is unknown.
        times : array-like of datetime64, shape (n_rows,)
            Time of each event; without a zone it is read as UTC.
        families : sequence of str, shape (n_columns,)
            Family of each column.

        Raises
        ------
        DataError
            If the shapes differ, there is no row, or a value is infinite.
        """
        rows, stamps = np.asarray(X, dtype=np.float64), require_times_us(times, name="times")
        if rows.ndim != 2 or not rows.size or rows.shape != (stamps.size, len(families)):
            raise _other_shape(rows.shape, stamps, families)
        return cls.of_columns(rows.T, times, families)

    @classmethod
    def of_columns(cls, columns: Iterable[Floats], times: Any, families: Sequence[str]) -> TrainingShares:
        """Measure the same from the columns of `X` in order, of which one is held at a time; errors as `of`."""
        stamps = require_times_us(times, name="times")
        in_time, (days, day) = np.argsort(stamps, kind="stable"), _days(stamps)
        edges, counted = [], []
        for values in columns:
            if len(values) != stamps.size or not stamps.size:
                raise _other_shape((len(values), len(families)), stamps, families)
            if np.isinf(values).any():
                raise DataError("`X` must not hold infinite values")
            own, begun = _edges(values), _begun(values, in_time)
            edges.append(own)
            counted.append(_counts(values[begun], own, day[begun], days))
        if len(edges) != len(families) or not edges:
            raise _other_shape((stamps.size, len(edges)), stamps, families)
        bins = _Bins.of(edges)
        by_day = bins.stacked(counted)
        return cls(
            families=tuple(families),
            edges=tuple(tuple(each.tolist()) for each in edges),
            counts=bins.without_padding(by_day.sum(axis=0)),
            days=days,
            no_drift=tuple(_no_drift(by_day, bins, families, n) for n in _DAYS if n * _STRETCHES <= days),
        )

    @property
    def events(self) -> int:
        """Return the number of training events."""
        return max(map(sum, self.counts))

    @property
    def missing(self) -> Floats:
        """Return the share of unknown values by column, shape (n_columns,)."""
        return np.array([counts[-1] / sum(counts) for counts in self.counts])

    def psi(self, X: ArrayLike) -> Floats:
        """Return the PSI of each column of a sample, shape (n_columns,), >= 0.

        Parameters
        ----------
        X : array-like of float64, shape (n_rows >= 1, n_columns)
            NaN is unknown; an infinite value lies in the outermost bin.

        Raises
        ------
        DataError
            If there is no row, or the columns are not those of training.
        """
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(self.edges):
            raise DataError(f"`X` must have shape (n_rows >= 1, {len(self.edges)}), was {rows.shape}")
        edges = [np.array(each) for each in self.edges]
        bins = _Bins.of(edges)
        one_day = np.zeros(len(rows), dtype=np.int64)
        (sample,) = bins.stacked([_counts(own, its, one_day, 1) for own, its in zip(rows.T, edges, strict=True)])
        return bins.psi(sample, bins.padded(self.counts))

    def no_drift_of(self, events: int, days: int) -> NoDrift | None:
        """Return what no drift looks like in a sample: that of the longest stretches with neither more days nor events.

        Parameters
        ----------
        events
            Number of events of the sample.
        days
            Days (UTC) on which they lie.

        Returns
        -------
        NoDrift or None
            None where the sample is smaller than the shortest stretches.
        """
        fitting = [each for each in self.no_drift if each.days <= days and each.events <= events]
        return fitting[-1] if fitting else None

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` rebuilds the shares from, in types of JSON."""
        content: dict[str, Any] = self.model_dump(mode="json")
        return content

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingShares:
        """Rebuild the shares from :meth:`to_dict`.

        Raises
        ------
        BundleError
            If a key is missing or unknown, a value has the wrong type, lengths differ, or edges do not ascend.
        """
        try:
            shares = cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise BundleError(f"training shares: `{key}`: {first['msg']}, was {brief(first['input'])}") from None
        _check_lengths(shares)
        return shares


def _other_shape(was: tuple[int, ...], stamps: Ints, families: Sequence[str]) -> DataError:
    wanted = (stamps.size, len(families))
    return DataError(
        f"`X` must have a row per time and a column per family, {wanted} and at least one of each, was {was}"
    )


def _check_lengths(shares: TrainingShares) -> None:
    columns = len(shares.families)
    lengths = {len(shares.edges), len(shares.counts)}
    lengths |= {len(each) for null in shares.no_drift for each in (null.expected, null.bound)}
    if lengths != {columns} or not columns:
        raise BundleError(f"training shares: every list must have {columns} >= 1 columns, had {sorted(lengths)}")
    for column, (edges, counts) in enumerate(zip(shares.edges, shares.counts, strict=True)):
        if len(counts) != len(edges) + 2 or np.any(np.diff(edges) <= 0):
            raise BundleError(f"training shares: column {column} must have ascending edges and two counts more")
        if not sum(counts):
            raise BundleError(f"training shares: column {column} must count at least one event")


class _Bins:
    """Counts of bins as one padded array, shape (..., n_columns, most bins)."""

    def __init__(self, used: Bools) -> None:
        self.used = used

    @classmethod
    def of(cls, edges: Sequence[Floats]) -> _Bins:
        sizes = np.array([each.size + 2 for each in edges])
        return cls(np.arange(sizes.max()) < sizes[:, None])

    def stacked(self, counts: Sequence[Ints]) -> Ints:
        """Return counts by day and bin of each column as one array, shape (days, n_columns, most bins)."""
        table = np.zeros((len(counts[0]), *self.used.shape), dtype=np.int64)
        for column, own in enumerate(counts):
            table[:, column, : own.shape[1]] = own
        return table

    def padded(self, counts: Sequence[Sequence[int]]) -> Ints:
        table = np.zeros(self.used.shape, dtype=np.int64)
        table[self.used] = [count for column in counts for count in column]
        return table

    def without_padding(self, table: Ints) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(row[used].tolist()) for row, used in zip(table, self.used, strict=True))

    def psi(self, one: Ints, other: Ints) -> Floats:
        shares = []
        for counts in (one, other):
            smoothed = counts + _HALF * self.used
            shares.append(smoothed / smoothed.sum(axis=-1, keepdims=True))
        ratio = np.divide(shares[0], shares[1], out=np.ones(one.shape), where=self.used)
        return ((shares[0] - shares[1]) * np.log(ratio)).sum(axis=-1)


def _edges(column: Floats) -> Floats:
    """Return the upper edges of bins of about a tenth of the known values; a frequent value has its own bin."""
    known = np.sort(column[~np.isnan(column)])
    if not known.size:
        return known
    deciles = np.unique(known[np.arange(1, _BINS) * known.size // _BINS])
    values, counts = np.unique(known, return_counts=True)
    frequent = values[counts * _BINS >= known.size]
    return np.unique(np.concatenate([deciles, frequent, np.nextafter(frequent, -np.inf)]))


def _begun(values: Floats, in_time: Ints) -> Bools:
    """Return whether a column was known at an event or before; True throughout for one that never is."""
    known = ~np.isnan(values)
    begun = np.empty_like(known)
    begun[in_time] = np.logical_or.accumulate(known[in_time])
    return begun if known.any() else np.ones_like(known)


def _days(stamps: Ints) -> tuple[int, Ints]:
    """Return the number of days with a row, and the day of each row, counted from 0."""
    found, day = np.unique(stamps // DAY_US, return_inverse=True)
    return len(found), day


def _counts(values: Floats, edges: Floats, day: Ints, days: int) -> Ints:
    """Count the rows of a column by day and bin, shape (days, bins); the last bin is of unknown values."""
    bins = edges.size + 2
    which = day * bins + np.where(np.isnan(values), edges.size + 1, np.searchsorted(edges, values, side="left"))
    return np.bincount(which, minlength=days * bins).reshape(days, bins)


def _no_drift(by_day: Ints, bins: _Bins, families: Sequence[str], days: int) -> NoDrift:
    """Compare every stretch of so many days with the rest of training."""
    psi, events = _stretches(by_day, bins, days)
    known = ~np.isnan(psi)
    judged = np.count_nonzero(known, axis=0) > days * (_STRETCHES - 1)
    psi, known, named = psi[:, judged], known[:, judged], np.array(families)[judged]
    found = [_mean_and_bound(own[there]) for own, there in zip(psi.T, known.T, strict=True)]
    by_column = dict(zip(np.flatnonzero(judged).tolist(), found, strict=True))
    sums = np.where(known, psi, 0.0)
    by_family = {}
    for name in dict.fromkeys(named.tolist()):
        n_known = np.count_nonzero(known[:, named == name], axis=1)
        total = sums[:, named == name].sum(axis=1)
        by_family[name] = _mean_and_bound(total[n_known > 0] / n_known[n_known > 0])
    bounds = np.array([bound for _, bound in found])
    beyond = (sums > bounds).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    largest = (sums / bounds).max(axis=1, initial=0.0)
    return NoDrift(
        days=days,
        events=float(np.median(events)),
        expected=tuple(by_column[i][0] if i in by_column else None for i in range(len(families))),
        bound=tuple(by_column[i][1] if i in by_column else None for i in range(len(families))),
        families=by_family,
        share_beyond=_quantile(beyond, _OF_TWO),
        largest_ratio=_quantile(largest, _OF_TWO),
    )


def _stretches(by_day: Ints, bins: _Bins, days: int) -> tuple[Floats, Ints]:
    """Return the PSI of every stretch by column, NaN where the column is not counted yet, and the events of each."""
    whole, stretch = by_day.sum(axis=0), by_day[:days].sum(axis=0)
    indices, events = [], []
    for start in range(len(by_day) - days + 1):
        if start:
            stretch = stretch + by_day[start + days - 1] - by_day[start - 1]
        counted = stretch.sum(axis=1)
        indices.append(np.where(2 * counted > counted.max(), bins.psi(stretch, whole - stretch), np.nan))
        events.append(int(counted.max()))
    return np.array(indices), np.array(events)


def _mean_and_bound(psi: Floats) -> tuple[float, float]:
    return float(f"{psi.mean():.{_DIGITS}g}"), _quantile(psi, _CONFIDENCE)


def _quantile(values: Floats, level: float) -> float:
    return float(f"{np.quantile(values, level):.{_DIGITS}g}")
