"""Rows that are taken out or repaired, each with a finding, and the point from which a file is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.quality.ledger import Action, Finding
from slackwater.sources.binance_archive.catalogue import ArchiveFile
from slackwater.sources.binance_archive.csv_rows import Columns

__all__ = ["Screening"]

MASKED_SHARE: Final = 0.01
"""Share of a file's rows above which a defect is no accident, and the whole file is refused."""
MASKED_ROWS: Final = 10
"""So many rows are an accident in any file, unless they are all of it."""

Mask = npt.NDArray[np.bool_]


@dataclass
class Screening:
    """What is done to the rows of one table of one file.

    Parameters
    ----------
    file
        The file.
    table
        Canonical name of the table.
    origin
        Where it came from, for messages.

    Attributes
    ----------
    findings
        What was found, in the order in which it was looked for.
    """

    file: ArchiveFile
    table: str
    origin: str
    findings: list[Finding] = field(default_factory=list)
    _masked: dict[str, int] = field(default_factory=dict)

    def mask(self, columns: Columns, bad: Mask, rule: str, note: str = "") -> Columns:
        """Return the rows that are not `bad`; the others count against the file."""
        if not bad.any():
            return columns
        self._masked[rule] = self._masked.get(rule, 0) + int(bad.sum())
        self._record(columns["event_time"][bad], rule, "masked", note)
        return {name: values[~bad] for name, values in columns.items()}

    def unreadable(self, reasons: dict[str, int]) -> None:
        """Take note of rows that the csv reader left out."""
        for reason, rows in reasons.items():
            self._masked[reason] = self._masked.get(reason, 0) + rows
            self._note("unreadable", rows, "masked", reason)

    def inside_period(self, columns: Columns, slack: int) -> Columns:
        """Return the rows stamped inside of the file's own period, give or take `slack` microseconds."""
        time = columns["event_time"]
        first, last = _microseconds(self.file.start), _microseconds(self.file.end)
        outside = (time < first - slack) | (time > last + slack)
        return self.mask(columns, outside, "outside_period", "stamped outside of the day or month of the file")

    def finite(self, columns: Columns, names: Sequence[str]) -> Columns:
        """Return the rows whose named numbers are there and finite."""
        bad = np.zeros(len(columns["event_time"]), dtype=bool)
        for name in names:
            bad |= ~np.isfinite(columns[name])
        return self.mask(columns, bad, "unreadable", f"one of {', '.join(names)} is missing or not finite")

    def in_order(self, columns: Columns, *then: str) -> Columns:
        """Return the rows sorted by time, and by the columns `then` among equal times."""
        time = columns["event_time"]
        back = np.flatnonzero(np.diff(time) < 0) + 1
        if len(back):
            self._record(time[back], "disorder", "repaired", "rows ran backwards in time and were sorted")
        elif not then:
            return columns
        order = np.lexsort((*(columns[name] for name in reversed(then)), time))
        return {name: values[order] for name, values in columns.items()}

    def once(self, columns: Columns, key: Sequence[str]) -> Columns:
        """Return the first of sorted rows that share a key; the others are repetitions, or contradict it."""
        if len(columns["event_time"]) < 2:
            return columns
        repeated = np.append(False, np.logical_and.reduce([_same(columns[name]) for name in key]))
        equal = np.append(False, np.logical_and.reduce([_same(values) for values in columns.values()]))
        copies, others = repeated & equal, repeated & ~equal
        if copies.any():
            self._record(columns["event_time"][copies], "doubled_rows", "repaired", "the same row again")
        if others.any():
            self._record(
                columns["event_time"][others], "conflicting_rows", "masked", "another row of that time came before"
            )
        return {name: values[~repeated] for name, values in columns.items()}

    def note(self, columns: Columns, rows: Mask, rule: str, note: str) -> None:
        """Record what is odd about some rows; nothing is changed."""
        if rows.any():
            self._record(columns["event_time"][rows], rule, "recorded", note)

    def repaired(self, columns: Columns, rule: str, note: str) -> None:
        """Record what was done to all rows."""
        if len(columns["event_time"]):
            self._record(columns["event_time"], rule, "repaired", note)

    def count(self, rule: str, rows: int, note: str) -> None:
        """Record what is missing somewhere in the file."""
        if rows:
            self._note(rule, rows, "recorded", note)

    def judge(self, kept: int) -> None:
        """Refuse the file if too much of it had to be taken out, or nothing is left.

        Raises
        ------
        SchemaError
            With the rules that took rows out, the worst first.
        """
        masked = sum(self._masked.values())
        rules = ", ".join(
            f"{rule} ({rows:,})" for rule, rows in sorted(self._masked.items(), key=lambda item: -item[1])
        )
        if not kept:
            raise SchemaError(
                f"{self.origin} (table {self.table}) has no rows that can be used; {rules or 'it has none'}"
            )
        if masked > max(MASKED_ROWS, MASKED_SHARE * (kept + masked)):
            raise SchemaError(
                f"{self.origin} (table {self.table}): {masked:,} of {kept + masked:,} rows cannot be used: {rules}"
            )

    def leave_out(self, reason: str) -> None:
        """Record that the file gives nothing to this table."""
        self._note("refused_table", 0, "refused", reason)

    def refuse(self, reason: str) -> SchemaError:
        """Return the error of a file that is not what it should be."""
        return SchemaError(f"{self.origin} (table {self.table}): {reason}")

    def _record(self, times: npt.NDArray[np.int64], rule: str, action: Action, note: str) -> None:
        self._add(rule, _timestamp(int(times.min())), _timestamp(int(times.max())), len(times), action, note)

    def _note(self, rule: str, rows: int, action: Action, note: str) -> None:
        self._add(rule, pd.Timestamp(self.file.start), pd.Timestamp(self.file.end), rows, action, note)

    def _add(self, rule: str, start: pd.Timestamp, end: pd.Timestamp, rows: int, action: Action, note: str) -> None:
        self.findings.append(
            Finding(
                table=self.table,
                symbol=self.file.symbol,
                rule=rule,
                start=start,
                end=end,
                rows=rows,
                action=action,
                note=note,
            )
        )


def _same(values: npt.NDArray[np.generic]) -> Mask:
    """Return whether each value but the first equals the one before it; what is missing equals what is missing."""
    now, before = values[1:], values[:-1]
    equal = np.asarray(now == before)
    return equal | ((now != now) & (before != before)) if values.dtype.kind == "f" else equal


def _microseconds(time: object) -> int:
    return int(pd.Timestamp(time).value // 1000)


def _timestamp(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(microseconds, unit="us", tz="UTC")
