"""The gain of each family of features over price: paired differences of the AUC of direction, out of sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.direction import traded_rows
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import auc
from slackwater.models.horizons import TEST_BLOCKS_PER_FIT
from slackwater.models.targets import HEADLINE, PRICE_FAMILIES, Target
from slackwater.models.training import Trainer, TrainingSet
from slackwater.types import Bools, Floats

__all__ = ["family_gains"]

_EVERY: Final = "all"


def family_gains(
    training: TrainingSet,
    trainer: Trainer,
    *,
    resampling: Resampling,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Fit the features of price, and price beside one other family at a time, and compare the predictions.

    Scores are log-odds before calibration, which differs from fold to fold and is not a part of what a family contains.
    As for the reported horizons, models are fitted anew only once in three test blocks.

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the headline; its direction target alone is fitted.
    resampling
        Block bootstrap of the intervals.
    progress
        Called with a line per family.

    Returns
    -------
    dict
        For the rows ``traded`` and for ``every`` row of a test block: ``n``, the ``auc`` of price alone with its
        interval (``auc_low``, ``auc_high``), under ``gains``, by family and for ``all`` of them, the ``difference``
        from price with its interval (``low``, ``high``), and the number of ``features`` of price and of each family.

    Raises
    ------
    DataError
        If direction cannot be learned from the events.
    """
    rare = replace(trainer.validation, test=TEST_BLOCKS_PER_FIT * trainer.validation.test)
    own = replace(trainer, validation=rare, targets=(Target(name=HEADLINE.name, column=HEADLINE.column),))
    read = trainer.families(training)
    price = [family for family in read if family in PRICE_FAMILIES]
    others: dict[str, tuple[str, ...]] = {family: (family,) for family in read if family not in PRICE_FAMILIES}
    if len(others) > 1:
        others[_EVERY] = tuple(others)

    def predict(families: Sequence[str]) -> pd.DataFrame:
        return own.reading(families).predict_out_of_fold(training)

    def count(families: Sequence[str]) -> int:
        return sum(family in families for family in training.families.values())

    alone = predict(price)
    scores = {}
    for name, families in others.items():
        scores[name] = predict([*price, *families])[f"raw_{HEADLINE.name}"].to_numpy()
        if progress is not None:
            progress(f"{name}: {count(families)} features beside {count(price)} of price")
    labels, base = training.labels.iloc[alone["row"]], alone[f"raw_{HEADLINE.name}"].to_numpy()
    groups: dict[str, Bools] = {"traded": traded_rows(labels), "every": np.ones(len(labels), dtype=np.bool_)}
    return {
        group: _compared(labels[rows], base[rows], {name: each[rows] for name, each in scores.items()}, resampling)
        | {"features": {name: count(families) for name, families in {"price": price, **others}.items()}}
        for group, rows in groups.items()
    }


def _compared(
    labels: pd.DataFrame, base: Floats, scores: Mapping[str, Floats], resampling: Resampling
) -> dict[str, Any]:
    y, times = labels[HEADLINE.column].to_numpy(), labels["event_time"]
    low, high = resampling.interval(auc, times, y, base)
    gains = {}
    for name, score in scores.items():
        apart = resampling.difference(auc, times, (y, score), (y, base))
        gains[name] = {"difference": auc(y, score) - auc(y, base), "low": apart[0], "high": apart[1]}
    return {"n": len(y), "auc": auc(y, base), "auc_low": low, "auc_high": high, "gains": gains}
