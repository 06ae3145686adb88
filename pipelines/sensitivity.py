"""Stage `sensitivity`: what the same trades would have earned otherwise, and what each rule is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines._stage import Stage, run
from pipelines._trading import backtest_inputs
from slackwater.evidence.ablation import drawdown_ablation, rule_ablation
from slackwater.evidence.evaluation import Resampling
from slackwater.evidence.sensitivity import capacity_curve, cost_curve, counterfactuals, leverage_curve, ruin_curve
from slackwater.evidence.stress import stress_losses
from slackwater.evidence.venues import venue_comparison
from slackwater.market.contracts import Contract, venue_contracts
from slackwater.market.venues import EXCHANGES
from slackwater.report.trading_figures import write_trading_figures
from slackwater.report.trading_page import trading_page
from slackwater.storage import atomic_file, read_parquet, write_json
from slackwater.trading.backtest import constant_risk_trades
from slackwater.trading.ledger import trades_table
from slackwater.trading.price_path import price_paths

DEPTH_FRACTION = 0.02  # of the capacity curve where the rule itself is off
VENUE_FACTS = [
    "venue",
    "taker_fee_bps",
    "half_spread_bps",
    "relative_depth",
    "funding_interval_hours",
    "confirmed",
    "assumed",
]


def main(stage: Stage) -> None:
    """Write ``reports/sensitivity.json``, ``reports/trading.md`` and ``reports/trading_plots``."""
    evaluation, name = stage.evaluation, stage.dataset.name
    resampling = Resampling(draws=evaluation.bootstrap_draws, mean_block=evaluation.mean_block, seed=evaluation.seed)
    inputs = backtest_inputs(stage)
    gate, horizon = inputs["gate"], inputs["horizon"]
    trades = constant_risk_trades(**inputs, progress=stage.progress("events at constant risk"))
    account = read_parquet("reports/trades.parquet")
    sample = trades_table(trades)
    paths = price_paths(inputs["fine_bars"], inputs["funding"], inputs["scores"]["symbol"], mark=inputs["mark"])
    drawn = {"mean_block": resampling.mean_block, "seed": resampling.seed}
    depth_fraction = gate.rules.depth_fraction or DEPTH_FRACTION
    venues, unknown = comparable_venues(stage.dataset.venue, gate.contracts, sorted(set(sample["symbol"])))
    for line in unknown:
        stage.say(f"left out of the comparison: {line}")
    stage.say(f"{len(trades):,} trades at constant risk: costs, capacity, leverage, levels, ruin, venues, stress")
    tables = {
        "cost": cost_curve(trades, resampling),
        "capacity": capacity_curve(trades, gate.costs, gate.contracts, resampling, depth_fraction=depth_fraction),
        "leverage": leverage_curve(trades, paths, gate.contracts, horizon),
        "counterfactual": counterfactuals(trades, paths, horizon, resampling),
        "ruin": ruin_curve(account, **drawn),
        "ruin_without_limits": ruin_curve(sample, **drawn),
        "venues": venue_comparison(trades, gate.costs, venues, paths, resampling),
        "stress": stress_losses(trades, paths, horizon),
    }
    stage.say("rule by rule")
    tables["rules"] = rule_ablation(**inputs, resampling=resampling, progress=stage.progress("gates"))
    tables["drawdown_control"] = drawdown_ablation(**inputs, progress=stage.progress("accounts"))
    title = f"{name}{', SYNTHETIC market' if stage.dataset.synthetic else ''}"
    write_json(
        {"dataset": name, "synthetic": stage.dataset.synthetic}
        | {key: table.to_dict("records") for key, table in tables.items()},
        "reports/sensitivity.json",
    )
    with atomic_file("reports/trading.md") as path:
        path.write_text(trading_page(title, sections(tables, unknown)), encoding="utf-8")
    write_trading_figures(
        "reports/trading_plots",
        equity=read_parquet("reports/equity.parquet"),
        trades=account,
        exposure=read_parquet("reports/exposure.parquet"),
        sample=sample,
        title=title,
        **{key: tables[key] for key in ("cost", "capacity", "leverage", "counterfactual", "ruin", "venues")},
    )


def comparable_venues(
    own: str, contracts: Mapping[str, Contract], symbols: Sequence[str]
) -> tuple[dict[str, Mapping[str, Contract]], list[str]]:
    """Return the venues whose facts are known for every symbol, the own one first, and why others are left out."""
    venues, unknown = {own: contracts}, []
    for venue in EXCHANGES:
        facts = venue_contracts(venue)
        lacking = [symbol for symbol in symbols if symbol not in facts]
        if lacking and venue != own:
            unknown.append(f"{venue}, whose facts of {', '.join(lacking)} are not built in")
        else:
            venues.setdefault(venue, facts)
    return venues, unknown


def sections(tables: dict[str, Any], unknown: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Return the tables under their headings, each with what to look for, and which venues could not be compared."""
    venues = tables["venues"]
    left_out = f" Left out: {'; '.join(unknown)}." if unknown else ""
    return {
        "Costs": (
            "The trades at constant risk when costs are a multiple of what was assumed; funding stays.",
            tables["cost"],
        ),
        "Capacity": (
            "The same trades at one notional each (USDT). Results are basis points of notional, a trade.",
            tables["capacity"],
        ),
        "Leverage": (
            "Who is knocked out before the reversal that the models predict (one standard deviation over the horizon). "
            "With its stop a trade does not notice leverage until the liquidation price comes before the stop; without "
            "one the margin is the risk, and one R is the margin.",
            tables["leverage"],
        ),
        "Stop and target": (
            "The same trades without the one, the other, and both. Where the interval of a difference lies above 0, "
            "what was taken away costs money on these data.",
            tables["counterfactual"],
        ),
        "Ruin": (
            "How likely a fall by `drawdown` within `years` is, by the share of equity risked in a trade: the trades "
            "of the account, each at that share, without throttle and Kelly cap. What its halts refused stays refused. "
            "Returns compound as if size did not matter.",
            tables["ruin"],
        ),
        "Ruin without position limits": (
            "The same if every plan were taken, also several of a symbol at once.",
            tables["ruin_without_limits"],
        ),
        "Venues": (
            "The same trades at the costs of each venue, basis points of notional a trade; `n_common` are those that "
            "every venue takes. What the facts below hold equal, such as spread and depth, is a placeholder, and "
            f"differs here in nothing.{left_out}",
            venues.drop(columns=[name for name in VENUE_FACTS if name != "venue"]),
        ),
        "Venues: the facts": ("What is `assumed` has no dated answer of the venue behind it.", venues[VENUE_FACTS]),
        "Adversarial paths": (
            "Realised over planned loss when the path turns against every trade the moment it is filled. `severity` is "
            "a fraction of price (of the stop distance in `gap_beyond_stop`), or the funding rate of a settlement; the "
            "last column must be 0. A stop does not cap a loss at 2 %.",
            tables["stress"],
        ),
        "Rules, one by one": (
            "The gate with one rule the other way round, on the same events; `difference_bps` is per event, with the "
            "rule less without it, and `helps` says whether its interval lies above 0. A rule that only makes "
            "positions smaller can add trades: those that impact makes too dear at the larger size.",
            tables["rules"],
        ),
        "Drawdown control, rule by rule": (
            "The account with one rule of drawdown control off.",
            tables["drawdown_control"],
        ),
    }


if __name__ == "__main__":
    run("sensitivity", main)
