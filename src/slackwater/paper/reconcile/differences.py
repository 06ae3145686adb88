"""Differences between paper trading and history, and their causes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import pandas as pd

__all__ = ["Cause", "Difference", "Reconciliation"]


class Cause(StrEnum):
    """Why something differs; the whole list. Only the last one is a fault of the software."""

    LATE = "row late"
    """A row came after the decision that history makes with it."""
    MISSING = "row missing"
    """A row of history never came, or one came that history does not have."""
    BACKFILLED = "back-filled"
    """A row was requested after the fact, and the gate refused to trade on it."""
    RESTATED = "row restated"
    """History has other values in a row than the venue stated live."""
    BOOK = "book moved"
    """The order met another price than the one at which history fills it, or the depth was another."""
    WITHIN = "order within a bar"
    """A bar touches stop and target, and only trades show which came first."""
    FEE = "fee"
    """Fees were charged at another rate."""
    CLOCK = "clock"
    """The clocks of the venue and of this machine contradicted each other."""
    HISTORY = "too little history"
    """The account had less history than the features need, and the gate refused to trade."""
    CODE = "code version"
    """Another version of the code has decided."""
    UNEXPLAINED = "unexplained"
    """None of these."""


class Difference(NamedTuple):
    """One thing that differs.

    Parameters
    ----------
    what
        ``journal``, ``score``, ``decision``, ``entry``, ``exit``, ``fee`` or ``funding``.
    symbol, event_time
        Symbol, and bar close of the score that it belongs to, UTC.
    cause
        Why.
    text
        One sentence, with both values.
    """

    what: str
    symbol: str
    event_time: pd.Timestamp
    cause: Cause
    text: str


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Comparison of an account of paper trading with history.

    Parameters
    ----------
    account, synthetic
        Name of the account, and whether its market is simulated.
    start, end
        Period, UTC.
    inputs, events
        Number of inputs that were read again, and of journalled events that were compared with what follows from them.
    scores, equal_scores
        Events that paper or history scored, and those that both did, with the same features to the last bit.
    decisions, equal_decisions
        Decisions of the gate, and those that are the same.
    trades, open
        Trades that both closed; those whose horizon was not over.
    paper_r, history_r
        Sums of the results of these trades, in R.
    differences
        In the order of time.
    """

    account: str
    synthetic: bool
    start: pd.Timestamp
    end: pd.Timestamp
    inputs: int
    events: int
    scores: int
    equal_scores: int
    decisions: int
    equal_decisions: int
    trades: int
    open: int
    paper_r: float
    history_r: float
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Differences without a cause."""
        return tuple(each for each in self.differences if each.cause is Cause.UNEXPLAINED)

    def counts(self) -> dict[str, int]:
        """Return the number of differences of each cause, of all causes."""
        return {cause.value: sum(each.cause is cause for each in self.differences) for cause in Cause}
