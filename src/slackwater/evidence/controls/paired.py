"""Results of a rule, and what one rule earns per trade beyond another, paired by day."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import auc_from_counts
from slackwater.metrics.selection import block_bootstrap_indices, interval_of_draws
from slackwater.times import DAY_US, epochs_us, timestamps
from slackwater.types import Bools, Floats, Ints

__all__ = ["UNITS", "OtherScores", "PairedDays", "auc_differences", "before_funding", "without_direction"]

UNITS: Final = ("r", "bps")
"""Units of a result: R, and basis points of the entry notional."""


@dataclass(frozen=True, kw_only=True)
class PairedDays:
    """The calendar of the test period, on which every rule is resampled with the same draws.

    The results of a rule are one row per trade: ``event_time`` (UTC), ``net_r`` and ``net_bps``. A mean per trade is a
    sum over days divided by another: the bounds are those of `Resampling.interval` and `Resampling.difference` over
    single trades on this calendar, at a hundredth of the cost.

    Parameters
    ----------
    events
        Times of all events of the test period; its first and last day bound the calendar.
    resampling
        Block bootstrap of the intervals.
    """

    events: pd.Series
    resampling: Resampling

    def summary(self, results: pd.DataFrame) -> dict[str, Any]:
        """Return ``n_trades``, and ``net_r_mean`` and ``net_bps_mean`` with their intervals ``_low`` and ``_high``.

        NaN where there is no trade, or too little time for an interval.
        """
        found: dict[str, Any] = {"n_trades": len(results)}
        for unit in UNITS:
            mean, low, high = self.mean(results["event_time"], results[f"net_{unit}"])
            found |= {f"net_{unit}_mean": mean, f"net_{unit}_low": low, f"net_{unit}_high": high}
        return found

    def difference(self, one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
        """Return by how much the mean result per trade of one rule exceeds that of another, with its interval.

        Returns
        -------
        dict
            ``difference_r`` and ``difference_bps``, each with ``_low`` and ``_high``; NaN where a rule has no trade.
        """
        found: dict[str, float] = {}
        for unit in UNITS:
            means = [self._means(results["event_time"], results[f"net_{unit}"]) for results in (one, other)]
            values = self._with_interval(means[0] - means[1])
            found |= dict(zip((f"difference_{unit}{end}" for end in ("", "_low", "_high")), values, strict=True))
        return found

    def mean(self, times: pd.Series, values: pd.Series) -> tuple[float, float, float]:
        """Return the mean of values at times of the test period, and its interval."""
        return self._with_interval(self._means(times, values))

    def _with_interval(self, means: Floats) -> tuple[float, float, float]:
        """Return a statistic and its interval from its values: of the sample first, then of every draw."""
        estimate = float(means[0])
        found = interval_of_draws(estimate, means[1:], days=len(self._days), mean_block=self.resampling.mean_block)
        return estimate, found.low, found.high

    def _means(self, times: pd.Series, values: pd.Series) -> Floats:
        """Return the mean of the sample, then that of every draw; NaN where a draw holds no value."""
        day = epochs_us(times) // DAY_US - self._days[0]
        if len(day) and not (day.min() >= 0 and day.max() < len(self._days)):
            raise ParameterError(
                f"results must lie in the test period, {self.events.min()} to {self.events.max()}; they begin on "
                f"{times.min()} and end on {times.max()}"
            )
        n = len(self._days)
        total = np.bincount(day, weights=values.to_numpy(np.float64), minlength=n)
        count = np.bincount(day, minlength=n).astype(np.float64)
        totals, counts = ((self._counts @ each) for each in (total, count))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts > 0.0, totals / counts, np.nan)

    @cached_property
    def _days(self) -> Ints:
        days = epochs_us(self.events) // DAY_US
        return np.arange(days.min(), days.max() + 1)

    @cached_property
    def _counts(self) -> Floats:
        """How often each day is in the sample (once) and in every draw, shape (1 + draws, days)."""
        days, own = timestamps(self._days * DAY_US), self.resampling
        draws = block_bootstrap_indices(days, mean_block=own.mean_block, draws=own.draws, seed=own.seed)
        counts = [np.bincount(rows, minlength=len(days)) for rows in draws]
        return np.vstack([np.ones(len(days)), *counts]).astype(np.float64)


class OtherScores(NamedTuple):
    """Predictions that are compared with those of the model.

    Parameters
    ----------
    y, p
        Outcome (0, 1) and prediction of each event; NaN: not known.
    """

    y: Floats
    p: Floats

    def known(self, y: Floats, p: Floats) -> Bools:
        """Return the events on which these predictions and those of the model can be compared: all four are known."""
        return ~(np.isnan(y) | np.isnan(p) | np.isnan(self.y) | np.isnan(self.p))


def before_funding(known: Bools) -> str:
    """Return in words that the funding of some trades is not known, "" where all of it is."""
    unknown = int(np.sum(~known))
    return f"funding unknown in {unknown} of {len(known)} trades: results are before funding" if unknown else ""


def without_direction(known: Bools) -> str:
    """Return in words that the direction of some events is not known, "" where all of it is."""
    unknown = int(np.sum(~known))
    return (
        f"AUC without {unknown} of {len(known)} events, whose direction or prediction is not known" if unknown else ""
    )


_AUC: Final = ("auc", "difference_auc", "difference_auc_low", "difference_auc_high")


def auc_differences(
    times: pd.Series, y: Floats, p: Floats, others: Sequence[OtherScores | None], resampling: Resampling
) -> list[dict[str, float]]:
    """Return the AUC of other predictions, and by how much that of the model exceeds it, all on the same draws.

    Parameters
    ----------
    times, y, p
        Event time, outcome and the prediction of the model.
    others
        Predictions to compare with; None: there are none.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    list of dict
        Of each: ``auc``, ``difference_auc``, ``difference_auc_low`` and ``difference_auc_high``, both AUC on the events
        of `OtherScores.known`; NaN where there are none.
    """
    compared = [None if other is None else _aucs(y, p, other) for other in others]

    def apart(counts: Ints) -> list[float]:
        return [math.nan if aucs is None else aucs.model(counts) - aucs.other(counts) for aucs in compared]

    once = np.ones(len(y), dtype=np.int64)
    drawn = block_bootstrap_indices(
        times, mean_block=resampling.mean_block, draws=resampling.draws, seed=resampling.seed
    )
    values = np.array([apart(np.bincount(rows, minlength=len(y))) for rows in drawn])
    days, found = int(np.ptp(epochs_us(times) // DAY_US)) + 1, []
    for aucs, estimate, draws in zip(compared, apart(once), values.T, strict=True):
        interval = interval_of_draws(estimate, draws, days=days, mean_block=resampling.mean_block)
        own = math.nan if aucs is None else aucs.other(once)
        found.append(dict(zip(_AUC, (own, estimate, interval.low, interval.high), strict=True)))
    return found


class _Aucs(NamedTuple):
    """The AUC of the model and that of other predictions, by how often each event is counted."""

    model: Callable[[Ints], float]
    other: Callable[[Ints], float]


def _aucs(y: Floats, p: Floats, other: OtherScores) -> _Aucs | None:
    known = other.known(y, p)
    if not known.any():
        return None
    of_model, of_other = auc_from_counts(y[known], p[known]), auc_from_counts(other.y[known], other.p[known])
    return _Aucs(model=lambda counts: of_model(counts[known]), other=lambda counts: of_other(counts[known]))
