"""False positives on simulated markets in which nothing can be predicted (signal 0): the trade rule, and direction.

SYNTHETIC markets. Run it with ``make campaigns``; it takes some minutes per seed, goes on where it was stopped, and
writes its result, with a digest of the parameters that it holds for, to ``campaigns/null_gate.json``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from campaigns.default_run import over_markets, parameters_digest, trainer_of, training_set
from slackwater.config import Params, load_params
from slackwater.durations import duration_name
from slackwater.evidence.direction import DirectionReport, rows_by_trigger
from slackwater.evidence.evaluation import Resampling, expected_value_at_reference
from slackwater.models.horizons import predict_horizons, reported_horizons
from slackwater.models.targets import TARGETS
from slackwater.models.training import TrainingSet
from slackwater.storage import write_report

SEEDS = tuple(range(1, 11))
GOAL = 0.05
MOST_STANDARD_ERRORS = 3.0
DIRECTION, TRADE = (next(target for target in TARGETS if target.name == name) for name in ("direction", "trade"))
OUT = Path(__file__).with_suffix(".json")


def passing(params: Params, training: TrainingSet, *, seed: int, signal: float) -> dict[str, Any]:
    """Return how many test events pass the rule on expected value at the reference size, and their results."""
    edges = replace(trainer_of(params), targets=(TRADE,)).predict_out_of_fold(training)
    labels = training.labels.iloc[edges["row"]].reset_index(drop=True)
    rules = params.trading.rules
    expected = expected_value_at_reference(labels.assign(trade_edge_low=edges["trade_edge_low"].to_numpy()))
    passed = (expected > rules.min_expectancy) & (labels["reward_risk"] >= rules.min_reward_risk)
    earned = labels.loc[passed, "net_r"]
    return {
        "seed": seed,
        "signal": signal,
        "events": len(edges),
        "passed": int(passed.sum()),
        "share": float(passed.mean()),
        "net_r_mean_of_passed": float(earned.mean()) if len(earned) else None,
        "net_r_mean_of_all": float(labels["net_r"].mean()),
    }


def directions(params: Params, training: TrainingSet, *, seed: int) -> list[dict[str, Any]]:
    """Return the AUC of direction at every horizon for every trigger, with its distance from .5 in standard errors."""
    trainer = trainer_of(params)
    predicted = replace(trainer, targets=(DIRECTION,)).predict_out_of_fold(training)
    predicted = predicted.join(predict_horizons(training, trainer), on="row")
    scored = predicted.merge(training.labels, on=["symbol", "event_time"], validate="1:1")
    report = DirectionReport(
        headline=duration_name(params.labels.horizon),
        symbol_correlation=params.labels.symbol_correlation,
        resampling=Resampling(draws=100),
    )
    rows = []
    for horizon in ["", *reported_horizons(scored.columns)]:
        for trigger, chosen in rows_by_trigger(scored).items():
            found = report.metrics(scored[chosen], horizon)
            error = (found["smallest_visible_auc"] - 0.5) / 3.0
            rows.append(
                {
                    "seed": seed,
                    "horizon": horizon or report.headline,
                    "trigger": trigger,
                    **{name: found[name] for name in ("n", "effective_n", "auc_raw", "auc")},
                    "standard_errors": (found["auc"] - 0.5) / error,
                }
            )
    return rows


def markets(params: Params) -> list[dict[str, Any]]:
    """Return the settings of the markets: ten without a signal, and two with that of the default one, to compare."""
    signals = [*[(seed, 0.0) for seed in SEEDS], *[(seed, params.dataset.simulate.signal) for seed in SEEDS[:2]]]
    return [{"seed": seed, "signal": signal} for seed, signal in signals]


def measured(params: Params, market: dict[str, Any]) -> dict[str, Any]:
    """Return how many events of a market pass, and without a signal also the AUCs of direction."""
    training, _ = training_set(params, **market)
    found = passing(params, training, **market)
    return found | {"directions": directions(params, training, seed=market["seed"]) if not market["signal"] else []}


def main() -> None:
    """Run all seeds and write the result."""
    params = load_params()
    found = over_markets(
        measured, params, markets(params), campaign=Path(__file__), describe=lambda each: f"{each['share']:.2%} pass"
    )
    auc_rows = [row for each in found for row in each.pop("directions")]
    rows = found
    shares = pd.DataFrame(rows).query("signal == 0.0")["share"]
    worst, mean = float(np.max(shares)), float(np.mean(shares))
    answer = {"synthetic": True, "goal": GOAL, "mean_share": mean, "worst_share": worst, "markets": rows}
    direction = summary(pd.DataFrame(auc_rows))
    answer |= {"direction": direction, "directions": auc_rows}
    write_report(answer | {"parameters_sha256": parameters_digest(params)}, OUT)
    sys.stdout.write(f"mean {mean:.2%}, worst {worst:.2%}, goal at most {GOAL:.0%}: {OUT.name}\n")
    sys.stdout.write(
        f"direction: {direction['beyond']} of {direction['tests']} AUCs are more than {MOST_STANDARD_ERRORS:g} "
        f"standard errors from .5; chance gives up to {direction['beyond_by_chance']}\n"
    )


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Return how many of the AUCs lie too far from .5, beside the number that chance exceeds in 1 % of such tables."""
    distance = rows["standard_errors"].abs()
    known = distance.dropna()
    return {
        "tests": len(known),
        "beyond": int((known > MOST_STANDARD_ERRORS).sum()),
        "beyond_by_chance": int(binom.ppf(0.99, len(known), 2.0 * norm.sf(MOST_STANDARD_ERRORS))),
        "worst": rows.loc[known.idxmax()].to_dict() if len(known) else None,
    }


if __name__ == "__main__":
    main()
