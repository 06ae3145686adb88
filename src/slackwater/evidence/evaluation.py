"""From out-of-sample predictions and trades to metrics, each beside what it must be compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from slackwater.evidence.verdict import Verdict, at_least, holds, not_applicable, not_computed
from slackwater.labels.weights import effective_n
from slackwater.metrics.classification import (
    auc,
    average_precision_lift,
    brier_skill,
    expected_calibration_error,
    reliability_line,
)
from slackwater.metrics.selection import (
    DetectableEffect,
    bootstrap_difference,
    bootstrap_interval,
    deflated_sharpe_ratio,
    ece_quantile_under_perfect_calibration,
    minimum_detectable_effect,
)
from slackwater.metrics.trading import (
    expectancy_bps,
    halves_positive,
    longest_losing_streak,
    max_drawdown,
    net_at_cost_multiples,
    positive_quarter_share,
    profit_factor,
    stamp_weighted_mean,
    top_trades_share,
    trade_weighted_mean,
)

__all__ = [
    "Resampling",
    "classification_metrics",
    "expected_value_at_reference",
    "trade_odds_metrics",
    "trading_metrics",
    "verdict",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How the block bootstrap draws: blocks of calendar time, all symbols of a block together."""

    draws: int = 2000
    mean_block: timedelta = timedelta(days=14)
    seed: int = 0

    def interval(self, statistic: Callable[..., float], times: pd.Series, *arrays: Any) -> tuple[float, float]:
        """Return the 95 % interval of a statistic."""
        found = bootstrap_interval(
            statistic, times, *arrays, mean_block=self.mean_block, draws=self.draws, seed=self.seed
        )
        return found.low, found.high

    def difference(
        self, statistic: Callable[..., float], times: pd.Series, one: tuple[Any, ...], two: tuple[Any, ...]
    ) -> tuple[float, float]:
        """Return the 95 % interval of a paired difference."""
        found = bootstrap_difference(
            statistic, times, one, two, mean_block=self.mean_block, draws=self.draws, seed=self.seed
        )
        return found.low, found.high


