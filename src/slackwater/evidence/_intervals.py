"""Statistics of samples of trades that several tables share: means with intervals, and NaN for empty samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import MissingDataError, ParameterError
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.trading import expectancy_bps, profit_factor
from slackwater.trading.costs import CostModel
from slackwater.trading.ledger import ClosedTrade, trades_table
from slackwater.types import Floats

__all__ = [
    "BPS",
    "DIFFERENCE",
    "DIFFERENCE_AUC",
    "DIFFERENCE_R",
    "MEAN",
    "bps_of_notional",
    "check_all",
    "effect",
    "entry_times",
    "mean_and_interval",
    "require_multiple",
    "require_symbols",
    "sample_metrics",
    "statistic_of",
]

BPS = 1e4
MEAN = ("net_bps_mean", "net_bps_low", "net_bps_high")
DIFFERENCE = ("difference_bps", "difference_low", "difference_high")
DIFFERENCE_R = ("difference_r", "difference_r_low", "difference_r_high")
DIFFERENCE_AUC = ("difference_auc", "difference_auc_low", "difference_auc_high")


def statistic_of(statistic: Callable[[Any], Any], values: NDArray[Any]) -> float:
    """Return a statistic of a sample, NaN if the sample is empty."""
    return float(statistic(values)) if values.size else math.nan


def mean_and_interval(
    net_bps: Floats, times: pd.Series, resampling: Resampling, names: tuple[str, ...] = MEAN
) -> dict[str, float]:
    """Return the mean of net results and its 95 % interval (low, high) under three names, NaN if there is none."""
    if net_bps.size == 0:
        return dict.fromkeys(names, math.nan)
    values = (expectancy_bps(net_bps), *resampling.interval(expectancy_bps, times, net_bps))
    return dict(zip(names, values, strict=True))


def sample_metrics(trades: Sequence[ClosedTrade], resampling: Resampling) -> dict[str, Any]:
    """Return number, net bps per trade with interval, net R per trade and profit factor of a sample of trades."""
    table = trades_table(trades)
    net = table["net_bps"].to_numpy()
    return {
        "n_trades": len(table),
        **mean_and_interval(net, table["entry_time"], resampling),
        "net_r_mean": float(table["net_r"].mean()),
        "profit_factor": profit_factor(net),
    }


def effect(row: Mapping[str, Any]) -> str:
    """Return what a part of the rule does, from the 95 % intervals of the differences with it less without it.

    ``helps``: an interval, of results in R or in basis points or of AUC, lies above 0 and none below; ``costs``: one
    lies below and none above; ``mixed``: one lies above and one below; ``adds nothing visible``: all contain 0;
    ``not known``: there is none. Results without their funding (``funding_known`` is there and False) do not count.
    """
    results = (DIFFERENCE_R, DIFFERENCE) if row.get("funding_known", True) else ()
    bounds = [(row.get(low), row.get(high)) for _, low, high in (*results, DIFFERENCE_AUC)]
    known = [(low, high) for low, high in bounds if low is not None and high is not None and not math.isnan(low + high)]
    above, below = any(low > 0.0 for low, _ in known), any(high < 0.0 for _, high in known)
    if above or below:
        return "mixed" if above and below else "helps" if above else "costs"
    return "adds nothing visible" if known else "not known"


def bps_of_notional(trades: Iterable[ClosedTrade], amount_usd: Callable[[ClosedTrade], float]) -> Floats:
    """Return an amount of every trade in basis points of its entry notional."""
    return np.array([BPS * amount_usd(trade) / trade.plan.notional_usd for trade in trades], dtype=np.float64)


def entry_times(trades: Sequence[ClosedTrade]) -> pd.Series:
    """Return the entry times of trades, UTC."""
    return pd.Series(pd.DatetimeIndex([trade.entry_time for trade in trades], dtype="datetime64[us, UTC]"))


def require_symbols(name: str, known: Mapping[str, Any], trades: Sequence[ClosedTrade]) -> None:
    """Raise MissingDataError if a mapping by symbol lacks a symbol that was traded."""
    lacking = sorted({trade.plan.symbol for trade in trades} - set(known))
    if lacking:
        raise MissingDataError(f"`{name}` must hold every symbol that was traded, lacked {', '.join(lacking)}")


def require_multiple(costs: CostModel, trades: Sequence[ClosedTrade]) -> None:
    """Raise ParameterError if the cost multiple is not that of the plans."""
    plans = (trade.plan.costs.cost_multiple for trade in trades)
    other = [multiple for multiple in plans if multiple != costs.multiple]
    if other:
        raise ParameterError(f"`multiple` of the costs must be that of the plans, {other[0]}, was {costs.multiple}")


def check_all(name: str, values: Sequence[float], *, low: float, high: float = math.inf) -> None:
    """Raise ParameterError if a value is outside of [low, high] or not finite."""
    for value in values:
        if not (low <= value <= high and math.isfinite(value)):  # negated, so that NaN fails too
            raise ParameterError(f"`{name}` must be in [{low:g}, {high:g}] and finite, was {value}")
