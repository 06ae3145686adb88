"""Recounts of open interest: changes that no trade explains."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.traded import Traded

__all__ = ["recount", "zero_open_interest"]

LONGEST_STEP: Final = timedelta(hours=1)
LISTING: Final = timedelta(days=7)
LEAST_CHANGE: Final = 0.05
MOST_OF_VOLUME: Final = 1.5
LARGE_RISE: Final = 0.3
LARGE_OF_VOLUME: Final = 0.15
CASCADE: Final = 0.5
"""Every traded coin opens or closes one at most, so a change above the volume is none of the market; 1.5 leaves room
for stamps a little off, and changes under 5 % are let pass. A rise by 35 % (0.3 in logarithms) in an hour that traded
half of the interest or more, and took 15 % of that, is none either: what trades so much in an hour is a cascade, which
closes positions. Two to four hours in a hundred of BTC, ETH, SOL and XRP at Bybit traded so much. A fall is not judged
so. The week after the first row is a listing, or may be one, and ramps."""


def zero_open_interest(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows have no open interest: a perpetual that trades always has some."""
    return rows["open_interest"].to_numpy() <= 0.0


def recount(rows: pd.DataFrame, traded: Traded | None) -> NDArray[np.bool_]:
    """Return which rows stand after a change that the volume of the time between does not explain.

    Parameters
    ----------
    rows
        Open interest of one symbol, above 0, in order.
    traded
        Its bars; without them nothing can be judged.
    """
    bad = np.zeros(len(rows), dtype=bool)
    if traded is None or len(rows) < 2:
        return bad
    stamps = rows["event_time"].astype("int64").to_numpy()
    level = rows["open_interest"].to_numpy()
    rise = np.diff(np.log(level))
    candidates = 1 + np.flatnonzero(np.abs(rise) >= LEAST_CHANGE)
    candidates = candidates[
        (stamps[candidates] - stamps[candidates - 1] <= LONGEST_STEP // timedelta(microseconds=1))
        & (stamps[candidates] - stamps[0] >= LISTING // timedelta(microseconds=1))
    ]
    volume = traded.volume_between(stamps[candidates - 1], stamps[candidates])
    change = np.abs(level[candidates] - level[candidates - 1])
    impossible = change > MOST_OF_VOLUME * volume
    cascade = volume >= CASCADE * level[candidates - 1]
    implausible = cascade & (rise[candidates - 1] >= LARGE_RISE) & (change >= LARGE_OF_VOLUME * volume)
    bad[candidates] = impossible | implausible  # neither, where the volume is not known
    return bad
