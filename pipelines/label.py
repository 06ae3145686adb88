"""Stage `label`: the triple-barrier label of every signal event, and the outcome of its trade."""

from __future__ import annotations

from dataclasses import asdict

from scipy.special import expit

from pipelines._contracts import contracts_of, require_facts
from pipelines._stage import Stage, run
from slackwater.labels.table import build_labels, horizon_counts
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
    paths = price_paths(read_fine_bars("data/tables"), tables.get("funding"), mark=tables.get("mark_price"))
    require_facts(stage, paths)
    labels, report = build_labels(
        read_parquet("data/features.parquet", columns=FEATURES),
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
        "horizons": horizon_counts(labels, report, horizon=stage.labels.horizon),
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


if __name__ == "__main__":
    run("label", main)
