"""Growing arrays for events whose number is not known beforehand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["with_room"]


@njit(cache=True)
def with_room(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return an array of twice the length that begins with the given rows."""
    roomier = np.empty((2 * rows.shape[0], rows.shape[1]))
    # Not a slice assignment: its error messages alone take numba four seconds to compile.
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            roomier[row, column] = rows[row, column]
    return roomier
