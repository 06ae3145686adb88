"""Reading a range of time page by page, completely and without repetition.

A venue answers with a limited number of rows of the range: the oldest (Binance), the newest (Bybit, OKX), those after
another start, or fewer than its limit. Nothing of this is assumed: an answer is one block of rows, and the ranges
before and after it are requested again until they are empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Pages", "read_pages"]


@dataclass(kw_only=True)
class Pages:
    """Rows of a range.

    Parameters
    ----------
    rows
        Column `time` (milliseconds since 1970, ascending) and others.
    foreign
        Rows in answers without any row of the requested range.
    crowded
        Times in milliseconds with as many rows as a page holds; further rows cannot be reached.
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
        Function from the first and last time, both included, to rows: some of these, and perhaps others.
    first, last
        Milliseconds since 1970.
    resolution
        Least distance between two different times, in milliseconds.
    limit
        Rows of a full page.
    repeats
        Whether several rows may share a time, so that a full page may end between them.
    span
        Longest range per request, in milliseconds; None: any.

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
    # The newest range is on top, so that at most one request goes beyond the start of a history.
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
                # Either end may have been cut off between rows of one time: request that time again.
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
