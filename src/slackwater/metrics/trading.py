"""Metrics of trades: mean result, profit factor, drawdown, concentration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from slackwater.errors import DataError, ParameterError
from slackwater.metrics._inputs import check_same_length, finite_values
from slackwater.metrics._trades_in_time import (
    ClusteredMean,
    halves_positive,
    positive_quarter_share,
    stamp_weighted_mean,
    trade_weighted_mean,
)

__all__ = [
    "ClusteredMean",
    "expectancy_bps",
    "halves_positive",
    "longest_losing_streak",
    "max_drawdown",
    "net_at_cost_multiples",
    "positive_quarter_share",
    "profit_factor",
    "stamp_weighted_mean",
    "top_trades_share",
    "trade_weighted_mean",
]


def expectancy_bps(net_bps: ArrayLike) -> float:
    """Return the mean net result per trade.

    Parameters
    ----------
    net_bps : array-like of float, shape (n_trades,)
        Net result of each trade, basis points of its notional.

    Returns
    -------
    float
        Basis points; NaN without trades.

    Raises
    ------
    DataError
        If a result is not finite.

    Examples
    --------
    >>> expectancy_bps([30.0, -10.0])
    10.0
    """
    values = finite_values(net_bps, name="net_bps")
    return float(values.mean()) if values.size else float("nan")


def net_at_cost_multiples(
    gross_bps: ArrayLike, cost_bps: ArrayLike, *, multiples: Sequence[float] = (0.0, 1.0, 2.0)
) -> dict[float, float]:
    """Return the mean net result per trade at multiples of the costs.

    Parameters
    ----------
    gross_bps, cost_bps : array-like of float, shape (n_trades,)
        Result before costs, and all costs (fees, slippage, funding paid; received funding is negative), basis
        points of the notional.
    multiples : sequence of float, default (0, 1, 2)
        Multiples of the costs, >= 0.

    Returns
    -------
    dict
        Multiple to mean net result, basis points; NaN without trades.

    Raises
    ------
    ParameterError
        If the lengths differ, or a multiple is negative.
    DataError
        If a value is not finite.

    Examples
    --------
    >>> net_at_cost_multiples([30.0, 10.0], [14.0, 14.0])
    {0.0: 20.0, 1.0: 6.0, 2.0: -8.0}
    """
    gross, cost = finite_values(gross_bps, name="gross_bps"), finite_values(cost_bps, name="cost_bps")
    check_same_length(cost, gross, "cost_bps", "gross_bps")
    for multiple in multiples:
        if not multiple >= 0:
            raise ParameterError(f"`multiples` must be >= 0, was {multiple}")
    return {float(multiple): expectancy_bps(gross - multiple * cost) for multiple in multiples}


def profit_factor(net: ArrayLike) -> float:
    """Return the sum of the profits over the sum of the losses.

    Parameters
    ----------
    net : array-like of float, shape (n_trades,)
        Net result of each trade, any unit.

    Returns
    -------
    float
        >= 0; inf without a loss, NaN with neither profit nor loss.

    Raises
    ------
    DataError
        If a result is not finite.

    Examples
    --------
    >>> profit_factor([3.0, -1.0, -1.0])
    1.5
    """
    values = finite_values(net, name="net")
    profit, loss = values[values > 0].sum(), -values[values < 0].sum()
    if loss == 0:
        return float("inf") if profit > 0 else float("nan")
    return float(profit / loss)


def max_drawdown(equity: ArrayLike) -> float:
    """Return the largest drawdown of the equity.

    Parameters
    ----------
    equity : array-like of float, shape (n,)
        Equity of the account in order of time, beginning with the starting equity, > 0 at the start.

    Returns
    -------
    float
        Fraction of the peak, >= 0; above 1 if the equity turns negative; NaN without a value.

    Raises
    ------
    DataError
        If a value is not finite, or the first is not positive.

    Examples
    --------
    >>> max_drawdown([100.0, 120.0, 90.0, 130.0])
    0.25
    """
    values = finite_values(equity, name="equity")
    if values.size == 0:
        return float("nan")
    if values[0] <= 0:
        raise DataError(f"`equity` must start above 0, was {values[0]}")
    return float(np.max(1 - values / np.maximum.accumulate(values)))


def longest_losing_streak(net: ArrayLike) -> int:
    """Return the largest number of consecutive losses.

    Parameters
    ----------
    net : array-like of float, shape (n_trades,)
        Net result of each trade in order of time; 0 is no loss.

    Returns
    -------
    int
        >= 0.

    Raises
    ------
    DataError
        If a result is not finite.

    Examples
    --------
    >>> longest_losing_streak([1.0, -1.0, -2.0, 3.0, -1.0])
    2
    """
    lost = finite_values(net, name="net") < 0
    number = np.arange(1, lost.size + 1)
    last_kept = np.maximum.accumulate(np.where(lost, 0, number)) if lost.size else number
    return int(np.max(number - last_kept, initial=0))


def top_trades_share(net: ArrayLike, *, fraction: float = 0.05) -> float:
    """Return the share of the gross profit that the best trades earned.

    Parameters
    ----------
    net : array-like of float, shape (n_trades,)
        Net result of each trade, any unit.
    fraction : float, default 0.05
        The best trades, as a share of all trades, in (0, 1]; their number is rounded up.

    Returns
    -------
    float
        In [0, 1]; NaN without a profit.

    Raises
    ------
    ParameterError
        If `fraction` is out of bounds.
    DataError
        If a result is not finite.

    Notes
    -----
    The denominator is the sum of the profits, not the net result: of that, an honest strategy with a profit
    factor of 1.2 owes more than all to its best 5 % of trades.

    Examples
    --------
    >>> top_trades_share([6.0, 2.0, 2.0, -9.0], fraction=0.25)
    0.6
    """
    if not 0 < fraction <= 1:
        raise ParameterError(f"`fraction` must be in (0, 1], was {fraction}")
    values = finite_values(net, name="net")
    profits = np.sort(values[values > 0])[::-1]
    # .07 × 100 is 7.000000000000001 in floating point, and seven trades, not eight.
    best = int(np.ceil(values.size * fraction - 1e-9))
    return float(profits[:best].sum() / profits.sum()) if profits.size else float("nan")
