"""Open interest in coin: its changes, and its changes against the price.

In coin, never in USD: the USD value falls with the price although nobody closed anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from slackwater.features.family import Family, Feature, duration_name
from slackwater.market.inputs import CLOSE, OPEN_INTEREST, VOLUME
from slackwater.operators import (
    ring_get,
    ring_put,
    totals_add,
    totals_known,
    totals_over,
    totals_push,
    totals_slots,
)

__all__ = ["OpenInterestFamily"]

_WARM, _SIZE, _DAY, _N_WINDOWS, _WINDOWS = range(5)
_COUNT, _LAST_CLOSE, _RINGS = range(3)


@njit(cache=True)
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    count = int(state[_COUNT])
    state[_COUNT] = count + 1
    size = int(constants[_SIZE])
    n = int(constants[_N_WINDOWS])
    closes = _RINGS + size
    totals = closes + size
    present = not math.isnan(row[CLOSE])
    interest = math.log(row[OPEN_INTEREST]) if row[OPEN_INTEREST] > 0.0 else np.nan
    if present:
        state[_LAST_CLOSE] = math.log(row[CLOSE])
        if not math.isnan(row[VOLUME]):
            totals_add(state, totals, 0, row[VOLUME])
    ring_put(state, _RINGS, size, count, interest)
    ring_put(state, closes, size, count, state[_LAST_CLOSE])
    totals_push(state, totals, 1, size, count, present)
    if not present or count < constants[_WARM]:
        out[:] = np.nan
        return
    for j in range(n):
        window = int(constants[_WINDOWS + j])
        delta = interest - ring_get(state, _RINGS, size, count, window)
        known = totals_known(state, totals, 1, size, count, window)
        move = state[_LAST_CLOSE] - ring_get(state, closes, size, count, window)
        out[j] = delta
        out[n + j] = 1e4 * delta * move if known else np.nan
    day = int(constants[_DAY])
    traded = totals_over(state, totals, 1, size, count, 0, day)
    known = totals_known(state, totals, 1, size, count, day) and traded > 0.0
    out[2 * n] = row[OPEN_INTEREST] / traded if known else np.nan


@dataclass(frozen=True, kw_only=True)
class OpenInterestFamily(Family):
    """Log changes of open interest over several windows, alone and times the move of the price."""

    windows: tuple[timedelta, ...]

    name: ClassVar[str] = "open_interest"
    advance = staticmethod(_advance)

    def __post_init__(self) -> None:
        """Check the windows against the bar interval."""
        self.require_windows("windows", self.windows)

    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""
        deltas = tuple(
            Feature(
                name=f"open_interest_delta_{duration_name(w)}",
                family=self.name,
                formula="log(OI_T / OI_{T-w}), coin",
                unit="log",
                symmetry="even",
                inputs=("open_interest",),
            )
            for w in self.windows
        )
        crossed = tuple(
            Feature(
                name=f"open_interest_price_{duration_name(w)}",
                family=self.name,
                formula="log(OI_T / OI_{T-w}) * log(c_T / c_{T-w}): the sign tells the quadrant",
                unit="1e-4 log^2",
                symmetry="odd",
                inputs=("open_interest", "close"),
            )
            for w in self.windows
        )
        turnover = Feature(
            name="open_interest_to_volume_24h",
            family=self.name,
            formula="OI / volume of 24h",
            unit="ratio",
            symmetry="even",
            inputs=("open_interest", "volume"),
        )
        return (*deltas, *crossed, turnover)

    def constants(self) -> NDArray[np.float64]:
        """Return the numbers that the kernel reads."""
        windows = [self.bars(w) for w in self.windows]
        day = self.bars(timedelta(days=1))
        return np.array(
            [self.warm_up / self.bar_interval, self._ring_size(), day, len(windows), *windows],
            dtype=np.float64,
        )

    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""
        return _RINGS + 2 * self._ring_size() + totals_slots(1, self._ring_size())

    @property
    def warm_up(self) -> timedelta:
        """The longest window."""
        return max(*self.windows, timedelta(days=1))

    def _ring_size(self) -> int:
        return self.bars(self.warm_up) + 1
