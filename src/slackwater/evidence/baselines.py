"""Controls: simpler predictions that a result must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.models.targets import Target
from slackwater.models.training import Trainer, TrainingSet
from slackwater.types import Floats, Ints

__all__ = ["control_predictions", "share_by_side"]


def control_predictions(
    training: TrainingSet,
    trainer: Trainer,
    *,
    families: Mapping[str, str],
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Predict the test blocks with the controls of every target (method, section 3.4).

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the models.
    families
        Family of each feature that the controls may use.
    seed
        Seed of the permutation.
    progress
        Called with a line per fold.

    Returns
    -------
    DataFrame
        The rows of `Trainer.predict_out_of_fold` with ``p_<name>`` of each control, and `p_permuted` beside its own
        shuffled headline label `y_permuted`.
    """
    (headline,) = (target for target in trainer.targets if target.headline)

    def predict(given: TrainingSet, name: str, column: str) -> pd.DataFrame:
        return replace(trainer, targets=(Target(name=name, column=column),)).predict_out_of_fold(given, progress)

    # Permuted over the whole sample: within blocks of time, slow changes of the base rate would stay predictable.
    permuted = np.random.default_rng(seed).permutation(training.labels[headline.column].to_numpy())
    shuffled = TrainingSet(features=training.features, labels=training.labels.assign(y_permuted=permuted))
    out = predict(shuffled, "permuted", "y_permuted")[["row", "symbol", "event_time", "fold", "p_permuted"]]
    out["y_permuted"] = permuted[out["row"]]
    for target in trainer.targets:
        for control in target.controls:
            if control.families is None:
                out[f"p_{control.name}"] = share_by_side(training, trainer, target)
                continue
            columns = [name for name, family in families.items() if family in control.families]
            narrowed = TrainingSet(features=training.features[[*columns, "direction"]], labels=training.labels)
            found = predict(narrowed, control.name, target.column)
            out[f"p_{control.name}"] = found[f"p_{control.name}"].to_numpy()
    return out


def share_by_side(training: TrainingSet, trainer: Trainer, target: Target) -> Floats:
    """Return the share of ones after prior moves of the same direction in the training rows, per event of a test block.

    The rows are those of `Trainer.predict_out_of_fold`. It is the prediction of a model that sees the direction of the
    prior move and nothing else.
    """
    y = training.labels[target.column].to_numpy()
    return np.concatenate([_share_by_side(training, y, train, test) for train, test in trainer.splits(training)])


def _share_by_side(training: TrainingSet, y: NDArray[np.int8], train: Ints, test: Ints) -> Floats:
    side = training.labels["direction"].to_numpy()
    up, down = (y[train][side[train] == d] for d in (1, -1))
    shares = {1: up.mean() if up.size else 0.5, -1: down.mean() if down.size else 0.5}
    return np.array([shares[int(d)] for d in side[test]])
