"""Curves of a run, as metrics with steps: two runs that are compared lie over each other."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from slackwater.metrics.classification import auc, calibration_bins
from slackwater.types import Floats

__all__ = ["Curve", "auc_by_fold", "calibration_by_bin", "net_r_by_trade"]

Curve = list[tuple[int, float]]
"""Step and value of each point."""

_POINTS: Final = 300


def auc_by_fold(scored: pd.DataFrame) -> Curve:
    """Return the AUC of the direction in each test block; a block with one outcome only has none.

    Parameters
    ----------
    scored
        ``fold``, ``y_direction`` (0, 1) and ``p_direction`` of the traded events, none of them NaN.
    """
    by_fold = scored.groupby("fold")
    values = ((int(fold), auc(rows["y_direction"], rows["p_direction"])) for fold, rows in by_fold)
    return [(fold, value) for fold, value in values if not np.isnan(value)]


def calibration_by_bin(scored: pd.DataFrame) -> tuple[Curve, Curve]:
    """Return the mean predicted probability and the observed frequency in ten bins of equal count, steps 1 to 10.

    Parameters
    ----------
    scored
        As for `auc_by_fold`.
    """
    bins = calibration_bins(scored["p_direction"].to_numpy())
    means = scored.groupby(bins)[["p_direction", "y_direction"]].mean()
    steps = range(1, len(means) + 1)
    predicted, observed = (list(zip(steps, map(float, means[name]), strict=True)) for name in means)
    return predicted, observed


def net_r_by_trade(trades: pd.DataFrame) -> Curve:
    """Return the cumulative net result in R after the trades in order of their exits, at most 300 of them.

    Parameters
    ----------
    trades
        ``exit_time`` and ``net_r`` of the trades at unit risk. The last point is the sum over all of them.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-01-02", "2024-01-01"])
    >>> net_r_by_trade(pd.DataFrame({"exit_time": times, "net_r": [2.0, -1.0]}))
    [(1, -1.0), (2, 1.0)]
    """
    total: Floats = trades.sort_values("exit_time", kind="stable")["net_r"].cumsum().to_numpy(np.float64)
    shown = np.unique(np.linspace(0, len(total) - 1, min(len(total), _POINTS)).round().astype(int))
    return [(int(i) + 1, float(total[i])) for i in shown if np.isfinite(total[i])]
