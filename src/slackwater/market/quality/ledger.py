"""The ledger of defects: every row that was masked, and every gap, with its reason. Rows are never invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

__all__ = ["DefectLedger", "Finding"]

Action = Literal["recorded", "masked"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One defect.

    Parameters
    ----------
    table, symbol, rule
        Where it is, and which rule found it.
    start, end
        First and last stamp that it touches.
    rows
        How many rows it touches; for a gap, how many are missing.
    action
        ``"masked"``: the rows were taken out. ``"recorded"``: nothing was changed.
    note
        What a reader should know.
    """

    table: str
    symbol: str
    rule: str
    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    action: Action
    note: str = ""


class DefectLedger:
    """Collects findings in the order in which they were made."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Record a finding."""
        self.findings.append(finding)

    def to_dict(self) -> dict[str, Any]:
        """Return a summary by table and rule, and every finding, fit for JSON."""
        summary: dict[str, dict[str, int]] = {}
        for f in self.findings:
            rules = summary.setdefault(f.table, {})
            rules[f.rule] = rules.get(f.rule, 0) + f.rows
        rows = [
            {
                "table": f.table,
                "symbol": f.symbol,
                "rule": f.rule,
                "start": f.start.isoformat(),
                "end": f.end.isoformat(),
                "rows": f.rows,
                "action": f.action,
                "note": f.note,
            }
            for f in self.findings
        ]
        return {"rows_by_table_and_rule": summary, "findings": rows}
