"""Scores on paper against those of tables: of the rows that the account had, and of history."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES
from slackwater.paper.reconcile.differences import Cause, Difference
from slackwater.paper.reconcile.replayed import Asked, Key, Replayed
from slackwater.paper.reconcile.rows import RowDifference, RowDifferences
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epochs_us, timestamp
from slackwater.trading.score import OF_MODELS, Score

__all__ = ["by_event", "in_period", "score_differences", "scores_as_seen", "stream_differences"]

Events = Mapping[Key, Mapping[str, Any]]


def in_period(scores: pd.DataFrame, start_us: int, end_us: int) -> pd.DataFrame:
    """Return the rows of events with ``start < event_time <= end`` (microseconds since 1970)."""
    times = epochs_us(scores["event_time"])
    return scores[(scores["direction"] != 0).to_numpy() & (times > start_us) & (times <= end_us)]


def by_event(scores: pd.DataFrame) -> dict[Key, dict[str, Any]]:
    """Return the rows of scores by symbol and time."""
    keys = zip(scores["symbol"].astype(str), epochs_us(scores["event_time"]).tolist(), strict=True)
    return dict(zip(keys, scores.to_dict("records"), strict=True))


def scores_as_seen(scorer: ReversalScorer, account: Replayed) -> pd.DataFrame:
    """Return the scores of tables with the rows that an account had, as `ReversalScorer.score` makes them."""
    tables = account.tables(tuple(INPUT_TABLES))
    return scorer.score_frame(MarketFrame.from_tables(tables, scorer.spec), tables)


def stream_differences(scorer: ReversalScorer, asked: Mapping[Key, Asked], seen: Events) -> Iterator[Difference]:
    """Yield where a live score differs from that of a table of the same rows: there is no cause for that."""
    names = scorer.feature_names
    for key in sorted({*asked, *seen}, key=lambda key: key[::-1]):
        if key not in asked or key not in seen:
            where = "on paper" if key in asked else "in a table of the same rows"
            yield _difference(key, Cause.UNEXPLAINED, f"there is an event {where} only")
        elif differing := _differing(asked[key].score, seen[key], names):
            text = f"from the same rows follow {_shown(asked[key].score, seen[key], names, differing)}"
            yield _difference(key, Cause.UNEXPLAINED, text)


def score_differences(
    scorer: ReversalScorer, asked: Mapping[Key, Asked], history: Events, rows: RowDifferences
) -> Iterator[Difference]:
    """Yield where a score on paper differs from that of history, with the row that has made it differ."""
    names, feeding = scorer.feature_names, _feeding(scorer)
    every = frozenset(table.name for table in scorer.spec.tables)
    for key in sorted({*asked, *history}, key=lambda key: key[::-1]):
        if key not in asked or key not in history:
            differing, text = ["event"], f"there is an event {'on paper' if key in asked else 'in history'} only"
        elif differing := _differing(asked[key].score, history[key], names):
            text = ""
        else:
            continue
        found = {name: rows.before(*key, feeding.get(name, every)) for name in differing}
        lost = [name for name in differing if found[name] is None]
        first = lost[0] if lost else _of_most(found)
        if not text:
            both = _shown(
                asked[key].score, history[key], names, [first, *(each for each in differing if each != first)]
            )
            text = f"on paper and in history {both}"
        row = found[first]
        if row is None:
            tables = ", ".join(sorted(feeding.get(first, every)))
            yield _difference(key, Cause.UNEXPLAINED, f"{text}, and no row of {tables} differs")
        else:
            yield _difference(key, row.cause, f"{text}: {row.symbol}, {row.text}")


def _of_most(found: Mapping[str, RowDifference | None]) -> str:
    """Return the first feature whose cause is that of most features."""
    causes = Counter(row.cause for row in found.values() if row is not None)
    most = causes.most_common(1)[0][0]
    return next(name for name, row in found.items() if row is not None and row.cause is most)


def _feeding(scorer: ReversalScorer) -> dict[str, frozenset[str]]:
    """Return the tables that each feature reads; a feature that reads what another family made may read any."""
    feeds: dict[str, set[str]] = {}
    for table in scorer.spec.tables:
        for name in table.inputs:
            feeds.setdefault(name, set()).add(table.name)
    every = frozenset(table.name for table in scorer.spec.tables)
    out = {}
    for feature in scorer.features:
        read = (*feature.inputs, *feature.refined_by, *feature.one_of)
        known = all(name in feeds for name in read)
        out[feature.name] = frozenset({"bars"}.union(*(feeds[name] for name in read))) if known else every
    return out


def _differing(score: Score, row: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return the names of features and outputs that are not the same to the last bit."""
    ours = np.array(score.features)  # type: ignore[attr-defined]  # an EventScore
    theirs = np.array([row[name] for name in names], dtype=np.float64)
    unequal = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    out = [names[at] for at in np.flatnonzero(unequal)]
    out += [name for name in OF_MODELS if not _same(getattr(score, name), row[name])]
    return out if score.direction == row["direction"] else ["direction", *out]


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _shown(score: Score, row: Mapping[str, Any], names: tuple[str, ...], differing: list[str]) -> str:
    first = differing[0]
    ours = score.features[names.index(first)] if first in names else getattr(score, first)  # type: ignore[attr-defined]
    more = f", and {len(differing) - 1} more" if len(differing) > 1 else ""
    # All digits: the two may differ in the last one.
    return f"`{first}` {float(ours)!r} and {float(row[first])!r}{more}"


def _difference(key: Key, cause: Cause, text: str) -> Difference:
    return Difference("score", key[0], timestamp(key[1]), cause, text)
