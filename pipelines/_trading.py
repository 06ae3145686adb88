"""The gate and what a backtest runs on: the same for the ledger and for the curves."""

from __future__ import annotations

from typing import Any

from pipelines._stage import Stage
from slackwater.storage import read_fine_bars, read_json, read_parquet, read_tables
from slackwater.trading.gate import Gate
from slackwater.trading.score import CONTEXT, event_scores


def build_gate(stage: Stage) -> Gate:
    """Return the gate of the parameters: the one that the bundle carries into live use."""
    trading = stage.trading
    return Gate.of(
        stage.dataset.venue,
        entry=trading.entry.model_dump(),
        bracket=stage.bracket.model_dump(),
        rules=trading.rules.model_dump(),
        drawdown_control=trading.drawdown_control.model_dump(),
        costs=stage.costs.model_dump(),
        horizon=stage.labels.horizon,
        contract_facts=stage.dataset.contract_facts,
    )


def backtest_inputs(stage: Stage) -> dict[str, Any]:
    """Return the arguments of `slackwater.trading.backtest.run_backtest`: out-of-sample predictions only."""
    tables = read_tables("data/tables", ["funding", "mark_price"])
    wanted = read_json("data/feature_manifest.json")["model_features"]
    columns = list(dict.fromkeys(["symbol", "event_time", "available_time", *CONTEXT, *wanted]))
    return {
        "scores": event_scores(
            read_parquet("data/predictions.parquet"),
            read_parquet("data/labels.parquet"),
            read_parquet("data/features.parquet", columns=columns),
            wanted,
        ),
        "fine_bars": read_fine_bars("data/tables"),
        "funding": tables.get("funding"),
        "mark": tables.get("mark_price"),
        "gate": build_gate(stage),
        "initial_equity": stage.trading.initial_equity,
        "decision_lag": stage.market.decision_lag,
        "horizon": stage.labels.horizon,
        "fine_bar_interval": stage.market.fine_bar_interval,
    }
