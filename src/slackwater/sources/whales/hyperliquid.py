"""Wallets of Hyperliquid: their fills, and what they put in and take out.

Every wallet is public there, and the venue is the other side of each deposit: no provider's label is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, SchemaError
from slackwater.market.schemas import validate
from slackwater.sources.large_trades import LargeTradeRule, select_large_trades
from slackwater.sources.own_files.clock import utc
from slackwater.sources.whales.availability import Availability
from slackwater.sources.whales.json_file import json_documents, require_columns
from slackwater.sources.whales.labels import Labels
from slackwater.sources.whales.transfers import Screen, WhaleTable, canonical_transfers

__all__ = ["read_fills", "read_ledger"]

#: Sides of fills: of the interface, and of the first archive.
_SIDES: Final = {"B": "buy", "A": "sell", "Bid": "buy", "Ask": "sell"}
#: Ledger updates that cross the border of the venue; the rest moves money within it.
_CROSSINGS: Final = {"deposit": 1.0, "withdraw": -1.0}


def read_fills(
    fills: str | Path | pd.DataFrame | Sequence[Mapping[str, Any]],
    *,
    symbols: Mapping[str, str],
    rule: LargeTradeRule | None = None,
    availability: Availability | None = None,
) -> WhaleTable:
    """Select the large aggressor trades of fills.

    Parameters
    ----------
    fills
        Fills as the interface gives them (``userFills``: coin, px, sz, side, time, crossed, tid), of one or many
        wallets: JSON, JSON lines, parquet, or a table.
    symbols
        Coin to perpetual, such as ``{"BTC": "BTCUSDT"}``; other coins are passed over.
    rule
        What counts as large: above a quantile of the trades of the hours before, and a floor in USD.
    availability
        How long a fill takes to be known.

    Returns
    -------
    WhaleTable
        Canonical ``large_trades``. Of the two fills of a trade only the aggressor's counts. Fills of one wallet, side
        and price at one time are one order, and one trade.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If a fill lacks a field, or none is of a wanted coin.
    """
    origin, rows = _rows(fills)
    require_columns(rows, ("coin", "px", "sz", "side", "time", "crossed"), origin)
    require_columns(rows, [name for name in ("tid", "user") if name in rows], origin)
    screen = Screen("large_trades")
    rows = rows.assign(symbol=rows["coin"].map(dict(symbols)))
    rows = rows[rows["symbol"].notna()].reset_index(drop=True)
    if rows.empty:
        raise SchemaError(f"{origin}: no fill of {', '.join(symbols)}")
    rows["event_time"], _ = utc(rows["time"], f"{origin}: `time`", None)
    for ours, theirs in (("price", "px"), ("quantity", "sz")):
        rows[ours] = pd.to_numeric(rows[theirs], errors="coerce")
    bad = ~(
        np.isfinite(rows["price"]) & (rows["price"] > 0.0) & np.isfinite(rows["quantity"]) & (rows["quantity"] > 0.0)
    )
    rows = screen.drop(rows, bad, "unreadable", "`px` or `sz` is no positive number")
    side = rows["side"].map(_SIDES)
    rows = screen.drop(rows.assign(side=side), side.isna(), "unreadable", f"`side` is none of {', '.join(_SIDES)}")
    told = rows["crossed"].map(lambda value: isinstance(value, (bool, np.bool_))).to_numpy(dtype=bool)
    rows = screen.drop(rows, ~told, "unreadable", "`crossed` is neither true nor false")
    rows = rows[rows["crossed"].astype(bool)]
    if "tid" in rows:
        twice = rows.duplicated(["symbol", "tid"])
        rows = screen.drop(rows, twice, "doubled_rows", "the same fill again", action="repaired")
    order = ["symbol", "event_time", "side", "price", *(["user"] if "user" in rows else [])]
    trades = rows.groupby(order, as_index=False, sort=True)["quantity"].sum()
    large = select_large_trades(trades.sort_values(["symbol", "event_time"], kind="stable", ignore_index=True), rule)
    wait = (availability or Availability()).of("hyperliquid")
    table = large.assign(available_time=large["event_time"] + wait)
    return WhaleTable(table=validate(table, "large_trades", origin=origin), findings=screen.findings)


def read_ledger(
    updates: str | Path | pd.DataFrame | Sequence[Mapping[str, Any]],
    *,
    user: str = "",
    availability: Availability | None = None,
    now: datetime | None = None,
) -> WhaleTable:
    """Read deposits and withdrawals of wallets as transfers of USDC.

    Parameters
    ----------
    updates
        ``userNonFundingLedgerUpdates`` as the interface gives them (time, hash, delta), or the table of the first
        archive (time, user, delta_usd): JSON, JSON lines, parquet, or a table.
    user
        The wallet, where the updates do not name it.
    availability
        How long an update takes to be known.
    now
        Rows of a later time are masked.

    Returns
    -------
    WhaleTable
        Canonical ``whale_transfers`` under the symbol USDC: make flows of them (`flows_from_transfers`) to set them
        beside a perpetual. Transfers within the venue are passed over.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If an update lacks a field.
    """
    origin, rows = _rows(updates)
    rows = _of_archive(rows, origin) if "delta_usd" in rows else _of_interface(rows, origin)
    rows["event_time"], _ = utc(rows["time"], f"{origin}: `time`", None)
    onto = rows["usdc"] > 0.0
    wallet = rows["user"] if "user" in rows else pd.Series(user or None, index=rows.index, dtype="str")
    table = pd.DataFrame(
        {
            "event_time": rows["event_time"],
            "chain": "hyperliquid",
            "asset": "USDC",
            "amount": rows["usdc"].abs(),
            "amount_usd": rows["usdc"].abs(),
            "tx_hash": rows["hash"],
            "source": "hyperliquid",
            "from_owner": wallet.where(onto, "Hyperliquid"),
            "from_owner_type": np.where(onto, "wallet", "exchange"),
            "to_owner": wallet.where(~onto, "Hyperliquid"),
            "to_owner_type": np.where(onto, "exchange", "wallet"),
        }
    )
    return canonical_transfers(
        table[rows["usdc"] != 0.0],
        symbols={},
        origin=origin,
        availability=availability or Availability(),
        # The venue itself is one side of each: nobody restates that.
        labels=Labels.point_in_time(),
        address_book=None,
        now=now,
    )


def _of_archive(rows: pd.DataFrame, origin: str) -> pd.DataFrame:
    require_columns(rows, ("time", "user", "delta_usd"), origin)
    # It has no hashes: wallet and time stand for one.
    name = rows["user"].astype("str") + "@" + rows["time"].astype("str")
    return rows.assign(usdc=pd.to_numeric(rows["delta_usd"], errors="coerce"), hash=name)


def _of_interface(rows: pd.DataFrame, origin: str) -> pd.DataFrame:
    if "delta" not in rows:
        raise SchemaError(f"{origin} lacks delta; it has {', '.join(map(str, rows.columns))}")
    require_columns(rows, ("time", "hash"), origin)
    kinds = rows["delta"].map(lambda delta: delta.get("type") if isinstance(delta, Mapping) else None)
    nameless = np.flatnonzero(~kinds.map(lambda kind: isinstance(kind, str)).to_numpy(dtype=bool))
    if len(nameless):
        raise SchemaError(f"{origin}: update {nameless[0] + 1} has no `type` in its `delta`")
    rows = rows.assign(sign=kinds.map(_CROSSINGS))
    rows = rows[rows["sign"].notna()].reset_index(drop=True)
    amounts = rows["delta"].map(lambda delta: delta.get("usdc"))
    return rows.assign(usdc=pd.to_numeric(amounts, errors="coerce").astype("float64") * rows["sign"].astype("float64"))


def _rows(content: str | Path | pd.DataFrame | Sequence[Mapping[str, Any]]) -> tuple[str, pd.DataFrame]:
    if isinstance(content, pd.DataFrame):
        return "the table", content.reset_index(drop=True)
    if not isinstance(content, (str, Path)):
        return "the rows", _table(list(content), "the rows")
    path = Path(content)
    if path.suffix == ".parquet":
        if not path.is_file():
            raise MissingDataError(f"there is no file {path}")
        try:
            return str(path), pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise SchemaError(f"{path} is not a readable parquet file: {error}") from None
    return str(path), _table(_flat(json_documents(path)), str(path))


def _table(rows: list[Any], origin: str) -> pd.DataFrame:
    for place, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise SchemaError(f"{origin}: row {place} must map names to values, was {row!r:.60}")
    return pd.DataFrame(rows)


def _flat(contents: Iterable[Any]) -> list[Any]:
    out: list[Any] = []
    for content in contents:
        out += content if isinstance(content, list) else [content]
    return out
