"""Wallets of Hyperliquid: their fills, and their deposits and withdrawals.

Every wallet is public there, and the venue is the other side of each deposit: no provider's label is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.schemas import validate
from slackwater.sources.large_trades import LargeTradeRule, select_large_trades
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.json_file import require_columns
from slackwater.sources.own_files.numbers import numbers
from slackwater.sources.own_files.raw_columns import open_raw
from slackwater.sources.own_files.screen import Screen
from slackwater.sources.own_files.source import FileSource, ReadFile, Request
from slackwater.sources.whales.availability import CONFIRMATION, INDEXER_LAG
from slackwater.sources.whales.transfers import TransferOptions, perpetuals

__all__ = ["HyperliquidFills", "HyperliquidLedger"]

_SIDES: Final = {"B": "buy", "A": "sell", "Bid": "buy", "Ask": "sell"}
"""Sides of fills: of the interface, and of the first archive."""
_CROSSINGS: Final = {"deposit": 1.0, "withdraw": -1.0}
"""Ledger updates that cross the border of the venue; the rest moves money within it."""
_FILL: Final = {"symbol": "coin", "event_time": "time", "side": "side", "price": "px", "quantity": "sz"}


@dataclass(frozen=True, kw_only=True)
class HyperliquidFills(FileSource, LargeTradeRule):
    """Large aggressor trades among fills: the kind ``hyperliquid_fills``.

    The file holds fills as the interface returns them (``userFills``: coin, px, sz, side, time, crossed, tid), of one
    or many wallets, as JSON, JSON lines or parquet.

    Parameters
    ----------
    symbols
        Coin to perpetual, beside the coin of each perpetual of the data set; other coins are left out.
    indexer_lag
        Time from a fill to its message.
    quantile, floor_usd, window, warm_up
        What counts as large; see `LargeTradeRule`.
    """

    symbols: Mapping[str, str] = field(default_factory=dict)
    indexer_lag: timedelta = INDEXER_LAG

    def read(self, request: Request) -> list[ReadFile]:
        """Return canonical ``large_trades``.

        Of the two fills of a trade only the aggressor's counts. Fills of one wallet, side and price at one time are
        one order, and one trade.

        Raises
        ------
        SchemaError
            If the file cannot be read, a fill lacks a field, or none is of a wanted coin.
        """
        path, screen = request.root / self.file, Screen(request.table)
        origin, rows = str(path), _rows(path)
        require_columns(rows, (*_FILL.values(), "crossed"), origin)
        require_columns(rows, [name for name in ("tid", "user") if name in rows], origin)
        times, clock = utc(rows["time"], f"{origin}: `time`", None)
        # 1. Usable fills of wanted coins.
        named = perpetuals(request.symbols or (), self.symbols)
        coins = rows["coin"].astype("str").str.upper()
        rows = rows.assign(event_time=times, symbol=coins.map(named), asset=rows["coin"])
        note = "no perpetual of the data set is on this coin"
        rows = screen.drop(rows, rows["symbol"].isna(), "other_asset", note, action="recorded")
        if rows.empty:
            raise SchemaError(f"{origin}: no fill of {', '.join(named)}")
        rows = rows.assign(side=rows["side"].map(_SIDES))
        made = numbers({"price": rows["px"], "quantity": rows["sz"]}, origin)
        rows = rows.assign(**made.columns)
        sizes = rows[["price", "quantity"]]
        bad = ~(np.isfinite(sizes) & (sizes > 0.0)).all(axis=1)
        rows = screen.drop_unreadable(rows, bad, "`px` or `sz` is not a positive number", origin)
        rows = screen.drop(rows, rows["side"].isna(), "unreadable", f"`side` is not one of {', '.join(_SIDES)}")
        told = rows["crossed"].map(lambda value: isinstance(value, (bool, np.bool_))).to_numpy(dtype=bool)
        rows = screen.drop(rows, ~told, "unreadable", "`crossed` is neither true nor false")
        # 2. The aggressor's fills, each once, joined to orders.
        rows = rows[rows["crossed"].astype(bool)]
        if "tid" in rows:
            twice = rows.duplicated(["symbol", "tid"])
            rows = screen.drop(rows, twice, "doubled_rows", "the same fill again", action="repaired")
        order = ["symbol", "event_time", "side", "price", *(["user"] if "user" in rows else [])]
        trades = rows.groupby(order, as_index=False, sort=True)["quantity"].sum()
        # 3. The large ones.
        trades = trades.sort_values(["symbol", "event_time"], kind="stable", ignore_index=True)
        large = select_large_trades(trades, self)
        table = large.assign(available_time=large["event_time"] + CONFIRMATION["hyperliquid"] + self.indexer_lag)
        columns = {ours: f"from {theirs}" for ours, theirs in _FILL.items()}
        return [
            ReadFile(
                table=validate(table, request.table, origin=origin),
                origin=path.name,
                columns=columns | {"available_time": "the stamp, its confirmation and the indexer"},
                unread=_unread(rows, {*_FILL.values(), *_FILL, "asset", "crossed", "tid", "user"}),
                clock=str(clock),
                findings=screen.findings,
            )
        ]


@dataclass(frozen=True, kw_only=True)
class HyperliquidLedger(TransferOptions):
    """Deposits and withdrawals of wallets as transfers of USDC: the kind ``hyperliquid_ledger``.

    The file holds ``userNonFundingLedgerUpdates`` as the interface returns them (time, hash, delta), or the table of
    the first archive (time, user, delta_usd), as JSON, JSON lines or parquet. Transfers within the venue are left out.
    No perpetual is on USDC: the rows become features as flows (the kind ``from_transfers``).

    Parameters
    ----------
    user
        The wallet, where the updates do not name it.
    """

    user: str | None = None

    def read(self, request: Request) -> list[ReadFile]:
        """Return canonical ``whale_transfers``; see `TransferOptions.canonical` for errors.

        Raises
        ------
        SchemaError
            If the file cannot be read, or an update lacks a field.
        """
        path = request.root / self.file
        origin, rows = str(path), _rows(path)
        of_archive = "delta_usd" in rows
        amount = "delta_usd" if of_archive else "delta"
        unread = _unread(rows, {"time", "user", "hash", amount})
        rows = _of_archive(rows, origin) if of_archive else _of_interface(rows, origin)
        times, clock = utc(rows["time"], f"{origin}: `time`", None)
        onto = rows["usdc"] > 0.0
        wallet = rows["user"] if "user" in rows else pd.Series(self.user, index=rows.index, dtype="str")
        table = pd.DataFrame(
            {
                "event_time": times,
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
        )[rows["usdc"] != 0.0]
        columns = {name: f"always {table[name].iloc[0]}" for name in ("chain", "asset", "source") if len(table)}
        columns |= {"event_time": "from time", "amount": f"from {amount}", "amount_usd": f"from {amount}"}
        columns |= {"tx_hash": "from user and time" if of_archive else "from hash"}
        columns |= {f"{side}_owner{end}": f"the sign of {amount}" for side in ("from", "to") for end in ("", "_type")}
        read = ReadFile(table=table, origin=path.name, columns=columns, unread=unread, clock=str(clock))
        return [self.canonical(read, request)]


def _of_archive(rows: pd.DataFrame, origin: str) -> pd.DataFrame:
    require_columns(rows, ("time", "user", "delta_usd"), origin)
    # It has no hashes; wallet and time identify an update.
    name = rows["user"].astype("str") + "@" + rows["time"].astype("str")
    return rows.assign(usdc=numbers({"delta_usd": rows["delta_usd"]}, origin).columns["delta_usd"], hash=name)


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
    made = numbers({"usdc": amounts}, origin).columns["usdc"]
    return rows.assign(usdc=made * rows["sign"].astype("float64"))


def _rows(path: Path) -> pd.DataFrame:
    raw = open_raw(path)
    return raw.read(raw.names)


def _unread(rows: pd.DataFrame, used: set[str]) -> tuple[str, ...]:
    return tuple(str(name) for name in rows if name not in used)
