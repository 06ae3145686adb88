"""Rows that are taken out of a table, or are odd, with a finding for each reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.quality.ledger import Action, Finding
from slackwater.types import Bools

__all__ = ["Screen", "too_many"]

Marks: TypeAlias = pd.Series | Bools

UNREADABLE_SHARE: Final = 0.01
"""Share of rows beyond which a reader refuses a file instead of leaving out what it cannot read."""


def too_many(bad: Marks) -> bool:
    """Return whether more rows are bad than a reader leaves out: one in a hundred, and one of a short file."""
    marks = np.asarray(bad, dtype=np.bool_)
    return bool(marks.sum() > max(1, UNREADABLE_SHARE * len(marks)))


class Screen:
    """Takes rows out of a table, and records which and why.

    Parameters
    ----------
    table
        Name of the canonical table.
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self.findings: list[Finding] = []

    def drop(self, rows: pd.DataFrame, bad: Marks, rule: str, note: str, *, action: Action = "masked") -> pd.DataFrame:
        """Return the rows without the bad ones; `rows` has a column `event_time`."""
        marks: Bools = np.asarray(bad, dtype=np.bool_)
        if not marks.any():
            return rows
        self.record(rows, marks, rule, note, action=action)
        return rows[~marks]

    def drop_unreadable(self, rows: pd.DataFrame, bad: Marks, note: str, origin: str) -> pd.DataFrame:
        """Return the rows without those that cannot be read.

        Raises
        ------
        SchemaError
            If those are more than one in a hundred, or all.
        """
        marks: Bools = np.asarray(bad, dtype=np.bool_)
        if too_many(marks) or (len(marks) and marks.all()):
            raise SchemaError(f"{origin}: {marks.sum():,} of {len(marks):,} rows cannot be read: {note}")
        return self.drop(rows, marks, "unreadable", note)

    def drop_not_yet(self, rows: pd.DataFrame, now: datetime | None, opening: str, origin: str) -> pd.DataFrame:
        """Return the rows that are known by now; None: the time of the clock.

        Raises
        ------
        SchemaError
            If that is none of them.
        """
        moment = pd.Timestamp(now or datetime.now(UTC))
        early = rows["available_time"] > moment
        begun = rows[opening] <= moment if opening in rows else rows["event_time"] <= moment
        kept = self.drop(rows, early & begun, "unfinished", "not over, or not yet known")
        kept = self.drop(kept, kept["available_time"] > moment, "future", "has not happened yet")
        self.refuse_nothing(kept, origin)
        return kept

    def drop_restated(self, rows: pd.DataFrame, known_since: datetime | None, origin: str) -> pd.DataFrame:
        """Return the rows that began no earlier than `known_since`; those before may have been restated.

        Raises
        ------
        SchemaError
            If that is none of them.
        """
        if known_since is None or rows.empty:
            return rows
        begun = rows["bucket_start"] if "bucket_start" in rows else rows["event_time"]
        early = begun < pd.Timestamp(known_since)
        note = f"before {known_since:%Y-%m-%d}, since when its values stand: they may have been restated"
        if early.all():
            raise SchemaError(f"{origin}: all {len(rows)} rows are of {note}")
        return self.drop(rows, early, "restated_labels", note)

    def record(self, rows: pd.DataFrame, bad: Marks, rule: str, note: str, *, action: Action = "recorded") -> None:
        """Note what is odd about some rows, which stay."""
        names = rows["symbol"] if "symbol" in rows else pd.Series("", index=rows.index)
        names = names.fillna(rows["asset"]) if "asset" in rows else names
        stamps = rows[next(name for name in ("event_time", "open_time", "bucket_start") if name in rows)]
        for symbol, times in stamps[bad].groupby(names[bad]):
            self.findings.append(
                Finding(
                    table=self.table,
                    symbol=str(symbol),
                    rule=rule,
                    start=times.min(),
                    end=times.max(),
                    rows=len(times),
                    action=action,
                    note=note,
                )
            )

    def refuse_nothing(self, rows: pd.DataFrame, origin: str) -> None:
        """Raise SchemaError if all rows were taken out, with the reasons."""
        if rows.empty and self.findings:
            reasons = "; ".join(f"{each.rule} in {each.rows:,} rows ({each.note})" for each in self.findings[:4])
            raise SchemaError(f"{origin}: no row can be used: {reasons}")
