"""Stage `label`: the triple-barrier label of every signal event, and the outcome of its trade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from scipy.special import expit

from pipelines._contracts import assumed_alike, contracts_of, require_facts
from pipelines._stage import Stage, run
from slackwater.labels.table import build_labels, horizon_counts
from slackwater.labels.trades import TradeRules
from slackwater.labels.weights import effective_n
from slackwater.run.features import feature_rows
from slackwater.run.fired_rows import read_fired_rows
from slackwater.run.prices import PathsOnDisk, hourly_prices
from slackwater.storage import write_parquet, write_parquet_parts, write_report
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.costs import CostModel
from slackwater.trading.score import CONTEXT


def main(stage: Stage) -> None:
    """Write ``data/labels.parquet``, ``data/event_features.parquet`` and ``data/reports/labels.json``."""
    paths = PathsOnDisk("data/tables")
    require_facts(stage, paths)
    for sentence in assumed_alike(stage, paths):
        stage.say(sentence)
    given = {"triggers": stage.labels.triggers, "sampling": stage.labels.sampling}
    features, counts, rows = read_fired_rows(["available_time", *CONTEXT], **given)
    stage.say(f"{rows:,} rows of features of {len(paths)} symbols")
    for name, count in counts.items():
        stage.say(trigger_sentence(name, count, rows))
    labels, report = build_labels(
        features,
        paths,
        trade=TradeRules(
            contracts=contracts_of(stage, paths),
            bracket=stage.bracket.build(),
            costs=CostModel(**dict(stage.costs)),
            reference_notional_usd=stage.labels.reference_notional_usd,
        ),
        decision_lag=stage.market.decision_lag,
        fine_bar_interval=stage.market.fine_bar_interval,
        **stage.labels.model_dump(exclude={"reference_notional_usd"}),
    )
    del features, paths  # not held beside the parts of the features that are copied
    for sentence in report.left_out:
        stage.say(f"left out: {sentence}")
    of_trades = ["reward_risk", "net_r", "payoff", "fair_log_odds", "trade_exit"]
    trades = labels.loc[labels["payoff"].notna(), of_trades]
    summary = asdict(report) | {
        "latency_to_charge": report.latency_to_charge.total_seconds(),
        "horizons": horizon_counts(labels, report, horizon=stage.labels.horizon),
        "symbol_correlation": {
            "used": stage.labels.symbol_correlation,
            "of_hourly_returns": HourlyCorrelations(hourly_prices("data/tables")).mean(),
        },
        "tie_share": report.tie_share,
        "effective_n": effective_n(labels["weight"]),
        "triggers": counts,
        "training_rows": int(labels["trains"].sum()),
        "traded_rows": int(labels["trades"].sum()),
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
        f"{report.labelled:,} of {report.events:,} events labelled, effective n {summary['effective_n']:,.0f}: "
        f"{summary['training_rows']:,} train, {summary['traded_rows']:,} are scored and traded; "
        f"{len(trades):,} of all suggest a trade"
    )
    write_parquet(labels, "data/labels.parquet")
    # The later stages read the features of the events alone: a few percent of all rows.
    write_parquet_parts(feature_rows(labels[["symbol", "event_time"]]), "data/event_features.parquet")
    write_report(summary, "data/reports/labels.json")


def trigger_sentence(name: str, count: Mapping[str, Any], rows: int) -> str:
    """Return how often a trigger fired; one that never did is named with what to do."""
    if not count["known"]:
        return f"warning: trigger {name} is known in none of {rows:,} rows: no table feeds it, or its warm-up is longer"
    if not count["fired"]:
        return (
            f"warning: trigger {name} fired 0 times in {count['known']:,} rows: lower its thresholds in "
            "`features.triggers`, or leave it out of `labels`"
        )
    overruled = f", {count['overruled']:,} of them against an earlier trigger of the list" if count["overruled"] else ""
    return f"trigger {name} fired {count['fired']:,} times in {count['known']:,} rows{overruled}"


if __name__ == "__main__":
    run("label", main)
