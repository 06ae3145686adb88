"""Owners of addresses, each since the time at which they were known.

Providers restate their labels: an address that is found to be an exchange's today is one in the whole history that they
hand out tomorrow. A model that learns from such a history uses what was not known then. So labels are used only with the time
since which they stood as they are; rows before that are masked.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import OrderError, ParameterError, SchemaError
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.raw_columns import open_raw

__all__ = ["AddressBook", "owner_types"]

_TYPES: Final = next(column.values for column in SCHEMAS["whale_transfers"].columns if column.name == "to_owner_type")
_COLUMNS: Final = ("address", "owner", "owner_type", "known_since")

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
"""Names of providers for the types of owners."""


class AddressBook:
    """Owners of addresses, each with the time since which the owner is known.

    Parameters
    ----------
    rows
        Address, owner, type of owner, and since when that is known (with a time zone). An address may come again with
        a later time: from then on the later row counts. Addresses that begin with ``0x`` are compared in small
        letters.

    Raises
    ------
    ParameterError
        If a time is naive, or a type unknown.
    OrderError
        If an address has two rows of one time.

    Examples
    --------
    >>> from datetime import UTC
    >>> book = AddressBook([("3Fu", "Kraken", "exchange", datetime(2024, 1, 1, tzinfo=UTC))])
    >>> at = pd.Series(pd.to_datetime(["2023-12-31", "2024-01-02"], utc=True))
    >>> book.owners(pd.Series(["3Fu", "3Fu"]), at)["owner_type"].tolist()
    ['unknown', 'exchange']
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, datetime]]) -> None:
        entries = sorted(rows, key=lambda row: (row[0], row[3]))
        for address, _, kind, since in entries:
            if since.tzinfo is None:
                raise ParameterError(f"address {address}: `known_since` must carry a time zone, was {since}")
            if kind not in _TYPES:
                raise ParameterError(f"address {address}: must be one of {', '.join(_TYPES)}, was {kind!r}")
        table = pd.DataFrame(entries, columns=["address", "owner", "owner_type", "since"])
        table["since"] = pd.to_datetime(table["since"], utc=True).astype("datetime64[us, UTC]")
        table["address"] = _comparable(table["address"])
        twice = table.duplicated(["address", "since"])
        if twice.any():
            raise OrderError(f"address {table['address'][twice].iloc[0]} has two rows of one `known_since`")
        self._table = table.sort_values("since", kind="stable", ignore_index=True)

    @classmethod
    def of_file(cls, path: Path) -> AddressBook:
        """Read a label file: CSV or parquet with the columns `address`, `owner`, `owner_type` and `known_since`.

        Raises
        ------
        SchemaError
            If the file cannot be read, lacks a column, holds no rows, or a row is wrong; the message names it.
        """
        file = open_raw(path)
        lacking = [name for name in _COLUMNS if file.position(name) is None]
        if lacking:
            raise SchemaError(f"{path}: a label file has {', '.join(_COLUMNS)}; this one lacks {', '.join(lacking)}")
        rows = file.read(_COLUMNS)
        if rows.empty:
            raise SchemaError(f"{path} holds no labels")
        since, _ = utc(rows["known_since"], f"{path}: column `known_since`", None)
        nameless = np.flatnonzero(rows["address"].isna())
        if len(nameless):
            raise SchemaError(f"{path}: row {nameless[0] + 1} has no address")
        kinds, strange = owner_types(rows["owner_type"])
        if strange.any():
            raise SchemaError(
                f"{path}: `owner_type` must be one of {', '.join(_TYPES)}, was {rows['owner_type'][strange].iloc[0]!r}"
            )
        try:
            return cls(zip(rows["address"].astype("str"), rows["owner"], kinds, since, strict=True))
        except OrderError as error:
            raise SchemaError(f"{path}: {error}") from None

    def owners(self, addresses: pd.Series, known_at: pd.Series) -> pd.DataFrame:
        """Return owner and type of each address as they were known at the time of each row, else unknown.

        Parameters
        ----------
        addresses : Series, shape (rows,)
            Address in each row.
        known_at : Series, shape (rows,)
            Time up to which a label may have become known, UTC.
        """
        asked = pd.DataFrame({"address": _comparable(addresses), "since": known_at.dt.as_unit("us")})
        asked = asked.reset_index(drop=True)
        asked["row"] = np.arange(len(asked))
        asked = asked.sort_values("since", kind="stable")
        found = pd.merge_asof(asked, self._table, on="since", by="address")
        found = found.sort_values("row").set_index(addresses.index)
        return pd.DataFrame({"owner": found["owner"], "owner_type": found["owner_type"].fillna("unknown")})


def owner_types(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return types of owners by their canonical names, and which of them are not known; these are ``unknown``.

    Examples
    --------
    >>> types, strange = owner_types(pd.Series(["Exchange", "CEX", "somebody", None]))
    >>> types.tolist(), strange.tolist()
    (['exchange', 'exchange', 'unknown', 'unknown'], [False, False, True, False])
    """
    text = values.astype("str").str.strip().str.lower().str.replace("_", " ")
    text = text.mask(values.isna(), "unknown").replace(_ALIASES)
    strange = ~text.isin(_TYPES)
    return text.mask(strange, "unknown"), strange


def _comparable(addresses: pd.Series) -> pd.Series:
    text = addresses.astype("str").fillna("").str.strip()
    return text.where(~text.str.startswith("0x"), text.str.lower())
