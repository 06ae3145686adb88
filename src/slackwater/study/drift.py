"""Drift of the population of events: those of a directory of tables against the training of a bundle."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from slackwater.errors import DataError
from slackwater.evidence.population_drift import PopulationDrift, population_drift, shares_of
from slackwater.market.inputs import INPUT_TABLES
from slackwater.scoring.oriented import oriented_events
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_tables

__all__ = ["measure_drift"]


def measure_drift(
    bundle: str | Path, tables: str | Path, *, start: datetime | None = None, end: datetime | None = None
) -> tuple[PopulationDrift, dict[str, int | None], ReversalScorer]:
    """Score tables and compare the features of their events with those of training.

    Parameters
    ----------
    bundle, tables
        Directories of the bundle and of canonical tables.
    start, end
        Events from `start` and before `end` count; None leaves a side open.

    Returns
    -------
    drift : PopulationDrift
    left_out : dict
        Number of events that were left out: ``within_warm_up``, ``of_the_training_period`` (None where the bundle does
        not record the end of its training) and ``outside_of_the_period``.
    scorer : ReversalScorer
        The loaded bundle.

    Raises
    ------
    BundleError
        If the bundle is damaged, or does not contain the shares of its training.
    DataError
        If a table is unusable, or no event is left.
    """
    scorer = ReversalScorer.load(bundle)
    shares = shares_of(scorer.manifest)
    scores = scorer.score(read_tables(tables, INPUT_TABLES))
    events, features = oriented_events(scorer, scores)
    times, found = events["event_time"], int((scores["direction"] != 0).sum())
    inside = pd.Series(True, index=events.index)
    inside &= True if start is None else times >= start
    inside &= True if end is None else times < end
    training = scorer.manifest.get("training")
    later = pd.Series(True, index=events.index) if training is None else times > pd.Timestamp(training["until"])
    left_out = {
        "within_warm_up": found - len(events),
        "of_the_training_period": None if training is None else int((inside & ~later).sum()),
        "outside_of_the_period": int((~inside).sum()),
    }
    kept = inside & later
    if not kept.any():
        raise DataError(
            f"no event is left of {found:,} in {tables}: {_counted(left_out)}; the warm-up takes "
            f"{scorer.warm_up.days} days before the first event"
        )
    return population_drift(shares, features[kept], times[kept]), left_out, scorer


def _counted(left_out: dict[str, int | None]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in left_out.items() if count is not None)
