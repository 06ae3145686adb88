"""The gate of a run, and the backtest of its out-of-sample predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.market.contracts import Contract
from slackwater.run.features import read_features
from slackwater.run.prices import PathsOnDisk
from slackwater.storage import read_parquet, read_parquet_parts
from slackwater.trading.backtest import Backtest, BacktestResult, Progress
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import trades_table
from slackwater.trading.limit_checks import limit_violations, require_limits
from slackwater.trading.score import CONTEXT, event_scores, score_context

__all__ = ["gate_of", "read_backtest", "trade_test_blocks"]


def gate_of(contracts: Mapping[str, Contract], *, trading: Any, bracket: Any, costs: Any, horizon: timedelta) -> Gate:
    """Return the gate of sections of the parameters (`slackwater.config.Params`), for some contracts by symbol."""
    return Gate(
        contracts=contracts,
        entry=trading.entry.build(),
        bracket=bracket.build(),
        rules=trading.rules.build(),
        drawdown_control=trading.drawdown_control.build(),
        costs=CostModel(**dict(costs)),
        horizon=horizon,
    )


def read_backtest(
    predictions: pd.DataFrame,
    *,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    fine_bar_interval: timedelta,
    families: Collection[str] | None,
    data: str | Path = "data",
) -> Backtest:
    """Return predictions and the prices of the run in a directory, parsed and checked.

    Parameters
    ----------
    predictions
        What `slackwater.run.training.predict_test_blocks` returns.
    initial_equity, decision_lag, horizon, fine_bar_interval
        As for `slackwater.trading.backtest.Backtest.of`.
    families
        Families that the models read (`slackwater.models.parameters.ModelParameters`).
    data
        Directory with the labels, the features of the events and ``tables``.

    Raises
    ------
    DataError
        If a file is missing or damaged, or a prediction is in sample.
    """
    root = Path(data)
    wanted = [each.name for each in read_features(root, families)]
    columns = list(dict.fromkeys(["symbol", "event_time", "available_time", *CONTEXT, *wanted]))
    parts = read_parquet_parts(root / "event_features.parquet", columns)
    context = pd.concat([score_context(part, wanted) for part in parts], ignore_index=True)
    names = ["symbol", "event_time", "direction", "triggers", "trades"]
    return Backtest.of(
        event_scores(predictions, read_parquet(root / "labels.parquet", columns=names), context),
        PathsOnDisk(root / "tables"),
        initial_equity=initial_equity,
        decision_lag=decision_lag,
        horizon=horizon,
        fine_bar_interval=fine_bar_interval,
    )


def trade_test_blocks(
    backtest: Backtest, gate: Gate, *, progress: Progress | None = None, at_unit_risk: Progress | None = None
) -> tuple[BacktestResult, pd.DataFrame]:
    """Return the account of a backtest and its sample of trades at unit risk, which keep every hard limit.

    Parameters
    ----------
    backtest, gate
        Events and prices, and the gate that they pass.
    progress, at_unit_risk
        Called with (events done, events in all), for the account and for the sample.

    Raises
    ------
    SlackwaterError
        If a trade broke a hard limit (`slackwater.trading.limit_checks.require_limits`).
    """
    # In this order: most trades of the account are in the sample, whose prices are then at hand.
    sample = trades_table(backtest.unit_risk_trades(gate, progress=at_unit_risk))
    result = backtest.run(gate, progress=progress)
    for trades in (result.trades, sample):
        require_limits(limit_violations(trades, result.exposure, gate.contracts))
    return result, sample
