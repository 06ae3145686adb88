"""Transfers as Whale Alert tells them: the answers of its interface (version 1), or a record of its messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.errors import SchemaError
from slackwater.sources.own_files.clock import utc
from slackwater.sources.whales.availability import Availability
from slackwater.sources.whales.json_file import json_documents, require_columns
from slackwater.sources.whales.labels import AddressBook, Labels
from slackwater.sources.whales.transfers import WhaleTable, canonical_transfers

__all__ = ["read_whale_alert"]

#: What it names otherwise than we do.
_CHAINS: Final = {"binancechain": "bsc", "xrp": "ripple", "xrpl": "ripple", "binance smart chain": "bsc"}
#: The name of the time at which a recorder took a message in, if it noted it.
_SEEN: Final = "received_at"


def read_whale_alert(
    path: str | Path,
    *,
    symbols: Mapping[str, str],
    labels: Labels | None = None,
    address_book: AddressBook | None = None,
    availability: Availability | None = None,
    now: datetime | None = None,
) -> WhaleTable:
    """Read transfers of a file of Whale Alert's JSON.

    Parameters
    ----------
    path
        An answer (``{"transactions": [...]}``), a list of transactions, or one of either a line. Transactions may
        carry ``received_at``, the time since 1970 at which a recorder took them in.
    symbols
        Asset to perpetual, such as ``{"BTC": "BTCUSDT"}``.
    labels, address_book
        Since when the owners in it stood as they are, or an address book of one's own.
    availability
        How long a transfer takes to be known.
    now
        Rows of a later time are masked.

    Returns
    -------
    WhaleTable
        Canonical ``whale_transfers``, sorted by symbol and time.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If it is no JSON of transactions, or nothing is said about the labels.
    """
    source = Path(path)
    rows = [_row(item, place, source) for place, item in enumerate(_transactions(source), start=1)]
    if not rows:
        raise SchemaError(f"{source} holds no transactions")
    table = pd.DataFrame(rows)
    require_columns(table, list(table), str(source))
    table["event_time"], _ = utc(table["event_time"], f"{source}: `timestamp`", None)
    seen = table.pop("seen").dropna()
    if len(seen):
        table["seen"], _ = utc(seen.infer_objects(), f"{source}: `{_SEEN}`", None)
    return canonical_transfers(
        table,
        symbols=symbols,
        origin=str(source),
        availability=availability or Availability(),
        labels=labels,
        address_book=address_book,
        now=now,
    )


def _transactions(source: Path) -> list[Any]:
    out: list[Any] = []
    for content in json_documents(source):
        if isinstance(content, dict) and content.get("result") == "error":
            raise SchemaError(f"{source} holds an error of Whale Alert: {str(content.get('message'))[:100]}")
        if isinstance(content, dict) and "transactions" in content:
            content = content["transactions"]
        out += content if isinstance(content, list) else [content]
    return out


def _row(item: Any, place: int, source: Path) -> dict[str, Any]:
    try:
        chain = str(item["blockchain"]).lower()
        row = {
            "id": item.get("id"),
            "event_time": item["timestamp"],
            "seen": item.get(_SEEN),
            "chain": _CHAINS.get(chain, chain),
            "asset": item["symbol"],
            "amount": item["amount"],
            "amount_usd": item["amount_usd"],
            "tx_hash": item["hash"],
            "source": "whale_alert",
        }
        for side in ("from", "to"):
            end = item[side]
            row |= {f"{side}_address": end.get("address", ""), f"{side}_owner": end.get("owner") or None}
            row[f"{side}_owner_type"] = end.get("owner_type")
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "is no transaction"
        raise SchemaError(f"{source}: transaction {place} {reason}: {item!r:.100}") from None
    return row
