"""Counterfactuals and leverage: the same trades without stop or target, and at other margin leverage.

Results in basis points are of the entry notional (`Ledger.trades`), intervals are 95 % of a block bootstrap, and a
value is NaN where the sample is empty or too short.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.evidence._intervals import (
    DIFFERENCE,
    MEAN,
    bps_of_notional,
    check_all,
    entry_times,
    mean_and_interval,
    require_symbols,
    statistic_of,
)
from slackwater.evidence._trades_on_paths import on_their_paths
from slackwater.evidence.resampling import Resampling
from slackwater.market.contracts import Contract, bankruptcy_price, liquidation_price
from slackwater.metrics.trading import expectancy_bps
from slackwater.times import epoch_us
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import EXIT_REASONS, ClosedTrade
from slackwater.trading.price_path import PricePath

__all__ = ["counterfactuals", "leverage_curve"]

# Variant to the levels of the plan that are taken away.
_VARIANTS: dict[str, tuple[str, ...]] = {
    "as planned": (),
    "without stop": ("stop",),
    "without target": ("target",),
    "time exit only": ("stop", "target"),
}


def counterfactuals(
    trades: Sequence[ClosedTrade], paths: Mapping[str, PricePath], horizon: timedelta, resampling: Resampling
) -> pd.DataFrame:
    """Return the net result of the same trades without stop, without target, and without both.

    Parameters
    ----------
    trades
        Sample of trades.
    paths, horizon
        Price paths and time exit of the trades.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    DataFrame
        One row per variant (``as planned``, ``without stop``, ``without target``, ``time exit only``): `variant`,
        `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis points per trade), `difference_bps`,
        `difference_low`, `difference_high` (to the plan, trade by trade), `win_rate`, `stop_share`,
        `target_share`, `time_share`, `liquidation_share` (in [0, 1]) and `worst_bps` (the worst trade).

    Raises
    ------
    MissingDataError
        If a symbol has no path.
    ParameterError
        If the plans do not end as the trades did: paths or horizon are others.

    Notes
    -----
    The position keeps its size and its margin, so without a stop it can be liquidated. A trade that no longer
    stops pays the slippage of the exit that it has instead.
    """

    def variants(trade: ClosedTrade, path: PricePath) -> list[ClosedTrade]:
        _require_same_walk(trade, path, horizon)
        return [_walk(trade, trade.plan, path, horizon, without=levels) for levels in _VARIANTS.values()]

    of_trades = on_their_paths(variants, trades, paths)
    times, as_planned = entry_times(trades), bps_of_notional(trades, _net_usd)
    rows = []
    for at, variant in enumerate(_VARIANTS):
        walked = [ends[at] for ends in of_trades]
        net = bps_of_notional(walked, _net_usd)
        reasons = np.array([trade.exit_reason for trade in walked], dtype=np.str_)
        rows.append(
            {
                "variant": variant,
                "n_trades": len(trades),
                **mean_and_interval(net, times, resampling),
                **mean_and_interval(net - as_planned, times, resampling, DIFFERENCE),
                "win_rate": statistic_of(np.mean, net > 0.0),
                **{f"{reason}_share": statistic_of(np.mean, reasons == reason) for reason in EXIT_REASONS},
                "worst_bps": statistic_of(np.min, net),
            }
        )
    shares = ["stop_share", "target_share", "time_share", "liquidation_share"]
    return pd.DataFrame(rows, columns=["variant", "n_trades", *MEAN, *DIFFERENCE, "win_rate", *shares, "worst_bps"])


def leverage_curve(
    trades: Sequence[ClosedTrade],
    paths: Mapping[str, PricePath],
    contracts: Mapping[str, Contract],
    horizon: timedelta,
    leverages: Sequence[int] = (2, 3, 5, 10, 20, 50),
) -> pd.DataFrame:
    """Return exits and results of the same trades at other leverage, with their stop and without it.

    Parameters
    ----------
    trades, paths, horizon
        As in `counterfactuals`. Quantity, prices, stop and target stay; the isolated margin is notional over leverage.
    contracts
        Facts by symbol.
    leverages
        Margin leverage, >= 1.

    Returns
    -------
    DataFrame
        One row per leverage ``with stop``, then one per leverage ``without stop`` (`variant`): `leverage`, `n_trades`,
        and beside them `not_offered`, the number of trades left out; as shares of `n_trades`, in [0, 1]: `liquidated`,
        `stopped`, and `exited_before_reversal`, those liquidated or stopped although the reversal came later within the
        horizon; `median_r` and `mean_r`; `net_bps_mean` (basis points of notional); `return_on_margin_mean`,
        `median_return_on_margin` and `worst_return_on_margin` (net over margin posted, 0.1 is 10 %).

    Raises
    ------
    MissingDataError
        If a symbol has no path or no contract.
    ParameterError
        If a leverage is below 1, or the plans do not end as the trades did: paths or horizon are others.

    Notes
    -----
    The reversal is the one that the models predict: a move in the trade's favour of one standard deviation over the
    horizon (`MarketContext.sd_over`), traded through; later includes the bar of the exit itself.

    One R is the planned loss: at the stop (`risk_usd`), or at the bankruptcy price with fees where the liquidation
    price stands before the stop. A leverage that loses its whole margin loses 1 R. Without a stop the margin is the
    risk, so its R is a different one.

    At the same notional, leverage changes only the liquidation price. For constant margin instead of constant notional,
    use the return on margin: net over notional times leverage, with impact as at the planned size. It can be a little
    below -1, because fees and funding are paid besides the margin.

    A leverage is not offered where it is above that of the margin tier, where the position, until it is bankrupt,
    lies beyond the known tiers, or where its margin exceeds the equity.
    """
    check_all("leverages", leverages, low=1.0)
    require_symbols("contracts", contracts, trades)
    variants = [
        (name, taken_away, leverage)
        for name, taken_away in (("with stop", ()), ("without stop", ("stop",)))
        for leverage in leverages
    ]

    def ends(trade: ClosedTrade, path: PricePath) -> list[tuple[ClosedTrade, datetime | None] | None]:
        _require_same_walk(trade, path, horizon)
        then, contract = _reversal(trade, path, horizon), contracts[trade.plan.symbol]
        plans = {leverage: _at_leverage(trade.plan, contract, leverage) for leverage in leverages}
        return [
            None if (plan := plans[leverage]) is None else (_walk(trade, plan, path, horizon, without=taken_away), then)
            for _, taken_away, leverage in variants
        ]

    of_trades = on_their_paths(ends, trades, paths)
    rows = []
    for at, (variant, taken_away, leverage) in enumerate(variants):
        offered = [end for of_trade in of_trades if (end := of_trade[at]) is not None]
        row = {"variant": variant, "leverage": leverage, "n_trades": len(offered)}
        rows.append(row | {"not_offered": len(trades) - len(offered), **_exits(offered, without=taken_away)})
    return pd.DataFrame(rows)


def _exits(walked: Sequence[tuple[ClosedTrade, datetime | None]], *, without: Collection[str]) -> dict[str, float]:
    """Summarise exits: shares liquidated, stopped, and exited before the predicted reversal (its time, or None)."""
    trades = [trade for trade, _ in walked]
    net = np.array([trade.net_usd for trade in trades], dtype=np.float64)
    multiples = net / np.array([_planned_loss_usd(trade, without) for trade in trades], dtype=np.float64)
    on_margin = net / np.array([trade.plan.sizing.margin_usd for trade in trades], dtype=np.float64)
    reasons = np.array([trade.exit_reason for trade in trades], dtype=np.str_)
    out = (reasons == "liquidation") | (reasons == "stop")
    later = np.array([then is not None and then >= trade.exit_time for trade, then in walked], dtype=np.bool_)
    return {
        "liquidated": statistic_of(np.mean, reasons == "liquidation"),
        "stopped": statistic_of(np.mean, reasons == "stop"),
        "exited_before_reversal": statistic_of(np.mean, out & later),
        "median_r": statistic_of(np.median, multiples),
        "mean_r": statistic_of(np.mean, multiples),
        "net_bps_mean": expectancy_bps(bps_of_notional(trades, _net_usd)),
        "return_on_margin_mean": statistic_of(np.mean, on_margin),
        "median_return_on_margin": statistic_of(np.median, on_margin),
        "worst_return_on_margin": statistic_of(np.min, on_margin),
    }


def _reversal(trade: ClosedTrade, path: PricePath, horizon: timedelta) -> datetime | None:
    """Return the close of the bar in which the price reversed by a standard deviation over the horizon, if it did."""
    plan = trade.plan
    move = plan.score.context.sd_over(horizon)
    further = replace(plan, bracket=replace(plan.bracket, target=plan.entry * math.exp(plan.side * move)))
    patient = _walk(trade, further, path, horizon, without=("stop", "liquidation_price"))
    return patient.exit_time if patient.exit_reason == "target" else None


def _walk(
    trade: ClosedTrade,
    plan: TradePlan,
    path: PricePath,
    horizon: timedelta,
    without: Collection[str] = (),
) -> ClosedTrade:
    """Hold another plan from the entry of a trade."""
    entry_bar = path.first_bar_from(epoch_us(trade.entry_time))
    return path.hold(plan, entry_bar=entry_bar, horizon=horizon, without=without)


def _require_same_walk(trade: ClosedTrade, path: PricePath, horizon: timedelta) -> None:
    """Refuse a path on which the plan as it is does not give the trade again: no variant would compare with it."""
    again = _walk(trade, trade.plan, path, horizon)
    if (trade.exit_time, trade.exit_price) != (again.exit_time, again.exit_price):
        raise ParameterError(
            f"`paths` and `horizon` must be those of the trades: {trade.plan.symbol} of {trade.entry_time} left at "
            f"{trade.exit_price} on {trade.exit_time}, walked again at {again.exit_price} on {again.exit_time}"
        )


def _at_leverage(plan: TradePlan, contract: Contract, leverage: int) -> TradePlan | None:
    """Return the plan at another leverage, None where the venue does not offer it, or the account cannot post it."""
    fill, contract = plan.entry * (1.0 + plan.side * plan.costs.entry_slippage), contract.at(plan.decided_at)
    bankruptcy = bankruptcy_price(side=plan.side, entry=fill, leverage=leverage)
    # A short grows while it loses; bankruptcy lies beyond any liquidation (as in sizing).
    if plan.quantity * max(fill, bankruptcy) > contract.max_notional_usd:
        return None
    if leverage > contract.tier(plan.quantity * fill).max_leverage or plan.quantity * fill / leverage > plan.equity:
        return None
    sizing = replace(
        plan.sizing,
        leverage=leverage,
        margin_usd=plan.quantity * fill / leverage,
        liquidation_price=liquidation_price(
            contract, side=plan.side, entry=fill, quantity=plan.quantity, leverage=leverage
        ),
        bankruptcy_price=bankruptcy,
    )
    return replace(plan, sizing=sizing)


def _planned_loss_usd(trade: ClosedTrade, without: Collection[str]) -> float:
    """Return the loss at the nearer of stop and liquidation price, USDT, > 0."""
    plan = trade.plan
    if "stop" not in without and plan.side * (plan.liquidation_price - plan.stop) <= 0.0:
        return float(plan.risk_usd)
    gone = replace(trade, exit_price=plan.bankruptcy_price, exit_reason="liquidation", funding_usd=0.0)
    return -gone.net_usd


def _net_usd(trade: ClosedTrade) -> float:
    return trade.net_usd
