"""The promotion gate: every clause with its value, and the verdict that follows from them.

A clause whose value cannot be computed counts as failed and says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Clause", "Verdict", "at_least", "holds", "not_applicable", "not_computed"]


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One condition of the promotion gate.

    Parameters
    ----------
    name
        Stable name.
    requirement
        What must hold, for the reader.
    value
        What was measured; NaN where nothing could be.
    passed
        Whether it holds.
    note
        Why it could not be computed, or what else a reader should know.
    """

    name: str
    requirement: str
    value: float
    passed: bool
    note: str = ""


def at_least(name: str, value: float, bound: float, *, strictly: bool = True, note: str = "") -> Clause:
    """Return the clause that a value exceeds (or reaches) a bound; an unknown value fails.

    Examples
    --------
    >>> at_least("profit_factor", 1.2, 1.15).passed
    True
    """
    passed = not math.isnan(value) and (value > bound if strictly else value >= bound)
    sign = ">" if strictly else ">="
    return Clause(name=name, requirement=f"{sign} {bound:g}", value=value, passed=passed, note=note)


def holds(name: str, requirement: str, value: float, passed: bool, note: str = "") -> Clause:
    """Return a clause whose condition was computed elsewhere; an unknown value fails."""
    return Clause(
        name=name,
        requirement=requirement,
        value=value,
        passed=bool(passed) and not math.isnan(value),
        note=note,
    )


def not_computed(name: str, requirement: str, why: str) -> Clause:
    """Return a clause that could not be computed, and therefore fails."""
    return Clause(name=name, requirement=requirement, value=float("nan"), passed=False, note=why)


def not_applicable(name: str, requirement: str, why: str) -> Clause:
    """Return a clause that has nothing to say of this run, and therefore holds."""
    return Clause(name=name, requirement=requirement, value=float("nan"), passed=True, note=f"not applicable: {why}")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What may be done with a model.

    Parameters
    ----------
    clauses
        Every condition, failed or not.
    synthetic
        Whether the data were simulated; such a model is never promoted.
    """

    clauses: tuple[Clause, ...]
    synthetic: bool

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the clauses that do not hold."""
        return tuple(clause.name for clause in self.clauses if not clause.passed)

    @property
    def name(self) -> Literal["promoted", "paper_only"]:
        """``"promoted"`` if every clause holds, otherwise ``"paper_only"``."""
        return "paper_only" if self.failed else "promoted"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        prefix = "SYNTHETIC market: says nothing about a real edge. " if self.synthetic else ""
        if not self.failed:
            return f"{prefix}Every clause of the promotion gate holds."
        if self.failed == ("real_data",):
            return f"{prefix}Every other clause holds, but a simulated market can never promote a model."
        return f"{prefix}No edge after fees demonstrated; failed: {', '.join(self.failed)}."

    def to_dict(self) -> dict[str, Any]:
        """Return name, sentence and every clause, fit for JSON."""
        return {
            "verdict": self.name,
            "sentence": self.sentence,
            "synthetic": self.synthetic,
            "clauses": {
                c.name: {"requirement": c.requirement, "value": c.value, "passed": c.passed, "note": c.note}
                for c in self.clauses
            },
        }
