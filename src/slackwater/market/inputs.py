"""The inputs of a market-frame row, in the order in which feature kernels read them.

Kernels address an input by its position, a constant of this module with the name of the input in capitals::

    from slackwater.market.inputs import CLOSE, OPEN_INTEREST

The order is part of the features' fingerprint. It follows from `slackwater.market.tables.TABLES`.
"""

from __future__ import annotations

from typing import Final

from slackwater.market.tables import TABLES

__all__ = ["INPUTS", "INPUT_TABLES", "SIGNED"]

INPUT_TABLES: Final[dict[str, tuple[str, ...]]] = {table.name: table.inputs for table in TABLES if table.inputs}
"""Which canonical table feeds which inputs. Liquidations come as events or as totals of a bucket, not as both."""

INPUTS: Final[tuple[str, ...]] = tuple(dict.fromkeys(name for inputs in INPUT_TABLES.values() for name in inputs))
"""Prices in quote currency; volumes, open interest, liquidations, transfers, large trades and depth in coin; net flows
in USD; rates and the premium index as fractions; times in hours since 1970; the ratio of top traders as longs over
shorts."""

SIGNED: Final[tuple[int, ...]] = tuple(INPUTS.index(name) for table in TABLES for name in table.signed)
"""Positions of the inputs that may be negative."""

_POSITIONS: Final[dict[str, int]] = {name.upper(): position for position, name in enumerate(INPUTS)}


def __getattr__(name: str) -> int:
    """Return the position of an input by its name in capitals, such as ``CLOSE``."""
    try:
        return _POSITIONS[name]
    except KeyError:
        raise AttributeError(f"there is no input {name}; there are {', '.join(_POSITIONS)}") from None
