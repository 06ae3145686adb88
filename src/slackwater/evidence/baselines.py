"""Controls: what a result must beat before it means anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.models.training import Trainer, TrainingSet

__all__ = ["control_predictions", "direction_flag_predictions"]


def control_predictions(
    training: TrainingSet,
    trainer: Trainer,
    *,
    price_columns: list[str],
    volatility_columns: list[str],
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Predict the test blocks with models that must not do well.

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the real models.
    price_columns
        Columns of the price-only control (method, section 3.4).
    volatility_columns
        Columns of the volatility-only control of `y_hit`: the hit of a barrier is predictable from
        volatility alone, in a market without direction.
    seed
        Of the permutation.
    progress
        Called with a line a fold.

    Returns
    -------
    DataFrame
        The rows of `Trainer.predict_out_of_fold` with `p_price_only`, `p_permuted` (with its own shuffled target
        `y_permuted`), `p_volatility_only`, and `p_direction_flag`: the share of reversals after moves of the same
        direction in the training rows, which is all that a market with skew gives away.
    """
    direction = training.labels["y_direction"].to_numpy()
    # Over the whole sample: within blocks of time, the slow tides of the base rate would stay predictable.
    permuted = np.random.default_rng(seed).permutation(direction)

    def narrowed(columns: list[str]) -> TrainingSet:
        return TrainingSet(features=training.features[[*columns, "direction"]], labels=training.labels)

    keys = ["row", "symbol", "event_time", "fold"]
    out = trainer.predict_out_of_fold(training, {"permuted": permuted}, progress)[[*keys, "p_permuted"]]
    out["y_permuted"] = permuted[out["row"]]
    for name, columns, y in (
        ("price_only", price_columns, direction),
        ("volatility_only", volatility_columns, training.labels["y_hit"].to_numpy()),
    ):
        other = trainer.predict_out_of_fold(narrowed(columns), {name: y}, progress)
        out[f"p_{name}"] = other[f"p_{name}"].to_numpy()
    out["p_direction_flag"] = direction_flag_predictions(training, trainer)
    return out


def direction_flag_predictions(training: TrainingSet, trainer: Trainer) -> NDArray[np.float64]:
    """Return the share of reversals after moves of the same direction in the training rows, an event of a test block.

    The rows are those of `Trainer.predict_out_of_fold`. No score can tell less: it knows which way the move went.
    """
    y = training.labels["y_direction"].to_numpy()
    return np.concatenate([_share_by_side(training, y, train, test) for train, test in trainer.splits(training)])


def _share_by_side(
    training: TrainingSet, y: NDArray[np.int8], train: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.float64]:
    side = training.labels["direction"].to_numpy()
    up, down = (y[train][side[train] == d] for d in (1, -1))
    shares = {1: up.mean() if up.size else 0.5, -1: down.mean() if down.size else 0.5}
    return np.array([shares[int(d)] for d in side[test]])
