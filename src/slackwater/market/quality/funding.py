"""Detection of impossible funding: rates beyond any cap, stamps off the schedule, intervals that contradict stamps."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.quality.ledger import Finding
from slackwater.times import HOUR_US, MINUTE_US, epochs_us
from slackwater.types import Bools, Floats

__all__ = [
    "impossible_premium",
    "impossible_rate",
    "interval_mismatch",
    "missing_settlements",
    "off_schedule",
    "steep_rate",
]

RATE_CAP: Final = 0.04
"""Above the widest cap of any of the venues (3 % per interval at Binance since 2023-10)."""
HIGH_RATE: Final = 0.003
RATE_AT_REST: Final = 1e-4
"""Interest rate per eight hours that a contract pays at rest. A table is in percent if its median is above 0.3 % per
eight hours and a tenth of its rates equal this in percent, if a fifth of them do and none equals it in fractions, or if
its median is so for eight weeks. A squeezed coin may pay 1 % at each settlement for days."""
STEEP_FACTOR: Final = 3.0
"""Multiple of both neighbours from which a rate is flagged, and not masked: rates of small coins reach 75 times what is
paid the day before and after (24 of 83,657 daily rates of 119 perpetuals 25 times or more)."""
PREMIUM_CAP: Final = 0.25
HIGH_PREMIUM: Final = 0.01
HIGHEST_PREMIUM: Final = 0.03
"""A table is in percent if its median is above 1 % over four weeks, or above 3 % over a day: a
squeezed coin has a premium of 1 to 2 % for days."""
LEAST_ROWS: Final = 30
JITTER: Final = MINUTE_US
"""Settlements are stamped up to some seconds late (Binance: milliseconds, at times 15 s)."""


def impossible_rate(rows: pd.DataFrame) -> Bools:
    """Return which funding rates are beyond 4 % per interval; all of them if the table is in percent."""
    rate, per_8h = rows["funding_rate"].to_numpy(), _per_eight_hours(rows)
    if len(rate) >= LEAST_ROWS:
        in_percent, in_fractions = (np.isclose(per_8h, unit * RATE_AT_REST, rtol=1e-4).mean() for unit in (100.0, 1.0))
        high = _median(per_8h) > HIGH_RATE and (in_percent >= 0.1 or _span(rows) >= pd.Timedelta(weeks=8))
        if high or (in_percent >= 0.2 and in_fractions == 0.0):
            return np.ones(len(rate), dtype=bool)
    return np.asarray(np.abs(rate) > RATE_CAP)


def steep_rate(rows: pd.DataFrame) -> Bools:
    """Return which rates are three times their neighbours and the rate at rest, or more; markets do so too."""
    size = np.abs(_per_eight_hours(rows))
    out = np.zeros(len(size), dtype=bool)
    around = np.maximum(np.maximum(size[2:], size[:-2]), RATE_AT_REST)
    out[1:-1] = size[1:-1] >= STEEP_FACTOR * around * (1.0 - 1e-9)  # 3e-4 is less than 3 x 1e-4
    return out


def impossible_premium(rows: pd.DataFrame) -> Bools:
    """Return which premiums are beyond 25 %; all of them if the table is in percent."""
    premium = rows["premium_index"].to_numpy()
    usual = _median(premium)
    if usual > HIGH_PREMIUM:
        enough = pd.Timedelta(days=1) if usual > HIGHEST_PREMIUM else pd.Timedelta(weeks=4)
        if _span(rows) >= enough:
            return np.ones(len(premium), dtype=bool)
    return np.asarray(np.abs(premium) > PREMIUM_CAP)


def off_schedule(rows: pd.DataFrame) -> Bools:
    """Return which rows are not settlements: more than a minute off the times of day of most rows of their kind.

    A table that is shifted as a whole is on its own schedule: `clocks.settlement_shift` finds it.
    """
    stamps = epochs_us(rows["event_time"])
    interval = np.maximum(np.round(rows["interval_hours"].to_numpy() * HOUR_US).astype(np.int64), HOUR_US)
    # A 4-hourly and an 8-hourly schedule share their minute, so a change of the interval is not a defect.
    phase = (stamps + JITTER) % np.minimum(interval, HOUR_US)
    minutes, places = np.unique(phase // (2 * JITTER), return_inverse=True)
    usual = minutes[np.argmax(np.bincount(places))] if len(minutes) else 0
    return np.asarray(phase // (2 * JITTER) != usual)


def interval_mismatch(rows: pd.DataFrame) -> Bools:
    """Return which rows state a longer interval than has passed since the row before.

    The first row of another interval may come early, if it is on the hours of its own schedule: 18:00 of one of 6 hours
    after 16:00 of one of 8.
    """
    stamps = epochs_us(rows["event_time"])
    interval = np.round(rows["interval_hours"].to_numpy() * HOUR_US).astype(np.int64)
    bad = np.zeros(len(rows), dtype=bool)
    switched = (interval[1:] != interval[:-1]) & ((stamps[1:] + JITTER) % np.maximum(interval[1:], 1) <= 2 * JITTER)
    bad[1:] = (np.diff(stamps) < interval[1:] - 2 * JITTER) & ~switched
    return bad


def missing_settlements(rows: pd.DataFrame) -> list[Finding]:
    """Return a finding for each place where more time passed than the intervals on both sides state."""
    stamps = rows["event_time"]
    hours = rows["interval_hours"].to_numpy()
    longest = np.maximum(hours[1:], hours[:-1])
    passed = np.diff(epochs_us(stamps)) / HOUR_US
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


def _per_eight_hours(rows: pd.DataFrame) -> Floats:
    return np.asarray(rows["funding_rate"].to_numpy() * 8.0 / rows["interval_hours"].to_numpy())


def _median(values: Floats) -> float:
    return float(np.median(np.abs(values))) if len(values) >= LEAST_ROWS else 0.0


def _span(rows: pd.DataFrame) -> pd.Timedelta:
    return pd.Timedelta(rows["event_time"].iloc[-1] - rows["event_time"].iloc[0])
