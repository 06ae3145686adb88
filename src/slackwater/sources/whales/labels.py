"""Owners of addresses, each since the time at which they were known.

Providers restate their labels: an address that is found to be an exchange's today is one in the whole history that they
hand out tomorrow. A model that learns from such a history uses what was not known then. So labels are used only with
the time since which they stood as they are; rows before that are masked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.raw_columns import open_raw

__all__ = ["owner_types", "owners_at", "read_labels"]

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


def read_labels(path: Path) -> pd.DataFrame:
    """Read a label file: CSV or parquet with the columns `address`, `owner`, `owner_type` and `known_since`.

    An address may come again with a later time: from then on the later row counts. Addresses that begin with ``0x``
    are compared in small letters.

    Returns
    -------
    DataFrame
        These columns, in the order of time.

    Raises
    ------
    SchemaError
        If the file cannot be read, lacks a column or rows, or a row is wrong; the message names it.
    """
    file = open_raw(path)
    lacking = [name for name in _COLUMNS if file.position(name) is None]
    if lacking:
        raise SchemaError(f"{path}: a label file has {', '.join(_COLUMNS)}; this one lacks {', '.join(lacking)}")
    table = file.read(_COLUMNS)
    if table.empty:
        raise SchemaError(f"{path} holds no labels")
    types, strange = owner_types(table["owner_type"])
    nameless = table["address"].isna()
    address = _comparable(table["address"])
    known_since, _ = utc(table["known_since"], f"{path}: column `known_since`", None, dates_begin=True)
    table = table.assign(address=address, owner_type=types, known_since=known_since)
    for bad, reason in (
        (nameless, "has no address"),
        (strange, f"must have an `owner_type` of {', '.join(_TYPES)}"),
        (table.duplicated(["address", "known_since"]), "repeats an address and its `known_since`"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise SchemaError(f"{path}: row {row + 1} {reason}, was {file.read(_COLUMNS).iloc[row].tolist()}")
    return table.sort_values("known_since", kind="stable", ignore_index=True)


def owners_at(labels: pd.DataFrame, addresses: pd.Series, times: pd.Series) -> pd.DataFrame:
    """Return owner and type of each address as they were known at the time of each row, else unknown.

    Parameters
    ----------
    labels
        What `read_labels` returned.
    addresses, times : Series, shape (rows,)
        Address, and time up to which its owner may have become known.
    """
    asked = pd.DataFrame({"address": _comparable(addresses), "known_since": times.dt.as_unit("us")})
    asked = asked.reset_index(drop=True).rename_axis("row").reset_index().sort_values("known_since", kind="stable")
    found = pd.merge_asof(asked, labels, on="known_since", by="address").sort_values("row").set_index(addresses.index)
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
