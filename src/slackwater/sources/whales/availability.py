"""Times until a transfer is certain, and until an indexer reports it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import pandas as pd

from slackwater.errors import SchemaError

__all__ = ["CONFIRMATION", "INDEXER_LAG", "waits"]

CONFIRMATION: Final[Mapping[str, timedelta]] = {
    "bitcoin": timedelta(minutes=30),  # 3 blocks of 10 minutes
    "ethereum": timedelta(minutes=13),  # 2 epochs of 32 slots: final
    "tron": timedelta(minutes=1),  # 19 blocks of 3 seconds
    "solana": timedelta(seconds=13),  # 32 slots of .4 seconds
    "ripple": timedelta(seconds=10),  # 2 closes of a ledger
    "bsc": timedelta(minutes=1),  # 15 blocks, from the time when they took 3 seconds
    "polygon": timedelta(minutes=5),  # 128 blocks of 2 seconds, rounded up
    "arbitrum": timedelta(minutes=20),  # until its batch is final on Ethereum
    "hyperliquid": timedelta(seconds=1),  # final with its block
}
"""Time from the block of a transfer until it is final by usual practice; no chain guarantees it."""

INDEXER_LAG: Final = timedelta(minutes=2)
"""Default time from the confirmation of a transfer to the message of an indexer."""


def waits(chains: pd.Series, confirmation: Mapping[str, timedelta] | None = None) -> pd.Series:
    """Return how long each transfer takes to be certain.

    Parameters
    ----------
    chains : Series, shape (rows,)
        Chain of each transfer.
    confirmation
        Time by chain, over `CONFIRMATION`.

    Raises
    ------
    SchemaError
        If the time of a chain is not known.

    Examples
    --------
    >>> waits(pd.Series(["bitcoin"])).item()
    Timedelta('0 days 00:30:00')
    """
    known = {**CONFIRMATION, **(confirmation or {})}
    unknown = sorted(set(chains) - set(known))
    if unknown:
        raise SchemaError(
            f"it is not known when a transfer on {unknown[0]!r} is certain: give `confirmation: {{{unknown[0]}: 10m}}` "
            f"with its time; there are {', '.join(known)}"
        )
    return chains.map(known).astype("timedelta64[us]")
