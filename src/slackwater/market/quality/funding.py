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
HIGH_RATE: Final = 0.003
RATE_AT_REST: Final = 0.01
"""Percent at the interest rate of 0.01 % that every venue pays at rest. A table is in percent if its median over 30
settlements or more is above 0.003, and a rate is beyond the cap or a tenth of them is this very number: a squeezed
coin may pay 1 % at each settlement for weeks, but neither beyond the cap nor this to the digit."""
PREMIUM_CAP: Final = 0.25
HIGH_PREMIUM: Final = 0.01
"""A table is in percent if its median is above this and a premium is beyond the cap, or its median is above this over
four weeks: that of a squeezed coin stands so for some days."""
LONG: Final = pd.Timedelta(weeks=4)
LEAST_ROWS: Final = 30
HOUR: Final = 3_600_000_000
JITTER: Final = 60_000_000
"""Settlements are stamped up to some seconds late (Binance: milliseconds, at times 15 s)."""


def impossible_rate(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which funding rates are beyond 4 % an interval; all of them if the table is in percent."""
    rate = rows["funding_rate"].to_numpy()
    beyond = np.abs(rate) > RATE_CAP
    if _mostly_above(rate, HIGH_RATE) and (beyond.any() or (rate == RATE_AT_REST).mean() >= 0.1):
        return np.ones(len(rate), dtype=bool)
    return beyond


def impossible_premium(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which premiums are beyond 25 %; all of them if the table is in percent."""
    premium = rows["premium_index"].to_numpy()
    beyond = np.abs(premium) > PREMIUM_CAP
    if _mostly_above(premium, HIGH_PREMIUM):
        stamps = rows["event_time"]
        if beyond.any() or stamps.iloc[-1] - stamps.iloc[0] >= LONG:
            return np.ones(len(premium), dtype=bool)
    return beyond


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


def _mostly_above(values: NDArray[np.float64], level: float) -> bool:
    return len(values) >= LEAST_ROWS and bool(np.median(np.abs(values)) > level)
