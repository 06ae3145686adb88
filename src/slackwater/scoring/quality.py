"""The quality of the data under a score: how much history, what is missing, how old the rest is, where it came from.

`ReversalScorer.score` states it in columns, `ScoreStream.update` in a field of each score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import compress
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from slackwater.market.ages import ages_at_bars
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds

__all__ = ["AGE", "DataQuality", "quality_columns"]

AGE: Final = "age_"
"""Beginning of the columns of `ReversalScorer.score` that hold the age of a table."""


_LIQUIDATIONS: Final = {"liquidations", "liquidation_totals"}
"""Tables of the same inputs, of which a market has one."""


class DataQuality(NamedTuple):
    """Data quality of one score, worked out where it is asked for: a live bar makes one and few are read.

    Parameters
    ----------
    time_us, step_us
        Close of the bar and spacing of bars, microseconds.
    before
        Closes of the first bar of the symbol, and of the bar before this one, microseconds; None at the first bar.
    warm_up
        History after which every feature is known.
    limits
        Age of each table beyond which it counts as silent.
    stated_ages
        As `ages`; None where the row states none.
    backfilled
        Tables of which no row was pushed since the history that the stream was warmed with.
    refused_rows
        Rows of the symbol that were refused since its last score, such as repeated or late ones, >= 0.
    notes
        What a live process has to say of the rows since the last score, such as ``bars: backfilled``; sorted.
    """

    time_us: int
    step_us: int
    before: tuple[int, int] | None
    warm_up: timedelta
    limits: Mapping[str, timedelta]
    stated_ages: Mapping[str, timedelta | None] | None
    backfilled: tuple[str, ...] = ()
    refused_rows: int = 0
    notes: tuple[str, ...] = ()

    @property
    def history(self) -> timedelta:
        """Time from the open of the first bar of the symbol to the close of this one, positive."""
        since = 0 if self.before is None else self.time_us - self.before[0]
        return timedelta(microseconds=since + self.step_us)

    @property
    def warm(self) -> bool:
        """Whether that is at least the warm-up. Before it, some windows are shorter than they state."""
        return self.history >= self.warm_up

    @property
    def missing_bars(self) -> int:
        """Bars that are missing between this one and the bar before it, >= 0."""
        if self.before is None:
            return 0
        return (self.time_us - self.before[1]) // self.step_us - 1

    @property
    def live(self) -> bool:
        """Whether the bar was assembled from pushed rows, and not joined from tables of history."""
        return self.stated_ages is not None

    @property
    def ages(self) -> Mapping[str, timedelta | None]:
        """Age at the decision of the newest row of each table, in the time that its staleness is measured in.

        None where no row was known yet. Empty where a row of the frame does not state it.
        """
        return {} if self.stated_ages is None else self.stated_ages

    @property
    def silent_tables(self) -> tuple[str, ...]:
        """Tables of which no row was known, or none that was young enough: their inputs are unknown."""
        return _silent(name for name, age in self.ages.items() if age is None or age > self.limits[name])

    def to_dict(self) -> dict[str, Any]:
        """Return every statement in types of JSON: durations in seconds, null where there was no row."""
        return {
            "history": self.history.total_seconds(),
            "warm": self.warm,
            "missing_bars": self.missing_bars,
            "live": self.live,
            "ages": {name: None if age is None else age.total_seconds() for name, age in self.ages.items()},
            "silent_tables": list(self.silent_tables),
            "backfilled": list(self.backfilled),
            "refused_rows": self.refused_rows,
            "notes": list(self.notes),
        }


def quality_columns(
    frame: MarketFrame, tables: Mapping[str, pd.DataFrame], spec: FrameSpec, warm_up: timedelta
) -> pd.DataFrame:
    """Return the data quality of each bar of a frame.

    Parameters
    ----------
    frame, spec
        Frame of the tables, and its settings.
    tables
        The tables by name.
    warm_up
        History after which every feature is known.

    Returns
    -------
    DataFrame, n_bars rows
        `history`, `warm`, `missing_bars`, `live` (False), `silent_tables` (a tuple of names) and one `age_<table>` per
        joined table, as in `DataQuality`, in the order of the rows that have a bar.
    """
    present = frame.table["close"].notna().to_numpy()
    symbols, _ = pd.factorize(frame.table["symbol"][present])
    times, step = epochs_us(frame.table["event_time"][present]), microseconds(spec.bar_interval)
    begins = np.r_[True, symbols[1:] != symbols[:-1]]
    first = times[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    missing = np.r_[0, np.diff(times) // step - 1]
    history = pd.Series((times - first + step).astype("timedelta64[us]"))
    ages = ages_at_bars(frame, tables, spec)
    silent = np.column_stack([age.isna() | (age > spec.staleness[name]) for name, age in ages.items()])
    codes = silent @ (1 << np.arange(silent.shape[1]))
    _, examples, which = np.unique(codes, return_index=True, return_inverse=True)
    names = [_silent(compress(ages, silent[row])) for row in examples]
    columns: dict[str, Any] = {
        "history": history,
        "warm": history >= warm_up,
        "missing_bars": np.where(begins, 0, missing),
        "live": np.zeros(len(times), dtype=bool),
        "silent_tables": pd.Series([names[each] for each in which.tolist()], dtype=object),
        **{f"{AGE}{name}": age for name, age in ages.items()},
    }
    return pd.DataFrame(columns)


def _silent(tables: Iterable[str]) -> tuple[str, ...]:
    """Return the tables without one whose inputs the other kind of liquidations feeds."""
    names = tuple(tables)
    return tuple(name for name in names if name not in _LIQUIDATIONS or set(names) >= _LIQUIDATIONS)
