"""What passes in a market in which nothing can be predicted: the trade rule, and direction (SYNTHETIC)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pandas as pd
from scipy.stats import binom, norm

from campaigns.default_run import trainer_of
from slackwater.config import Params
from slackwater.durations import duration_name
from slackwater.evidence.direction import DirectionReport, rows_by_trigger, traded_rows
from slackwater.evidence.evaluation import expected_value_at_reference
from slackwater.evidence.resampling import Resampling
from slackwater.models.horizons import predict_horizons, reported_horizons
from slackwater.models.kinds import KINDS
from slackwater.models.targets import HEADLINE, TARGETS
from slackwater.models.training import TrainingSet

MOST_PASSING: Final = 0.05
"""Share of the events of a market without a signal that may pass the rule of expected value."""
_MOST_STANDARD_ERRORS: Final = 3.0
(_TRADE,) = (target for target in TARGETS if target.lower_bound)


def passing(params: Params, training: TrainingSet) -> dict[str, Any]:
    """Return how many traded events pass the rule on expected value at the reference size, and their results."""
    edges = replace(trainer_of(params), targets=(_TRADE,)).predict_out_of_fold(training)
    labels = training.labels.iloc[edges["row"]].assign(trade_edge_low=edges["trade_edge_low"].to_numpy())
    labels = labels[traded_rows(labels)]
    rules = params.trading.rules
    passed = expected_value_at_reference(labels) > rules.min_expectancy
    passed &= labels["reward_risk"] >= rules.min_reward_risk
    earned = labels.loc[passed, "net_r"]
    return {
        "events": len(labels),
        "passed": int(passed.sum()),
        "share": float(passed.mean()),
        "net_r_mean_of_passed": float(earned.mean()) if len(earned) else None,
        "net_r_mean_of_all": float(labels["net_r"].mean()),
    }


def directions(params: Params, training: TrainingSet) -> list[dict[str, Any]]:
    """Return the AUC of direction of every kind of model at every horizon for every trigger.

    Each stands beside its distance from .5 in standard errors.
    """
    trainer = replace(trainer_of(params), targets=(HEADLINE,))
    report = DirectionReport(
        headline=duration_name(params.labels.horizon),
        symbol_correlation=params.labels.symbol_correlation,
        resampling=Resampling(draws=100),
    )
    rows = []
    for kind in KINDS:
        of_kind = replace(trainer, model=replace(trainer.model, kind=kind))
        predicted = of_kind.predict_out_of_fold(training)
        predicted = predicted.join(predict_horizons(training, of_kind), on="row")
        scored = predicted.merge(training.labels, on=["symbol", "event_time"], validate="1:1")
        for horizon in ["", *reported_horizons(scored.columns)]:
            for trigger, chosen in rows_by_trigger(scored).items():
                found = report.metrics(scored[chosen], horizon)
                error = (found["smallest_visible_auc"] - 0.5) / 3.0
                rows.append(
                    {
                        "model": kind,
                        "horizon": horizon or report.headline,
                        "trigger": trigger,
                        **{name: found[name] for name in ("n", "effective_n", "auc_raw", "auc")},
                        "standard_errors": (found["auc"] - 0.5) / error,
                    }
                )
    return rows


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Return how many of the AUCs lie too far from .5, beside the number that chance exceeds in 1 % of such tables."""
    distance = rows["standard_errors"].abs()
    known = distance.dropna()
    return {
        "tests": len(known),
        "beyond": int((known > _MOST_STANDARD_ERRORS).sum()),
        "beyond_by_chance": int(binom.ppf(0.99, len(known), 2.0 * norm.sf(_MOST_STANDARD_ERRORS))),
        "worst": rows.loc[known.idxmax()].to_dict() if len(known) else None,
    }
