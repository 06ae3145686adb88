"""Clauses of the verdict in words, and their outcomes."""

from __future__ import annotations

from typing import Final

__all__ = ["CLAUSES", "OUTCOMES"]

CLAUSES: Final = {
    "real_data": "Real data",
    "direction_auc_low": "AUC of direction, lower bound",
    "auc_over_price_only_low": "AUC over that of price features alone, lower bound",
    "auc_over_direction_flag_low": "AUC over that of the direction of the move alone, lower bound",
    "brier_skill": "Brier skill score",
    "overconfidence": "Overconfidence of probabilities",
    "reliability_slope": "Slope of the reliability line",
    "net_bps_low": "Mean net result, lower bound (bps per trade)",
    "net_bps_over_drift_low": "Mean net result over market drift, lower bound (bps per trade)",
    "net_bps_mean_at_double_costs": "Mean net result at double costs (bps per trade)",
    "profit_factor": "Profit factor",
    "halves_positive": "Halves of the period with a gain",
    "positive_quarter_share": "Share of quarters with a gain",
    "top_5pct_share_of_gross_profit": "Share of gross profit from the top 5 % of trades",
    "deflated_sharpe": "Deflated Sharpe ratio",
    "overfitting_probability": "Probability of backtest overfitting",
    "enough_days_with_trades": "Days with trades",
    "enough_blocks_with_trades": "Blocks of the bootstrap with trades",
}
"""Clauses of the verdict in words."""
OUTCOMES: Final = {True: "✓ passed", False: "✗ failed", None: "? not evaluable"}
"""Outcomes of a clause in words."""
