"""Stage `sensitivity`: the same trades under other costs, sizes, leverage, venues and rules."""

from __future__ import annotations

from pipelines._stage import Stage, run
from pipelines._trading import build_gate, read_backtest, rules_without_their_table
from slackwater.evidence.ablation import drawdown_ablation, rule_ablation
from slackwater.evidence.cost_sensitivity import capacity_curve, cost_curve
from slackwater.evidence.evaluation import Resampling
from slackwater.evidence.leverage import counterfactuals, leverage_curve
from slackwater.evidence.ruin import ruin_curve
from slackwater.evidence.stress import stress_losses
from slackwater.evidence.venues import comparable_venues, venue_comparison
from slackwater.metrics.performance import account_summary
from slackwater.report.account_page import account_section
from slackwater.report.trading_figures import write_trading_figures
from slackwater.report.trading_page import trading_page
from slackwater.storage import atomic_file, read_parquet, write_report
from slackwater.trading.ledger import ClosedTrade, trades_table

DEPTH_FRACTION = 0.02  # of the capacity curve where the rule itself is off


def main(stage: Stage) -> None:
    """Write ``data/reports/sensitivity.json``, ``data/reports/trading.md`` and ``reports/trading_plots``."""
    evaluation, name = stage.evaluation, stage.dataset.name
    resampling = Resampling(**dict(evaluation))
    gate, backtest = build_gate(stage), read_backtest(stage)
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
    stage.say("rule by rule")
    rules, accounts = stage.progress("gates"), stage.progress("accounts")
    tables["rules"] = rule_ablation(backtest, gate, resampling, configured=trades, progress=rules)
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
    with atomic_file("data/reports/trading.md") as path:
        path.write_text(trading_page(title, top, tables, unknown, notes=_notes(trades)), encoding="utf-8")
    write_trading_figures(
        "reports/trading_plots",
        equity=equity,
        trades=account,
        exposure=read_parquet("reports/exposure.parquet"),
        sample=sample,
        title=title,
        **{key: tables[key] for key in ("cost", "capacity", "leverage", "counterfactual", "ruin", "venues")},
    )


def _notes(trades: list[ClosedTrade]) -> list[str]:
    """Return what a reader must know before the tables."""
    if not trades:
        return ["No trade was taken out of sample: the tables about trades are empty, and nothing can be concluded."]
    unknown = sum(not trade.funding_known for trade in trades)
    if not unknown:
        return []
    return [f"The funding of {unknown:,} of {len(trades):,} trades is not known: results contain none for them."]


if __name__ == "__main__":
    run("sensitivity", main)
