"""AUC from sorted scores, O(n) per evaluation."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["tie_groups", "weighted_auc"]


def tie_groups(score: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ascending order of the scores, and for each sorted row the number of its group of ties."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    return order, np.concatenate(([0], np.cumsum(np.diff(ranked) > 0)))[: order.size].astype(np.int64)


@njit(cache=True, nogil=True)
def weighted_auc(positive: NDArray[np.float64], group: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """Return the AUC of weighted rows in ascending order of their score; NaN with one class only."""
    negatives_below = 0.0
    positives = 0.0
    pairs_won = 0.0
    i = 0
    while i < positive.size:
        tied_positives = 0.0
        tied_negatives = 0.0
        this = group[i]
        while i < positive.size and group[i] == this:
            tied_positives += weight[i] * positive[i]
            tied_negatives += weight[i] * (1.0 - positive[i])
            i += 1
        pairs_won += tied_positives * (negatives_below + 0.5 * tied_negatives)
        positives += tied_positives
        negatives_below += tied_negatives
    if positives == 0.0 or negatives_below == 0.0:
        return np.nan
    return pairs_won / (positives * negatives_below)
