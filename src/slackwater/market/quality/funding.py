"""Funding that cannot be: rates beyond any cap, stamps off the schedule, intervals that the stamps deny."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.ledger import Finding

__all__ = ["impossible_premium", "impossible_rate", "interval_mismatch", "missing_settlements", "off_schedule"]

RATE_CAP: Final = 0.04
"""Above the widest cap of any of the venues (3 % an interval at Binance since 2023-10)."""
USUAL_RATE: Final = 0.003
"""A median above this over 30 settlements or more is a table in percent: the usual rate is 0.0001."""
PREMIUM_CAP: Final = 0.25
USUAL_PREMIUM: Final = 0.01
HOUR: Final = 3_600_000_000
JITTER: Final = 60_000_000
"""Settlements are stamped up to some seconds late (Binance: milliseconds, at times 15 s)."""


def impossible_rate(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which funding rates are beyond 4 % an interval; all of them if the table is in percent."""
    return _beyond(rows["funding_rate"].to_numpy(), RATE_CAP, USUAL_RATE)


def impossible_premium(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which premiums are beyond 25 %; all of them if the table is in percent."""
    return _beyond(rows["premium_index"].to_numpy(), PREMIUM_CAP, USUAL_PREMIUM)


def off_schedule(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows are no settlements: over a minute off the times of day at which most rows of their kind are.

    A table that is shifted as a whole is on its own schedule: `clocks.settlement_shift` finds it.
    """
    stamps = rows["event_time"].astype("int64").to_numpy()
    interval = np.maximum(np.round(rows["interval_hours"].to_numpy() * HOUR).astype(np.int64), HOUR)
    # A 4-hourly and an 8-hourly schedule share their minute, so that a change of the interval is no defect.
    phase = (stamps + JITTER) % np.minimum(interval, HOUR)
    minutes, places = np.unique(phase // (2 * JITTER), return_inverse=True)
    usual = minutes[np.argmax(np.bincount(places))] if len(minutes) else 0
    return np.asarray(phase // (2 * JITTER) != usual)


def interval_mismatch(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows say a longer interval than has passed since the row before."""
    stamps = rows["event_time"].astype("int64").to_numpy()
    bad = np.zeros(len(rows), dtype=bool)
    bad[1:] = np.diff(stamps) < rows["interval_hours"].to_numpy()[1:] * HOUR - 2 * JITTER
    return bad


def missing_settlements(rows: pd.DataFrame) -> list[Finding]:
    """Return a finding for each place where more time passed than the intervals on both sides say."""
    stamps = rows["event_time"]
    hours = rows["interval_hours"].to_numpy()
    longest = np.maximum(hours[1:], hours[:-1])
    passed = np.diff(stamps.astype("int64").to_numpy()) / HOUR
    return [
        Finding(
            table="funding",
            symbol=str(rows["symbol"].iloc[0]),
            rule="gap",
            start=stamps.iloc[row],
            end=stamps.iloc[row + 1],
            rows=max(round(passed[row] / longest[row]) - 1, 1),
            action="recorded",
            note="settlements are missing",
        )
        for row in np.flatnonzero(passed > 1.5 * longest)
    ]


def _beyond(values: NDArray[np.float64], cap: float, usual: float) -> NDArray[np.bool_]:
    if len(values) >= 30 and np.median(np.abs(values)) > usual:
        return np.ones(len(values), dtype=bool)
    return np.asarray(np.abs(values) > cap)
