"""Ledger of defects: every row that was repaired, masked or refused, with the reason. Rows are never invented."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

import pandas as pd

from slackwater.errors import SchemaError

__all__ = ["Action", "DefectLedger", "Finding", "findings_from"]

Action = Literal["recorded", "repaired", "masked", "refused"]

_ACTIONS: Final[tuple[str, ...]] = get_args(Action)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One defect.

    Parameters
    ----------
    table, symbol, rule
        Place of the defect, and the rule that found it.
    start, end
        First and last stamp that it touches, UTC.
    rows
        Number of rows that it touches; for a gap, of those that are missing.
    action
        ``"recorded"``: nothing was changed. ``"repaired"``: the rows were corrected without loss, such as a second
        copy removed. ``"masked"``: the rows were removed. ``"refused"``: the table cannot be used.
    note
        Explanation for the reader.
    """

    table: str
    symbol: str
    rule: str
    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    action: Action
    note: str = ""

    @classmethod
    def of_rows(cls, rows: pd.DataFrame, table: str, symbol: str, rule: str, action: Action, note: str) -> Finding:
        """Return the finding that some rows of one symbol make."""
        times = {"start": rows["event_time"].min(), "end": rows["event_time"].max()}
        return cls(table=table, symbol=symbol, rule=rule, **times, rows=len(rows), action=action, note=note)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values for JSON."""
        return asdict(self) | {"start": self.start.isoformat(), "end": self.end.isoformat()}

    def __str__(self) -> str:
        minute = len("2026-11-25 12:00")
        span = f"{str(self.start)[:minute]} to {str(self.end)[:minute]}"
        note = f": {self.note}" if self.note else ""
        return f"table {self.table}: {self.symbol} {self.rule} in {self.rows:,} rows, {span}, {self.action}{note}"


class DefectLedger:
    """Findings in the order in which they were made."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self.findings: list[Finding] = list(findings)

    def add(self, finding: Finding) -> None:
        """Record a finding."""
        self.findings.append(finding)

    @property
    def refused(self) -> list[Finding]:
        """The findings that make a table unusable."""
        return [finding for finding in self.findings if finding.action == "refused"]

    def joined(self) -> list[Finding]:
        """Return one finding per table, symbol, rule and action: all rows, the whole span, the first note."""
        out: dict[tuple[str, str, str, str], Finding] = {}
        for each in self.findings:
            key = (each.table, each.symbol, each.rule, each.action)
            before = out.get(key, each)
            span = {"start": min(before.start, each.start), "end": max(before.end, each.end)}
            out[key] = replace(before, **span, rows=each.rows + (before.rows if key in out else 0))
        return list(out.values())

    def raise_if_refused(self) -> None:
        """Raise SchemaError, naming every refusal, if a table is unusable."""
        refused = self.refused
        if refused:
            listed = "\n".join(f"  {finding}" for finding in refused)
            raise SchemaError(f"the data cannot be used as they are; {len(refused)} findings:\n{listed}")

    def to_dict(self) -> dict[str, Any]:
        """Return a summary by table and rule, and every finding, as plain values for JSON."""
        summary: dict[str, dict[str, int]] = {}
        for finding in self.findings:
            rules = summary.setdefault(finding.table, {})
            rules[finding.rule] = rules.get(finding.rule, 0) + finding.rows
        return {"rows_by_table_and_rule": summary, "findings": [finding.to_dict() for finding in self.findings]}


def findings_from(content: Any, *, origin: str) -> list[Finding]:
    """Return the findings from a list of what `Finding.to_dict` returned, read from `origin`.

    Raises
    ------
    SchemaError
        If it is not a list of findings.
    """
    try:
        return [_finding(each) for each in content]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{origin} does not hold a list of findings: {error}") from error


def _finding(content: Any) -> Finding:
    times = {name: pd.Timestamp(content[name]) for name in ("start", "end")}
    if any(time is pd.NaT or time.tzinfo is None for time in times.values()):
        raise ValueError("`start` and `end` must carry a time zone")
    if content["action"] not in _ACTIONS:
        raise ValueError(f"`action` must be one of {', '.join(_ACTIONS)}, was {content['action']!r}")
    texts = {name: str(content[name]) for name in ("table", "symbol", "rule", "action")}
    return Finding(**texts, **times, rows=int(content["rows"]), note=str(content.get("note", "")))  # type: ignore[arg-type]
