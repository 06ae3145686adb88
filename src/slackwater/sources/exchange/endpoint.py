"""An endpoint of a venue: its parameters, its limits, and the places of the values in its rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from slackwater.errors import SourceError

__all__ = ["MILLISECOND", "Ask", "Endpoint", "at", "number"]

MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A range of one instrument, by the venue's names; times in milliseconds since 1970, both included."""

    instrument: str
    first: int
    last: int
    period: str


def at(*path: str) -> Callable[[Any], Any]:
    """Return a function that takes the value at a path of keys out of an answer."""

    def take(answer: Any) -> Any:
        for key in path:
            answer = answer[key]
        return answer

    return take


def number(value: Any) -> float:
    """Return a value of an answer as a number, NaN where it is not one.

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
    """An address of a venue that returns rows by time.

    Parameters
    ----------
    method
        Name in ccxt, or a path where the venue has a `url`.
    params
        Function from a range to the parameters of a request.
    rows
        Function that takes the list of rows out of an answer.
    columns
        Place in a row (a number in a list, a key in a mapping) by our name. ``time`` is among them.
    periods
        The venue's name of each spacing; empty where rows are irregular.
    limit
        Rows of a full page.
    time_unit
        Milliseconds per unit of time.
    stamp
        ``"start"``: a row is stamped by the start of its period. ``"event"``: by the time that it describes.
    in_contracts
        Columns that count contracts, not coin.
    finish
        Function that derives the columns of a canonical table, such as a ratio of two shares.
    history, history_points
        Length of the venue's history, as a time or in periods; None: not known.
    span, span_points
        Longest range per request, as a time or in periods; None: any.
    too_old
        Parts of the venue's message for a range before its history; such an answer counts as empty.
    """

    method: str
    params: Callable[[Ask], dict[str, Any]]
    rows: Callable[[Any], Any] = lambda answer: answer
    columns: Mapping[str, int | str]
    periods: Mapping[timedelta, str] = field(default_factory=dict)
    limit: int
    time_unit: int = 1
    stamp: Literal["start", "event"] = "event"
    in_contracts: frozenset[str] = frozenset()
    finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    history: timedelta | None = None
    history_points: int | None = None
    span_points: int | None = None
    span: timedelta | None = None
    too_old: tuple[str, ...] = ()

    def longest_range(self, interval: timedelta) -> int | None:
        """Return the longest range per request in milliseconds, for bars of an interval; None: any."""
        if self.span is not None:
            return self.span // MILLISECOND
        return self.span_points and self.span_points * self.period_ms(interval)

    def period_ms(self, interval: timedelta) -> int:
        """Return the spacing of the rows in milliseconds, for bars of an interval; 0 where rows are irregular."""
        return self._period(interval) // MILLISECOND if self.periods else 0

    def period_name(self, interval: timedelta) -> str:
        """Return the venue's name of that spacing; empty where rows are irregular."""
        return self.periods[self._period(interval)] if self.periods else ""

    def _period(self, interval: timedelta) -> timedelta:
        return interval if interval in self.periods else min(self.periods)

    def parse(self, answer: Any, *, contract_size: float = 1.0) -> pd.DataFrame:
        """Return the rows of an answer: `time` in milliseconds since 1970, and numbers in coin, NaN where unreadable.

        Parameters
        ----------
        answer
            Decoded JSON.
        contract_size
            Coins per contract.

        Raises
        ------
        SourceError
            If the answer does not have the form of this endpoint.
        """
        try:
            rows = list(self.rows(answer))
            read = {ours: [number(row[place]) for row in rows] for ours, place in self.columns.items()}
        except (KeyError, IndexError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise SourceError(f"{self.method} answered with something else than its rows: {reason}") from None
        values = {name: np.array(numbers, dtype=np.float64) for name, numbers in read.items()}
        time = values.pop("time") * self.time_unit
        bad = ~((time > 0.0) & (time < 1e14))
        if bad.any():
            raise SourceError(
                f"{self.method} answered with {int(bad.sum())} rows whose time is not in "
                f"{'milliseconds' if self.time_unit == 1 else 'seconds'}, the first: {rows[int(bad.argmax())]!r:.120}"
            )
        for name in self.in_contracts:
            values[name] *= contract_size
        return pd.DataFrame({"time": time.round().astype(np.int64), **values})
