"""What one address of a venue gives: how to ask it, and where its rows hold what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

import pandas as pd

from slackwater.errors import SourceError

__all__ = ["HOUR", "MINUTE", "Ask", "Endpoint", "at", "number"]

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked of an endpoint: an instrument by the venue's name, and moments in milliseconds, both included."""

    instrument: str
    first: int
    last: int
    period: str


def at(*path: str) -> Callable[[Any], Any]:
    """Return what takes the value at a path of keys out of an answer."""

    def take(answer: Any) -> Any:
        for key in path:
            answer = answer[key]
        return answer

    return take


def number(value: Any) -> float:
    """Return a number of an answer, NaN where it is none.

    Examples
    --------
    >>> number("1e3"), number(""), number("0  "), number(True)
    (1000.0, nan, 0.0, nan)
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One address of a venue that gives rows by time.

    Parameters
    ----------
    method
        Name that ccxt gives it.
    params
        What to send.
    rows
        Takes the list of rows out of an answer.
    columns
        Our name to the place in a row (a number in a list, a key in a mapping). ``time`` is among them.
    periods
        Milliseconds to the venue's name of that spacing; empty where rows come when they come.
    limit
        Rows of a full page.
    time_unit
        Milliseconds of one unit of time.
    stamp
        ``"start"``: a row is stamped by the start of its period. ``"moment"``: by the moment that it tells of.
    in_contracts
        The columns that count contracts, not coin.
    finish
        Makes the columns of a canonical table of those that were read, such as a ratio of two shares.
    history
        How far back the venue goes; None: not known, ask.
    history_points
        The same in periods.
    span_points
        Longest range of one answer, in periods; a longer one is refused by the venue.
    span
        The same as a time, where rows come when they come.
    too_old
        What the venue says where it is asked for more; an answer with it is an empty one.
    """

    method: str
    params: Callable[[Ask], dict[str, Any]]
    rows: Callable[[Any], Any] = lambda answer: answer
    columns: Mapping[str, int | str]
    periods: Mapping[int, str] = field(default_factory=dict)
    limit: int
    time_unit: int = 1
    stamp: Literal["start", "moment"] = "moment"
    in_contracts: frozenset[str] = frozenset()
    finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    history: timedelta | None = None
    history_points: int | None = None
    span_points: int | None = None
    span: timedelta | None = None
    too_old: tuple[str, ...] = ()

    def longest_range(self, period: int) -> int | None:
        """Return how many milliseconds may be asked for at once, for rows of a period; None: any."""
        if self.span is not None:
            return self.span // timedelta(milliseconds=1)
        return self.span_points and self.span_points * period

    def period(self, interval: int) -> int:
        """Return the spacing of its rows for bars of an interval, in milliseconds: that one, or its finest."""
        if not self.periods:
            return 0
        return interval if interval in self.periods else min(self.periods)

    def parse(self, answer: Any, *, contract_size: float = 1.0) -> pd.DataFrame:
        """Return the rows of an answer: `time` in milliseconds since 1970, and numbers in coin, NaN where unreadable.

        Parameters
        ----------
        answer
            JSON as the venue sent it.
        contract_size
            Coins of one contract.

        Raises
        ------
        SourceError
            If it is not what this address gives.
        """
        try:
            rows = list(self.rows(answer))
            values = {ours: [number(row[place]) for row in rows] for ours, place in self.columns.items()}
        except (KeyError, IndexError, TypeError) as error:
            raise SourceError(f"{self.method} answered with something else than its rows: {_reason(error)}") from None
        table = pd.DataFrame(values, dtype="float64")
        bad = table["time"].isna() | (table["time"] <= 0.0) | (table["time"] * self.time_unit >= 1e14)
        if bad.any():
            raise SourceError(
                f"{self.method} answered with {int(bad.sum())} rows whose time is none in "
                f"{'milliseconds' if self.time_unit == 1 else 'seconds'}, the first: {rows[int(bad.argmax())]!r:.120}"
            )
        table["time"] = (table["time"] * self.time_unit).round().astype("int64")
        for name in self.in_contracts:
            table[name] *= contract_size
        return table


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
