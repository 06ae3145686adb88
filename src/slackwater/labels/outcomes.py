"""Outcomes of labelled events at several horizons, as columns and as counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slackwater.durations import duration_name
from slackwater.times import timestamps
from slackwater.types import Bools, Floats, Ints

__all__ = ["HORIZON_COLUMNS", "NO_TIME", "Fate", "HorizonReport", "LabelReport", "Outcomes", "label_report"]

HORIZON_COLUMNS = ("code", "label_end_time", "log_return", "y_direction")
"""Columns that every reported horizon has besides, with its name at the end: ``code_4h``."""

_ARRAYS: Final = ("fate", "code", "end_time", "log_return", "tie")

NO_TIME: Final = int(np.iinfo(np.int64).min)
"""NaT in microseconds."""


class Fate(IntEnum):
    """Whether an event got a label, else why not, in the order of the tests."""

    LABELLED = 0
    GAP_BEFORE = 1
    NO_ENTRY_BAR = 2
    BEYOND_PATH_END = 3
    GAP_IN_WINDOW = 4


@dataclass(frozen=True, kw_only=True)
class HorizonReport:
    """Counts of the outcomes of the labelled events at one horizon.

    Attributes
    ----------
    horizon : timedelta
        The vertical barrier.
    labelled, reversals, continuations, time_outs : int
        Events whose outcome is known, and the three outcomes, which add up to it.
    beyond_path_end, gap_in_window : int
        Events that have the label of the headline, but no outcome at this horizon.
    ties : int
        Outcomes whose exit bar touched both barriers and was counted as a continuation.
    """

    horizon: timedelta
    labelled: int
    reversals: int
    continuations: int
    time_outs: int
    beyond_path_end: int
    gap_in_window: int
    ties: int


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Outcomes of events at several horizons, as arrays of shape (n_events, n_horizons).

    Attributes
    ----------
    horizons : sequence of timedelta
        In order of length.
    fate
        `Fate` of the event at the horizon.
    code, end_time, log_return, tie
        As in `slackwater.labels.barriers.triple_barrier`, the time in microseconds; 0, `NO_TIME`, NaN and false where
        the outcome is not known.
    """

    horizons: Sequence[timedelta]
    fate: Ints
    code: NDArray[np.int8]
    end_time: Ints
    log_return: Floats
    tie: Bools

    @classmethod
    def unknown(cls, n_events: int, horizons: Sequence[timedelta]) -> Outcomes:
        """Return outcomes to be filled in."""
        shape = (n_events, len(horizons))
        return cls(
            horizons=horizons,
            fate=np.full(shape, int(Fate.LABELLED)),
            code=np.zeros(shape, dtype=np.int8),
            end_time=np.full(shape, NO_TIME),
            log_return=np.full(shape, np.nan),
            tie=np.zeros(shape, dtype=np.bool_),
        )

    @classmethod
    def joined(cls, parts: Sequence[Outcomes], horizons: Sequence[timedelta]) -> Outcomes:
        """Return the outcomes of the events of all parts, which have these horizons."""
        whole = [cls.unknown(0, horizons), *parts]
        return cls(horizons=horizons, **{name: np.concatenate([getattr(x, name) for x in whole]) for name in _ARRAYS})

    def rows(self, kept: Bools) -> Outcomes:
        """Return the outcomes of some of the events."""
        return Outcomes(horizons=self.horizons, **{name: getattr(self, name)[kept] for name in _ARRAYS})

    def reversed(self, k: int) -> Bools:
        """Return which events had reversed by the end of a horizon, whether or not as far as the barrier."""
        code, log_return = self.code[:, k], self.log_return[:, k]
        return np.asarray((code == 1) | ((code == 0) & (log_return > 0)))

    def columns(self, k: int) -> dict[str, Any]:
        """Return `HORIZON_COLUMNS` of a horizon by their names in the labels table."""
        known = self.fate[:, k] == Fate.LABELLED
        values: dict[str, Any] = {
            "code": np.where(known, self.code[:, k], np.nan),
            "label_end_time": timestamps(self.end_time[:, k]),
            "log_return": self.log_return[:, k],
            "y_direction": np.where(known, self.reversed(k), np.nan),
        }
        return {f"{column}_{duration_name(self.horizons[k])}": values[column] for column in HORIZON_COLUMNS}

    def reports(self) -> tuple[HorizonReport, ...]:
        """Count the outcomes at each horizon, and the reasons of the events without one."""
        return tuple(
            HorizonReport(
                horizon=horizon,
                labelled=int((fate == Fate.LABELLED).sum()),
                reversals=int((code == 1).sum()),
                continuations=int((code == -1).sum()),
                time_outs=int(((code == 0) & (fate == Fate.LABELLED)).sum()),
                beyond_path_end=int((fate == Fate.BEYOND_PATH_END).sum()),
                gap_in_window=int((fate == Fate.GAP_IN_WINDOW).sum()),
                ties=int(tie.sum()),
            )
            for horizon, fate, code, tie in zip(self.horizons, self.fate.T, self.code.T, self.tie.T, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """Counts of the events that were labelled and dropped.

    Attributes
    ----------
    events : int
        Events given; the sum of `labelled` and the four `dropped_*`, each event counted once, by the first that holds.
    labelled : int
        Events that got a label.
    dropped_gap_before : int
        The 24 h before the event (or the wait for the entry bar) hold a gap, or reach back before the first fine bar.
    dropped_no_entry_bar : int
        Fine bars longer than one minute, and none opens at the event.
    dropped_beyond_path_end : int
        The horizon ends after the last fine bar: the outcome is not known yet, which is not a time-out.
    dropped_gap_in_window : int
        A gap between entry and the end of the horizon (whether or not a barrier was touched before it).
    ties : int
        Labels whose exit bar touched both barriers and was counted as a continuation.
    time_outs : int
        Labels with code 0.
    latency_to_charge : timedelta
        Time from the entry stamp to the decision, not contained in the entry price: zero with fine bars of one
        minute or less, else the decision lag. Charge it as slippage.
    horizons : tuple of HorizonReport
        Outcomes at the headline and at every reported horizon, in order of length.
    left_out : tuple of str
        Reported horizons without columns, each a sentence with the reason.
    """

    events: int
    labelled: int
    dropped_gap_before: int
    dropped_no_entry_bar: int
    dropped_beyond_path_end: int
    dropped_gap_in_window: int
    ties: int
    time_outs: int
    latency_to_charge: timedelta
    horizons: tuple[HorizonReport, ...]
    left_out: tuple[str, ...]

    @property
    def tie_share(self) -> float:
        """Share of labels that are ties, in [0, 1]; above .01 the fine bars are too long for the barriers."""
        return self.ties / self.labelled if self.labelled else float("nan")


def label_report(
    fates: Ints, outcomes: Outcomes, headline: int, *, latency: timedelta, left_out: Sequence[str]
) -> LabelReport:
    """Count the fates of all events at the headline, beside the outcomes of those with a label at every horizon."""
    counts = np.bincount(fates, minlength=len(Fate)).tolist()
    horizons = outcomes.reports()
    return LabelReport(
        events=len(fates),
        labelled=counts[Fate.LABELLED],
        dropped_gap_before=counts[Fate.GAP_BEFORE],
        dropped_no_entry_bar=counts[Fate.NO_ENTRY_BAR],
        dropped_beyond_path_end=counts[Fate.BEYOND_PATH_END],
        dropped_gap_in_window=counts[Fate.GAP_IN_WINDOW],
        ties=horizons[headline].ties,
        time_outs=horizons[headline].time_outs,
        latency_to_charge=latency,
        horizons=horizons,
        left_out=tuple(left_out),
    )
