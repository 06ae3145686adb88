"""The conditions of a verdict: each holds, fails, or is not evaluable."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Clause", "at_least", "holds", "not_applicable", "not_computed"]


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One condition of the verdict.

    Parameters
    ----------
    name, requirement
        Stable name, and the condition in words.
    value, passed
        Measured value, NaN where it could not be computed, and whether the condition holds; None: not evaluable.
    note
        Reason why it is not evaluable, or a remark.
    """

    name: str
    requirement: str
    value: float
    passed: bool | None
    note: str = ""


def at_least(name: str, value: float, bound: float, *, strictly: bool = True, note: str = "") -> Clause:
    """Return the clause that a value exceeds (or reaches) a bound; an unknown value is not evaluable.

    Examples
    --------
    >>> at_least("profit_factor", 1.2, 1.15).passed
    True
    """
    passed = value > bound if strictly else value >= bound
    return holds(name, f"{'>' if strictly else '>='} {bound:g}", value, passed, note)


def holds(name: str, requirement: str, value: float, passed: bool, note: str = "") -> Clause:
    """Return a clause whose condition was computed elsewhere; an unknown value is not evaluable."""
    known = None if math.isnan(value) else bool(passed)
    return Clause(name=name, requirement=requirement, value=value, passed=known, note=note)


def not_computed(name: str, requirement: str, why: str) -> Clause:
    """Return a clause that could not be computed, and therefore is not evaluable."""
    return Clause(name=name, requirement=requirement, value=math.nan, passed=None, note=why)


def not_applicable(name: str, requirement: str, why: str) -> Clause:
    """Return a clause that does not apply to this run, and therefore holds."""
    return Clause(name=name, requirement=requirement, value=math.nan, passed=True, note=f"not applicable: {why}")
