"""Stage `backtest`: trade the test blocks on paper, through the gate that live trading uses."""

from __future__ import annotations

from pipelines._stage import Stage, run
from slackwater.market.contracts import venue_contracts
from slackwater.storage import read_json, read_parquet, read_path, read_tables, write_parquet
from slackwater.trading.backtest import constant_risk_trades, run_backtest
from slackwater.trading.gate import Gate
from slackwater.trading.score import CONTEXT, event_scores
from slackwater.trading.sizing import SizingRules


def main(stage: Stage) -> None:
    """Write ``reports/trades.parquet``, ``refusals``, ``equity`` and ``constant_risk_trades``."""
    trading = stage.trading
    wanted = read_json("data/feature_manifest.json")["model_features"]
    columns = list(dict.fromkeys(["symbol", "event_time", "available_time", *CONTEXT, *wanted]))
    settings = {
        "scores": event_scores(
            read_parquet("data/predictions.parquet"),
            read_parquet("data/labels.parquet"),
            read_parquet("data/features.parquet", columns=columns),
            wanted,
        ),
        "path": read_path("data/tables"),
        "funding": read_tables("data/tables", ["funding"]).get("funding"),
        "gate": Gate(
            contracts=venue_contracts(stage.dataset.venue),
            rules=SizingRules(**trading.rules.model_dump()),
            probability_threshold=trading.probability_threshold,
            horizon=stage.labels.horizon,
        ),
        "initial_equity": trading.initial_equity,
        "decision_lag": stage.market.decision_lag,
        "horizon": stage.labels.horizon,
        "path_interval": stage.market.path_interval,
    }
    result = run_backtest(**settings, progress=stage.progress("events"))
    sample = constant_risk_trades(**settings)
    stage.say(f"{len(result.trades):,} trades, {len(sample):,} at constant risk")
    write_parquet(result.trades, "reports/trades.parquet")
    write_parquet(result.refusals, "reports/refusals.parquet")
    write_parquet(result.equity, "reports/equity.parquet")
    write_parquet(sample, "reports/constant_risk_trades.parquet")


if __name__ == "__main__":
    run("backtest", main)
