"""Cost sensitivity and capacity: the same trades at other costs and at other sizes.

Results in basis points are of the entry notional (`Ledger.trades`), intervals are 95 % of a block bootstrap, and a
value is NaN where the sample is empty or too short.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from slackwater.errors import ParameterError
from slackwater.evidence._intervals import (
    MEAN,
    bps_of_notional,
    check_all,
    entry_times,
    mean_and_interval,
    require_multiple,
    require_symbols,
    statistic_of,
)
from slackwater.evidence.resampling import Resampling
from slackwater.market.contracts import Contract
from slackwater.metrics.trading import profit_factor
from slackwater.trading.costs import CostModel
from slackwater.trading.ledger import ClosedTrade

__all__ = ["break_even", "capacity_curve", "cost_curve"]


def break_even(x: ArrayLike, y: ArrayLike) -> float:
    """Return where a curve first crosses zero, by linear interpolation between its points.

    Parameters
    ----------
    x : array-like of float, shape (n,)
        Finite, rising.
    y : array-like of float, shape (n,)
        Any unit. Points that are not finite are left out.

    Returns
    -------
    float
        In the unit of `x`; NaN where the curve does not reach zero.

    Raises
    ------
    ParameterError
        If the lengths differ, or `x` does not rise or is not finite.

    Examples
    --------
    >>> break_even([0.0, 1.0, 2.0], [30.0, 10.0, -10.0])
    1.5
    >>> break_even([0.0, 1.0], [30.0, 10.0])
    nan
    """
    at, height = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if at.ndim != 1 or at.shape != height.shape:
        raise ParameterError(f"`x` and `y` must have one shape (n,), were {at.shape} and {height.shape}")
    if not (np.isfinite(at).all() and (np.diff(at) > 0).all()):
        raise ParameterError(f"`x` must be finite and rise, was {at.tolist()}")
    known = np.isfinite(height)
    at, height = at[known], height[known]
    beyond = np.flatnonzero(np.sign(height) != np.sign(height[:1]))
    if height[:1].tolist() == [0.0]:
        return float(at[0])
    if beyond.size == 0:
        return math.nan
    right = int(beyond[0])
    (x0, x1), (y0, y1) = at[right - 1 : right + 1], height[right - 1 : right + 1]
    return float(x0 + (x1 - x0) * y0 / (y0 - y1))


def cost_curve(
    trades: Sequence[ClosedTrade], resampling: Resampling, multiples: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
) -> pd.DataFrame:
    """Return the net result of the trades at multiples of the assumed costs.

    Parameters
    ----------
    trades
        Sample of trades, the same for every multiple: at higher costs the gate would also have refused some of them.
    resampling
        Block bootstrap of the intervals.
    multiples
        Factors on fees and slippage, >= 0; 1 is the cost model without its own `multiple`. Funding is a payment
        with a sign, not a cost, and does not change.

    Returns
    -------
    DataFrame
        One row per multiple: `multiple`, `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis points per
        trade), `profit_factor` (of the basis points: every trade counts as one unit). The `break_even` of `multiple`
        and `net_bps_mean` is the multiple at which nothing is left.

    Raises
    ------
    ParameterError
        If a multiple is negative or not finite, or a plan was made at zero costs, which cannot be scaled.
    """
    check_all("multiples", multiples, low=0.0)
    free = [trade.plan.symbol for trade in trades if not trade.plan.costs.cost_multiple > 0.0]
    if free:
        raise ParameterError(f"`cost_multiple` of every plan must be > 0, was 0 in {len(free)}, first of {free[0]}")
    before_costs = bps_of_notional(trades, lambda trade: trade.gross_usd - trade.funding_usd)
    # The costs already contain the plan's own multiple.
    costs = bps_of_notional(
        trades, lambda trade: (trade.fees_usd + trade.slippage_usd) / trade.plan.costs.cost_multiple
    )
    times = entry_times(trades)
    rows = []
    for multiple in multiples:
        net = before_costs - multiple * costs
        row = {"multiple": float(multiple), "n_trades": len(trades), **mean_and_interval(net, times, resampling)}
        rows.append(row | {"profit_factor": profit_factor(net)})
    return pd.DataFrame(rows, columns=["multiple", "n_trades", *MEAN, "profit_factor"])


def capacity_curve(
    trades: Sequence[ClosedTrade],
    costs: CostModel,
    contracts: Mapping[str, Contract],
    resampling: Resampling,
    *,
    depth_fraction: float,
    notionals: Sequence[float] = (10e3, 50e3, 100e3, 250e3, 500e3, 1e6),
) -> pd.DataFrame:
    """Return the net result of the trades when each has the same notional, for rising notionals.

    Parameters
    ----------
    trades
        Sample of trades. Exits do not change: a larger order raises costs and does not move the price path. Limits of
        margin tiers and of the account are not applied.
    costs
        Cost model of the plans, for spread and impact at every size, from the volume, the volatility and the true
        range of the score. The latency is that of the plan.
    contracts
        Facts by symbol.
    resampling
        Block bootstrap of the intervals.
    depth_fraction
        Largest share of the depth within 1 % that an order may take, in (0, 1].
    notionals
        USDT, > 0, each once.

    Returns
    -------
    DataFrame
        One row per notional, rising: `notional_usd`, `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis
        points per trade), `round_trip_slippage_bps_mean` (of both orders, latency included; a target rests and has
        none), `share_within_depth` (of the trades whose depth is known, those that are at most `depth_fraction`
        of the thinner side, in [0, 1]), and in every row `break_even_usd`: the notional at which the mean is
        zero, NaN where that lies outside of the curve.

    Raises
    ------
    ParameterError
        If an argument is out of range, or the multiple of `costs` is not that of the plans.
    MissingDataError
        If a symbol has no contract.

    Notes
    -----
    Impact grows with the square root of the quantity and nothing else depends on it, so the mean is a straight
    line in the square root of the notional: that is the scale on which `break_even_usd` is found.
    """
    check_all("notionals", notionals, low=math.ulp(0.0))
    if not 0.0 < depth_fraction <= 1.0:
        raise ParameterError(f"`depth_fraction` must be in (0, 1], was {depth_fraction}")
    require_symbols("contracts", contracts, trades)
    require_multiple(costs, trades)
    times = entry_times(trades)
    depth = np.array([trade.plan.score.context.depth_1pct for trade in trades], dtype=np.float64)
    known = ~np.isnan(depth)
    rows = []
    for notional in sorted(notionals):
        sized = [_at_notional(trade, notional, costs, contracts[trade.plan.symbol]) for trade in trades]
        quantity = np.array([trade.plan.quantity for trade in sized], dtype=np.float64)
        slippage = bps_of_notional(sized, lambda trade: trade.slippage_usd)
        rows.append(
            {
                "notional_usd": float(notional),
                "n_trades": len(trades),
                **mean_and_interval(bps_of_notional(sized, lambda trade: trade.net_usd), times, resampling),
                "round_trip_slippage_bps_mean": statistic_of(np.mean, slippage),
                "share_within_depth": statistic_of(np.mean, quantity[known] <= depth_fraction * depth[known]),
            }
        )
    columns = ["notional_usd", "n_trades", *MEAN, "round_trip_slippage_bps_mean", "share_within_depth"]
    curve = pd.DataFrame(rows, columns=columns)
    return curve.assign(break_even_usd=break_even(np.sqrt(curve["notional_usd"]), curve["net_bps_mean"]) ** 2)


def _at_notional(trade: ClosedTrade, notional_usd: float, costs: CostModel, contract: Contract) -> ClosedTrade:
    """Return the trade at another size: its costs and its funding change, its prices do not."""
    plan = trade.plan
    quantity = notional_usd / plan.entry
    context, latency = plan.score.context, plan.costs.latency_slippage
    order = {"quantity": quantity, "volume_24h": context.volume_24h, "volatility_daily": context.volatility_daily}
    market = costs.market_slippage(contract, **order)
    at_size = replace(
        plan.costs,
        entry_slippage=market + latency,
        exit_slippage=market,
        stop_slippage=costs.stop_slippage(contract, **order, atr_1h=context.atr_1h),
    )
    sizing = replace(plan.sizing, quantity=quantity, notional_usd=notional_usd, costs=at_size)
    return replace(trade, plan=replace(plan, sizing=sizing), funding_usd=trade.funding_usd * quantity / plan.quantity)
