"""The symbols that the models of a bundle learned from, against those that are scored.

Some features are means over the other symbols of a market. With other company their values move, and with them the
probabilities, although no input of the symbol itself differs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from slackwater.errors import UniverseWarning
from slackwater.features.family import Feature
from slackwater.market.columns import shown

__all__ = ["Universe"]

_MEANS = frozenset({"others_return", "others_absolute_return", "others_breadth", "market_dispersion"})


class Universe:
    """Symbols of a bundle, and which of its features are means over all but one of them.

    Parameters
    ----------
    symbols
        Symbols of the training data.
    features
        Features that the models read.
    """

    def __init__(self, symbols: Iterable[str], features: Sequence[Feature]) -> None:
        self.symbols = frozenset(symbols)
        self.means = tuple(f.name for f in features if _MEANS & {*f.inputs, *f.refined_by})

    def compare(self, symbols: Iterable[str]) -> None:
        """Warn with UniverseWarning if symbols are not those of the bundle and a feature depends on it."""
        given = frozenset(symbols)
        if given == self.symbols or not self.means:
            return
        differences = {"lacks": self.symbols - given, "adds": given - self.symbols}
        texts = [f"{verb} {', '.join(map(shown, sorted(some)))}" for verb, some in differences.items() if some]
        learned = ", ".join(map(shown, sorted(self.symbols)))
        warnings.warn(
            f"the models learned from {learned}; this market {' and '.join(texts)}. "
            f"{', '.join(self.means)} are means over the other symbols, so their values and the probabilities are not "
            "those of the universe of the bundle: give the tables of its symbols, or train on these",
            UniverseWarning,
            stacklevel=3,
        )
