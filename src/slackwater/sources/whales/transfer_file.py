"""Transfers of one's own, in a CSV or parquet file with columns of any name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from slackwater.sources.own_files.json_file import require_columns
from slackwater.sources.own_files.source import ReadFile, Request
from slackwater.sources.own_files.table_file import ColumnMap
from slackwater.sources.whales.transfers import LabelledTransfers

__all__ = ["TransferFile"]

_NEEDED: Final = ("event_time", "chain", "asset", "amount", "amount_usd", "tx_hash", "source")
_OWNERS: Final = {"from_owner": None, "from_owner_type": "unknown", "to_owner": None, "to_owner_type": "unknown"}
_OPTIONAL: Final = ("log_index", "seen", *_OWNERS, "from_address", "to_address")


@dataclass(frozen=True, kw_only=True)
class TransferFile(LabelledTransfers, ColumnMap):
    """A CSV or parquet file with one transfer per row: the kind ``transfers``.

    Parameters
    ----------
    columns, constants, values, scale, utc_offset
        See `ColumnMap`. The columns of a transfer are `event_time`, `chain`, `asset`, `amount`, `amount_usd`,
        `tx_hash` and `source`; optional are `log_index`, `seen` (when it was recorded), and `owner`, `owner_type`,
        `address` of ``from_`` and ``to_``.
    """

    def read(self, request: Request) -> list[ReadFile]:
        """Return canonical ``whale_transfers``; see `ColumnMap.rows` and `TransferOptions.canonical` for errors."""
        read = self.rows(request, (*_NEEDED, *_OPTIONAL), _NEEDED)
        require_columns(read.table, list(read.table), str(request.root / self.file))
        for name in (name for name in _OWNERS if name not in read.table):
            read.table[name] = pd.Series(_OWNERS[name], index=read.table.index, dtype="str")
        return self.labelled(read, request)
