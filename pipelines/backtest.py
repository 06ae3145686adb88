"""Stage `backtest`: paper trading of the test blocks through the gate that live trading uses."""

from __future__ import annotations

from pipelines._stage import Stage, run
from pipelines._trading import build_gate, read_backtest, rules_without_their_table
from slackwater.metrics.performance import account_summary
from slackwater.report.account_page import account_sentence, refusal_sentence
from slackwater.run.trading import trade_test_blocks
from slackwater.storage import write_json_lines, write_parquet


def main(stage: Stage) -> None:
    """Write the ledger, the equity, the exposure and the unit-risk trades into ``reports``."""
    backtest = read_backtest(stage)
    gate = build_gate(stage, backtest.symbols)
    for sentence in rules_without_their_table(stage):
        stage.say(f"warning: {sentence}")
    progress, at_unit_risk = stage.progress("events"), stage.progress("events at unit risk")
    result, sample = trade_test_blocks(backtest, gate, progress=progress, at_unit_risk=at_unit_risk)
    stage.say(f"{len(result.trades):,} trades, {len(sample):,} at unit risk, all within the hard limits")
    mark = "SYNTHETIC market, " if stage.dataset.synthetic else ""
    stage.say(f"{mark}{account_sentence(account_summary(result.trades, result.equity))}")
    stage.say(refusal_sentence(result.refusals, result.trades))
    write_parquet(result.trades, "reports/trades.parquet")
    write_parquet(result.refusals, "reports/refusals.parquet")
    write_parquet(result.equity, "reports/equity.parquet")
    write_parquet(result.exposure, "reports/exposure.parquet")
    write_parquet(sample, "reports/unit_risk_trades.parquet")
    write_json_lines((decision.to_dict() for decision in result.decisions), "reports/journal.jsonl")


if __name__ == "__main__":
    run("backtest", main)
