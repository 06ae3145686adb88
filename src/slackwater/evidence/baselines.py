"""Controls: simpler predictions that a result must beat."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from slackwater.models.targets import PRICE_FAMILIES, Target
from slackwater.models.training import Trainer, TrainingSet
from slackwater.types import Floats, Ints

__all__ = ["GATED", "control_predictions", "gated_controls", "share_by_side"]

Progress = Callable[[str], None]

GATED: Final = ("price_only", "volatility_only", "logistic", "permuted_labels")
"""Controls that a gate can trade."""


def gated_controls(
    training: TrainingSet,
    trainer: Trainer,
    *,
    wanted: Collection[str] = GATED,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Predict the test blocks with the controls that a gate can trade: direction, and the odds of the trade.

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the models.
    wanted
        Names of the controls.
    seed
        Seed of the permutation.
    progress
        Called with a line per control.

    Returns
    -------
    dict
        Rows of `Trainer.predict_out_of_fold` for the headline and the targets with a lower bound, by control:
        ``price_only`` and ``volatility_only`` (the model on those families), ``logistic`` (another kind of model), and
        ``permuted_labels``.
    """
    own = replace(trainer, targets=tuple(t for t in trainer.targets if t.headline or t.lower_bound))
    logistic = replace(own, model=replace(trainer.model, kind="logistic"))
    made: dict[str, Callable[[], tuple[Trainer, TrainingSet]]] = {
        "price_only": lambda: (_reading(own, training, PRICE_FAMILIES), training),
        "volatility_only": lambda: (_reading(own, training, ("volatility",)), training),
        "logistic": lambda: (logistic, training),
        "permuted_labels": lambda: (own, _permuted(training, own.targets, seed)),
    }
    found = {}
    for name in wanted:
        its, given = made[name]()
        if progress is not None:
            progress(f"{name}: {len(its.columns(given))} columns")
        found[name] = its.predict_out_of_fold(given)
    return found


def control_predictions(
    training: TrainingSet,
    trainer: Trainer,
    *,
    gated: Mapping[str, pd.DataFrame] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict the test blocks with the controls of every target (method, section 3.4).

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the models.
    gated
        Of `gated_controls` with the same seed: what is there is not fitted again.
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
    known, shuffled = gated or {}, _permuted(training, (headline,), seed)
    permuted = known.get("permuted_labels")
    if permuted is None:
        permuted = replace(trainer, targets=(headline,)).predict_out_of_fold(shuffled, progress)
    out = permuted[["row", "symbol", "event_time", "fold"]].assign(
        p_permuted=permuted[f"p_{headline.name}"],
        y_permuted=shuffled.labels[headline.column].to_numpy()[permuted["row"]],
    )
    for target in trainer.targets:
        for control in target.controls:
            if control.families is None:
                out[f"p_{control.name}"] = share_by_side(training, trainer, target)
            elif target.headline and control.name in known:
                out[f"p_{control.name}"] = known[control.name][f"p_{target.name}"].to_numpy()
            else:
                own = replace(trainer, targets=(Target(name=control.name, column=target.column),))
                found = _reading(own, training, control.families).predict_out_of_fold(training, progress)
                out[f"p_{control.name}"] = found[f"p_{control.name}"].to_numpy()
    return out


def _reading(trainer: Trainer, training: TrainingSet, families: Collection[str]) -> Trainer:
    """Return a trainer whose models read some families, whatever those of the run read."""
    return trainer.reading([name for name in training.fed_families if name in families])


def _permuted(training: TrainingSet, targets: Sequence[Target], seed: int) -> TrainingSet:
    """Return the events with the labels of the targets permuted, each among the events that have one."""
    rng, labels = np.random.default_rng(seed), training.labels
    for target in targets:
        # Over the whole sample: within blocks of time, slow changes of the base rate would stay predictable.
        values = labels[target.column].to_numpy(copy=True)
        known = np.flatnonzero(~np.isnan(values.astype(np.float64)))
        values[known] = rng.permutation(values[known])
        labels = labels.assign(**{target.column: values})
    return replace(training, labels=labels)


def share_by_side(training: TrainingSet, trainer: Trainer, target: Target) -> Floats:
    """Return the share of ones after prior moves of the same direction in the training rows, per event of a test block.

    The rows are those of `Trainer.predict_out_of_fold`. It is the prediction of a model that sees the direction of the
    prior move and nothing else.
    """
    y, side = training.labels[target.column].to_numpy(), training.labels["direction"].to_numpy()

    def shares(train: Ints, test: Ints) -> Floats:
        up, down = (y[train][side[train] == d] for d in (1, -1))
        share = {1: up.mean() if up.size else 0.5, -1: down.mean() if down.size else 0.5}
        return np.array([share[int(d)] for d in side[test]])

    return np.concatenate([shares(train, test) for train, test in trainer.splits(training)])
