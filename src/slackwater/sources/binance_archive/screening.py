"""Masking and repair of rows, with findings, and the refusal of files with too many masked rows."""

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
from slackwater.times import epoch_us, timestamp
from slackwater.types import Bools, Ints

__all__ = ["Screening"]

_MASKED_SHARE: Final = 0.01
"""Share of masked rows above which a file is refused."""
_MASKED_ROWS: Final = 10
"""Number of masked rows that is accepted in a file of any length."""


@dataclass
class Screening:
    """Screening of the rows of one table of one file.

    Parameters
    ----------
    file
        The file.
    table
        Canonical name of the table.
    origin
        Source of the file, for messages.

    Attributes
    ----------
    findings
        Findings, in the order of the checks.
    """

    file: ArchiveFile
    table: str
    origin: str
    findings: list[Finding] = field(default_factory=list)
    _masked: dict[str, int] = field(default_factory=dict)
    _empty: dict[str, int] = field(default_factory=dict)

    def mask(self, columns: Columns, bad: Bools, rule: str, note: str = "") -> Columns:
        """Return the rows that are not `bad`; the others count against the file."""
        if not bad.any():
            return columns
        self._masked[rule] = self._masked.get(rule, 0) + int(bad.sum())
        self._record(columns["event_time"][bad], rule, "masked", note)
        return {name: values[~bad] for name, values in columns.items()}

    def without(self, columns: Columns, rows: Bools, rule: str, note: str, *, action: Action = "recorded") -> Columns:
        """Return the columns without some rows that hold nothing; these do not count against the file."""
        if not rows.any():
            return columns
        self._empty[rule] = self._empty.get(rule, 0) + int(rows.sum())
        self._record(columns["event_time"][rows], rule, action, note)
        return {name: values[~rows] for name, values in columns.items()}

    def unreadable(self, reasons: dict[str, int]) -> None:
        """Record rows that the csv reader left out; they count against the file."""
        for reason, rows in reasons.items():
            self._masked[reason] = self._masked.get(reason, 0) + rows
            self._note("unreadable", rows, "masked", reason)

    def inside_period(self, columns: Columns, slack: int) -> Columns:
        """Return the rows stamped within the file's period, up to `slack` microseconds outside."""
        time = columns["event_time"]
        first, last = epoch_us(self.file.start), epoch_us(self.file.end)
        outside = (time < first - slack) | (time > last + slack)
        return self.mask(columns, outside, "outside_period", "stamped outside of the day or month of the file")

    def finite(self, columns: Columns, names: Sequence[str]) -> Columns:
        """Return the rows whose named numbers are finite: a blank one is missing, an infinite one is wrong."""
        blank = np.logical_or.reduce([np.isnan(columns[name]) for name in names])
        columns = self.without(columns, blank, "blank", f"one of {', '.join(names)} is blank: the row is missing")
        infinite = np.logical_or.reduce([np.isinf(columns[name]) for name in names])
        return self.mask(columns, infinite, "unreadable", f"one of {', '.join(names)} is not finite")

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
        """Return the first of sorted rows with equal keys; the others are copies, or contradict it."""
        if len(columns["event_time"]) < 2:
            return columns
        repeated = np.append(False, np.logical_and.reduce([_same(columns[name]) for name in key]))
        if not repeated.any():
            return columns
        equal = np.append(False, np.logical_and.reduce([_same(values) for values in columns.values()]))
        copies, others = repeated & equal, repeated & ~equal
        if copies.any():
            self._record(columns["event_time"][copies], "doubled_rows", "repaired", "the same row again")
        if others.any():
            self._record(
                columns["event_time"][others], "conflicting_rows", "masked", "another row of that time came before"
            )
        return {name: values[~repeated] for name, values in columns.items()}

    def note(self, columns: Columns, rows: Bools, rule: str, note: str) -> None:
        """Record some rows without a change."""
        if rows.any():
            self._record(columns["event_time"][rows], rule, "recorded", note)

    def repaired(self, columns: Columns, rule: str, note: str) -> None:
        """Record a repair of all rows."""
        if len(columns["event_time"]):
            self._record(columns["event_time"], rule, "repaired", note)

    def count(self, rule: str, rows: int, note: str) -> None:
        """Record rows that are missing in the file."""
        if rows:
            self._note(rule, rows, "recorded", note)

    def open_line(self, may_be_cut: bool) -> None:
        """Record that the last row of the file may be cut."""
        if may_be_cut:
            self._note("open_line", 1, "recorded", "the file does not end with a line break: its last row may be cut")

    def judge(self, kept: int) -> None:
        """Refuse the file if too many rows were masked, or none are left.

        Raises
        ------
        SchemaError
            With the rules that masked rows, ordered by the number of rows.
        """
        masked = sum(self._masked.values())
        rules = _counted(self._masked)
        if not kept:
            reasons = _counted(self._masked | self._empty)
            raise SchemaError(
                f"{self.origin} (table {self.table}) has no rows that can be used; {reasons or 'it has none'}"
            )
        if masked > max(_MASKED_ROWS, _MASKED_SHARE * (kept + masked)):
            raise SchemaError(
                f"{self.origin} (table {self.table}): {masked:,} of {kept + masked:,} rows cannot be used: {rules}"
            )

    def leave_out(self, reason: str) -> None:
        """Record that the table was refused."""
        self._note("refused_table", 0, "refused", reason)

    def refuse(self, reason: str) -> SchemaError:
        """Return the error that refuses the file."""
        return SchemaError(f"{self.origin} (table {self.table}): {reason}")

    def _record(self, times: Ints, rule: str, action: Action, note: str) -> None:
        self._add(rule, timestamp(int(times.min())), timestamp(int(times.max())), len(times), action, note)

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


def _counted(rules: dict[str, int]) -> str:
    return ", ".join(f"{rule} ({rows:,})" for rule, rows in sorted(rules.items(), key=lambda item: -item[1]))


def _same(values: npt.NDArray[np.generic]) -> Bools:
    """Return whether each value but the first equals the one before it; missing values are equal."""
    now, before = values[1:], values[:-1]
    equal = np.asarray(now == before)
    return equal | ((now != now) & (before != before)) if values.dtype.kind == "f" else equal
