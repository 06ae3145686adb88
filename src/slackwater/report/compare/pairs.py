"""Common events of two runs with their paired differences, or why these runs cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from slackwater.errors import DataError
from slackwater.evidence.comparison import Comparison, Difference, compare, paired_events
from slackwater.evidence.resampling import Resampling
from slackwater.report.compare.sides import NAMES, Side

__all__ = ["Pairs"]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Two runs on their common events.

    Parameters
    ----------
    sides
        A and B.
    comparison
        Paired differences of B less A; None where the runs cannot be compared.
    rows
        The common events, columns of A ending in ``_a`` and of B in ``_b``; empty where the runs cannot be compared.
    obstacle
        Why they cannot be compared, as one sentence; empty where they can.
    """

    sides: tuple[Side, Side]
    comparison: Comparison | None
    rows: pd.DataFrame
    obstacle: str = ""

    @classmethod
    def of(cls, sides: tuple[Side, Side], resampling: Resampling) -> Pairs:
        """Pair the events of two runs; runs of other events or other labels have an obstacle instead of differences.

        Raises
        ------
        SchemaError
            If a column is missing.
        """
        first, second = (side.events for side in sides)
        try:
            rows = paired_events(first, second, NAMES)
        except DataError as error:
            return cls(sides=sides, comparison=None, rows=pd.DataFrame(), obstacle=str(error))
        return cls(sides=sides, comparison=compare(first, second, resampling=resampling, names=NAMES), rows=rows)

    @property
    def synthetic(self) -> bool:
        """Whether a market of the two was simulated."""
        return any(side.synthetic for side in self.sides)

    @property
    def trials(self) -> str:
        """How many trials stand behind each run, in words."""
        counts = [side.facts.trials for side in self.sides]
        said = ", ".join(
            f"{name} {'not known' if n is None else f'{n:,}'}" for name, n in zip(NAMES, counts, strict=True)
        )
        return f"trials counted on these data: {said}"

    @property
    def trials_known(self) -> bool:
        """Whether the number of trials is known of both."""
        return all(side.facts.trials is not None for side in self.sides)

    def differences(self, *beginnings: str) -> Sequence[Difference]:
        """Return the differences whose metric begins with one of some words, in order."""
        found = () if self.comparison is None else self.comparison.differences
        return [each for each in found if each.metric.startswith(beginnings)]

    def reading(self, difference: Difference) -> str:
        """Return what a difference says of B; without the number of trials no winner is named."""
        found = difference.reading
        return "not judged: trials not known" if found in ("better", "worse") and not self.trials_known else found
