"""Scores of history: the features of each row, and what the models say of its events, one part of a frame at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import compress, starmap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slackwater.features.engine import BAR_COLUMNS, bar_rows, kept_memory
from slackwater.features.fired import first_to_fire
from slackwater.market.frame import MarketFrame
from slackwater.scoring.quality import quality_columns
from slackwater.types import Floats

if TYPE_CHECKING:
    from slackwater.scoring.scorer import ReversalScorer

__all__ = ["scores_of_parts"]

Part = tuple[MarketFrame, Mapping[str, pd.DataFrame]]


def scores_of_parts(scorer: ReversalScorer, parts: Iterable[Part], *, n_bars: int) -> pd.DataFrame:
    """Return the scores of a frame that comes in parts, each with its tables.

    The features of a part are written to where the result has them, so nothing of a frame is needed when the next one
    is made.

    Parameters
    ----------
    scorer
        The scorer.
    parts
        Frames of one or more symbols, with the rows of the tables that they were made of.
    n_bars
        Number of rows of all frames that have a bar.

    Returns
    -------
    DataFrame
        As `ReversalScorer.score`.
    """
    names = scorer.feature_names
    features = kept_memory(n_bars, len(names))
    done = 0

    def scored(frame: MarketFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        nonlocal done
        own = features[done : done + frame.n_bars]
        done += frame.n_bars
        scorer._engine.write_features(frame, own)
        quality = quality_columns(frame, tables, scorer.spec, scorer.warm_up)
        return pd.concat([bar_rows(frame), _event_columns(scorer, own), quality], axis=1)

    beside = pd.concat(starmap(scored, parts), ignore_index=True)
    first = list(BAR_COLUMNS)
    table = pd.DataFrame(features, columns=names, copy=False)
    return pd.concat([beside[first], table, beside.drop(columns=first)], axis=1)


def _event_columns(scorer: ReversalScorer, features: Floats) -> pd.DataFrame:
    """Return direction, names and outputs of the models at each row of features."""
    direction, fired = first_to_fire(features[:, scorer._trigger_columns])
    events = np.flatnonzero(direction)
    at_events = features[events]
    outputs = scorer._compiled(at_events, direction[events])
    columns: dict[str, Any] = {"direction": direction.astype(np.int8)}
    for name, column in zip(scorer._compiled.columns, outputs.T, strict=False):
        columns[name] = np.full(len(features), np.nan)
        columns[name][events] = column
    names: dict[str, list[tuple[str, ...]]] = {
        name: [()] * len(features) for name in ("triggers", "missing_features", "out_of_range_features")
    }
    for at, row in enumerate(events):
        names["triggers"][row] = tuple(compress(scorer._triggers, fired[row]))
        names["missing_features"][row], names["out_of_range_features"][row] = scorer._unusual(
            at_events[at], direction[row], *outputs[at, -2:]
        )
    return pd.DataFrame(columns | {name: pd.Series(lists, dtype=object) for name, lists in names.items()})
