"""Ends of bars and buckets: their own stamps decide how long they are, and when they close."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, SchemaError
from slackwater.market.quality.order import usual_spacing
from slackwater.sources.own_files.screen import Screen, too_many
from slackwater.times import MINUTE_US, SECOND_US, epochs_us, timestamps
from slackwater.types import Bools

__all__ = ["hold_lengths", "whole_closes"]

_LAST_TICKS: Final = (1, 1_000)
"""How far the last microsecond and the last millisecond of a bar are from its close."""


def whole_closes(stamps: pd.Series) -> tuple[pd.Series, str]:
    """Return closes that name the last tick of a bar (09:59:59.999) moved to its end, and what was done; else ``""``.

    The tick is a microsecond or a millisecond of single rows, or a second of all rows that are not on a whole minute.
    """
    ends = epochs_us(stamps)
    moved = ends.copy()
    for tick in _LAST_TICKS:
        moved[(ends + tick) % SECOND_US == 0] += tick
    odd = moved % MINUTE_US != 0
    if odd.any() and (moved[odd] % MINUTE_US == MINUTE_US - SECOND_US).all():
        moved[odd] += SECOND_US
    if (moved == ends).all():
        return stamps, ""
    return pd.Series(timestamps(moved), index=stamps.index), ", the end of the last tick that it names"


def hold_lengths(
    rows: pd.DataFrame,
    opening: str,
    *,
    groups: Sequence[str],
    declared: timedelta | None,
    screen: Screen,
    where: str,
) -> pd.DataFrame:
    """Return the rows whose length is that of the others.

    Parameters
    ----------
    rows
        Rows with `event_time` and their opening.
    opening
        Column of the opening.
    groups
        Columns that tell series apart, such as `symbol`.
    declared
        The `bar_length` of the entry; None: only the stamps decide.
    screen
        Where rows of another length are recorded.
    where
        File and table, for messages.

    Raises
    ------
    OrderError
        If bars close before they open, or overlap.
    SchemaError
        If bars differ in length, or are longer or shorter than the time from one to the next.
    """
    if rows.empty:
        return rows
    length = rows["event_time"] - rows[opening]
    is_bar = opening == "open_time"  # a bucket of single transfers may be of any length, or none
    backwards = (length <= pd.Timedelta(0) if is_bar else length < pd.Timedelta(0)).to_numpy()
    if too_many(backwards) or backwards.all():
        raise OrderError(
            f"{where}: {int(backwards.sum()):,} of {len(rows):,} rows close at or before their opening, the first "
            f"{_span(rows, opening, backwards)}; are `{opening}` and `event_time` exchanged, read from one column, or "
            "on two clocks? `event_time` is the close"
        )
    if not is_bar:
        return screen.drop(rows, backwards, "wrong_span", "a bucket that ends before it begins")
    usual = pd.Timedelta(declared) if declared is not None else length[~backwards].mode().iloc[0]
    odd = (length != usual).to_numpy()
    if too_many(odd) or odd.all():
        raise SchemaError(
            f"{where}: {int(odd.sum()):,} of {len(rows):,} rows are not {_said(usual)} long, as "
            f"{'`bar_length` states' if declared is not None else 'most are'}, the first {_span(rows, opening, odd)}"
        )
    kept = screen.drop(rows, odd, "wrong_span", f"a bar that is not {_said(usual)} long")
    for _, bars in kept.groupby([name for name in groups if name in kept], sort=False, dropna=False):
        opens = bars[opening].sort_values()
        step = usual_spacing(opens)
        if step is not None and step != usual:
            raise SchemaError(
                f"{where}: rows are {_said(step)} apart and {_said(usual)} long, the first "
                f"{_span(bars, opening, np.ones(len(bars), dtype=bool))}; `event_time` must be the close and "
                f"`{opening}` the opening of one bar: correct `columns` or `bar_length`{_left_out(screen)}"
            )
        steps = opens.diff().iloc[1:]
        overlapping = ((steps > pd.Timedelta(0)) & (steps < usual)).to_numpy()
        if too_many(overlapping):
            raise OrderError(
                f"{where}: {int(overlapping.sum()):,} of {len(bars):,} rows open before the one before them closes; "
                f"they are {_said(usual)} long, and the least step is {_said(steps[overlapping].min())}"
            )
    return kept


def _left_out(screen: Screen) -> str:
    """Return what was taken out before, in which case that may be why bars lie apart."""
    reasons = [f"{each.rows:,} rows of {each.symbol or 'the file'} ({each.note})" for each in screen.findings]
    return f"; left out before were {'; '.join(reasons[:3])}" if reasons else ""


def _said(length: timedelta) -> str:
    return str(pd.Timedelta(length).to_pytimedelta())


def _span(rows: pd.DataFrame, opening: str, which: Bools) -> str:
    row = int(np.flatnonzero(which)[0])
    return f"from {rows[opening].iloc[row]} to {rows['event_time'].iloc[row]}"
