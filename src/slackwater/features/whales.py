"""Whale flows: coins that large holders move to exchanges, to sell, and away from them, to keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit

from slackwater.features.family import Feature, WindowSumsFamily, duration_name
from slackwater.market.inputs import CLOSE, VOLUME, WHALE_FROM_EXCHANGE, WHALE_TO_EXCHANGE
from slackwater.operators import totals_add, totals_known, totals_over, totals_push

__all__ = ["WhaleFlowsFamily"]

_WARM, _SIZE, _N, _WINDOWS = range(4)
_COUNT, _TOTALS = 0, 1
_NET, _GROSS, _TRADED, _N_TOTALS = range(4)


@njit(cache=True)
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = int(state[_COUNT])
    state[_COUNT] = count + 1
    size = int(constants[_SIZE])
    n = int(constants[_N])
    known = row[WHALE_TO_EXCHANGE] >= 0.0 and row[WHALE_FROM_EXCHANGE] >= 0.0 and row[VOLUME] >= 0.0
    if known:
        totals_add(state, _TOTALS, _NET, row[WHALE_TO_EXCHANGE] - row[WHALE_FROM_EXCHANGE])
        totals_add(state, _TOTALS, _GROSS, row[WHALE_TO_EXCHANGE] + row[WHALE_FROM_EXCHANGE])
        totals_add(state, _TOTALS, _TRADED, row[VOLUME])
    totals_push(state, _TOTALS, _N_TOTALS, size, count, known)
    if math.isnan(row[CLOSE]) or not known or count < constants[_WARM]:
        out[:] = np.nan
        return
    for j in range(n):
        window = int(constants[_WINDOWS + j])
        traded = totals_over(state, _TOTALS, _N_TOTALS, size, count, _TRADED, window)
        net = totals_over(state, _TOTALS, _N_TOTALS, size, count, _NET, window)
        gross = totals_over(state, _TOTALS, _N_TOTALS, size, count, _GROSS, window)
        covered = totals_known(state, _TOTALS, _N_TOTALS, size, count, window) and traded > 0.0
        out[j] = 1e4 * net / traded if covered else np.nan
        out[n + j] = 1e4 * gross / traded if covered else np.nan


@dataclass(frozen=True, kw_only=True)
class WhaleFlowsFamily(WindowSumsFamily):
    """Net and gross wallet transfers to and from exchanges over several windows, against the volume."""

    name: ClassVar[str] = "whale_flows"
    advance = staticmethod(_advance)
    n_totals: ClassVar[int] = _N_TOTALS

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        inputs = ("whale_to_exchange", "whale_from_exchange", "volume")
        known = "when the transfer was confirmed and indexed"
        net = tuple(
            Feature(
                name=f"whale_net_inflow_{duration_name(w)}",
                family=self.name,
                formula="(wallet to exchange - exchange to wallet) / volume",
                unit="bps of volume",
                symmetry="odd",
                inputs=inputs,
                known=known,
            )
            for w in self.windows
        )
        gross = tuple(
            Feature(
                name=f"whale_activity_{duration_name(w)}",
                family=self.name,
                formula="(wallet to exchange + exchange to wallet) / volume",
                unit="bps of volume",
                symmetry="even",
                inputs=inputs,
                known=known,
            )
            for w in self.windows
        )
        return (*net, *gross)
