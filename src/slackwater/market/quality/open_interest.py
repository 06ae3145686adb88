"""Detection of recounts of open interest: changes that trades do not explain."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.market.quality.traded import Traded
from slackwater.times import epochs_us, microseconds
from slackwater.types import Bools

__all__ = ["recount", "zero_open_interest"]

LONGEST_STEP: Final = timedelta(hours=1)
LISTING: Final = timedelta(days=7)
LEAST_CHANGE: Final = 0.05
MOST_OF_VOLUME: Final = 1.5
LARGE_RISE: Final = 0.3
LARGE_OF_VOLUME: Final = 0.15
CASCADE: Final = 0.5
"""Every traded coin opens or closes at most one, so a change above the volume does not come from trades; 1.5 leaves
room for inexact stamps, and changes below 5 % pass. Nor does a rise by 35 % (0.3 in logarithms) in an hour that traded
half of the interest or more, if the rise is 15 % of that volume: so much volume in an hour is a cascade, which closes
positions. Two to four per cent of the hours of BTC, ETH, SOL and XRP at Bybit traded so much. A fall is not judged in
this way. The week after the first row may be a listing, in which interest ramps up."""


def zero_open_interest(rows: pd.DataFrame) -> Bools:
    """Flag rows without open interest: a perpetual that trades always has some."""
    return rows["open_interest"].to_numpy() <= 0.0


def recount(rows: pd.DataFrame, traded: Traded | None) -> Bools:
    """Flag rows after a change that the volume in between does not explain.

    Parameters
    ----------
    rows
        Open interest of one symbol, above 0, in order.
    traded
        Bars of the symbol; without them nothing is flagged.
    """
    bad = np.zeros(len(rows), dtype=bool)
    if traded is None or len(rows) < 2:
        return bad
    stamps = epochs_us(rows["event_time"])
    level = rows["open_interest"].to_numpy()
    rise = np.diff(np.log(level))
    candidates = 1 + np.flatnonzero(np.abs(rise) >= LEAST_CHANGE)
    candidates = candidates[
        (stamps[candidates] - stamps[candidates - 1] <= microseconds(LONGEST_STEP))
        & (stamps[candidates] - stamps[0] >= microseconds(LISTING))
    ]
    volume = traded.volume_between(stamps[candidates - 1], stamps[candidates])
    change = np.abs(level[candidates] - level[candidates - 1])
    impossible = change > MOST_OF_VOLUME * volume
    cascade = volume >= CASCADE * level[candidates - 1]
    implausible = cascade & (rise[candidates - 1] >= LARGE_RISE) & (change >= LARGE_OF_VOLUME * volume)
    bad[candidates] = impossible | implausible  # neither where the volume is unknown
    return bad
