"""Facts that came more than once: in several files, or again with a later arrival."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from slackwater.market.quality.ledger import Finding
from slackwater.sources.own_files.screen import Screen

__all__ = ["once"]


def once(parts: Sequence[pd.DataFrame], name: str) -> tuple[pd.DataFrame, list[Finding]]:
    """Join the rows of several files, each fact once, as it first became known.

    Parameters
    ----------
    parts
        Rows of each file, with `available_time`.
    name
        Name of the canonical table, for findings.

    Returns
    -------
    rows : DataFrame
        Rows that are equal but for `available_time` are one fact where they are in different files, or arrived at
        different times. Equal rows of one file with one arrival stay: two equal trades may share a millisecond.
    findings : list of Finding
        Rows that were left out, as ``doubled_rows``.
    """
    screen = Screen(name)
    rows = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    if rows.empty:
        return rows, []
    fact = [column for column in rows if column != "available_time"]
    if len(parts) == 1 and not rows.duplicated(fact).any():
        return rows, []
    # 1. Within a file: the same fact with a later arrival.
    part = [place for place, each in enumerate(parts) for _ in range(len(each))]
    marked = rows.assign(_part=part)
    first = marked.groupby([*fact, "_part"], dropna=False, sort=False)["available_time"].transform("min")
    told = rows["available_time"] > first
    rows = screen.drop(rows, told, "doubled_rows", "the same row again, known later", action="repaired")
    if len(parts) == 1:
        return rows.reset_index(drop=True), screen.findings
    # 2. Between files: the n-th copy of one file is the n-th copy of another.
    marked = marked.loc[rows.index]
    marked["_copy"] = marked.groupby([*fact, "_part"], dropna=False, sort=False).cumcount()
    key = [*fact, "_copy"]
    again = marked.sort_values("available_time", kind="stable").duplicated(key).reindex(rows.index)
    rows = screen.drop(rows, again, "doubled_rows", "the same row in another file", action="repaired")
    return rows.reset_index(drop=True), screen.findings
