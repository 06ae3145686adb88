"""The quality of the data under a score: how much history, what is missing, how old the rest is, where it came from.

`ReversalScorer.score` states it in columns, `ScoreStream.update` in a field of each score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import compress
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.market.ages import ages_at_bars
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds

__all__ = ["AGE", "DataQuality", "quality_columns"]

AGE: Final = "age_"
"""Beginning of the columns of `ReversalScorer.score` that hold the age of a table."""


_LIQUIDATIONS: Final = {"liquidations", "liquidation_totals"}
"""Tables of the same inputs, of which a market has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQuality:
    """Data quality of one score.

    Parameters
    ----------
    history
        Time from the open of the first bar of the symbol to the close of this one, positive.
    warm
        Whether that is at least the warm-up of the features. Before it, some windows are shorter than they state.
    missing_bars
        Bars that are missing between this one and the bar before it, >= 0.
    live
        Whether the bar was assembled from pushed rows, and not joined from tables of history.
    ages
        Age at the decision of the newest row of each table, in the time that its staleness is measured in; None where
        no row was known yet. Empty where a row of the frame does not state it.
    silent_tables
        Tables of which no row was known, or none that was young enough: their inputs are unknown.
    backfilled
        Tables of which no row was pushed since the history that the stream was warmed with.
    refused_rows
        Rows of the symbol that were refused since its last score, such as repeated or late ones, >= 0.
    """

    history: timedelta
    warm: bool
    missing_bars: int
    live: bool
    ages: Mapping[str, timedelta | None]
    silent_tables: tuple[str, ...] = ()
    backfilled: tuple[str, ...] = ()
    refused_rows: int = 0

    @classmethod
    def of_bar(cls, row: FrameRow, span: tuple[int, int] | None, *, spec: FrameSpec, warm_up: timedelta) -> DataQuality:
        """Return the quality of a live bar; `span` holds the closes of the first and the last bar before it, in µs."""
        step = microseconds(spec.bar_interval)
        first, last = span or (row.time_us, row.time_us - step)
        history = timedelta(microseconds=row.time_us - first + step)
        return cls(
            history=history,
            warm=history >= warm_up,
            missing_bars=(row.time_us - last) // step - 1,
            live=row.ages is not None,
            ages=row.ages or {},
            silent_tables=_silent([n for n, age in (row.ages or {}).items() if age is None or age > spec.staleness[n]]),
            backfilled=row.backfilled,
        )


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
    codes, _ = pd.factorize(frame.table["symbol"][present])
    times, step = epochs_us(frame.table["event_time"][present]), microseconds(spec.bar_interval)
    begins = np.r_[True, codes[1:] != codes[:-1]]
    first = times[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    missing = np.r_[0, np.diff(times) // step - 1]
    history = pd.Series((times - first + step).astype("timedelta64[us]"))
    ages = ages_at_bars(frame, tables, spec)
    silent = np.column_stack([age.isna() | (age > spec.staleness[name]) for name, age in ages.items()])
    names = {bits: _silent(compress(ages, bits)) for bits in set(map(tuple, silent.tolist()))}
    columns: dict[str, Any] = {
        "history": history,
        "warm": history >= warm_up,
        "missing_bars": np.where(begins, 0, missing),
        "live": np.zeros(len(times), dtype=bool),
        "silent_tables": pd.Series([names[bits] for bits in map(tuple, silent.tolist())], dtype=object),
        **{f"{AGE}{name}": age for name, age in ages.items()},
    }
    return pd.DataFrame(columns)


def _silent(tables: Iterable[str]) -> tuple[str, ...]:
    """Return the tables without one whose inputs the other kind of liquidations feeds."""
    names = tuple(tables)
    return tuple(name for name in names if name not in _LIQUIDATIONS or set(names) >= _LIQUIDATIONS)
