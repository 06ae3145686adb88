"""Features as seen from the direction of a move, so that one model serves both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.features.family import Feature
from slackwater.types import Floats, Ints

__all__ = ["Orientation"]


class Orientation:
    """Turns features so that the prior move always points up.

    After a move down (direction -1) odd features change their sign and pairs change places; even ones stay. A
    classifier that is fitted on oriented features learns one law for both sides; the direction itself is the last of
    the oriented `columns`, ``direction``.

    Parameters
    ----------
    features
        The features that enter, as `FeatureEngine.features` describes them. Every partner must be among them.

    Examples
    --------
    >>> move = Feature(name="return_24h", family="price", formula="", unit="", symmetry="odd", inputs=())
    >>> Orientation([move]).apply(np.array([[-1.5]]), np.array([-1.0])).tolist()
    [[1.5, -1.0]]
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        names = [f.name for f in features]
        lost = sorted({f.partner for f in features if f.symmetry == "pair"} - set(names))
        if lost:
            raise ParameterError(f"`features` has one of a pair without the other: {lost} are missing")
        self.names = names
        self.columns = [*names, "direction"]
        self._mirror = np.array(
            [names.index(f.partner) if f.symmetry == "pair" else i for i, f in enumerate(features)], dtype=np.intp
        )
        self._sign = np.array([-1.0 if f.symmetry == "odd" else 1.0 for f in features])

    def apply(self, values: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return oriented rows, shape (n, names + 1), of values of shape (n, names) and directions 1 or -1."""
        oriented = np.empty((len(values), len(self.columns)))
        oriented[:, :-1] = values
        oriented[:, -1] = direction
        down = np.flatnonzero(~(direction > 0.0))
        oriented[down, :-1] = values[down][:, self._mirror] * self._sign
        return oriented

    def sources(self, positions: Ints) -> tuple[Ints, Floats]:
        """Return where each column but the last comes from in a row that has more features, and its sign.

        Parameters
        ----------
        positions
            Where the features stand in that row, shape (n,).

        Returns
        -------
        positions, signs
            Shape (2, n): after a move up, then after a move down.
        """
        places = np.stack([positions, positions[self._mirror]])
        return places.astype(np.int64), np.stack([np.ones_like(self._sign), self._sign])

    def frame(self, table: pd.DataFrame, direction: pd.Series) -> pd.DataFrame:
        """Orient the rows of a features table; the result keeps its index."""
        values = table[self.names].to_numpy(np.float64)
        oriented = self.apply(values, direction.to_numpy(np.float64))
        return pd.DataFrame(oriented, columns=self.columns, index=table.index)
