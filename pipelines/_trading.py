"""The gate and the backtest of the parameters, shared by the stages `backtest` and `sensitivity`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines._contracts import contracts_of
from pipelines._stage import Stage
from slackwater.report.account_page import starved_sentences
from slackwater.storage import read_fine_bars, read_json, read_parquet, read_tables
from slackwater.trading.backtest import Backtest
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Gate
from slackwater.trading.score import CONTEXT, event_scores


def build_gate(stage: Stage, symbols: Iterable[str]) -> Gate:
    """Return the gate of the parameters: the one that the bundle carries into live use."""
    trading = stage.trading
    return Gate(
        contracts=contracts_of(stage, symbols),
        entry=trading.entry.build(),
        bracket=stage.bracket.build(),
        rules=trading.rules.build(),
        drawdown_control=trading.drawdown_control.build(),
        costs=CostModel(**dict(stage.costs)),
        horizon=stage.labels.horizon,
    )


def read_backtest(stage: Stage) -> Backtest:
    """Return the out-of-sample predictions and the prices of the run, parsed and checked."""
    tables = read_tables("data/tables", ["funding", "mark_price"])
    wanted = read_json("data/feature_manifest.json")["model_features"]
    columns = list(dict.fromkeys(["symbol", "event_time", "available_time", *CONTEXT, *wanted]))
    fine_bars = read_fine_bars("data/tables")
    scores = event_scores(
        read_parquet("data/predictions.parquet"),
        read_parquet("data/labels.parquet"),
        read_parquet("data/event_features.parquet", columns=columns),
        wanted,
    )
    stage.say(f"{len(scores):,} scores of triggers, {len(fine_bars):,} fine bars")
    return Backtest.of(
        scores,
        fine_bars,
        tables.get("funding"),
        tables.get("mark_price"),
        initial_equity=stage.trading.initial_equity,
        decision_lag=stage.market.decision_lag,
        horizon=stage.labels.horizon,
        fine_bar_interval=stage.market.fine_bar_interval,
    )


def rules_without_their_table(stage: Stage) -> list[str]:
    """Return one sentence per rule of the gate that is on while its table is absent: it refuses every event."""
    held = {}
    for path in Path("data/tables").glob("*.parquet"):
        held[path.stem] = set(read_parquet(path, columns=["symbol"])["symbol"].astype(str))
    return list(starved_sentences(stage.trading, held, held.get("bars", set()) | held.get("fine_bars", set())))
