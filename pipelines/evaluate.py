"""Stage `evaluate`: metrics beside their controls, plots, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines._closure import ROOT
from pipelines._direction import write_direction_page
from pipelines._stage import EFFECTIVE, Stage, run
from pipelines._training import build_trainer
from slackwater.config import read_yaml
from slackwater.evidence.direction import traded_rows
from slackwater.evidence.power import FalsePromotions
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.trial_ledger import read_trials
from slackwater.evidence.trials import configuration_digest, count_trials
from slackwater.metrics.performance import account_summary
from slackwater.report.control_figures import control_drawings
from slackwater.report.curve_tables import write_curve_tables
from slackwater.report.figures import write_figures
from slackwater.run.judgement import judge
from slackwater.run.training import read_training_set
from slackwater.storage import read_json, read_parquet, write_report

PROMOTIONS = ROOT / "campaigns" / "promotions.json"
"""What `python -m campaigns.promotions` measured: how often the verdict is wrong."""

HEADLINE = {
    "dataset": "dataset",
    "verdict": "verdict",
    "events": "n_events",
    "direction_auc": "direction.auc",
    "direction_auc_low": "direction.auc_low",
    "direction_auc_raw": "direction.auc_raw",
    "direction_auc_price_only": "direction.auc_price_only",
    "hit_auc": "hit.auc",
    "trades": "backtest.n_trades",
    "net_usd": "backtest.net_usd",
    "profit_factor": "backtest.profit_factor",
    "max_drawdown": "backtest.max_drawdown",
    "unit_risk_trades": "backtest.unit_risk.n_trades",
    "unit_risk_net_bps": "backtest.unit_risk.net_bps_mean",
    "unit_risk_net_bps_low": "backtest.unit_risk.net_bps_low",
}
"""The numbers of ``data/reports/headline.json``, which ``dvc metrics show`` prints, and where the metrics hold them."""


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the main numbers; one that is not known, such as a mean of no trades, is None."""
    found: dict[str, Any] = {}
    for name, place in HEADLINE.items():
        value: Any = metrics
        for key in place.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        found[name] = value
    return found


def main(stage: Stage) -> None:
    """Write metrics, headline, verdict and the page of direction into ``data/reports``, and curves and plots."""
    synthetic, resampling = stage.dataset.synthetic, Resampling.of(stage.evaluation)
    training, trainer = read_training_set(), build_trainer(stage)
    predicted, controls = read_parquet("data/control_predictions.parquet"), read_json("data/reports/controls.json")
    predictions = read_parquet("data/predictions.parquet")
    scored = predictions.merge(predicted.drop(columns=["row", "fold"]), on=["symbol", "event_time"], validate="1:1")
    scored = scored.merge(training.labels, on=["symbol", "event_time"], validate="1:1")
    trades = {name: read_parquet(f"reports/{name}.parquet") for name in ("trades", "refusals", "equity")}
    sample = read_parquet("reports/unit_risk_trades.parquet")
    traded = scored[traded_rows(scored)]
    stage.say(f"{resampling.draws:,} bootstrap draws of {len(traded):,} events")
    name = stage.dataset.name
    (run,) = read_json("data/reports/trials.json")["trials"]
    trials = count_trials(
        read_trials("trials.jsonl"),
        sample,
        dataset=name,
        data_sha256=run["data_sha256"],
        params_sha256=configuration_digest(read_yaml(Path(EFFECTIVE))),
    )
    for sentence in trials.sentences:
        stage.say(sentence)
    judged = judge(
        scored,
        trades,
        sample,
        trials=trials,
        targets=trainer.targets,
        rules=stage.trading.rules,
        resampling=resampling,
        synthetic=synthetic,
        false_promotions=FalsePromotions.of(read_json(PROMOTIONS)),
    )
    metrics = {
        "dataset": name,
        "synthetic": synthetic,
        **judged.classification,
        "trade": judged.trade,
        "backtest": judged.backtest,
        "controls": controls["controls"],
        "n_trials": trials.count,
        "verdict": judged.verdict.name,
    }
    metrics["direction"] |= write_direction_page(stage, scored, training.labels, resampling)
    metrics["effective_n"] = metrics["direction"]["by_trigger"]["all"]["effective_n"]
    # The account beside the clauses: the bundle carries both, and `slackwater inspect` prints both.
    account = account_summary(trades["trades"], trades["equity"])
    write_report(metrics, "data/reports/metrics.json")
    write_report(headline(metrics), "data/reports/headline.json")
    write_report(judged.verdict.to_dict() | {"account": account}, "data/reports/verdict.json")
    market = f"{stage.dataset.name}{', SYNTHETIC market' if synthetic else ''}"
    known = traded[traded[["y_direction", "p_direction"]].notna().all(axis=1)]
    write_curve_tables("reports/curves", scored=known, equity=trades["equity"], sample=sample, market=market)
    write_figures(
        "reports/plots",
        scored=traded,
        equity=trades["equity"],
        sample=sample,
        targets=trainer.targets,
        models="models/fitted",
        more=control_drawings(controls),
        title=market,
    )
    if warning := metrics["trade"].get("against_direction", {}).get("warning"):
        stage.say(f"warning: {warning}")
    stage.say(judged.verdict.sentence)
    stage.say(judged.verdict.power)


if __name__ == "__main__":
    run("evaluate", main)
