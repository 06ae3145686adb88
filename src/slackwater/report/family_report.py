"""Result of the checks of one feature family, as text."""

from __future__ import annotations

from slackwater.features.mutants import FamilyReport

__all__ = ["family_report"]


def family_report(report: FamilyReport, *, family: str, synthetic: bool) -> str:
    """Return a table of checks and mutants, each with the column, the first bad bar and the two values."""
    lines = [f"{family}, on {'a SYNTHETIC market' if synthetic else 'the given tables'}", "", "check"]
    for check, violations in report.checks.items():
        lines.append(f"  {check:<18} {'holds' if not violations else f'BROKEN by {len(violations)} outputs'}")
        lines += [f"      {column}: {why}" for column, why in violations.items()]
    lines += ["", "planted look-ahead"]
    results = {True: "caught", False: "NOT CAUGHT", None: "no effect: the family does not read it"}
    for mutant in report.mutants:
        lines.append(f"  {mutant.name}: {results[mutant.caught]}")
        if mutant.violation is not None:
            lines.append(f"      {mutant.column}: {mutant.violation}")
    lines += ["", "the family keeps the contract" if report.passed else "the family does NOT keep the contract"]
    return "\n".join(lines)
