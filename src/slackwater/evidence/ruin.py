"""Ruin: probability of a large drawdown by the share of equity risked per trade."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from slackwater.errors import DataError, ParameterError
from slackwater.evidence._intervals import check_all, statistic_of
from slackwater.metrics.selection import FEWEST_BLOCKS, block_bootstrap_indices
from slackwater.times import DAY
from slackwater.types import Floats

__all__ = ["ruin_curve"]

_DAYS_PER_YEAR = 365


def ruin_curve(
    trades: pd.DataFrame,
    *,
    risk_fractions: Sequence[float] = (0.0025, 0.005, 0.01, 0.02),
    drawdown: float = 0.3,
    years: float = 1.0,
    draws: int = 10_000,
    mean_block: timedelta = timedelta(days=14),
    seed: int = 0,
) -> pd.DataFrame:
    """Return the probability of a large drawdown, by the share of equity risked per trade (method, section 3.7).

    Parameters
    ----------
    trades
        `entry_time` (UTC) and `net_r`, as in `Ledger.trades`.
    risk_fractions
        Risk per trade, fraction of the equity at the start of the day, in (0, 1].
    drawdown
        Drawdown that counts as ruin, fraction of the peak, in (0, 1).
    years
        Length of the simulated account in years of 365 days, at least a day.
    draws, mean_block, seed
        Block bootstrap of calendar days, see `block_bootstrap_indices`.

    Returns
    -------
    DataFrame
        One row per risk fraction: `risk_fraction`; `ruin_probability` (in [0, 1]) of a fall by `drawdown` within
        `years`, which stand beside it; `median_max_drawdown` (fraction); `median_annual_return` (0.1 is 10 %);
        and `expected_longest_losing_streak` (trades within `years`; the same in every row). What is drawn is NaN
        where the trades span less than six mean blocks.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    DataError
        If a result is not finite.

    Notes
    -----
    A day counts as one correlated cluster: the trades entered on it, of all symbols, win or lose together, ``equity ×
    (1 + fraction × sum of net_r)``, not below zero. The draws are the same for every fraction.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=365, tz="UTC")
    >>> trades = pd.DataFrame({"entry_time": times, "net_r": [1.5, -1.0, -1.0, 1.0, 0.0] * 73})
    >>> curve = ruin_curve(trades, risk_fractions=(0.01, 0.1), draws=100)
    >>> curve["ruin_probability"].tolist()
    [0.0, 0.89]
    >>> curve["expected_longest_losing_streak"].round(1).tolist()
    [6.0, 6.0]
    """
    check_all("risk_fractions", risk_fractions, low=math.ulp(0.0), high=1.0)
    if not 0.0 < drawdown < 1.0:
        raise ParameterError(f"`drawdown` must be in (0, 1), was {drawdown}")
    days = round(years * _DAYS_PER_YEAR) if math.isfinite(years) else 0
    if days < 1:
        raise ParameterError(f"`years` must be finite and at least a day (1/365), was {years}")
    results = trades["net_r"].to_numpy(dtype=np.float64)
    if not np.isfinite(results).all():
        raise DataError(f"`net_r` must be finite, was not in rows {np.flatnonzero(~np.isfinite(results))[:5].tolist()}")
    daily = _by_day(trades)
    drawn = _drawn_days(daily, days=days, draws=draws, mean_block=mean_block, seed=seed)
    rate = len(trades) / len(daily) if len(daily) else math.nan
    streak = _longest_losing_streak(rate * days, statistic_of(np.mean, results < 0.0))
    rows = []
    for fraction in risk_fractions:
        equity = np.cumprod(np.maximum(1.0 + fraction * drawn, 0.0), axis=1)
        peak = np.maximum(np.maximum.accumulate(equity, axis=1), 1.0)  # the account begins at 1
        deepest = np.max(1.0 - equity / peak, axis=1)
        rows.append(
            {
                "risk_fraction": float(fraction),
                "drawdown": drawdown,
                "years": years,
                "ruin_probability": statistic_of(np.mean, deepest >= drawdown),
                "median_max_drawdown": statistic_of(np.median, deepest),
                "median_annual_return": statistic_of(np.median, equity[:, -1] ** (_DAYS_PER_YEAR / days) - 1.0),
                "expected_longest_losing_streak": streak,
            }
        )
    return pd.DataFrame(rows)


def _by_day(trades: pd.DataFrame) -> Floats:
    """Return the sum of `net_r` of every day from the first to the last entry, those without trades too."""
    if trades.empty:
        return np.empty(0)
    sums = trades.groupby(trades["entry_time"].dt.floor("D"))["net_r"].sum()
    calendar = pd.date_range(sums.index[0], sums.index[-1], freq="D")
    return sums.reindex(calendar, fill_value=0.0).to_numpy(dtype=np.float64)


def _drawn_days(daily: Floats, *, days: int, draws: int, mean_block: timedelta, seed: int) -> Floats:
    """Return daily results drawn in blocks, shape (draws, days); none where the calendar is too short to draw from."""
    if len(daily) * DAY < FEWEST_BLOCKS * mean_block or len(daily) == 0:
        return np.empty((0, days))
    # Copies of a circle, one after the other, are a circle on which blocks run on in the same way.
    circle = np.tile(daily, math.ceil(days / len(daily)))
    calendar = np.datetime64("1970-01-01") + np.arange(len(circle))
    samples = block_bootstrap_indices(calendar, mean_block=mean_block, draws=draws, seed=seed)
    return np.stack([circle[rows[:days]] for rows in samples])


def _longest_losing_streak(trades: float, loss_share: float) -> float:
    if not 0.0 < loss_share < 1.0:
        return trades * loss_share  # none of them, all of them, or unknown
    # Mean of the largest of about n (1 - q) geometric runs (Gumbel; Schilling 1990), less a half for whole numbers.
    runs = math.log(trades * (1.0 - loss_share)) + np.euler_gamma
    return min(trades, max(0.0, runs / -math.log(loss_share) - 0.5))