def classification_metrics(scored: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    """Measure both classifiers on the events of the test blocks.

    Parameters
    ----------
    scored
        One row an event: labels, out-of-fold predictions and controls joined.
    resampling
        Of the intervals.

    Returns
    -------
    dict
        ``n_events``, ``effective_n``, ``direction`` and ``hit``, nested.
    """
    y, p = scored["y_direction"].to_numpy(), scored["p_direction"].to_numpy()
    times = scored["event_time"]
    low, high = resampling.interval(auc, times, y, p)
    over_price = resampling.difference(auc, times, (y, p), (y, scored["p_price_only"].to_numpy()))
    over_flag = resampling.difference(auc, times, (y, p), (y, scored["p_direction_flag"].to_numpy()))
    precision = average_precision_lift(y, p)
    slope_low, slope_high = resampling.interval(lambda a, b: reliability_line(a, b).slope, times, y, p)
    after_up, after_down = scored["direction"] == 1, scored["direction"] == -1
    hit, p_hit = scored["y_hit"].to_numpy(), scored["p_hit"].to_numpy()
    hit_low, hit_high = resampling.interval(auc, times, hit, p_hit)
    direction = {
        "auc": auc(y, p),
        "auc_low": low,
        "auc_high": high,
        "auc_after_up_moves": auc(y[after_up], p[after_up]),
        "auc_after_down_moves": auc(y[after_down], p[after_down]),
        "auc_permuted": auc(scored["y_permuted"].to_numpy(), scored["p_permuted"].to_numpy()),
        "auc_price_only": auc(y, scored["p_price_only"].to_numpy()),
        "auc_direction_flag": auc(y, scored["p_direction_flag"].to_numpy()),
        "auc_over_price_only_low": over_price[0],
        "auc_over_direction_flag_low": over_flag[0],
        "average_precision": precision.average_precision,
        "base_rate": precision.base_rate,
        "brier_skill": brier_skill(y, p, scored["base_direction"].to_numpy()),
        "ece": expected_calibration_error(y, p),
        "ece_if_perfect_q99": ece_quantile_under_perfect_calibration(
            y, p, times, mean_block=resampling.mean_block, draws=resampling.draws, seed=resampling.seed
        ),
        "reliability_slope": reliability_line(y, p).slope,
        "reliability_slope_low": slope_low,
        "reliability_slope_high": slope_high,
    }
    return {
        "n_events": len(scored),
        "effective_n": effective_n(scored["weight"]),
        "direction": direction,
        "hit": {
            "auc": auc(hit, p_hit),
            "auc_low": hit_low,
            "auc_high": hit_high,
            "auc_volatility_only": auc(hit, scored["p_volatility_only"].to_numpy()),
            "base_rate": float(hit.mean()),
            "brier_skill": brier_skill(hit, p_hit, scored["base_hit"].to_numpy()),
            "ece": expected_calibration_error(hit, p_hit),
        },
    }


def expected_value_at_reference(trades: pd.DataFrame) -> pd.Series:
    """Return what each trade is worth at the lower bound of its odds and at the reference size, multiples of its risk.

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
    """Measure the odds of the trades themselves, against the fair odds that every plan offers.

    Parameters
    ----------
    scored
        As for `classification_metrics`, with the columns of `slackwater.labels.trades` and the edges of
        `slackwater.models.training.Trainer.trades_out_of_fold`. Events without a trade do not count.
    min_expectancy, min_reward_risk
        The rules of the gate; None: the first is off and counts as 0.
    resampling
        Of the intervals.

    Returns
    -------
    dict
        Of all trades and of those that pass the two rules at the reference size: how many, and the mean `net_r` with
        its interval; `share_of_events_passed`; `auc_net_gain` of the edge; `payoff_mean` beside the mean of the fair
        and of the predicted probability; `brier_skill_over_fair`, of the payoff.
    """
    trades = scored[scored["payoff"].notna()]
    if trades.empty:
        return {"n_trades": 0}
    fair, payoff = expit(trades["fair_log_odds"].to_numpy()), trades["payoff"].to_numpy()
    predicted = expit(trades["fair_log_odds"].to_numpy() + trades["trade_edge"].to_numpy())
    required = 0.0 if min_expectancy is None else min_expectancy
    passed = trades[(expected_value_at_reference(trades) > required) & (trades["reward_risk"] >= min_reward_risk)]
    won = trades["y_trade"].to_numpy()
    both = 0.0 < won.mean() < 1.0
    return {
        "n_trades": len(trades),
        "n_passed": len(passed),
        "share_of_events_passed": len(passed) / len(scored),
        **{f"net_r_{name}": value for name, value in _net_r(trades, resampling).items()},
        **{f"net_r_of_passed_{name}": value for name, value in _net_r(passed, resampling).items()},
        "auc_net_gain": auc(won, trades["trade_edge"].to_numpy()) if both else float("nan"),
        "payoff_mean": float(payoff.mean()),
        "fair_probability_mean": float(fair.mean()),
        "predicted_probability_mean": float(predicted.mean()),
        "brier_skill_over_fair": 1.0 - float(np.mean((predicted - payoff) ** 2) / np.mean((fair - payoff) ** 2)),
    }


def _net_r(trades: pd.DataFrame, resampling: Resampling) -> dict[str, float]:
    if trades.empty:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan")}
    net = trades["net_r"].to_numpy()
    low, high = resampling.interval(lambda x: float(np.mean(x)), trades["event_time"], net)
    return {"mean": float(net.mean()), "low": low, "high": high}


def trading_metrics(
    account: pd.DataFrame,
    refusals: pd.DataFrame,
    equity: pd.DataFrame,
    constant_risk: pd.DataFrame,
    resampling: Resampling,
) -> dict[str, Any]:
    """Measure the trades.

    Parameters
    ----------
    account
        Trades of the account that the gate kept (`slackwater.trading.backtest.run_backtest`).
    refusals, equity
        Of the same run.
    constant_risk
        Trades at constant risk, none left out because of another: what the verdict is about.
    resampling
        Of the intervals.

    Returns
    -------
    dict
        Metrics of the account, and under ``constant_risk`` those of the sample for the verdict, both sides apart.
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
        "constant_risk": _sample_metrics(constant_risk, resampling),
    }


