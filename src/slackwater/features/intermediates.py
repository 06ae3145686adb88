"""Intermediates of a row: values that one family computes and later families of the same row read.

A kernel's ``row`` holds the inputs of the market frame, then these. The engine sets the time and leaves the rest
unknown; the family named here writes its intermediates, and only families after it in the engine's order read them.
Prices are logarithms, so that mirroring the price path is a change of sign.
"""

from __future__ import annotations

from typing import Final

from slackwater.market.inputs import INPUTS

__all__ = ["FIRST_EXTRA", "WRITERS"]

_FIRST: Final = len(INPUTS)

TIME_HOURS: Final = _FIRST
"""Close of the bar in hours since 1970; known in gaps too."""

# volatility.py
LOG_CLOSE: Final = _FIRST + 1
"""The last known close; carried through gaps, NaN before the first bar."""
LOG_HIGH: Final = _FIRST + 2
LOG_LOW: Final = _FIRST + 3
RETURN: Final = _FIRST + 4
"""Log close less the last known one; NaN in gaps and at the first bar."""
VOLATILITY: Final = _FIRST + 5
"""Standard deviation of log returns per square root of a day; NaN until it is warm, or where it is zero."""
ATR_HOUR: Final = _FIRST + 6
"""Average true range on the scale of an hour, log; NaN until it is warm, or where it is zero."""
ATR_DAY: Final = _FIRST + 7
"""Average true range on the scale of a day, log; NaN likewise."""

# open_interest.py
OPEN_INTEREST_CHANGE: Final = _FIRST + 8
"""Log change of open interest over 24 h."""
OPEN_INTEREST_CHANGE_Z: Final = _FIRST + 9
"""z-score of that change against those before it."""

# funding.py
FUNDING_ACCELERATION_Z: Final = _FIRST + 10
"""z-score of the acceleration of funding at the last settlement; above zero it grows towards longs that pay."""

# liquidations.py
LIQUIDATION_BURST_LONG: Final = _FIRST + 11
"""z-score of the longs liquidated in this bar against the bars before it."""
LIQUIDATION_BURST_SHORT: Final = _FIRST + 12

# liquidation_density.py: of the layer with the middle half-life
POOL_BELOW: Final = _FIRST + 13
"""Log price of the densest bin below, where that bin is a pool; NaN where there is none."""
POOL_ABOVE: Final = _FIRST + 14
CONSUMED_BELOW: Final = _FIRST + 15
"""Mass that this bar erased from below the price, as a fraction of open interest."""
CONSUMED_ABOVE: Final = _FIRST + 16

# sweeps.py
SWEEP_DIRECTION: Final = _FIRST + 17
"""1 where this bar reclaimed a level above that it swept, -1 one below; 0 if none, or both."""

WRITERS: Final = {
    **dict.fromkeys((LOG_CLOSE, LOG_HIGH, LOG_LOW, RETURN, VOLATILITY, ATR_HOUR, ATR_DAY), "volatility"),
    **dict.fromkeys((OPEN_INTEREST_CHANGE, OPEN_INTEREST_CHANGE_Z), "open_interest"),
    FUNDING_ACCELERATION_Z: "funding",
    SWEEP_DIRECTION: "sweeps",
    **dict.fromkeys((LIQUIDATION_BURST_LONG, LIQUIDATION_BURST_SHORT), "liquidations"),
    **dict.fromkeys((POOL_BELOW, POOL_ABOVE, CONSUMED_BELOW, CONSUMED_ABOVE), "liquidation_density"),
}
"""The family that writes each intermediate: what reads one needs it."""

FIRST_EXTRA: Final = _FIRST + 18
"""Where the inputs of tables from outside of the library begin, in the order of the frame's inputs."""
