"""Rows of one table from several files, each fact once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from slackwater.market.quality.ledger import Finding
from slackwater.sources.own_files.screen import Screen

__all__ = ["joined"]


def joined(parts: Sequence[pd.DataFrame], name: str) -> tuple[pd.DataFrame, list[Finding]]:
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
        Rows that are equal but for `available_time` are one fact where they are in different files. Those of one file
        stay: what it tells again `slackwater.market.quality.order.in_order` finds.
    findings : list of Finding
        Rows that were left out, as ``doubled_rows``.
    """
    if len(parts) == 1:
        return parts[0], []
    screen = Screen(name)
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        return rows, []
    # The n-th arrival in one file is the n-th in another: two equal trades may share a millisecond.
    part = [place for place, each in enumerate(parts) for _ in range(len(each))]
    arrivals = rows.assign(_part=part).sort_values("available_time", kind="stable")
    fact = [column for column in rows if column != "available_time"]
    arrivals["_copy"] = arrivals.groupby([*fact, "_part"], dropna=False, sort=False).cumcount()
    again = arrivals.duplicated([*fact, "_copy"]).reindex(rows.index)
    rows = screen.drop(rows, again, "doubled_rows", "the same row in another file", action="repaired")
    return rows.reset_index(drop=True), screen.findings