def _sample_metrics(trades: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    if trades.empty:
        return {"n_trades": 0}
    net, times = trades["net_bps"].to_numpy(), trades["entry_time"]
    low, high = resampling.interval(lambda x: float(np.mean(x)), times, net)
    # Funding is a payment between traders with a sign, no cost: it stays as it is when costs double.
    funding = 1e4 * trades["funding_usd"] / trades["notional_usd"]
    costs = 1e4 * (trades["fees_usd"] + trades["slippage_usd"]) / trades["notional_usd"]
    at_costs = net_at_cost_multiples(trades["gross_bps"] - funding, costs)
    by_trade, by_stamp = trade_weighted_mean(net, times), stamp_weighted_mean(net, times)
    years = (times.max() - times.min()) / pd.Timedelta(days=365)
    seen = (
        minimum_detectable_effect(by_trade.standard_error, years=years)
        if years > 0.0 and by_trade.days > 1
        else DetectableEffect(smallest_effect_bps=float("nan"), years_needed=float("nan"))
    )
    first_half, second_half = halves_positive(net, times)
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
        "years": float(years),
        "net_bps_mean": expectancy_bps(net),
        "net_bps_low": low,
        "net_bps_high": high,
        "net_r_mean": float(trades["net_r"].mean()),
        "net_bps_mean_without_costs": at_costs[0.0],
        "funding_bps_mean": float(funding.mean()),
        "net_bps_mean_at_double_costs": at_costs[2.0],
        "t_trade_weighted": by_trade.t,
        "t_stamp_weighted": by_stamp.t,
        "smallest_visible_effect_bps": seen.smallest_effect_bps,
        "years_to_see_15_bps": seen.years_needed,
        "profit_factor": profit_factor(net),
        "halves_positive": int(first_half) + int(second_half),
        "positive_quarter_share": positive_quarter_share(net, times),
        "top_5pct_share_of_gross_profit": top_trades_share(net),
        "exit_shares": {str(k): float(v) for k, v in trades["exit_reason"].value_counts(normalize=True).items()},
        **sides,
    }


def verdict(
    classification: dict[str, Any],
    trading: dict[str, Any],
    constant_risk: pd.DataFrame,
    *,
    n_trials: int,
    synthetic: bool,
) -> Verdict:
    """Judge a run by the promotion gate (method, section 3.6).

    Parameters
    ----------
    classification, trading
        From `classification_metrics` and `trading_metrics`.
    constant_risk
        The trades that the economic clauses are about.
    n_trials
        Configurations that were tried on these data, at least 1.
    synthetic
        Whether the data were simulated.
    """
    d = classification["direction"]
    t = trading["constant_risk"]

    def traded(key: str) -> float:
        return float(t.get(key, float("nan")))

    overfitting = "P(out-of-sample Sharpe of the in-sample best <= 0) < 0.05"
    ece_bound = max(0.03, d["ece_if_perfect_q99"])
    slope = (d["reliability_slope_low"], d["reliability_slope_high"])
    if n_trials == 1 and constant_risk["entry_time"].dt.date.nunique() > 2:
        # Trades overlap: a day is one bet.
        returns = constant_risk.groupby(constant_risk["entry_time"].dt.floor("D"))["net_r"].sum().to_numpy()
        own = [float(returns.mean() / returns.std(ddof=1))]
        ratio = deflated_sharpe_ratio(returns, trial_sharpe_ratios=own)
        sharpe = at_least("deflated_sharpe", ratio, 0.95, strictly=False)
    elif n_trials == 1:
        sharpe = not_computed("deflated_sharpe", ">= 0.95", "fewer than three days with trades")
    else:
        sharpe = not_computed("deflated_sharpe", ">= 0.95", f"the returns of {n_trials} trials are not at hand")
    clauses = (
        at_least("direction_auc_low", d["auc_low"], 0.5),
        at_least("auc_over_price_only_low", d["auc_over_price_only_low"], 0.0),
        at_least("auc_over_direction_flag_low", d["auc_over_direction_flag_low"], 0.0),
        at_least("brier_skill", d["brier_skill"], 0.0),
        holds("ece", f"<= {ece_bound:.4f}", d["ece"], d["ece"] <= ece_bound),
        holds(
            "reliability_slope",
            "95 % interval overlaps [0.8, 1.2]",
            d["reliability_slope"],
            slope[0] <= 1.2 and slope[1] >= 0.8,
            f"interval {slope[0]:.2f} to {slope[1]:.2f}",
        ),
        at_least("net_bps_low", traded("net_bps_low"), 0.0),
        at_least("net_bps_mean_at_double_costs", traded("net_bps_mean_at_double_costs"), 0.0),
        at_least("profit_factor", traded("profit_factor"), 1.15),
        sharpe,
        not_applicable("overfitting_probability", overfitting, "one trial")
        if n_trials == 1
        else not_computed("overfitting_probability", overfitting, "the returns of the trials are not at hand"),
        at_least("halves_positive", traded("halves_positive"), 2.0, strictly=False),
        at_least("positive_quarter_share", traded("positive_quarter_share"), 0.6, strictly=False),
        holds(
            "top_5pct_share_of_gross_profit",
            "<= 0.4",
            traded("top_5pct_share_of_gross_profit"),
            traded("top_5pct_share_of_gross_profit") <= 0.4,
        ),
        holds("real_data", "not simulated", float(not synthetic), not synthetic),
    )
    return Verdict(clauses=clauses, synthetic=synthetic)
