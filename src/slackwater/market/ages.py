"""The age of the newest row of a table that was known at a decision, in the time that its staleness is measured in.

Of a table whose newest row counts that is its event time, of one whose rows are summed the time at which it became
available; rows that report nothing about any input do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.bar_grids import rows_of_symbols
from slackwater.market.frame import MarketFrame, arrivals
from slackwater.market.joins import TableJoin, joins_of
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds
from slackwater.types import Floats, Ints

__all__ = ["NEVER", "Ages", "ages_at_bars"]

NEVER: Final = int(np.iinfo(np.int64).min)
"""Age of a table of which no row was known: what NaT is made of."""


class Ages(Mapping[str, timedelta | None]):
    """Ages of the tables at one decision; None where no row was known yet. Each is made where it is asked for.

    Parameters
    ----------
    tables
        Names.
    ages_us
        Microseconds, `NEVER` where there was no row; shape (n_tables,).
    """

    __slots__ = ("_ages_us", "_tables")

    def __init__(self, tables: Sequence[str], ages_us: Ints) -> None:
        self._tables, self._ages_us = tables, ages_us

    def __getitem__(self, table: str) -> timedelta | None:
        if table not in self._tables:
            raise KeyError(table)
        age = int(self._ages_us[self._tables.index(table)])
        return None if age == NEVER else timedelta(microseconds=age)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        return f"Ages({dict(self)})"


def ages_at_bars(frame: MarketFrame, tables: Mapping[str, pd.DataFrame], spec: FrameSpec) -> dict[str, pd.Series]:
    """Return the age of each joined table at the decision of each bar of a frame.

    Parameters
    ----------
    frame, spec
        Frame of the tables, and its settings.
    tables
        The tables by name; one that is absent was never known.

    Returns
    -------
    dict of Series of timedelta64[us], shape (n_bars,)
        By table, in the order of the rows of the frame that have a bar; NaT where no row was known yet.
    """
    present = frame.table["close"].notna().to_numpy()
    decisions = epochs_us(frame.table["event_time"]) + microseconds(spec.decision_lag)
    out = {}
    for name, join in joins_of(spec).items():
        ages = np.full(len(decisions), NEVER)
        rows = rows_of_symbols(tables[name]) if name in tables else {}
        for symbol, where in frame.symbols():
            if symbol in rows:
                ages[where] = _ages(join, *arrivals(join, tables[name], rows[symbol]), decisions[where])
        out[name] = pd.Series(ages[present].astype("timedelta64[us]"))
    return out


def _ages(join: TableJoin, available: Ints, events: Ints, amounts: Floats, decisions: Ints) -> Ints:
    if join.join.kind == "summed_apart":
        reports = ~np.isnan(amounts).all(axis=1)
        available, events = available[reports], events[reports]
    newest = np.maximum.accumulate(events) if join.join.kind == "newest" else available
    last = np.searchsorted(available, decisions, side="right") - 1
    out = np.full(len(decisions), NEVER)
    out[last >= 0] = (decisions - newest[last])[last >= 0] if len(newest) else NEVER
    return out
