"""Order of rows: stamps of a wrong unit, doubled rows, disorder, contradicting rows, gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.ledger import Action, Finding
from slackwater.market.schemas import known_table
from slackwater.market.tables import Table
from slackwater.times import EARLIEST, LATEST, SECOND_US, epoch_us, epochs_us
from slackwater.types import Bools, Ints

__all__ = ["gaps", "in_order", "usual_spacing"]

NEIGHBOURS: Final = 20
DOUBLED_SHARE: Final = 0.4
"""Share of 20 neighbouring rows of a table without a key that must be copies before a copy counts as a defect: two
equal trades in one millisecond happen, ten in a row do not."""


def in_order(table: pd.DataFrame, name: str | Table) -> tuple[pd.DataFrame, list[Finding]]:
    """Return a table sorted and without copies, and the findings of what had to be done.

    Parameters
    ----------
    table
        Rows; not changed. Without `symbol` and times in `event_time` it is returned as it is: its schema refuses it.
    name
        Name of the canonical table, or a table from outside.

    Returns
    -------
    table : DataFrame
        Sorted within each symbol, without the second copies of equal rows, and without rows that equal another one in
        all but a later `available_time`.
    findings : list of Finding
        ``doubled_rows`` and ``disorder`` are repaired: nothing is lost. ``impossible_time`` and
        ``conflicting_rows`` are refused, and these rows stay.
    """
    if not {"symbol", "event_time"} <= set(table) or not isinstance(table["event_time"].dtype, pd.DatetimeTZDtype):
        return table, []
    if table.empty or table["event_time"].isna().any():
        return table, []
    schema = known_table(name)
    name, key = schema.name, schema.key
    codes, _ = pd.factorize(table["symbol"])
    stamps = epochs_us(table["event_time"])
    if stamps.min() < epoch_us(EARLIEST) or stamps.max() >= epoch_us(LATEST):
        outside = (table["event_time"] < EARLIEST) | (table["event_time"] >= LATEST)
        note = f"stamps outside of {EARLIEST.year} to {LATEST.year}: a wrong unit of time (s, ms, us)?"
        return table, list(_by_symbol(table[outside], name, "impossible_time", "refused", note))
    if key == ("symbol", "event_time") and _increasing(codes, stamps):
        return table, []
    findings: list[Finding] = []
    out = table
    copies = _copies(out, codes, stamps)
    if not key:
        copies &= _among_copies(codes, stamps, copies)
    copies |= _told_again(out, codes, stamps)
    if copies.any():
        copied = out[copies]
        out, codes, stamps = out[~copies], codes[~copies], stamps[~copies]
        for finding in _by_symbol(copied, name, "doubled_rows", "repaired", "equal rows, one of each kept"):
            filled = _missing(out.loc[out["symbol"] == finding.symbol, "event_time"]) == finding.rows
            note = f"{finding.note}; as many rows are missing: gaps were filled by repetition"
            findings.append(replace(finding, note=note) if filled else finding)
    backwards = _backwards(codes, stamps)
    if backwards.any():
        findings += _by_symbol(out[backwards], name, "disorder", "repaired", "rows ran backwards in time; sorted")
        out = out.iloc[np.lexsort((stamps, codes))]
    if key:
        conflicting = out.duplicated(list(key), keep=False)
        if conflicting.any():
            note = f"rows share ({', '.join(key)}) and differ, so it is unknown which is right"
            findings += _by_symbol(out[conflicting], name, "conflicting_rows", "refused", note)
    return (out.reset_index(drop=True), findings) if findings else (table, [])


def usual_spacing(stamps: pd.Series) -> timedelta | None:
    """Return the step between nine of ten neighbouring stamps, to the second; None if there is no such step."""
    steps = np.diff(epochs_us(stamps))
    if len(steps) < NEIGHBOURS:
        return None
    usual = round(float(np.median(steps)) / SECOND_US) * SECOND_US
    if usual <= 0 or (np.abs(steps - usual) <= SECOND_US // 2).mean() < 0.9:
        return None
    return timedelta(microseconds=usual)


def gaps(rows: pd.DataFrame, name: str, spacing: timedelta) -> list[Finding]:
    """Return a finding for each place where rows of one symbol are missing."""
    stamps = rows["event_time"]
    # Half a step late is late, not missing.
    after = np.flatnonzero(stamps.diff().to_numpy() > 1.5 * np.timedelta64(spacing))
    return [
        Finding(
            table=name,
            symbol=str(rows["symbol"].iloc[0]),
            rule="gap",
            start=stamps.iloc[row - 1],
            end=stamps.iloc[row],
            rows=max(round((stamps.iloc[row] - stamps.iloc[row - 1]) / spacing) - 1, 1),
            action="recorded",
        )
        for row in after
    ]


def _missing(stamps: pd.Series) -> int:
    """Return how many rows of a regular symbol are missing; 0 if it is not regular."""
    spacing = usual_spacing(stamps)
    return 0 if spacing is None else int(round(stamps.diff().iloc[1:] / spacing).clip(lower=1).sum() - len(stamps) + 1)


def _increasing(codes: NDArray[np.intp], stamps: Ints) -> bool:
    same = codes[1:] == codes[:-1]
    return bool((np.diff(codes) >= 0).all() and (np.diff(stamps)[same] > 0).all())


def _backwards(codes: NDArray[np.intp], stamps: Ints) -> Bools:
    """Return which rows are stamped before an earlier row of their symbol."""
    newest = pd.Series(stamps).groupby(codes).cummax().to_numpy()
    return np.asarray(stamps < newest)


def _copies(table: pd.DataFrame, codes: NDArray[np.intp], stamps: Ints) -> Bools:
    """Return which rows equal an earlier one."""
    tied = _tied(codes, stamps)
    copies = np.zeros(len(table), dtype=bool)
    copies[tied] = table[tied].apply(_comparable).duplicated().to_numpy()
    return copies


def _tied(codes: NDArray[np.intp], stamps: Ints) -> Bools:
    """Return which rows share their stamp with another one of their symbol: only these can be equal."""
    order = np.lexsort((stamps, codes))
    tie = (np.diff(codes[order]) == 0) & (np.diff(stamps[order]) == 0)
    tied = np.zeros(len(codes), dtype=bool)
    tied[order[1:][tie]] = True
    tied[order[:-1][tie]] = True
    return tied


def _told_again(table: pd.DataFrame, codes: NDArray[np.intp], stamps: Ints) -> Bools:
    """Return which rows equal another one that arrived before, in all but the arrival."""
    again = np.zeros(len(table), dtype=bool)
    if "available_time" not in table:
        return again
    places = np.flatnonzero(_tied(codes, stamps))
    rows = table.iloc[places].apply(_comparable)
    fact = [column for column in rows if column != "available_time"]
    first = rows.groupby(fact, dropna=False, observed=True)["available_time"].transform("min")
    again[places] = (rows["available_time"] > first).to_numpy()
    return again


def _comparable(values: pd.Series) -> pd.Series:
    """Return values that can be told apart: a column that no schema knows may hold lists or mappings."""
    return values.map(repr) if values.dtype.kind == "O" and not isinstance(values.dtype, pd.StringDtype) else values


def _among_copies(codes: NDArray[np.intp], stamps: Ints, copies: Bools) -> Bools:
    """Return which rows have many copies among the neighbours around, before or after them."""
    if not copies.any():
        return copies
    order = np.lexsort((stamps, codes))
    sorted_copies = pd.Series(copies[order], dtype="float64")
    groups = codes[order]
    dense = np.zeros(len(copies), dtype=bool)
    for centred, step in ((True, 1), (False, 1), (False, -1)):  # the edge of a run has copies on one side only
        share = (
            sorted_copies[::step]
            .groupby(groups[::step])
            .transform(lambda one, centred=centred: one.rolling(NEIGHBOURS, center=centred, min_periods=4).mean())
        )
        dense[order[::step]] |= share.to_numpy() >= DOUBLED_SHARE
    return dense


def _by_symbol(rows: pd.DataFrame, name: str, rule: str, action: Action, note: str) -> Iterator[Finding]:
    for symbol, part in rows.groupby("symbol", sort=False):
        yield Finding.of_rows(part, name, str(symbol), rule, action, note)
