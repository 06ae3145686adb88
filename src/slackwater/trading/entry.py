"""Conditions on a score before a trade is sized: an event, a probability, fresh and complete features.

Two rules, against fading a clear trend and for a swept level, are off by default until an ablation shows that they
help.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from functools import cache

from slackwater.times import epoch_us, microseconds
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import EntryRules
from slackwater.trading.score import Score

__all__ = ["entry_reasons"]


_microseconds = cache(microseconds)  # a division of timedeltas takes as long as the rules


def entry_reasons(score: Score, now: datetime, rules: EntryRules) -> Iterator[Reason]:
    """Yield every reason in the score itself not to trade on it now."""
    # Comparisons and differences of Timestamps take several times as long as what follows.
    if now is not score.available_time and now < score.available_time:
        message = f"the score is available from {score.available_time}, it is {now}"
        yield Reason("not_yet_available", message)
    longest = rules.max_score_age
    if longest is not None and epoch_us(now) - epoch_us(score.event_time) > _microseconds(longest):
        message = f"the bar closed {now - score.event_time} ago, allowed is {longest}"
        yield Reason("stale", message)
    if rules.complete_features and score.missing_features:
        names = ", ".join(score.missing_features)
        message = f"{len(score.missing_features)} features that should be known are missing: {names}"
        yield Reason("missing_features", message)
    if rules.in_range_features and score.out_of_range_features:
        names = ", ".join(score.out_of_range_features)
        message = f"{len(score.out_of_range_features)} features are outside of the training range: {names}"
        yield Reason("out_of_distribution", message)
    if score.direction == 0:
        yield Reason("no_event", "the bar is not an event")
        return
    if rules.probability_threshold > 0.0 and math.isnan(score.p_direction):
        yield Reason("no_probability", "the event has no direction probability")
    elif score.p_direction < rules.probability_threshold:
        message = (
            f"direction probability {score.p_direction:.4f} is below the threshold {rules.probability_threshold:g}"
        )
        yield Reason("probability_below_threshold", message)
    # Efficiency along the move that the trade would fade, so that both sides have one rule.
    along = score.direction * score.context.trend_efficiency_72h
    if rules.max_trend_efficiency is not None and not along <= rules.max_trend_efficiency:  # NaN fails too
        message = (
            f"the trade would fade a trend of efficiency {along:.2f} over 72 h, allowed is "
            f"{rules.max_trend_efficiency:g}"
        )
        yield Reason("clear_trend", message)
    context = score.context
    swept = context.swept_extreme_distance_above if score.direction > 0 else context.swept_extreme_distance_below
    if rules.require_sweep and not swept >= 0.0:
        yield Reason("no_swept_level", "no level was swept and rejected within 24 h")
