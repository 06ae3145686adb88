"""Stage `sensitivity`: the same trades under other costs, sizes, leverage, venues and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines._contracts import assumed_alike
from pipelines._stage import Stage, run
from pipelines._trading import build_gate, read_backtest, rules_without_their_table
from slackwater.evidence.ablation import drawdown_ablation, rule_ablation
from slackwater.evidence.brackets import bracket_table, result_table, suggested_trades, trigger_table
from slackwater.evidence.cost_sensitivity import capacity_curve, cost_curve
from slackwater.evidence.leverage import counterfactuals, leverage_curve
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.ruin import ruin_curve
from slackwater.evidence.stress import stress_losses
from slackwater.evidence.venues import comparable_venues, venue_comparison
from slackwater.labels.trades import TradeRules
from slackwater.metrics.performance import account_summary
from slackwater.report.account_page import account_section, power_sentence
from slackwater.report.trading_figures import write_trading_figures
from slackwater.report.trading_page import trading_page
from slackwater.storage import atomic_file, read_parquet, write_report
from slackwater.trading.ledger import ClosedTrade, trades_table

DEPTH_FRACTION = 0.02  # of the capacity curve where the rule itself is off


def main(stage: Stage) -> None:
    """Write ``data/reports/sensitivity.json``, ``data/reports/trading.md`` and ``reports/trading_plots``."""
    evaluation, name = stage.evaluation, stage.dataset.name
    resampling = Resampling.of(evaluation)
    backtest = read_backtest(stage)
    gate = build_gate(stage, backtest.symbols)
    paths, horizon, contracts = backtest.paths, backtest.horizon, gate.contracts
    # The ledger holds flat rows; the curves need the plans.
    trades = backtest.unit_risk_trades(gate, progress=stage.progress("events at unit risk"))
    account, equity = read_parquet("reports/trades.parquet"), read_parquet("reports/equity.parquet")
    sample = trades_table(trades)
    depth_fraction = gate.rules.depth_fraction or DEPTH_FRACTION
    venues, unknown = comparable_venues(stage.dataset.venue, contracts, sorted(set(sample["symbol"])))
    for line in unknown:
        stage.say(f"left out of the comparison: {line}")
    stage.say(f"{len(trades):,} unit-risk trades: costs, capacity, leverage, levels, ruin, venues, stress")
    tables = {
        "cost": cost_curve(trades, resampling),
        "capacity": capacity_curve(trades, gate.costs, contracts, resampling, depth_fraction=depth_fraction),
        "leverage": leverage_curve(trades, paths, contracts, horizon),
        "counterfactual": counterfactuals(trades, paths, horizon, resampling),
        "ruin": ruin_curve(account, mean_block=evaluation.mean_block, seed=evaluation.seed),
        "ruin_without_limits": ruin_curve(sample, mean_block=evaluation.mean_block, seed=evaluation.seed),
        "venues": venue_comparison(trades, gate.costs, venues, paths, resampling),
        "stress": stress_losses(trades, paths, horizon),
    }
    stage.say("brackets")
    trade = TradeRules(
        contracts=contracts,
        bracket=gate.bracket,
        costs=gate.costs,
        reference_notional_usd=stage.labels.reference_notional_usd,
    )
    suggested = suggested_trades(backtest, trade, progress=stage.progress("events under every bracket"))
    labels = read_parquet("data/labels.parquet", columns=["symbol", "event_time", "triggers"])
    tables |= {
        "triggers": trigger_table(suggested, labels, resampling),
        "brackets": bracket_table(suggested),
        "bracket_results": result_table(suggested, resampling),
    }
    del suggested, labels  # not held beside the accounts
    stage.say("rule by rule")
    tables["rules"] = rule_ablation(
        backtest,
        gate,
        resampling,
        configured=trades,
        at_trades=stage.progress("events under every gate"),
        progress=stage.progress("gates"),
    )
    accounts = stage.progress("accounts")
    tables["drawdown_control"] = drawdown_ablation(backtest, gate, configured=equity, progress=accounts)
    stage.say("writing reports/trading.md and its plots")
    title = f"{name}{', SYNTHETIC market' if stage.dataset.synthetic else ''}"
    write_report(
        {"dataset": name, "synthetic": stage.dataset.synthetic}
        | {key: table.to_dict("records") for key, table in tables.items()},
        "data/reports/sensitivity.json",
    )
    top = account_section(
        account_summary(account, equity),
        account,
        sample,
        read_parquet("reports/refusals.parquet"),
        rules_without_their_table(stage),
    )
    notes = _notes(trades, tables["triggers"].iloc[0].to_dict())
    with atomic_file("data/reports/trading.md") as path:
        path.write_text(
            trading_page(title, top, tables, unknown, notes=assumed_alike(stage, backtest.symbols) + notes),
            encoding="utf-8",
        )
    write_trading_figures(
        "reports/trading_plots",
        equity=equity,
        trades=account,
        exposure=read_parquet("reports/exposure.parquet"),
        sample=sample,
        title=title,
        **{key: tables[key] for key in ("cost", "capacity", "leverage", "counterfactual", "ruin", "venues")},
    )


def _notes(trades: list[ClosedTrade], suggested: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before the tables: what could have been seen, and what is not known.

    `suggested` is the row of every event in the table of suggested trades.
    """
    notes = []
    if not trades:
        notes.append("The gate accepted no trade out of sample: the tables about accepted trades hold nothing.")
    if suggested["n_trades"]:
        notes.append(f"{power_sentence(len(trades), suggested)}.")
    unknown = sum(not trade.funding_known for trade in trades)
    if unknown:
        notes.append(
            f"The funding of {unknown:,} of {len(trades):,} trades is not known: results contain none for them."
        )
    return notes


if __name__ == "__main__":
    run("sensitivity", main)
