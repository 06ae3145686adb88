"""The inner loop of the triple barrier, over the bars of one symbol."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["first_touch"]


@njit(cache=True)
def first_touch(
    log_price: NDArray[np.float64],
    entry: NDArray[np.int64],
    stop: NDArray[np.int64],
    direction: NDArray[np.float64],
    reversal: NDArray[np.float64],
    continuation: NDArray[np.float64],
) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return the first barrier that each event touches within each horizon, in one walk per event.

    A later horizon has barriers at least as far away, so its walk continues at the bar where that of the horizon before
    ended: what did not touch the nearer barrier did not touch the farther one.

    Parameters
    ----------
    log_price : ndarray of float64, shape (4, n_bars)
        Logs of open, high, low and close.
    entry : ndarray of int64, shape (n_events,)
        Entry bar.
    stop : ndarray of int64, shape (n_events, n_horizons)
        First bar after each horizon, <= n_bars, not falling along a row; at most `entry` where the outcome is not
        known, after which no horizon of the row is.
    direction : ndarray of float64, shape (n_events,)
        +1 the price had risen, -1 it had fallen.
    reversal, continuation : ndarray of float64, shape (n_events, n_horizons)
        Distance of the barriers from the entry price, log price, > 0, not falling along a row.

    Returns
    -------
    code : ndarray of int8, shape (n_events, n_horizons)
        +1 reversal, -1 continuation, 0 neither.
    exit_bar : ndarray of int64, shape (n_events, n_horizons)
        Bar of the touch, else the last of the window; -1 where the outcome is not known.
    log_return : ndarray of float64, shape (n_events, n_horizons)
        Log return of fading the move; NaN where the outcome is not known.
    tie : ndarray of bool, shape (n_events, n_horizons)
        The exit bar touched both.
    """
    log_open, log_high, log_low, log_close = log_price[0], log_price[1], log_price[2], log_price[3]
    n_events, n_horizons = stop.shape
    code = np.zeros((n_events, n_horizons), dtype=np.int8)
    exit_bar = np.full((n_events, n_horizons), -1, dtype=np.int64)
    log_return = np.full((n_events, n_horizons), np.nan)
    tie = np.zeros((n_events, n_horizons), dtype=np.bool_)
    for i in range(n_events):
        start = log_open[entry[i]]
        d = direction[i]
        # Entry is at the open of the entry bar, so its whole range counts.
        bar = entry[i]
        for k in range(n_horizons):
            if stop[i, k] <= entry[i]:
                break
            near, far = reversal[i, k], continuation[i, k]
            adverse = favourable = 0.0
            while bar < stop[i, k]:
                if d > 0:
                    adverse = log_high[bar] - start
                    favourable = start - log_low[bar]
                else:
                    adverse = start - log_low[bar]
                    favourable = log_high[bar] - start
                if adverse >= far or favourable >= near:
                    break
                bar += 1
            if bar == stop[i, k]:
                exit_bar[i, k] = bar - 1
                log_return[i, k] = -d * (log_close[bar - 1] - start)
                continue
            exit_bar[i, k] = bar
            opened = d * (log_open[bar] - start)
            if adverse < far or -opened >= near:
                # A bar that opens beyond the reversal is one: whatever it touches later comes after its first print.
                code[i, k] = 1
                log_return[i, k] = near
            else:
                code[i, k] = -1
                tie[i, k] = favourable >= near
                # The bar may open beyond the barrier: no fill was possible in between.
                log_return[i, k] = -max(far, opened)
    return code, exit_bar, log_return, tie
