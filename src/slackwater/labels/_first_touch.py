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
    """Return the first barrier touched by each event between its entry bar and the bar before `stop`.

    Parameters
    ----------
    log_price : ndarray of float64, shape (4, n_bars)
        Logs of open, high, low and close.
    entry, stop : ndarray of int64, shape (n_events,)
        Entry bar, and the first bar after the horizon; entry < stop <= n_bars.
    direction : ndarray of float64, shape (n_events,)
        +1 the price had risen, -1 it had fallen.
    reversal, continuation : ndarray of float64, shape (n_events,)
        Distance of the barriers from the entry price, log price, > 0.

    Returns
    -------
    code : ndarray of int8
        +1 reversal, -1 continuation, 0 neither.
    exit_bar : ndarray of int64
        Bar of the touch, else the last of the window.
    log_return : ndarray of float64
        Log return of fading the move.
    tie : ndarray of bool
        The exit bar touched both.
    """
    log_open, log_high, log_low, log_close = log_price[0], log_price[1], log_price[2], log_price[3]
    n_events = entry.size
    code = np.zeros(n_events, dtype=np.int8)
    exit_bar = stop - 1
    log_return = np.empty(n_events)
    tie = np.zeros(n_events, dtype=np.bool_)
    for i in range(n_events):
        start = log_open[entry[i]]
        d = direction[i]
        # Entry is at the open of the entry bar, so its whole range counts.
        for bar in range(entry[i], stop[i]):
            if d > 0:
                adverse = log_high[bar] - start
                favourable = start - log_low[bar]
            else:
                adverse = start - log_low[bar]
                favourable = log_high[bar] - start
            opened = d * (log_open[bar] - start)
            if -opened >= reversal[i]:
                # The first print lies beyond the reversal: whatever the bar touches later comes after it.
                code[i] = 1
                log_return[i] = reversal[i]
            elif adverse >= continuation[i]:
                code[i] = -1
                tie[i] = favourable >= reversal[i]
                # The bar may open beyond the barrier: no fill was possible in between.
                log_return[i] = -max(continuation[i], opened)
            elif favourable >= reversal[i]:
                code[i] = 1
                log_return[i] = reversal[i]
            if code[i] != 0:
                exit_bar[i] = bar
                break
        else:
            log_return[i] = -d * (log_close[stop[i] - 1] - start)
    return code, exit_bar, log_return, tie
