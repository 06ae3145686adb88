"""Reasons for a refusal: a stable code, and a sentence with the numbers that led to it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Reason"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a refusal.

    Parameters
    ----------
    code
        Stable name in snake case. docs/gate.md lists those of the library; a rule from outside has its own.
    message
        A sentence with the numbers.
    """

    code: str
    message: str
