"""The two sides of a comparison: what each run has recorded of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

__all__ = ["NAMES", "RunFacts", "Side"]

NAMES: Final = ("A", "B")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a run has recorded beside its scored events; what it has not is empty or None, and stays "not known".

    Parameters
    ----------
    metrics, verdict
        Content of ``metrics.json`` and of ``verdict.json``.
    params
        Effective parameters, nested.
    digests
        ``code_sha256``, ``data_sha256`` (of features and labels) and ``params_sha256``, as the bundle of the run and
        its MLflow tags have them.
    equity
        Equity of the account in time: `time`, `equity_usd`, `drawdown`.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    equity: pd.DataFrame | None = None

    @property
    def trials(self) -> int | None:
        """How many configurations were tried on these data, with this one; None where it is not known."""
        found = self.metrics.get("n_trials")
        return found if isinstance(found, int) else None

    def settings(self) -> dict[str, Any]:
        """Return the effective parameters under dotted names."""
        return dict(_flat(self.params))


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two runs.

    Parameters
    ----------
    name
        ``A`` or ``B``.
    source
        What was read, in words.
    events
        Table of `slackwater.evidence.comparison.scored_events`.
    synthetic
        Whether the market was simulated; None where that is not recorded.
    facts
        What else the run has recorded.
    """

    name: str
    source: str
    events: pd.DataFrame
    synthetic: bool | None
    facts: RunFacts
