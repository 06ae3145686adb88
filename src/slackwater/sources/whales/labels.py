"""Who owns an address, and since when one could know.

Providers restate their labels: an address that is found to be an exchange's today is one in the whole history that they
hand out tomorrow. A model that learns from such a history knows what nobody knew. So labels are used only where it is
said since when they stood as they are; rows before that are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, ParameterError, SchemaError

__all__ = ["OWNER_TYPES", "AddressBook", "Labels"]

OWNER_TYPES: Final = ("exchange", "wallet", "defi", "miner", "issuer", "unknown")

#: What providers call them.
_ALIASES: Final = {
    "": "unknown",
    "other": "unknown",
    "none": "unknown",
    "nan": "unknown",
    "cex": "exchange",
    "exchange wallet": "exchange",
    "dex": "defi",
    "smart contract": "defi",
    "contract": "defi",
    "bridge": "defi",
    "pool": "miner",
    "mining pool": "miner",
    "treasury": "issuer",
    "token treasury": "issuer",
    "minter": "issuer",
    "user": "wallet",
    "private": "wallet",
    "whale": "wallet",
}


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a source's labels are worth.

    Parameters
    ----------
    known_since
        They stood as they are from this moment on: the start of a live record, or the day of a download for rows that
        came after it. Rows that happened before are refused.

    Examples
    --------
    >>> Labels.point_in_time().known_since.year
    1970
    """

    known_since: datetime

    def __post_init__(self) -> None:
        if self.known_since.tzinfo is None:
            raise ParameterError(f"`known_since` must carry a time zone, was {self.known_since}")

    @classmethod
    def point_in_time(cls) -> Labels:
        """Declare that every label is the one that stood at the time of its row, as in a live record of messages."""
        return cls(known_since=datetime(1970, 1, 1, tzinfo=UTC))


class AddressBook:
    """Addresses that are known to be somebody's, each since a moment.

    Parameters
    ----------
    rows
        Address, owner, type of owner, and since when that is known (with a time zone). An address may come again with
        a later moment: from then on the later row counts.

    Raises
    ------
    ParameterError
        If a moment is naive, or a type unknown.
    OrderError
        If an address has two rows of one moment.

    Examples
    --------
    >>> book = AddressBook([("3Fu", "Kraken", "exchange", datetime(2024, 1, 1, tzinfo=UTC))])
    >>> at = pd.Series(pd.to_datetime(["2023-12-31", "2024-01-02"], utc=True))
    >>> book.owners(pd.Series(["3Fu", "3Fu"]), at)["owner_type"].tolist()
    ['unknown', 'exchange']
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, datetime]]) -> None:
        entries = sorted(rows, key=lambda row: (row[0], row[3]))
        for address, _, kind, since in entries:
            if since.tzinfo is None:
                raise ParameterError(f"address {address}: the moment must carry a time zone, was {since}")
            if kind not in OWNER_TYPES:
                raise ParameterError(f"address {address}: must be one of {', '.join(OWNER_TYPES)}, was {kind!r}")
        table = pd.DataFrame(entries, columns=["address", "owner", "owner_type", "since"])
        table["since"] = pd.to_datetime(table["since"], utc=True).astype("datetime64[us, UTC]")
        twice = table.duplicated(["address", "since"])
        if twice.any():
            raise OrderError(f"address {table['address'][twice].iloc[0]} has two rows of one moment")
        self.table = table.sort_values("since", kind="stable", ignore_index=True)

    def owners(self, addresses: pd.Series, known_at: pd.Series) -> pd.DataFrame:
        """Return owner and type of each address as they were known at a moment each; unknown where nobody knew.

        Parameters
        ----------
        addresses
            Of each row.
        known_at
            UTC.
        """
        asked = pd.DataFrame({"address": addresses.astype("str"), "since": known_at.dt.as_unit("us")})
        asked = asked.reset_index(drop=True)
        asked["row"] = np.arange(len(asked))
        asked = asked.sort_values("since", kind="stable")
        found = pd.merge_asof(asked, self.table.astype({"address": "str"}), on="since", by="address")
        found = found.sort_values("row").set_index(addresses.index)
        return pd.DataFrame({"owner": found["owner"], "owner_type": found["owner_type"].fillna("unknown")})


def owner_types(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return types of owners by their canonical names, and which of them nobody knows; these are ``unknown``.

    Examples
    --------
    >>> types, strange = owner_types(pd.Series(["Exchange", "CEX", "somebody", None]))
    >>> types.tolist(), strange.tolist()
    (['exchange', 'exchange', 'unknown', 'unknown'], [False, False, True, False])
    """
    text = values.astype("str").str.strip().str.lower().str.replace("_", " ")
    text = text.mask(values.isna(), "unknown").replace(_ALIASES)
    strange = ~text.isin(OWNER_TYPES)
    return text.mask(strange, "unknown"), strange


def require(labels: Labels | None, book: AddressBook | None, source: str) -> None:
    """Raise if nobody said what the labels of a source are worth.

    Raises
    ------
    SchemaError
        Always then; with what may be said.
    """
    if labels is None and book is None:
        raise SchemaError(
            f"{source}: providers restate the labels of addresses, so that a history handed out today knows what "
            "nobody knew then. Say `labels=Labels(known_since=...)` for rows after a download or from the start of a "
            "live record, `Labels.point_in_time()` for labels that stood at the time of each row, or give an "
            "`address_book` of your own"
        )
