"""Features of scored events as the models read them, and how long history takes to make them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.scoring.scorer import ReversalScorer

__all__ = ["oriented_events"]


def oriented_events(scorer: ReversalScorer, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the events among scores whose features have all had their warm-up, and their oriented features.

    Parameters
    ----------
    scorer
        The scorer that made them.
    scores
        Result of `ReversalScorer.score`; the warm-up of a symbol begins with its first bar.

    Returns
    -------
    events : DataFrame
        Rows of `scores` that are events, no earlier than `ReversalScorer.warm_up` after the first bar of their symbol.
    features : DataFrame of float64
        One row per event and one column per column of the models, turned so that the prior move points up.
    """
    warm_from = scores.groupby("symbol")["event_time"].transform("min") + scorer.warm_up
    events = scores[(scores["direction"] != 0) & (scores["event_time"] >= warm_from)].reset_index(drop=True)
    return events, scorer._orientation.frame(events, events["direction"].astype(np.float64))
