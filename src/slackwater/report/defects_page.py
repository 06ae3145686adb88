"""The page of defects: Markdown made from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from slackwater.market.quality.ledger import Finding

__all__ = ["defects_page"]

LONGEST: Final = 20
"""Findings of one rule that are listed one by one; the rest are in the JSON beside the page."""

_MEANINGS: Final = {
    "refused": "the table cannot be used",
    "masked": "rows were removed",
    "repaired": "corrected without loss",
    "recorded": "nothing was changed",
}


def defects_page(findings: Sequence[Finding], *, title: str, absent: Sequence[str] = ()) -> str:
    """Return the findings as Markdown: a table of what was done, then every finding by rule.

    Parameters
    ----------
    findings
        In any order.
    title
        Name of the data set.
    absent
        Tables that the data set lacks.
    """
    lines = [f"# Defects of {title}", ""]
    if absent:
        lines += [f"Absent tables, whose features stay unknown: {', '.join(absent)}.", ""]
    if not findings:
        return "\n".join([*lines, "Nothing was found.", ""])
    groups: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for action in _MEANINGS:  # the worst first
        for finding in findings:
            if finding.action == action:
                groups[action, finding.table, finding.rule].append(finding)
    lines += ["| action | table | rule | findings | rows | symbols |", "|---|---|---|--:|--:|---|"]
    for (action, table, rule), found in groups.items():
        rows, symbols = sum(each.rows for each in found), sorted({each.symbol for each in found})
        lines.append(f"| {action} | {table} | {rule} | {len(found):,} | {rows:,} | {', '.join(symbols)} |")
    lines += ["", "; ".join(f"{action}: {meaning}" for action, meaning in _MEANINGS.items()) + ".", ""]
    for (action, table, rule), found in groups.items():
        lines += [f"## {table}: {rule}, {action}", ""]
        for finding in found[:LONGEST]:
            note = f": {finding.note.splitlines()[0]}" if finding.note else ""
            span = f"{finding.start:%Y-%m-%d %H:%M} to {finding.end:%Y-%m-%d %H:%M}"
            lines.append(f"- {finding.symbol}, {span}, {finding.rows:,} rows{note}")
        if len(found) > LONGEST:
            lines.append(f"- and {len(found) - LONGEST:,} more")
        lines.append("")
    return "\n".join(lines)
