"""The rule of the gate on live data: nothing is traded on rows that are missing, silent, late or unproven."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar

from slackwater.scoring.stream import EventScore
from slackwater.times import SECOND
from slackwater.trading.account import Account
from slackwater.trading.reasons import Reason
from slackwater.trading.score import Score

__all__ = ["LiveDataRule"]


class LiveDataRule:
    """Refuses a score whose data are not those that a decision in time would have had.

    Parameters
    ----------
    tables
        Tables that the feed supplies; others are unknown all along, which the features say.
    longest_delay
        Time from the moment at which the score was due to the decision.

    Examples
    --------
    >>> LiveDataRule(("bars", "funding")).name
    'live_data'
    """

    name: ClassVar[str] = "live_data"

    def __init__(self, tables: tuple[str, ...], longest_delay: timedelta = 5 * SECOND) -> None:
        self._tables = frozenset(tables)
        self._longest_delay = longest_delay

    def reasons(self, score: Score, account: Account, now: datetime) -> Iterator[Reason]:
        """Yield every reason in the data not to trade on the score."""
        if not isinstance(score, EventScore):
            yield Reason("unproven_rows", "the score does not say of which rows it was made")
            return
        quality = score.quality
        if now - score.available_time > self._longest_delay:
            late = (now - score.available_time).total_seconds()
            message = f"its bars were complete only {late:.1f} s after the decision was due"
            yield Reason("late_decision", message)
        if not quality.warm:
            message = f"there are {quality.history} of history, the features need {quality.warm_up}"
            yield Reason("not_warm", message)
        if quality.missing_bars:
            yield Reason("missing_bars", f"{quality.missing_bars} bars are missing before this one")
        if silent := [name for name in quality.silent_tables if name in self._tables]:
            yield Reason("silent_tables", f"nothing recent is known of {', '.join(silent)}")
        if quality.notes:
            yield Reason("unproven_rows", f"since the last bar the feed has {', '.join(quality.notes)}")
        if quality.refused_rows:
            message = f"{quality.refused_rows} rows were refused since the last bar"
            yield Reason("refused_rows", message)
