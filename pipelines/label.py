"""Stage `label`: the triple-barrier label of every signal event, and the outcome of its trade."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
from scipy.special import expit

from pipelines._contracts import contracts_of, require_facts
from pipelines._stage import Stage, run
from slackwater.durations import duration_name
from slackwater.labels.outcomes import HorizonReport
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.labels.weights import effective_n
from slackwater.storage import read_fine_bars, read_parquet, read_tables, write_parquet, write_report
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.costs import CostModel
from slackwater.trading.price_path import price_paths
from slackwater.trading.score import CONTEXT

FEATURES = list(dict.fromkeys(["symbol", "event_time", "available_time", "event_direction", *CONTEXT]))


def main(stage: Stage) -> None:
    """Write ``data/labels.parquet`` and ``data/reports/labels.json``."""
    tables = read_tables("data/tables", ["funding", "mark_price"])
    features, fine_bars = read_parquet("data/features.parquet", columns=FEATURES), read_fine_bars("data/tables")
    stage.say(f"{len(features):,} rows of features, {len(fine_bars):,} fine bars")
    paths = price_paths(fine_bars, tables.get("funding"), mark=tables.get("mark_price"))
    require_facts(stage, paths)
    labels, report = build_labels(
        features,
        paths,
        trade=TradeRules(
            contracts=contracts_of(stage),
            bracket=stage.bracket.build(),
            costs=CostModel(**dict(stage.costs)),
            reference_notional_usd=stage.labels.reference_notional_usd,
        ),
        decision_lag=stage.market.decision_lag,
        fine_bar_interval=stage.market.fine_bar_interval,
        **stage.labels.model_dump(exclude={"reference_notional_usd"}),
    )
    for sentence in report.left_out:
        stage.say(f"left out: {sentence}")
    trades = labels[labels["payoff"].notna()]
    summary = asdict(report) | {
        "latency_to_charge": report.latency_to_charge.total_seconds(),
        "horizons": {duration_name(each.horizon): _outcomes(labels, each, stage) for each in report.horizons},
        "symbol_correlation": {
            "used": stage.labels.symbol_correlation,
            "of_hourly_returns": HourlyCorrelations(paths).mean(),
        },
        "tie_share": report.tie_share,
        "effective_n": effective_n(labels["weight"]),
        "reversal_share": float((labels["code"] == 1).mean()),
        "continuation_share": float((labels["code"] == -1).mean()),
        "trades": {
            "events": len(trades),
            "reward_risk_median": trades["reward_risk"].median(),
            "net_r_mean": trades["net_r"].mean(),
            "payoff_mean": trades["payoff"].mean(),
            "fair_probability_mean": float(expit(trades["fair_log_odds"]).mean()),
            "shares_by_exit": trades["trade_exit"].value_counts(normalize=True).to_dict(),
        },
    }
    stage.say(
        f"{report.labelled:,} of {report.events:,} events labelled, effective n {summary['effective_n']:,.0f}; "
        f"{len(trades):,} of them suggest a trade"
    )
    write_parquet(labels, "data/labels.parquet")
    write_report(summary, "data/reports/labels.json")


def _outcomes(labels: pd.DataFrame, report: HorizonReport, stage: Stage) -> dict[str, Any]:
    """Return the counts at a horizon, with the effective number of labels there."""
    counts = {name: value for name, value in asdict(report).items() if name != "horizon"}
    weight = "weight" if report.horizon == stage.labels.horizon else f"weight_{duration_name(report.horizon)}"
    return counts | {"effective_n": effective_n(labels[weight].dropna()) if weight in labels else 0.0}


if __name__ == "__main__":
    run("label", main)
