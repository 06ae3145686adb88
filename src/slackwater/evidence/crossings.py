"""Liquidations at prices that were first crossed after a given time (method, section 4.4).

A liquidation waits at a price. Once the price has been there it is gone, so what a later bar liquidates belongs to the
prices that this bar was the first to cross. Liquidations of a bar without a new extreme belong to positions opened
since, or to prices that cannot be told, and go to no band.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["attribute"]


@njit(cache=True, nogil=True)
def attribute(closes, highs, lows, longs, shorts, rows, horizon, width, realised, totals):  # type: ignore[no-untyped-def]
    """Spread what each later bar liquidated over the log prices that it was the first to cross.

    Parameters
    ----------
    closes, highs, lows
        Log prices of the bars; NaN where there is none.
    longs, shorts
        What each bar liquidated, coin; NaN where unknown.
    rows
        Bars at whose close a snapshot was taken; only later bars count.
    horizon
        How many.
    width
        Of a band, log price.
    realised
        Filled with coin, shape (rows, 2, bands), below and above; NaN where the price did not cross the whole band,
        or a bar within the horizon is unknown or beyond the data.
    totals
        Filled with coin, shape (rows, 3): all that was liquidated, what came at a new extreme, what of it fell into
        the bands; NaN likewise.
    """
    bands = realised.shape[2]
    for k in range(rows.size):
        at = rows[k]
        start = closes[at]
        unknown = at + horizon >= closes.size
        deepest = np.zeros(2)
        spread = np.zeros((2, bands))
        seen = np.zeros(3)
        if not unknown:
            for j in range(at + 1, at + horizon + 1):
                for side in range(2):
                    amount = longs[j] if side == 0 else shorts[j]
                    depth = start - lows[j] if side == 0 else highs[j] - start
                    if np.isnan(amount) or np.isnan(depth):
                        unknown = True
                        break
                    seen[0] += amount
                    before = deepest[side]
                    if depth <= before:
                        continue
                    seen[1] += amount
                    for q in range(int(before / width), min(int(depth / width), bands - 1) + 1):
                        part = min(depth, (q + 1) * width) - max(before, q * width)
                        if part > 0.0:
                            spread[side, q] += amount * part / (depth - before)
                            seen[2] += amount * part / (depth - before)
                    deepest[side] = depth
                if unknown:
                    break
        for side in range(2):
            for q in range(bands):
                reached = not unknown and (q + 1) * width <= deepest[side]
                realised[k, side, q] = spread[side, q] if reached else np.nan
        for i in range(3):
            totals[k, i] = np.nan if unknown else seen[i]
