"""The inner loop of the triple barrier, over the bars of one symbol."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["first_touch"]


@njit(cache=True, nogil=True)
def first_touch(
    log_high: NDArray[np.float64],
    log_low: NDArray[np.float64],
    log_entry: NDArray[np.float64],
    entry: NDArray[np.int64],
    stop: NDArray[np.int64],
    up: NDArray[np.float64],
    down: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the first bar in which each event touches a barrier within each horizon, in one walk per event.

    A later horizon has barriers at least as far away, so its walk continues at the bar where that of the horizon before
    ended: what did not touch the nearer barriers did not touch the farther ones.

    Parameters
    ----------
    log_high, log_low : ndarray of float64, shape (n_bars,)
        Logs of prices.
    log_entry : ndarray of float64, shape (n_events,)
        Log of the entry price, the open of the entry bar.
    entry : ndarray of int64, shape (n_events,)
        Entry bar; it counts with its whole range.
    stop : ndarray of int64, shape (n_events, n_horizons)
        First bar after each horizon, <= n_bars, not falling along a row; at most `entry` where the outcome is not
        known, after which no horizon of the row is.
    up, down : ndarray of float64, shape (n_events, n_horizons)
        Distance of the barriers above and below the entry price, log price, > 0, not falling along a row.

    Returns
    -------
    ndarray of int64, shape (n_events, n_horizons)
        The bar, `stop` where no barrier is touched before it.
    """
    touch = stop.copy()
    n_events, n_horizons = stop.shape
    for i in range(n_events):
        bar, start = entry[i], log_entry[i]
        for k in range(n_horizons):
            end, above, below = stop[i, k], up[i, k], down[i, k]
            if end <= entry[i]:
                break
            while bar < end and log_high[bar] - start < above and start - log_low[bar] < below:
                bar += 1
            touch[i, k] = bar
    return touch
