"""Stage `backtest`: trade the test blocks on paper, through the gate that live trading uses."""

from __future__ import annotations

from pipelines._stage import Stage, run
from pipelines._trading import backtest_inputs
from slackwater.storage import write_json_lines, write_parquet
from slackwater.trading.backtest import constant_risk_trades, run_backtest
from slackwater.trading.ledger import trades_table
from slackwater.trading.limit_checks import limit_violations, require_limits


def main(stage: Stage) -> None:
    """Write the ledger, the equity, the exposure and the sample at constant risk into ``reports``."""
    inputs = backtest_inputs(stage)
    result = run_backtest(**inputs, progress=stage.progress("events"))
    sample = constant_risk_trades(**inputs, progress=stage.progress("events at constant risk"))
    contracts = inputs["gate"].contracts
    for trades in (result.trades, trades_table(sample)):
        require_limits(limit_violations(trades, result.exposure, contracts))
    stage.say(f"{len(result.trades):,} trades, {len(sample):,} at constant risk, every rule kept by each")
    write_parquet(result.trades, "reports/trades.parquet")
    write_parquet(result.refusals, "reports/refusals.parquet")
    write_parquet(result.equity, "reports/equity.parquet")
    write_parquet(result.exposure, "reports/exposure.parquet")
    write_parquet(trades_table(sample), "reports/constant_risk_trades.parquet")
    write_json_lines((decision.to_dict() for decision in result.decisions), "reports/journal.jsonl")


if __name__ == "__main__":
    run("backtest", main)
