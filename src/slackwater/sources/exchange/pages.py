"""Reading a range of time page by page: all of it, nothing twice, whichever end a venue begins with.

A venue answers with at most so many rows of the range that it was asked for: the oldest (Binance), the newest
(Bybit, OKX), those after its own idea of a start, or fewer than it could. So nothing is assumed: whatever came is one
block of rows, and what lies before it and after it is asked for again, until there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Pages", "read_pages"]


@dataclass(kw_only=True)
class Pages:
    """What came of a range.

    Parameters
    ----------
    rows
        Column `time` (milliseconds since 1970, ascending) and others.
    foreign
        Rows that the venue sent in answers that held nothing of what was asked.
    crowded
        Milliseconds at which there were as many rows as a page holds: more of them cannot be reached.
    """

    rows: pd.DataFrame
    foreign: int = 0
    crowded: list[int] = field(default_factory=list)


def read_pages(
    ask: Callable[[int, int], pd.DataFrame],
    first: int,
    last: int,
    *,
    resolution: int,
    limit: int,
    repeats: bool = False,
    span: int | None = None,
) -> Pages:
    """Read all rows with ``first <= time <= last``.

    Parameters
    ----------
    ask
        Takes the first and last moment, both included, and returns rows: some of those, and perhaps others.
    first, last
        Milliseconds since 1970.
    resolution
        Least distance between two different times, in milliseconds.
    limit
        Rows of a full page.
    repeats
        Whether several rows may share a time, so that a full page may end in the middle of them.
    span
        Longest range that may be asked at once, in milliseconds; None: any.

    Examples
    --------
    >>> day = pd.DataFrame({"time": range(0, 24)})
    >>> def newest_first(first, last):
    ...     return day[day["time"].between(first, last)].tail(5)
    >>> read_pages(newest_first, 2, 20, resolution=1, limit=5).rows["time"].tolist() == list(range(2, 21))
    True
    """
    out = Pages(rows=pd.DataFrame({"time": pd.Series(dtype="int64")}))
    kept: list[pd.DataFrame] = []
    # The newest range is on top: where a history ends, nothing older is asked for in vain but once.
    ranges = _cut(first, last, span)
    while ranges:
        low, high = ranges.pop()
        page = ask(low, high)
        inside = page[page["time"].between(low, high)]
        if inside.empty:
            out.foreign += len(page)
            continue
        oldest, newest = int(inside["time"].min()), int(inside["time"].max())
        before, after = oldest - resolution, newest + resolution
        if repeats and len(page) >= limit:
            if oldest == newest:
                out.crowded.append(oldest)
            elif len(inside) == len(page):
                # Either end may have been cut off in the middle of a moment: ask for that moment again.
                before, after = oldest, newest
                inside = inside[~inside["time"].isin([oldest, newest])]
        kept.append(inside)
        if low <= before:
            ranges.append((low, before))
        if after <= high:
            ranges.append((after, high))
    if kept:
        out.rows = pd.concat(kept, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
    return out


def _cut(first: int, last: int, span: int | None) -> list[tuple[int, int]]:
    if first > last:
        return []
    if span is None:
        return [(first, last)]
    return [(low, min(low + span - 1, last)) for low in range(first, last + 1, span)]
