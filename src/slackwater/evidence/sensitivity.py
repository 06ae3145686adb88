"""What the same trades would have earned otherwise: dearer, larger, without stop, at other leverage, at other risk.

Every curve keeps the entries of one sample and changes one thing. Results in basis points are of the entry
notional (`Ledger.trades`), intervals are 95 % of a block bootstrap, and where the sample is empty or too short to
tell, a value is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.evidence.evaluation import Resampling
from slackwater.market.contracts import Contract, bankruptcy_price, liquidation_price
from slackwater.metrics.selection import block_bootstrap_indices
from slackwater.metrics.trading import expectancy_bps, profit_factor
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import EXIT_REASONS, ClosedTrade
from slackwater.trading.price_path import PricePath, microseconds, moment

__all__ = ["break_even", "capacity_curve", "cost_curve", "counterfactuals", "leverage_curve", "ruin_curve"]

Floats = NDArray[np.float64]

_BPS = 1e4
_DAYS_A_YEAR = 365
# With fewer blocks every draw is nearly the sample itself: the rule of the intervals (metrics.selection).
_FEWEST_BLOCKS = 4
_MEAN = ["net_bps_mean", "net_bps_low", "net_bps_high"]
_DIFFERENCE = ["difference_bps", "difference_low", "difference_high"]
# Variant to the levels of the plan that are taken away.
_VARIANTS: dict[str, tuple[str, ...]] = {
    "as planned": (),
    "without stop": ("stop",),
    "without target": ("target",),
    "time exit only": ("stop", "target"),
}


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
    trades: Sequence[ClosedTrade],
    resampling: Resampling,
    multiples: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
) -> pd.DataFrame:
    """Return what the trades earn when costs are a multiple of what was assumed.

    Parameters
    ----------
    trades
        Same trades for every multiple: a dearer market would also have made the gate refuse some of them.
    resampling
        Of the intervals.
    multiples
        Factors on fees and slippage, >= 0; 1 is the cost model without its own `multiple`. Funding is a payment
        with a sign, no cost, and stays as it was.

    Returns
    -------
    DataFrame
        One row a multiple: `multiple`, `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis points a
        trade), `profit_factor` (of the basis points: every trade counts as one unit). The multiple that the trades
        can bear is the `break_even` of `multiple` and `net_bps_mean`.

    Raises
    ------
    ParameterError
        If a multiple is negative or not finite, or a plan was made at zero costs, from which none can be scaled.
    """
    _check_all("multiples", multiples, low=0.0)
    free = [trade.plan.symbol for trade in trades if not trade.plan.cost_multiple > 0.0]
    if free:
        raise ParameterError(f"`cost_multiple` of every plan must be > 0, was 0 in {len(free)}, first of {free[0]}")
    before_costs = _bps(trades, lambda trade: trade.gross_usd - trade.funding_usd)
    # The plan's own multiple is inside of the costs already.
    costs = _bps(trades, lambda trade: (trade.fees_usd + trade.slippage_usd) / trade.plan.cost_multiple)
    times = _entry_times(trades)
    rows = []
    for multiple in multiples:
        net = before_costs - multiple * costs
        row = {"multiple": float(multiple), "n_trades": len(trades), **_mean_and_interval(net, times, resampling)}
        rows.append(row | {"profit_factor": profit_factor(net)})
    return pd.DataFrame(rows, columns=["multiple", "n_trades", *_MEAN, "profit_factor"])


def capacity_curve(
    trades: Sequence[ClosedTrade],
    costs: CostModel,
    contracts: Mapping[str, Contract],
    resampling: Resampling,
    *,
    depth_fraction: float,
    notionals: Sequence[float] = (10e3, 50e3, 100e3, 250e3, 500e3, 1e6),
) -> pd.DataFrame:
    """Return what the trades earn when each has the same notional, larger and larger.

    Parameters
    ----------
    trades
        Their exits stay as they were: the price path does not feel our orders, only the costs do. Nor is a
        notional refused that the venue's margin tiers or the account would not allow.
    costs
        The cost model of the plans; gives spread and impact anew for every size, from the volume, the volatility
        and the true range that the plan was made on. Its latency is not used: that of the plan stays.
    contracts
        Facts by symbol.
    resampling
        Of the intervals.
    depth_fraction
        Largest share of the depth within 1 % that an order may take, in (0, 1].
    notionals
        USDT, > 0, each once.

    Returns
    -------
    DataFrame
        One row a notional, rising: `notional_usd`, `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis
        points a trade), `round_trip_slippage_bps_mean` (of both orders, latency inside; a target rests and has
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
    _check_all("notionals", notionals, low=math.ulp(0.0))
    if not 0.0 < depth_fraction <= 1.0:
        raise ParameterError(f"`depth_fraction` must be in (0, 1], was {depth_fraction}")
    _require_symbols("contracts", contracts, trades)
    other = [trade.plan.cost_multiple for trade in trades if trade.plan.cost_multiple != costs.multiple]
    if other:
        raise ParameterError(f"`multiple` of the costs must be that of the plans, {other[0]}, was {costs.multiple}")
    times = _entry_times(trades)
    depth = np.array([trade.plan.depth_1pct for trade in trades], dtype=np.float64)
    known = ~np.isnan(depth)
    rows = []
    for notional in sorted(notionals):
        sized = [_at_notional(trade, notional, costs, contracts[trade.plan.symbol]) for trade in trades]
        quantity = np.array([trade.plan.quantity for trade in sized], dtype=np.float64)
        slippage = _bps(sized, lambda trade: trade.slippage_usd)
        rows.append(
            {
                "notional_usd": float(notional),
                "n_trades": len(trades),
                **_mean_and_interval(_bps(sized, _net_usd), times, resampling),
                "round_trip_slippage_bps_mean": _of(np.mean, slippage),
                "share_within_depth": _of(np.mean, quantity[known] <= depth_fraction * depth[known]),
            }
        )
    columns = ["notional_usd", "n_trades", *_MEAN, "round_trip_slippage_bps_mean", "share_within_depth"]
    curve = pd.DataFrame(rows, columns=columns)
    return curve.assign(break_even_usd=break_even(np.sqrt(curve["notional_usd"]), curve["net_bps_mean"]) ** 2)


def counterfactuals(
    trades: Sequence[ClosedTrade],
    paths: Mapping[str, PricePath],
    horizon: timedelta,
    resampling: Resampling,
) -> pd.DataFrame:
    """Return what stop and target are worth: the same trades without the one, the other, and both.

    Parameters
    ----------
    trades
        As they were traded.
    paths, horizon
        Those that the trades were walked on.
    resampling
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a variant (``as planned``, ``without stop``, ``without target``, ``time exit only``): `variant`,
        `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis points a trade), `difference_bps`,
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
    _require_same_walk(trades, paths, horizon)
    times, as_planned = _entry_times(trades), _bps(trades, _net_usd)
    rows = []
    for variant, levels in _VARIANTS.items():
        walked = [_walk(trade, _without(trade.plan, *levels), paths, horizon) for trade in trades]
        net = _bps(walked, _net_usd)
        reasons = np.array([trade.exit_reason for trade in walked], dtype=np.str_)
        difference = _mean_and_interval(net - as_planned, times, resampling)
        rows.append(
            {
                "variant": variant,
                "n_trades": len(trades),
                **_mean_and_interval(net, times, resampling),
                **dict(zip(_DIFFERENCE, difference.values(), strict=True)),
                "win_rate": _of(np.mean, net > 0.0),
                **{f"{reason}_share": _of(np.mean, reasons == reason) for reason in EXIT_REASONS},
                "worst_bps": _of(np.min, net),
            }
        )
    shares = ["stop_share", "target_share", "time_share", "liquidation_share"]
    return pd.DataFrame(rows, columns=["variant", "n_trades", *_MEAN, *_DIFFERENCE, "win_rate", *shares, "worst_bps"])


def leverage_curve(
    trades: Sequence[ClosedTrade],
    paths: Mapping[str, PricePath],
    contracts: Mapping[str, Contract],
    horizon: timedelta,
    leverages: Sequence[int] = (2, 3, 5, 10, 20, 50),
) -> pd.DataFrame:
    """Return what leverage does to the same trades, with their stop and with the liquidation price in its place.

    Parameters
    ----------
    trades
        Quantity, prices, stop and target stay; the isolated margin posted is notional over leverage.
    paths, horizon
        Those that the trades were walked on.
    contracts
        Facts by symbol.
    leverages
        Margin leverage, >= 1.

    Returns
    -------
    DataFrame
        One row a leverage ``with stop``, then one a leverage ``without stop`` (`variant`): `leverage`, `n_trades`, and
        beside them `not_offered`, the number of trades left out; as shares of `n_trades`, in [0, 1]: `liquidated`,
        `stopped`, and `knocked_out_before_reversal`, those liquidated or stopped although the reversal came later
        within the horizon; `median_r` and `mean_r`; `net_bps_mean` (basis points of notional);
        `return_on_margin_mean`, `median_return_on_margin` and `worst_return_on_margin` (net over margin posted, 0.1
        is 10 %).

    Raises
    ------
    MissingDataError
        If a symbol has no path or no contract.
    ParameterError
        If a leverage is below 1, or the plans do not end as the trades did: paths or horizon are others.

    Notes
    -----
    The reversal is what the models predict: a move in the trade's favour of one standard deviation over the horizon,
    ``volatility_daily × sqrt(horizon / 1 d)``, traded through; later includes the bar of the exit itself.

    One R is the loss that was to be expected: at the stop (`risk_usd`), or where the liquidation price stands
    before it, at the bankruptcy price with fees. A leverage that loses its whole margin loses 1 R. Without a stop the
    margin is the risk, and its R is another one.

    At the same notional, leverage changes nothing but the liquidation price. Whoever posts the same margin instead,
    and lets the notional grow with the leverage, reads the return on margin: it is net over notional times
    leverage, with impact as at the planned size. It can be a little below -1, since fees and funding are paid
    besides the margin.

    A leverage is not offered where it is above that of the margin tier, where the position, until it is bankrupt,
    lies beyond the known tiers, or where its margin exceeds the equity.
    """
    _check_all("leverages", leverages, low=1.0)
    _require_symbols("contracts", contracts, trades)
    _require_same_walk(trades, paths, horizon)
    reversed_at = [_reversal(trade, paths, horizon) for trade in trades]
    rows = []
    for variant, taken_away in (("with stop", ()), ("without stop", ("stop",))):
        for leverage in leverages:
            plans = [_at_leverage(trade.plan, contracts[trade.plan.symbol], leverage) for trade in trades]
            offered = [
                (_walk(trade, _without(plan, *taken_away), paths, horizon), then)
                for trade, plan, then in zip(trades, plans, reversed_at, strict=True)
                if plan is not None
            ]
            row = {"variant": variant, "leverage": leverage, "n_trades": len(offered)}
            rows.append(row | {"not_offered": len(trades) - len(offered), **_knocked_out(offered)})
    return pd.DataFrame(rows)


def _knocked_out(walked: Sequence[tuple[ClosedTrade, datetime | None]]) -> dict[str, float]:
    """Return what became of trades, each beside the time of the reversal that it waited for, if it came."""
    trades = [trade for trade, _ in walked]
    net = np.array([trade.net_usd for trade in trades], dtype=np.float64)
    multiples = net / np.array([_planned_loss_usd(trade) for trade in trades], dtype=np.float64)
    on_margin = net / np.array([trade.plan.margin_usd for trade in trades], dtype=np.float64)
    reasons = np.array([trade.exit_reason for trade in trades], dtype=np.str_)
    out = (reasons == "liquidation") | (reasons == "stop")
    later = np.array([then is not None and then >= trade.exit_time for trade, then in walked], dtype=np.bool_)
    return {
        "liquidated": _of(np.mean, reasons == "liquidation"),
        "stopped": _of(np.mean, reasons == "stop"),
        "knocked_out_before_reversal": _of(np.mean, out & later),
        "median_r": _of(np.median, multiples),
        "mean_r": _of(np.mean, multiples),
        "net_bps_mean": expectancy_bps(_bps(trades, _net_usd)),
        "return_on_margin_mean": _of(np.mean, on_margin),
        "median_return_on_margin": _of(np.median, on_margin),
        "worst_return_on_margin": _of(np.min, on_margin),
    }


def _reversal(trade: ClosedTrade, paths: Mapping[str, PricePath], horizon: timedelta) -> datetime | None:
    """Return the close of the bar in which the price reversed by a standard deviation over the horizon, if it did."""
    plan = _without(trade.plan, "stop", "liquidation_price")
    move = plan.volatility_daily * math.sqrt(horizon / timedelta(days=1))
    patient = _walk(trade, replace(plan, target=plan.entry * math.exp(plan.side * move)), paths, horizon)
    return patient.exit_time if patient.exit_reason == "target" else None


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
    """Return how likely an account falls far below its peak, by the share of equity that every trade risks.

    Parameters
    ----------
    trades
        `entry_time` (UTC) and `net_r`, as in `Ledger.trades`.
    risk_fractions
        Of the equity at the start of the day, in (0, 1].
    drawdown
        The fall below the peak that counts as ruin, fraction, in (0, 1).
    years
        How long the account trades, of 365 days, at least a day.
    draws, mean_block, seed
        Of the block bootstrap of calendar days, see `block_bootstrap_indices`.

    Returns
    -------
    DataFrame
        One row a risk fraction: `risk_fraction`; `ruin_probability` (in [0, 1]) of a fall by `drawdown` within
        `years`, which stand beside it; `median_max_drawdown` (fraction); `median_annual_return` (0.1 is 10 %);
        and `expected_longest_losing_streak` (trades within `years`; the same in every row). What is drawn is NaN
        where the trades span less than four mean blocks.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    DataError
        If a result is not finite.

    Notes
    -----
    A day is one bet: the trades entered on it, of all symbols, win or lose together, ``equity × (1 + fraction ×
    sum of net_r)``, not below zero. Days without trades count. Each draw walks through `years` of days in blocks,
    the same ones for every fraction. The calendar is a circle, repeated until it is long enough.

    The longest of n trades' losing streaks is about ``ln(n) / -ln(q)`` for a share of losses q, with n the trades
    to be expected within `years`. It takes losses as independent: losses that cluster make longer ones.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=365, tz="UTC")
    >>> trades = pd.DataFrame({"entry_time": times, "net_r": [1.5, -1.0, -1.0, 1.0, 0.0] * 73})
    >>> curve = ruin_curve(trades, risk_fractions=(0.01, 0.1), draws=100)
    >>> curve["ruin_probability"].tolist()
    [0.0, 0.89]
    >>> curve["expected_longest_losing_streak"].round(1).tolist()
    [6.4, 6.4]
    """
    _check_all("risk_fractions", risk_fractions, low=math.ulp(0.0), high=1.0)
    if not 0.0 < drawdown < 1.0:
        raise ParameterError(f"`drawdown` must be in (0, 1), was {drawdown}")
    days = round(years * _DAYS_A_YEAR) if math.isfinite(years) else 0
    if days < 1:
        raise ParameterError(f"`years` must be finite and at least a day (1/365), was {years}")
    results = trades["net_r"].to_numpy(dtype=np.float64)
    if not np.isfinite(results).all():
        raise DataError(f"`net_r` must be finite, was not in rows {np.flatnonzero(~np.isfinite(results))[:5].tolist()}")
    daily = _by_day(trades)
    drawn = _drawn_days(daily, days=days, draws=draws, mean_block=mean_block, seed=seed)
    rate = len(trades) / len(daily) if len(daily) else math.nan
    streak = _longest_losing_streak(rate * days, _of(np.mean, results < 0.0))
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
                "ruin_probability": _of(np.mean, deepest >= drawdown),
                "median_max_drawdown": _of(np.median, deepest),
                "median_annual_return": _of(np.median, equity[:, -1] ** (_DAYS_A_YEAR / days) - 1.0),
                "expected_longest_losing_streak": streak,
            }
        )
    return pd.DataFrame(rows)


def _net_usd(trade: ClosedTrade) -> float:
    return trade.net_usd


def _bps(trades: Iterable[ClosedTrade], amount_usd: Callable[[ClosedTrade], float]) -> Floats:
    """Return an amount of every trade in basis points of its entry notional."""
    return np.array([_BPS * amount_usd(trade) / trade.plan.notional_usd for trade in trades], dtype=np.float64)


def _entry_times(trades: Sequence[ClosedTrade]) -> pd.Series:
    return pd.Series(pd.DatetimeIndex([trade.entry_time for trade in trades], dtype="datetime64[us, UTC]"))


def _of(statistic: Callable[[Any], Any], values: NDArray[Any]) -> float:
    """Return a statistic, NaN of nothing."""
    return float(statistic(values)) if values.size else math.nan


def _mean_and_interval(net: Floats, times: pd.Series, resampling: Resampling) -> dict[str, float]:
    if net.size == 0:
        return dict.fromkeys(_MEAN, math.nan)
    low, high = resampling.interval(expectancy_bps, times, net)
    return dict(zip(_MEAN, (expectancy_bps(net), low, high), strict=True))


def _walk(trade: ClosedTrade, plan: TradePlan, paths: Mapping[str, PricePath], horizon: timedelta) -> ClosedTrade:
    """Hold another plan from the entry of a trade."""
    path = paths[plan.symbol]
    entry_bar = path.first_bar_from(microseconds(trade.entry_time - moment(0)))
    return path.hold(plan, entry_bar=entry_bar, horizon=horizon)


def _require_same_walk(trades: Sequence[ClosedTrade], paths: Mapping[str, PricePath], horizon: timedelta) -> None:
    """Refuse paths on which the plans as they are do not give the trades again: no variant would compare with them."""
    _require_symbols("paths", paths, trades)
    for trade in trades:
        again = _walk(trade, trade.plan, paths, horizon)
        if (trade.exit_time, trade.exit_price) != (again.exit_time, again.exit_price):
            raise ParameterError(
                f"`paths` and `horizon` must be those of the trades: {trade.plan.symbol} of {trade.entry_time} left at "
                f"{trade.exit_price} on {trade.exit_time}, walked again at {again.exit_price} on {again.exit_time}"
            )


def _without(plan: TradePlan, *levels: str) -> TradePlan:
    """Move levels out of reach."""
    never: dict[str, Any] = {
        "stop": -plan.side * math.inf,
        "target": plan.side * math.inf,
        "liquidation_price": -plan.side * math.inf,
    }
    return replace(plan, **{level: never[level] for level in levels})


def _at_notional(trade: ClosedTrade, notional_usd: float, costs: CostModel, contract: Contract) -> ClosedTrade:
    """Return the trade at another size: its costs and its funding change, its prices do not."""
    plan = trade.plan
    quantity = notional_usd / plan.entry
    order = {"quantity": quantity, "volume_24h": plan.volume_24h, "volatility_daily": plan.volatility_daily}
    market = costs.market_slippage(contract, **order)
    sized = replace(
        plan,
        quantity=quantity,
        notional_usd=notional_usd,
        entry_slippage=market + plan.latency_slippage,
        exit_slippage=market,
        stop_slippage=costs.stop_slippage(contract, **order, atr_bar=plan.atr_bar),
    )
    return replace(trade, plan=sized, funding_usd=trade.funding_usd * quantity / plan.quantity)


def _at_leverage(plan: TradePlan, contract: Contract, leverage: int) -> TradePlan | None:
    """Return the plan at another leverage, None where the venue does not offer it, or the account cannot post it."""
    fill = plan.entry * (1.0 + plan.side * plan.entry_slippage)
    bankruptcy = bankruptcy_price(side=plan.side, entry=fill, leverage=leverage)
    # A short grows while it loses; bankruptcy lies beyond any liquidation (as in sizing).
    if plan.quantity * max(fill, bankruptcy) > contract.max_notional_usd:
        return None
    if leverage > contract.tier(plan.quantity * fill).max_leverage or plan.quantity * fill / leverage > plan.equity:
        return None
    return replace(
        plan,
        leverage=leverage,
        margin_usd=plan.quantity * fill / leverage,
        liquidation_price=liquidation_price(
            contract, side=plan.side, entry=fill, quantity=plan.quantity, leverage=leverage
        ),
        bankruptcy_price=bankruptcy,
    )


def _planned_loss_usd(trade: ClosedTrade) -> float:
    """Return the loss at the nearer of stop and liquidation price, USDT, > 0."""
    plan = trade.plan
    if plan.side * (plan.liquidation_price - plan.stop) <= 0.0:
        return plan.risk_usd
    gone = replace(trade, exit_price=plan.bankruptcy_price, exit_reason="liquidation", funding_usd=0.0)
    return -gone.net_usd


def _by_day(trades: pd.DataFrame) -> Floats:
    """Return the sum of `net_r` of every day from the first to the last entry, those without trades too."""
    if trades.empty:
        return np.empty(0)
    sums = trades.groupby(trades["entry_time"].dt.floor("D"))["net_r"].sum()
    calendar = pd.date_range(sums.index[0], sums.index[-1], freq="D")
    return sums.reindex(calendar, fill_value=0.0).to_numpy(dtype=np.float64)


def _drawn_days(daily: Floats, *, days: int, draws: int, mean_block: timedelta, seed: int) -> Floats:
    """Return daily results drawn in blocks, shape (draws, days); none where the calendar is too short to draw from."""
    if len(daily) * timedelta(days=1) < _FEWEST_BLOCKS * mean_block or len(daily) == 0:
        return np.empty((0, days))
    # Copies of a circle, one after the other, are a circle on which blocks run on in the same way.
    circle = np.tile(daily, math.ceil(days / len(daily)))
    calendar = np.datetime64("1970-01-01") + np.arange(len(circle))
    samples = block_bootstrap_indices(calendar, mean_block=mean_block, draws=draws, seed=seed)
    return np.stack([circle[rows[:days]] for rows in samples])


def _longest_losing_streak(trades: float, loss_share: float) -> float:
    if not 0.0 < loss_share < 1.0:
        return trades * loss_share  # none of them, all of them, or unknown
    return min(trades, max(0.0, math.log(trades)) / -math.log(loss_share))


def _require_symbols(name: str, known: Mapping[str, Any], trades: Sequence[ClosedTrade]) -> None:
    lacking = sorted({trade.plan.symbol for trade in trades} - set(known))
    if lacking:
        raise MissingDataError(f"`{name}` must hold every symbol that was traded, lacked {', '.join(lacking)}")


def _check_all(name: str, values: Sequence[float], *, low: float, high: float = math.inf) -> None:
    for value in values:
        if not (low <= value <= high and math.isfinite(value)):  # written so that NaN fails too
            raise ParameterError(f"`{name}` must be in [{low:g}, {high:g}] and finite, was {value}")
