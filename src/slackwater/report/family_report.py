"""Result of the checks of one feature family, as text."""

from __future__ import annotations

from collections import Counter

from slackwater.features.mutants import FamilyReport
from slackwater.features.violations import Violations

__all__ = ["family_report"]


def family_report(report: FamilyReport, *, family: str, synthetic: bool) -> str:
    """Return a table of checks and mutants, each with the column, the first bad bar and the two values."""
    lines = [f"{family}, on {'a SYNTHETIC market' if synthetic else 'the given tables'}", "", "check"]
    for check, violations in report.checks.items():
        lines.append(f"  {check:<18} {_outcome(violations)}")
        lines += [f"      {column}: {why}" for column, why in violations.items()]
    lines += ["", "planted look-ahead"]
    results = {True: "caught", False: "NOT CAUGHT", None: "no effect: the family does not read it"}
    for mutant in report.mutants:
        lines.append(f"  {mutant.name}: {results[mutant.caught]}")
        if mutant.violation is not None:
            lines.append(f"      {mutant.column}: {mutant.violation}")
    if report.passed:
        end = "the family keeps the contract"
    elif report.broken:
        end = "the family does NOT keep the contract"
    else:
        end = "the family was NOT fully examined: see above what was not"
    return "\n".join([*lines, "", end])


def _outcome(violations: Violations) -> str:
    count: Counter[str] = Counter(why.verdict for why in violations.values())
    words = {"broken": "BROKEN by", "not examined": "NOT EXAMINED for", "does not apply": "does not apply to"}
    return ", ".join(f"{text} {count[verdict]} outputs" for verdict, text in words.items() if count[verdict]) or "holds"
