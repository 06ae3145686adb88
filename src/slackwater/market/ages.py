"""The age of the newest row of a table that was known at a decision, in the time that its staleness is measured in.

Of a table whose newest row counts that is its event time, of one whose rows are summed the time at which it became
available; rows that report nothing about any input do not count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from slackwater.market.frame import MarketFrame, arrivals, rows_of_symbols
from slackwater.market.joins import SLOTS, TableJoin, joins_of
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds
from slackwater.types import Floats, Ints

__all__ = ["ages_at_bars", "newest_of_state"]

_NEVER = np.iinfo(np.int64).min  # what NaT is made of


def newest_of_state(join: TableJoin, state: Floats) -> int | None:
    """Return the time of the newest row in the state of a join, microseconds since 1970; None: there was no row."""
    kind = join.join.kind
    if kind == "newest":
        return int(state[1]) if state[0] else None
    if kind == "summed":
        return int(state[1 + (int(state[0]) - 1) % SLOTS]) if state[0] else None
    seen = state[1::2][state[::2] > 0.0]
    return int(seen.max()) if seen.size else None


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
        ages = np.full(len(decisions), _NEVER)
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
    out = np.full(len(decisions), _NEVER)
    out[last >= 0] = (decisions - newest[last])[last >= 0] if len(newest) else _NEVER
    return out
