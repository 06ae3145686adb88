"""When a transfer could have been known: once it is certain, and once an indexer has told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import pandas as pd

from slackwater.errors import ParameterError, SchemaError

__all__ = ["CONFIRMATION", "Availability"]

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
"""From the block of a transfer to the moment at which nobody takes it back: usual practice, no promise of a chain."""


@dataclass(frozen=True, kw_only=True)
class Availability:
    """How long it takes until a transfer is known.

    Parameters
    ----------
    indexer_lag
        From then to the message of an indexer.
    confirmation
        By chain, over `CONFIRMATION`.

    Raises
    ------
    ParameterError
        If a duration is negative.

    Examples
    --------
    >>> Availability(indexer_lag=timedelta(minutes=5)).of("bitcoin")
    datetime.timedelta(seconds=2100)
    """

    indexer_lag: timedelta = timedelta(minutes=2)
    confirmation: Mapping[str, timedelta] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in {"indexer_lag": self.indexer_lag, **self.confirmation}.items():
            if value < timedelta(0):
                raise ParameterError(f"`{name}` must not be negative, was {value}")

    def of(self, chain: str) -> timedelta:
        """Return the time from a block of a chain to the message.

        Raises
        ------
        SchemaError
            If nobody said how long that chain takes.
        """
        known = {**CONFIRMATION, **self.confirmation}
        if chain not in known:
            raise SchemaError(
                f"it is not known when a transfer on {chain!r} is certain; give "
                f"`confirmation={{{chain!r}: timedelta(...)}}`; there are {', '.join(known)}"
            )
        return known[chain] + self.indexer_lag

    def available(self, event_time: pd.Series, chain: pd.Series, seen: pd.Series | None = None) -> pd.Series:
        """Return when each transfer could have been known.

        Parameters
        ----------
        event_time
            Time of the block.
        chain
            On which chain.
        seen
            When it was recorded live, where that is known. It is no earlier than the rest, and may be later.
        """
        waits = chain.map({name: self.of(name) for name in chain.unique()})
        out = event_time + waits.astype("timedelta64[us]")
        if seen is None:
            return out
        late = seen.notna() & (seen > out)
        return out.where(~late, seen)
