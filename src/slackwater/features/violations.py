"""Findings of a check of features: columns that differ, by name, and columns that it could not examine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from slackwater.types import Floats

__all__ = ["Violation", "Violations", "broken", "differences", "not_examined"]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """How a feature breaks a check: what is wrong, the first bar where it is, and the two values that differ there.

    `verdict` is ``"not examined"`` where the check had no value to compare, and ``"does not apply"`` where the check
    leaves the feature out by its nature; then `what` gives the reason.
    """

    what: str
    symbol: str = ""
    event_time: pd.Timestamp | None = None
    found: float = math.nan
    expected: float = math.nan
    verdict: Literal["broken", "not examined", "does not apply"] = "broken"

    def __str__(self) -> str:
        """Return it as one sentence."""
        what = self.what if self.verdict == "broken" else f"{self.verdict}: {self.what}"
        if self.event_time is None:
            return what
        return f"{what}, first {self.symbol} at {self.event_time}: {self.found!r} against {self.expected!r}"


Violations = dict[str, Violation]


def broken(found: Violations) -> Violations:
    """Return what is broken, without what was not examined."""
    return {name: why for name, why in found.items() if why.verdict == "broken"}


def not_examined(what: str) -> Violation:
    """Return that a check compared no value, and why."""
    return Violation(what=what, verdict="not examined")


def differences(
    names: list[str],
    one: Floats,
    two: Floats,
    tolerance: float,
    what: str,
    bars: pd.DataFrame,
    *,
    silent: str = "no value of it is known in the rows that were compared",
) -> Violations:
    """Compare columns; a value that is unknown on one side only is a difference. `bars` names the rows.

    A column without any value on both sides was not examined, for the reason `silent`.
    """
    out = {}
    for j, name in enumerate(names):
        a, b = one[:, j], two[:, j]
        unknown = np.isnan(a), np.isnan(b)
        if (unknown[0] & unknown[1]).all():
            out[name] = not_examined(silent)
            continue
        with np.errstate(invalid="ignore"):
            far = np.abs(a - b) > tolerance * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
        bad = (unknown[0] != unknown[1]) | far
        if bad.any():
            times = bars["event_time"].where(bad)
            row = int(times.argmin()) if times.notna().any() else int(np.argmax(bad))
            out[name] = Violation(
                what=f"{what}: {int(bad.sum())} of {len(a)} rows differ",
                symbol=str(bars["symbol"].iloc[row]),
                event_time=bars["event_time"].iloc[row],
                found=float(a[row]),
                expected=float(b[row]),
            )
    return out
