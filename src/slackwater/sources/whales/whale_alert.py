"""Transfers of Whale Alert: the answers of its interface (version 1), or a record of its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.errors import SchemaError
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.json_file import json_rows, require_columns
from slackwater.sources.own_files.source import ReadFile, Request
from slackwater.sources.whales.transfers import LabelledTransfers

__all__ = ["WhaleAlert"]

_CHAINS: Final = {"binancechain": "bsc", "xrp": "ripple", "xrpl": "ripple", "binance smart chain": "bsc"}
"""Chains that it names otherwise than we do."""
_NEEDED: Final = {
    "event_time": "timestamp",
    "chain": "blockchain",
    "asset": "symbol",
    "amount": "amount",
    "amount_usd": "amount_usd",
    "tx_hash": "hash",
}
_OPTIONAL: Final = {"id": "id", "seen": "received_at"}
_END: Final = {"address": "address", "owner": "owner", "owner_type": "owner_type"}


@dataclass(frozen=True, kw_only=True)
class WhaleAlert(LabelledTransfers):
    """Whale Alert's JSON: the kind ``whale_alert``.

    The file is an answer (``{"transactions": [...]}``), a list of transactions, or one of either per line.
    Transactions may carry ``received_at``, the time since 1970 at which a recorder took them in.
    """

    def read(self, request: Request) -> list[ReadFile]:
        """Return canonical ``whale_transfers``; see `TransferOptions.canonical` for errors.

        Raises
        ------
        SchemaError
            If the file is not JSON of transactions.
        """
        path = request.root / self.file
        items = json_rows(path, _transactions)
        rows = [_row(item, place, path) for place, item in enumerate(items, start=1)]
        if not rows:
            raise SchemaError(f"{path} holds no transactions")
        table = pd.DataFrame(rows)
        require_columns(table, list(table), str(path))
        table["event_time"], clock = utc(table["event_time"], f"{path}: `timestamp`", None)
        seen = table.pop("seen").dropna()
        if len(seen):
            table["seen"], _ = utc(seen.infer_objects(), f"{path}: `{_OPTIONAL['seen']}`", None)
        columns = {ours: f"from {theirs}" for ours, theirs in _NEEDED.items()} | {"source": "always whale_alert"}
        columns |= {f"{side}_{end}": f"from {side}.{end}" for side in ("from", "to") for end in _END}
        used = {*_NEEDED.values(), *_OPTIONAL.values(), "from", "to"}
        unread = tuple(dict.fromkeys(str(name) for item in items for name in item if name not in used))
        read = ReadFile(table=table, origin=path.name, columns=columns, unread=unread, clock=str(clock))
        return self.labelled(read, request)


def _transactions(content: Any, path: Path) -> Any:
    if isinstance(content, dict) and content.get("result") == "error":
        raise SchemaError(f"{path} holds an error of Whale Alert: {str(content.get('message'))[:100]}")
    return content["transactions"] if isinstance(content, dict) and "transactions" in content else content


def _row(item: Any, place: int, path: Path) -> dict[str, Any]:
    try:
        row = {ours: item[theirs] for ours, theirs in _NEEDED.items()}
        row |= {ours: item.get(theirs) for ours, theirs in _OPTIONAL.items()}
        chain = str(row["chain"]).lower()
        row |= {"chain": _CHAINS.get(chain, chain), "source": "whale_alert"}
        for side in ("from", "to"):
            end: Mapping[str, Any] = item[side]
            row |= {f"{side}_{name}": end.get(name) or None for name in _END}
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "is not a transaction"
        raise SchemaError(f"{path}: transaction {place} {reason}: {item!r:.100}") from None
    return row
