"""What a score must show before a trade is even sized: an event, a probability, fresh and complete features.

Two more rules stand ready and are off by default, as long as no ablation has shown that they help: do not fade a
clear trend, and wait for a swept level.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from slackwater.errors import ParameterError
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score

__all__ = ["EntryRules", "entry_reasons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRules:
    """Conditions on a score.

    Parameters
    ----------
    probability_threshold
        Smallest calibrated direction probability that is traded, in [0, 1]; 0 asks for none. It opens the gate
        and never enters the size: it is not the probability that the plan's own stop, target and time exit pay.
    max_score_age
        Age of the bar's close beyond which a score is stale, > 0; None turns the rule off.
    complete_features, in_range_features
        Refuse scores that lack features they should have; that were made from values outside of what the models
        have learned from.
    max_trend_efficiency
        Do not fade a trend whose efficiency over 72 h exceeds this, in [0, 1]; None turns the rule off.
    require_sweep
        Refuse events without a swept level on the losing side within 24 h.

    Raises
    ------
    ParameterError
        If a value is outside of its range.
    """

    probability_threshold: float = 0.55
    max_score_age: timedelta | None = timedelta(minutes=5)
    complete_features: bool = True
    in_range_features: bool = True
    max_trend_efficiency: float | None = None
    require_sweep: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability_threshold <= 1.0:
            raise ParameterError(f"`probability_threshold` must be in [0, 1], was {self.probability_threshold}")
        if self.max_score_age is not None and not self.max_score_age > timedelta(0):
            raise ParameterError(f"`max_score_age` must be positive, was {self.max_score_age}")
        if self.max_trend_efficiency is not None and not 0.0 <= self.max_trend_efficiency <= 1.0:
            raise ParameterError(f"`max_trend_efficiency` must be in [0, 1], was {self.max_trend_efficiency}")


def entry_reasons(score: Score, now: datetime, rules: EntryRules) -> Iterator[Reason]:
    """Yield every reason that the score itself gives not to trade on it at this moment."""
    if now < score.available_time:
        message = f"the score is available from {score.available_time}, it is {now}"
        yield Reason(ReasonCode.NOT_YET_AVAILABLE, message)
    if rules.max_score_age is not None and now - score.event_time > rules.max_score_age:
        message = f"the bar closed {now - score.event_time} ago, allowed is {rules.max_score_age}"
        yield Reason(ReasonCode.STALE, message)
    if rules.complete_features and score.missing_features:
        names = ", ".join(score.missing_features)
        message = f"{len(score.missing_features)} features that should be there are missing: {names}"
        yield Reason(ReasonCode.MISSING_FEATURES, message)
    if rules.in_range_features and score.out_of_range_features:
        names = ", ".join(score.out_of_range_features)
        message = f"{len(score.out_of_range_features)} features are outside of what the models learned from: {names}"
        yield Reason(ReasonCode.OUT_OF_DISTRIBUTION, message)
    if score.direction == 0:
        yield Reason(ReasonCode.NO_EVENT, "the bar is no event")
        return
    if rules.probability_threshold > 0.0 and math.isnan(score.p_direction):
        yield Reason(ReasonCode.NO_PROBABILITY, "the event has no direction probability")
    elif score.p_direction < rules.probability_threshold:
        message = (
            f"direction probability {score.p_direction:.4f} is below the threshold {rules.probability_threshold:g}"
        )
        yield Reason(ReasonCode.PROBABILITY_BELOW_THRESHOLD, message)
    # Efficiency along the move that the trade would fade: one law for both sides.
    along = score.direction * score.trend_efficiency_72h
    if rules.max_trend_efficiency is not None and not along <= rules.max_trend_efficiency:  # NaN fails too
        message = (
            f"the trade would fade a trend of efficiency {along:.2f} over 72 h, allowed is "
            f"{rules.max_trend_efficiency:g}"
        )
        yield Reason(ReasonCode.CLEAR_TREND, message)
    swept = score.swept_extreme_distance_above if score.direction > 0 else score.swept_extreme_distance_below
    if rules.require_sweep and not swept >= 0.0:
        yield Reason(ReasonCode.NO_SWEPT_LEVEL, "no level was swept and rejected within 24 h")
