"""Direction at symbols that no model has seen, beside that at the same symbols in the ordinary fits.

The events of some symbols are predicted without any of their outcomes: what was learnt carries over to them, or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence._intervals import DIFFERENCE_AUC
from slackwater.evidence.controls.paired import OtherScores, auc_differences, without_direction
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import auc
from slackwater.models.training import Trainer, TrainingSet
from slackwater.types import Floats

__all__ = [
    "COLUMNS",
    "UnseenGroup",
    "carries_over",
    "symbol_groups",
    "unseen_predictions",
    "unseen_rows",
]

_MOST_GROUPS: Final = 5
"""Each group costs a fit per fold: of more symbols than this, several are left out at once."""

COLUMNS: Final = ("name", "symbols", "n_events", "auc", "auc_unseen", *DIFFERENCE_AUC, "note")
"""Columns of a row, in order."""


@dataclass(frozen=True, kw_only=True)
class UnseenGroup:
    """Symbols that were left out together, and what was predicted of them.

    Parameters
    ----------
    symbols
        Their names.
    p
        Probability of a reversal of every event by models that saw none of them; NaN at other symbols, and where no
        model could be fitted. None: it was not measured, and `note` says why.
    note
        Why it was not measured.
    """

    symbols: tuple[str, ...]
    p: Floats | None = None
    note: str = ""


def symbol_groups(symbols: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of symbols that are left out together: sorted names, dealt in turn to at most five groups.

    Examples
    --------
    >>> symbol_groups(["B", "A", "B"])
    [('A',), ('B',)]
    >>> symbol_groups("ABCDEFG")
    [('A', 'F'), ('B', 'G'), ('C',), ('D',), ('E',)]
    """
    names = sorted(set(symbols))
    return [tuple(names[first::_MOST_GROUPS]) for first in range(min(_MOST_GROUPS, len(names)))]


def unseen_predictions(training: TrainingSet, trainer: Trainer, symbols: Sequence[str]) -> pd.DataFrame:
    """Predict the test blocks of some symbols by models and calibrators that saw no outcome of them.

    The folds, the purge and the embargo are those of the run; so are the weights of the other events.

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the models, of which the headline is fitted.
    symbols
        Those that are left out.

    Returns
    -------
    DataFrame
        The rows of `Trainer.predict_out_of_fold` that are events of these symbols.

    Raises
    ------
    DataError
        If the events of the other symbols are too few to learn from, or there is no test block.
    """
    own = replace(trainer, targets=tuple(target for target in trainer.targets if target.headline))
    unseen = training.labels["symbol"].isin(symbols)
    # An event without a label is predicted, but neither fitted nor calibrated on; the folds stay as they are.
    hidden = {target.column: training.labels[target.column].mask(unseen) for target in own.targets}
    found = own.predict_out_of_fold(replace(training, labels=training.labels.assign(**hidden)))
    return found[found["symbol"].isin(symbols)].reset_index(drop=True)


def unseen_rows(events: pd.DataFrame, groups: Sequence[UnseenGroup], resampling: Resampling) -> list[dict[str, Any]]:
    """Return the AUC of the ordinary predictions and of those without the symbol: of all symbols, then of each group.

    Parameters
    ----------
    events
        Events of the test blocks that trade: ``symbol``, ``event_time``, ``y_direction`` and ``p_direction`` (NaN: not
        known).
    groups
        The symbols that were left out, in order; predictions are those of `events`, row by row. One group alone stands
        for all symbols.
    resampling
        Block bootstrap of the intervals, on the same draws for every row.

    Returns
    -------
    list of dict
        With the columns `COLUMNS`. ``difference_auc`` is ``auc`` less ``auc_unseen``: above 0, part of what was learnt
        belongs to these symbols. Both are of the ``n_events`` of which direction and both predictions are known; the
        note counts the others.
    """
    y, p = events["y_direction"].to_numpy(np.float64), events["p_direction"].to_numpy(np.float64)
    given = list(groups) if len(groups) == 1 else [_together(groups), *groups]
    names = ["all", *(_name(number, groups) for number in range(len(groups)))][: len(given)]
    others = [None if group.p is None else OtherScores(y, group.p) for group in given]
    compared = auc_differences(events["event_time"], y, p, others, resampling)
    rows = []
    for name, group, other, found in zip(names, given, others, compared, strict=True):
        row = dict.fromkeys(COLUMNS, math.nan) | {"name": name, "symbols": list(group.symbols), "note": group.note}
        if other is not None:
            known = other.known(y, p)
            notes = (group.note, without_direction(known[events["symbol"].isin(group.symbols).to_numpy()]))
            row |= {"n_events": int(known.sum()), "auc": auc(y[known], p[known]), "auc_unseen": found["auc"]}
            row |= {column: found[column] for column in DIFFERENCE_AUC} | {"note": "; ".join(filter(None, notes))}
        rows.append(row)
    return rows


def _together(groups: Sequence[UnseenGroup]) -> UnseenGroup:
    """Return all groups as one, each event with the prediction that did not see its symbol."""
    symbols = tuple(sorted(symbol for group in groups for symbol in group.symbols))
    measured = [group.p for group in groups if group.p is not None]
    if not measured:
        return UnseenGroup(symbols=symbols, note="not measured: no group of symbols could be left out")
    pooled = measured[0]
    for p in measured[1:]:
        pooled = np.where(np.isnan(pooled), p, pooled)
    return UnseenGroup(symbols=symbols, p=pooled)


def _name(number: int, groups: Sequence[UnseenGroup]) -> str:
    symbols = groups[number].symbols
    return symbols[0] if len(symbols) == 1 else f"group {number + 1} of {len(groups)}"


def carries_over(row: Mapping[str, Any]) -> str:
    """Return in one sentence what the row of all symbols shows."""
    low, high = (math.nan if row[name] is None else row[name] for name in DIFFERENCE_AUC[1:])
    if math.isnan(low + high):
        return f"Whether what was learnt carries over to other symbols is not known ({row['note'] or 'no interval'})."
    measured = (
        f"AUC {row['auc']:.3f} with their own events in the fit and {row['auc_unseen']:.3f} without them, a difference "
        f"of {row['difference_auc']:+.3f} ({low:+.3f} to {high:+.3f})"
    )
    if low > 0.0:
        return f"Part of what was learnt belongs to the symbols that it was learnt from: {measured}."
    if high < 0.0:
        return f"Symbols are predicted better without their own events: {measured}."
    return f"Symbols that the models have not seen are not shown to be predicted worse: {measured}."
