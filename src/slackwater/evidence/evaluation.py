"""Metrics of out-of-sample predictions and trades, each beside its controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from slackwater.evidence._predicted_rows import predicted_rows
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import (
    auc,
    auc_within,
    average_precision,
    brier_skill,
    expected_calibration_error,
    overconfidence,
    reliability_line,
)
from slackwater.metrics.selection import (
    DetectableEffect,
    ece_quantile_under_perfect_calibration,
    minimum_detectable_effect,
    minimum_track_record_length,
    politis_white_block_length,
)
from slackwater.metrics.trading import (
    expectancy_bps,
    halves_positive,
    longest_losing_streak,
    max_drawdown,
    positive_quarter_share,
    profit_factor,
    stamp_weighted_mean,
    top_trades_share,
    trade_weighted_mean,
)
from slackwater.models.targets import TARGETS, Target
from slackwater.times import DAY
from slackwater.types import Floats

__all__ = [
    "classification_metrics",
    "daily_returns",
    "expected_value_at_reference",
    "mean_result",
    "odds_against_direction",
    "trade_odds_metrics",
    "trading_metrics",
]


_YEAR = pd.Timedelta(days=365)
_EVEN = 0.05  # of the fair probability from one half
_FEWEST_EVEN = 50
_MEANS_APART = 0.03
_LEAST_CORRELATION = 0.5


def classification_metrics(
    scored: pd.DataFrame, resampling: Resampling, targets: Sequence[Target] = TARGETS
) -> dict[str, Any]:
    """Return the metrics of every target with a probability on the events of the test blocks.

    Parameters
    ----------
    scored
        One row per event: labels, out-of-fold predictions and controls joined.
    resampling
        Block bootstrap of the intervals.
    targets
        The targets that were fitted; those with an offset are left to `trade_odds_metrics`.

    Returns
    -------
    dict
        ``n_events``, and nested metrics by name of the target, of the events whose outcome and predictions, those of
        the controls too, are known; ``n_unknown`` counts the others.

    Raises
    ------
    DataError
        If no event has a prediction.
    """
    metrics: dict[str, Any] = {"n_events": len(scored)}
    for target in targets:
        if target.offset is None:
            controls = (f"p_{control.name}" for control in target.controls)
            known = predicted_rows(scored, target.name, target.column, f"p_{target.name}", *controls)
            metrics[target.name] = _probability_metrics(known, target, resampling)
            metrics[target.name]["n_unknown"] = len(scored) - len(known)
            if target.headline:
                metrics[target.name] |= _headline_metrics(known, target, resampling)
    return metrics


def _probability_metrics(scored: pd.DataFrame, target: Target, resampling: Resampling) -> dict[str, Any]:
    name, times = target.name, scored["event_time"]
    y, p, raw = (scored[column].to_numpy() for column in (target.column, f"p_{name}", f"p_{name}_raw"))
    low, high = resampling.interval(auc, times, y, p)
    fold, slopes = scored["fold"].to_numpy(), scored.groupby("fold")[f"slope_{name}"].first()
    return {
        "auc": auc(y, p),
        "auc_low": low,
        "auc_high": high,
        "auc_raw": auc(y, raw),
        "auc_within_folds": auc_within(y, p, fold),
        "auc_raw_within_folds": auc_within(y, raw, fold),
        "brier_skill_raw": brier_skill(y, raw, scored[f"base_{name}"].to_numpy()),
        "calibration_slope_min": float(slopes.min()),
        "calibration_slope_median": float(slopes.median()),
        "calibration_slope_max": float(slopes.max()),
        **{f"auc_{control.name}": auc(y, scored[f"p_{control.name}"].to_numpy()) for control in target.controls},
        "base_rate": float(y.mean()),
        "brier_skill": brier_skill(y, p, scored[f"base_{name}"].to_numpy()),
        "ece": expected_calibration_error(y, p),
    }


def _headline_metrics(scored: pd.DataFrame, target: Target, resampling: Resampling) -> dict[str, Any]:
    """Return what the verdict needs besides: paired differences, both sides apart, and the calibration line."""
    times = scored["event_time"]
    y, p = scored[target.column].to_numpy(), scored[f"p_{target.name}"].to_numpy()
    over = {
        f"auc_over_{control.name}_low": resampling.difference(
            auc, times, (y, p), (y, scored[f"p_{control.name}"].to_numpy())
        )[0]
        for control in target.controls
    }
    permuted = scored[scored["p_permuted"].notna()]
    slope_low, slope_high = resampling.interval(lambda a, b: reliability_line(a, b).slope, times, y, p)
    after_up, after_down = scored["direction"] == 1, scored["direction"] == -1
    return {
        **over,
        "auc_after_up_moves": auc(y[after_up], p[after_up]),
        "auc_after_down_moves": auc(y[after_down], p[after_down]),
        "auc_permuted": auc(permuted["y_permuted"].to_numpy(), permuted["p_permuted"].to_numpy()),
        "average_precision": average_precision(y, p),
        "ece_if_perfect_q99": ece_quantile_under_perfect_calibration(
            y, p, times, mean_block=resampling.mean_block, draws=resampling.draws, seed=resampling.seed
        ),
        "overconfidence": overconfidence(y, p),
        "reliability_slope": reliability_line(y, p).slope,
        "reliability_slope_low": slope_low,
        "reliability_slope_high": slope_high,
    }


def expected_value_at_reference(trades: pd.DataFrame) -> pd.Series:
    """Return the expected value of each trade at the lower bound of its odds and at the reference size, in R.

    Parameters
    ----------
    trades
        ``fair_log_odds`` and ``reward_risk`` of `slackwater.labels.trades`, and ``trade_edge_low``. NaN is kept.
    """
    low = expit(trades["fair_log_odds"] + trades["trade_edge_low"])
    return low * (1.0 + trades["reward_risk"]) - 1.0


def trade_odds_metrics(
    scored: pd.DataFrame, *, min_expectancy: float | None, min_reward_risk: float, resampling: Resampling
) -> dict[str, Any]:
    """Return metrics of the predicted odds of the trades, against the fair odds of their brackets.

    Parameters
    ----------
    scored
        As for `classification_metrics`, with the columns of `slackwater.labels.trades` and the edges of the target
        `trade`. Events without a trade do not count.
    min_expectancy, min_reward_risk
        The rules of the gate; None turns the first off, which counts as 0.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    dict
        For all trades and for those that pass the two rules at the reference size: their number, and the mean
        `net_r` with its interval and ``visible``, the smallest mean that they could show at t = 3;
        `share_of_events_passed`; the power of all trades, in basis points (method, section 3.2); `auc_net_gain` of the
        edge; `payoff_mean` beside the mean of the fair and of the predicted probability; `brier_skill_over_fair`, of
        the payoff; `n_unknown`, trades without a predicted edge, of which the metrics of predictions know nothing;
        and under ``against_direction`` the odds beside the direction probability
        (`odds_against_direction`).

    Raises
    ------
    DataError
        If no trade has one.
    """
    trades = scored[scored["payoff"].notna()]
    if trades.empty:
        return {"n_trades": 0}
    fair, payoff = expit(trades["fair_log_odds"].to_numpy()), trades["payoff"].to_numpy()
    predicted = expit(trades["fair_log_odds"].to_numpy() + trades["trade_edge"].to_numpy())
    seen, known = trades["trade_edge"].notna().to_numpy(), predicted_rows(trades, "trade", "trade_edge")
    required = 0.0 if min_expectancy is None else min_expectancy
    passed = trades[(expected_value_at_reference(trades) > required) & (trades["reward_risk"] >= min_reward_risk)]
    return {
        "n_trades": len(trades),
        **_power(trades["trade_net_bps"].to_numpy(), trades["entry_time"]),
        "n_passed": len(passed),
        "share_of_events_passed": len(passed) / len(scored),
        **{f"net_r_{name}": value for name, value in _net_r(trades, resampling).items()},
        **{f"net_r_of_passed_{name}": value for name, value in _net_r(passed, resampling).items()},
        "n_unknown": len(trades) - len(known),
        "auc_net_gain": auc(known["y_trade"].to_numpy(), known["trade_edge"].to_numpy()),
        "payoff_mean": float(payoff.mean()),
        "fair_probability_mean": float(fair.mean()),
        "predicted_probability_mean": float(predicted[seen].mean()),
        "brier_skill_over_fair": 1.0
        - float(np.mean((predicted - payoff)[seen] ** 2) / np.mean((fair - payoff)[seen] ** 2)),
        "against_direction": odds_against_direction(fair, predicted, trades["p_direction"].to_numpy()),
    }


def odds_against_direction(fair: Floats, predicted: Floats, p_direction: Floats) -> dict[str, Any]:
    """Return the odds of even bets beside the direction probability, which is about the same bet.

    Parameters
    ----------
    fair, predicted, p_direction
        Probability of the target without an edge, with the predicted edge, and of a reversal, shape (n_trades,).

    Returns
    -------
    dict
        Of the trades with a fair probability within .05 of one half and both predictions: `n_even`; `trade_mean` and
        `direction_mean`, the means of the two; `correlation`; and `warning`, which names a difference of the means
        above .03 or a correlation below .5, "" where there is none. Of fewer than 50 such trades the numbers are NaN.

    Notes
    -----
    With target and stop one standard deviation away, both ask whether the price reverses by it before it continues by
    it. They count costs and time exits differently, so that they agree closely and not exactly. Where they disagree by
    more, a model has learned noise or is broken.

    Examples
    --------
    >>> p = np.linspace(0.4, 0.6, 100)
    >>> odds_against_direction(np.full(100, 0.5), p - 0.1, p)["warning"]
    'the odds of even bets have mean 0.400, the direction probability 0.500: they differ by more than 0.03'
    """
    even = (np.abs(fair - 0.5) <= _EVEN) & np.isfinite(predicted) & np.isfinite(p_direction)
    n = int(even.sum())
    if n < _FEWEST_EVEN:
        unknown = dict.fromkeys(["trade_mean", "direction_mean", "correlation"], float("nan"))
        return {"n_even": n, **unknown, "warning": ""}
    odds, direction = predicted[even], p_direction[even]
    means = float(odds.mean()), float(direction.mean())
    varies = odds.std() > 0.0 and direction.std() > 0.0
    correlation = float(np.corrcoef(odds, direction)[0, 1]) if varies else float("nan")
    warning = ""
    if abs(means[0] - means[1]) > _MEANS_APART:
        warning = (
            f"the odds of even bets have mean {means[0]:.3f}, the direction probability {means[1]:.3f}: they differ by "
            f"more than {_MEANS_APART:g}"
        )
    elif correlation < _LEAST_CORRELATION:
        warning = (
            f"the odds of even bets and the direction probability correlate by {correlation:.2f} only, expected is "
            f"{_LEAST_CORRELATION:g}"
        )
    return {
        "n_even": n,
        "trade_mean": means[0],
        "direction_mean": means[1],
        "correlation": correlation,
        "warning": warning,
    }


def _net_r(trades: pd.DataFrame, resampling: Resampling) -> dict[str, float]:
    if trades.empty:
        return dict.fromkeys(["mean", "low", "high", "visible"], float("nan"))
    net, times = trades["net_r"].to_numpy(), trades["event_time"]
    low, high = resampling.interval(mean_result, times, net)
    visible = 3.0 * trade_weighted_mean(net, times).standard_error
    return {"mean": float(net.mean()), "low": low, "high": high, "visible": visible}


def trading_metrics(
    account: pd.DataFrame, refusals: pd.DataFrame, equity: pd.DataFrame, unit_risk: pd.DataFrame, resampling: Resampling
) -> dict[str, Any]:
    """Return the metrics of the account and of the sample at unit risk.

    Parameters
    ----------
    account
        Trades of the account (`slackwater.trading.backtest`).
    refusals, equity
        Tables of the same run.
    unit_risk
        Trades at unit risk, none left out because of another; the verdict is about them.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    dict
        Metrics of the account, and under ``unit_risk`` those of the sample for the verdict, both sides apart. Where
        the sums over trades matter (profit factor, halves, quarters, best trades), the worse of R and USDT.
        `funding_bps_mean` is NaN where the settled rates do not cover all trades, `n_funding_unknown` of them.
    """
    return {
        "n_trades": len(account),
        "n_refused": int(refusals[["symbol", "event_time"]].drop_duplicates().shape[0]),
        "net_bps_mean": expectancy_bps(account["net_bps"]),
        "net_usd": float(account["net_usd"].sum()),
        "profit_factor": profit_factor(account["net_usd"]),
        "max_drawdown": max_drawdown(equity["equity_usd"]),
        "max_leverage": float(account["leverage"].max()) if len(account) else 0.0,
        "max_risk_fraction": float(account["risk_fraction"].max()) if len(account) else 0.0,
        "longest_losing_streak": longest_losing_streak(account["net_usd"]),
        "worst_loss_over_planned": float((-account["net_r"]).max()) if len(account) else float("nan"),
        "unit_risk": _sample_metrics(unit_risk, resampling),
    }


def _sample_metrics(trades: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    if trades.empty:
        return {"n_trades": 0, **_power(trades["net_bps"].to_numpy(), trades["entry_time"])}
    net, times = trades["net_bps"].to_numpy(), trades["entry_time"]
    low, high = resampling.interval(mean_result, times, net)
    unknown = ~trades["funding_known"] if "funding_known" in trades else pd.Series(False, index=trades.index)
    # Funding is a payment between traders, not a cost: it stays unchanged when costs double.
    funding = 1e4 * trades["funding_usd"] / trades["notional_usd"]
    costs = 1e4 * (trades["fees_usd"] + trades["slippage_usd"]) / trades["notional_usd"]
    before_costs = trades["gross_bps"] - funding
    by_trade, by_stamp = trade_weighted_mean(net, times), stamp_weighted_mean(net, times)
    sides = {
        name: {
            "n_trades": int((trades["side"] == side).sum()),
            "net_bps_mean": expectancy_bps(net[trades["side"] == side]),
            "t_stamp_weighted": stamp_weighted_mean(net[trades["side"] == side], times[trades["side"] == side]).t,
        }
        for name, side in (("long", 1), ("short", -1))
    }
    return {
        "n_trades": len(trades),
        "years": (times.max() - times.min()) / _YEAR,
        "net_bps_mean": expectancy_bps(net),
        "net_bps_low": low,
        "net_bps_high": high,
        **_in_r_and_money(trades, resampling),
        **_by_day(trades, resampling),
        "net_bps_mean_without_costs": expectancy_bps(before_costs),
        "funding_bps_mean": float("nan") if unknown.any() else float(funding.mean()),
        "n_funding_unknown": int(unknown.sum()),
        "net_bps_mean_at_double_costs": expectancy_bps(before_costs - 2.0 * costs),
        "t_trade_weighted": by_trade.t,
        "t_stamp_weighted": by_stamp.t,
        **_power(net, times),
        "exit_shares": {str(k): float(v) for k, v in trades["exit_reason"].value_counts(normalize=True).items()},
        **sides,
    }


def _power(net_bps: Floats, times: pd.Series) -> dict[str, float]:
    """Return the smallest mean result that trades could have shown, and the years that 15 bps need; NaN on one day."""
    seen = DetectableEffect(smallest_effect_bps=float("nan"), years_needed=float("nan"))
    by_trade = trade_weighted_mean(net_bps, times)
    if by_trade.days > 1:
        seen = minimum_detectable_effect(by_trade.standard_error, years=(times.max() - times.min()) / _YEAR)
    return {"smallest_visible_effect_bps": seen.smallest_effect_bps, "years_to_see_15_bps": seen.years_needed}


def mean_result(net: Floats) -> float:
    """Return the mean of net results, NaN without any: a draw of blocks may hold no trade."""
    return float(net.mean()) if net.size else float("nan")


def daily_returns(trades: pd.DataFrame, unit: str) -> pd.Series:
    """Return the net result of each UTC day with trades by the day of the entry: trades of one day overlap.

    Parameters
    ----------
    trades
        ``entry_time`` and the column `unit`, such as ``net_r``.
    """
    return trades.groupby(trades["entry_time"].dt.floor("D"))[unit].sum()


def _by_day(trades: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    """Return how many independent parts the sample has, how long its days depend, and how long it had to be."""
    daily = daily_returns(trades, "net_r")
    block = (daily.index - daily.index.min()) // resampling.mean_block
    return {
        "days_with_trades": len(daily),
        "blocks_with_trades": int(block.nunique()),
        "mean_block_days": resampling.mean_block / DAY,
        "mean_block_days_politis_white": politis_white_block_length(daily.asfreq("D", fill_value=0.0)),
        "days_with_trades_for_sharpe": minimum_track_record_length(daily),
    }


def _in_r_and_money(trades: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    """Return what sums over trades, in R and in USDT; of the statistics with one name the worse of the two.

    Basis points weigh a trade of a small position like one of a large position: their sum is the money of no account.
    """
    times, in_r, in_usd = trades["entry_time"], trades["net_r"].to_numpy(), trades["net_usd"].to_numpy()
    units, costs = (in_r, in_usd), trades["fees_usd"] + trades["slippage_usd"]
    halves = np.logical_and.reduce([halves_positive(net, times) for net in units])
    bounds = [resampling.interval(mean_result, times, net) for net in units]
    return {
        "net_r_mean": float(in_r.mean()),
        "net_r_low": bounds[0][0],
        "net_r_high": bounds[0][1],
        "net_usd_mean": float(in_usd.mean()),
        "net_usd_low": bounds[1][0],
        "net_usd_high": bounds[1][1],
        "net_r_mean_at_double_costs": float((in_r - costs / trades["risk_usd"]).mean()),
        "net_usd_mean_at_double_costs": float((in_usd - costs).mean()),
        "profit_factor": float(np.min([profit_factor(net) for net in units])),
        "halves_positive": int(halves.sum()),
        "positive_quarter_share": float(np.min([positive_quarter_share(net, times) for net in units])),
        "top_5pct_share_of_gross_profit": float(np.max([top_trades_share(net) for net in units])),
    }
