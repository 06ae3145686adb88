"""Stage `label`: sample events and say which came first, the reversal, the continuation or the horizon."""

from __future__ import annotations

from dataclasses import asdict

from pipelines._stage import Stage, run
from slackwater.labels.table import build_labels
from slackwater.labels.weights import effective_n
from slackwater.storage import read_parquet, read_path, write_json, write_parquet

FEATURES = ["symbol", "event_time", "available_time", "close", "event_direction", "volatility_daily"]


def main(stage: Stage) -> None:
    """Write ``data/labels.parquet`` and ``reports/labels.json``."""
    labels, report = build_labels(
        read_parquet("data/features.parquet", columns=FEATURES),
        read_path("data/tables"),
        decision_lag=stage.market.decision_lag,
        path_interval=stage.market.path_interval,
        **stage.labels.model_dump(),
    )
    summary = asdict(report) | {
        "latency_to_charge": report.latency_to_charge.total_seconds(),
        "tie_share": report.tie_share,
        "effective_n": effective_n(labels["weight"]),
        "reversal_share": float((labels["code"] == 1).mean()),
        "continuation_share": float((labels["code"] == -1).mean()),
    }
    stage.say(f"{report.labelled:,} of {report.events:,} events labelled, effective n {summary['effective_n']:,.0f}")
    write_parquet(labels, "data/labels.parquet")
    write_json(summary, "reports/labels.json")


if __name__ == "__main__":
    run("label", main)
