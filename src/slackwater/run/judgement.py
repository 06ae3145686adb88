"""The metrics of a run and the verdict on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from slackwater.evidence.direction import traded_rows
from slackwater.evidence.drift import over_drift
from slackwater.evidence.evaluation import classification_metrics, trade_odds_metrics, trading_metrics
from slackwater.evidence.power import FalsePromotions
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.trials import CountedTrials
from slackwater.evidence.verdict import Verdict, verdict
from slackwater.models.targets import Target

__all__ = ["Judgement", "judge"]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Metrics by part, as ``reports/metrics.json`` holds them, and the verdict."""

    classification: dict[str, Any]
    trade: dict[str, Any]
    backtest: dict[str, Any]
    verdict: Verdict


def judge(
    scored: pd.DataFrame,
    account: Mapping[str, pd.DataFrame],
    unit_risk: pd.DataFrame,
    *,
    trials: CountedTrials,
    targets: Sequence[Target],
    rules: Any,
    resampling: Resampling,
    synthetic: bool,
    false_promotions: FalsePromotions | None = None,
) -> Judgement:
    """Measure a run and judge it.

    Parameters
    ----------
    scored
        One row per event of the test blocks: predictions, those of
        `slackwater.evidence.baselines.control_predictions`, and labels.
    account
        The tables ``trades``, ``refusals`` and ``equity`` of the backtest.
    unit_risk
        The trades at unit risk.
    trials
        What was tried on these data, the run among it.
    targets
        Targets of the models.
    rules
        ``min_expectancy`` and ``min_reward_risk`` of the gate.
    resampling
        Block bootstrap of the intervals.
    synthetic
        Whether the data were simulated.
    false_promotions
        How often the verdict finds an edge where there is none.
    """
    traded = scored[traded_rows(scored)]
    classification = classification_metrics(traded, resampling, targets)
    backtest = trading_metrics(account["trades"], account["refusals"], account["equity"], unit_risk, resampling)
    backtest["unit_risk"] |= over_drift(unit_risk, scored, resampling)
    trade = trade_odds_metrics(
        traded, min_expectancy=rules.min_expectancy, min_reward_risk=rules.min_reward_risk, resampling=resampling
    )
    judged = verdict(
        classification,
        backtest,
        unit_risk,
        n_trials=trials.count,
        synthetic=synthetic,
        suggested=trade,
        trial_returns=trials.returns,
        false_promotions=false_promotions,
    )
    return Judgement(classification=classification, trade=trade, backtest=backtest, verdict=judged)
