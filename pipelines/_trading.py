"""The gate and the backtest of the parameters, shared by the stages `backtest` and `sensitivity`."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines._contracts import contracts_of
from pipelines._stage import Stage
from slackwater.report.account_page import starved_sentences
from slackwater.run import trading as run_trading
from slackwater.run.trading import gate_of
from slackwater.storage import finest_bars, read_parquet
from slackwater.symbol_tables import SymbolTables
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate


def build_gate(stage: Stage, symbols: Iterable[str]) -> Gate:
    """Return the gate of the parameters: the one that the bundle carries into live use."""
    return gate_of(
        contracts_of(stage, symbols),
        trading=stage.trading,
        bracket=stage.bracket,
        costs=stage.costs,
        horizon=stage.labels.horizon,
    )


def read_backtest(stage: Stage) -> Backtest:
    """Return the out-of-sample predictions and the prices of the run, parsed and checked."""
    backtest = run_trading.read_backtest(
        read_parquet("data/predictions.parquet"),
        initial_equity=stage.trading.initial_equity,
        decision_lag=stage.market.decision_lag,
        horizon=stage.labels.horizon,
        families=stage.model.families,
        fine_bar_interval=stage.market.fine_bar_interval,
    )
    bars = SymbolTables("data/tables", [finest_bars("data/tables").stem]).rows
    stage.say(f"{len(backtest.events):,} scores of triggers, {bars:,} fine bars")
    return backtest


def rules_without_their_table(stage: Stage) -> list[str]:
    """Return one sentence per rule of the gate that is on while its table is absent: it refuses every event."""
    tables = SymbolTables("data/tables")
    held = {name: set(tables.with_rows(name)) for name in tables.names}
    return list(starved_sentences(stage.trading, held, held.get("bars", set()) | held.get("fine_bars", set())))
