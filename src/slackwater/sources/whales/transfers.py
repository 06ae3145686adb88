"""Transfers of any source: the options that their kinds share, and how rows become canonical or are masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError, SchemaError, did_you_mean
from slackwater.market.contracts import base_asset
from slackwater.market.schemas import validate
from slackwater.sources.own_files.numbers import numbers
from slackwater.sources.own_files.screen import Screen
from slackwater.sources.own_files.source import FileSource, ReadFile, Request
from slackwater.sources.whales.availability import INDEXER_LAG, waits
from slackwater.sources.whales.labels import owner_types, owners_at, read_labels

__all__ = ["LabelledTransfers", "TransferOptions", "perpetuals"]

_SIDES: Final = ("from", "to")
_LABELLED: Final = {f"{side}_owner{end}": "the label file" for side in _SIDES for end in ("", "_type")}


@dataclass(frozen=True, kw_only=True)
class TransferOptions(FileSource):
    """Options of every kind of transfers.

    Parameters
    ----------
    indexer_lag
        Time from the confirmation of a transfer to the message of an indexer.
    min_usd
        Transfers below this value are left out, USD.
    """

    indexer_lag: timedelta = INDEXER_LAG
    min_usd: float = 0.0

    def canonical(
        self,
        read: ReadFile,
        request: Request,
        *,
        symbols: Mapping[str, str] | None = None,
        confirmation: Mapping[str, timedelta] | None = None,
        labels: pd.DataFrame | None = None,
        known_since: datetime | None = None,
    ) -> ReadFile:
        """Return rows of a source as canonical ``whale_transfers``, sorted by symbol and time.

        Parameters
        ----------
        read
            Rows with `event_time` (UTC), `chain`, `asset`, `amount`, `amount_usd`, `tx_hash`, `source`, for each of
            ``from`` and ``to`` its `_owner` and `_owner_type`, by any name; perhaps `id` (the source's own, of one
            transfer), `log_index`, `seen` (when it was recorded), and `from_address`, `to_address` for a label file.
        request
            Table, symbols and time; later rows are masked.
        symbols, confirmation, labels, known_since
            See `LabelledTransfers`. Rows of assets without a perpetual (all of them if `symbols` is None) are kept
            under the name of the asset, which no perpetual has: flows are made of them.

        Raises
        ------
        SchemaError
            If no row can be used, all rows lie before `known_since`, or a chain is unknown.
        ParameterError
            If an asset is mapped to a perpetual on another coin, or to one that the data set does not have.
        """
        origin, screen = str(request.root / self.file), Screen(request.table)
        screen.findings += read.findings
        # 1. Names, and the perpetual of each asset.
        rows = read.table
        rows = rows.assign(asset=rows["asset"].astype("str").str.upper(), chain=rows["chain"].astype("str").str.lower())
        mapped = rows["asset"].map({} if symbols is None else perpetuals(request.symbols or (), symbols))
        rows = rows.assign(symbol=mapped.where(mapped.notna(), rows["asset"]))
        # 2. Rows that cannot be used.
        now = pd.Timestamp(request.now or datetime.now(UTC))
        rows = screen.drop(rows, rows["event_time"] > now, "future", "has not happened yet")
        if "id" in rows:
            twice = rows["id"].notna() & rows.duplicated("id")
            rows = screen.drop(rows, twice, "doubled_rows", "the same transfer again", action="repaired")
            rows = rows.drop(columns="id")
        rows = _typed(rows, screen)
        made = numbers({name: rows[name] for name in ("amount", "amount_usd")}, origin)
        rows = rows.assign(**made.columns)
        bad = made.unreadable | ~(np.isfinite(rows[[*made.columns]]) & (rows[[*made.columns]] >= 0.0)).all(axis=1)
        note = f"`amount` or `amount_usd` is not an amount{f': {made.example}' if made.example else ''}"
        rows = screen.drop_unreadable(rows, bad, note, origin)
        rows = _identified(rows, screen)
        # 3. When each was known, and the owners that were known then.
        rows = rows.assign(available_time=rows["event_time"] + waits(rows["chain"], confirmation) + self.indexer_lag)
        if "seen" in rows:
            late = rows["seen"].notna() & (rows["seen"] > rows["available_time"])
            rows = rows.assign(available_time=rows["available_time"].where(~late, rows["seen"]))
        rows = screen.drop_restated(rows, known_since, origin)
        if labels is not None:
            rows = _labelled(rows, labels, origin)
        # 4. Each transfer once, above the floor.
        owners = {f"{side}_owner": rows[f"{side}_owner"].astype("str") for side in _SIDES}  # missing stays missing
        rows = rows.assign(**owners).sort_values(["symbol", "event_time"], kind="stable")
        key = ["symbol", "chain", "tx_hash", "log_index", "source"]
        rows = screen.drop(rows, rows.duplicated(key), "doubled_rows", "the same transfer again", action="repaired")
        small = f"below {self.min_usd:g} USD, the `min_usd` of this file"
        rows = screen.drop(rows, rows["amount_usd"] < self.min_usd, "below_floor", small, action="recorded")
        screen.refuse_nothing(rows, origin)
        other = rows["symbol"] == rows["asset"]
        screen.record(rows, other, "other_asset", "no perpetual of the data set is on this asset: for flows alone")
        described = {
            "symbol": "the perpetual of the asset",
            "available_time": "the stamp, its confirmation and the indexer",
        }
        described |= {"log_index": "the order of the rows"}
        return replace(
            read,
            table=validate(rows.reset_index(drop=True), request.table, origin=origin),
            columns=described | {**read.columns, **({} if labels is None else _LABELLED)},
            findings=screen.findings,
        )


@dataclass(frozen=True, kw_only=True)
class LabelledTransfers(TransferOptions):
    """Options of the kinds whose owners are labels.

    Parameters
    ----------
    known_since
        Time since which the labels of the file stand as they are: the day of a download, or the start of a live
        record. Rows before it are masked.
    labels
        Name of a label file in the directory, in place of `known_since` (`read_labels`).
    symbols
        Asset to perpetual, for assets that are not named as the coin of a perpetual, such as ``{"WBTC": "BTCUSDT"}``.
    confirmation
        Time until a transfer is certain, by chain, over those that are known.

    Raises
    ------
    ParameterError
        If not exactly one of `known_since` and `labels` is given, or `known_since` is naive.
    """

    known_since: datetime | None = None
    labels: str | None = None
    symbols: Mapping[str, str] = field(default_factory=dict)
    confirmation: Mapping[str, timedelta] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that something is said about the labels."""
        if (self.known_since is None) == (self.labels is None):
            raise ParameterError(
                f"{self.file}: give either `known_since`, the time since which the labels in the file stand as they "
                "are, or `labels`, a label file: providers restate labels, and a history of today holds what was not "
                "known then"
            )
        if self.known_since is not None and self.known_since.tzinfo is None:
            raise ParameterError(f"{self.file}: `known_since` must carry a time zone, was {self.known_since}")

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that it reads: the transfers, and the labels if they have their own."""
        return super().files if self.labels is None else (*super().files, self.labels)

    def labelled(self, read: ReadFile, request: Request) -> list[ReadFile]:
        """Return canonical rows with these options; see `TransferOptions.canonical`."""
        labels = None if self.labels is None else read_labels(request.root / self.labels)
        named = partial(self.canonical, symbols=self.symbols, confirmation=self.confirmation)
        return [named(read, request, labels=labels, known_since=self.known_since)]


def perpetuals(symbols: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return the perpetual of each asset: those named, and the coin of every other perpetual.

    Parameters
    ----------
    symbols
        Perpetuals of the data set.
    named
        Asset to perpetual. Wrapped coins count as the coin: WBTC, STETH.

    Raises
    ------
    ParameterError
        If an asset is mapped to a perpetual on another coin, whose amounts would be added up, or to one that the data
        set does not have; or a coin has several perpetuals and none is named.

    Examples
    --------
    >>> perpetuals(["BTCUSDT", "ETHUSDT"], {"WBTC": "BTCUSDT"})
    {'BTC': 'BTCUSDT', 'ETH': 'ETHUSDT', 'WBTC': 'BTCUSDT'}
    """
    coins = {symbol: base_asset(symbol) for symbol in symbols}
    for asset, symbol in named.items():
        if symbol not in coins:
            raise ParameterError(
                f"`symbols` maps {asset} to {symbol}, which is not in the data set{did_you_mean(symbol, coins)}"
            )
        if not asset.upper().endswith(coins[symbol]):
            raise ParameterError(
                f"`symbols` maps {asset} to {symbol}, which is on {coins[symbol]}: coins of another kind must not be "
                "added up; make flows in USD of them (`kind: from_transfers`)"
            )
    upper = {asset.upper(): symbol for asset, symbol in named.items()}
    for symbol, coin in coins.items():
        if coin not in upper and list(coins.values()).count(coin) > 1:
            raise ParameterError(f"{coin} has several perpetuals: name one of them, `symbols: {{{coin}: {symbol}}}`")
    return {coin: symbol for symbol, coin in coins.items()} | upper


def _typed(rows: pd.DataFrame, screen: Screen) -> pd.DataFrame:
    for side in _SIDES:
        name = f"{side}_owner_type"
        types, strange = owner_types(rows[name])
        if strange.any():
            note = f"the type {rows[name][strange].iloc[0]!r:.40} of `{name}` is not known: taken for unknown"
            screen.record(rows, strange, "unknown_owner_type", note)
        rows = rows.assign(**{name: types})
    return rows


def _identified(rows: pd.DataFrame, screen: Screen) -> pd.DataFrame:
    """Return the rows that have an identity, with `log_index`, the place of each transfer in its transaction."""
    lost = rows["tx_hash"].isna() | (rows["tx_hash"].astype("str").str.strip() == "")
    rows = screen.drop(rows, lost, "unidentified", "no hash: it could come twice and count twice")
    if "log_index" in rows:
        rows = rows.assign(log_index=pd.to_numeric(rows["log_index"], errors="coerce").astype("float64"))
        return screen.drop(
            rows, ~(rows["log_index"] >= 0.0), "unidentified", "`log_index` is not a number: it could count twice"
        )
    # Without it the very same row is the same transfer.
    same = rows.drop(columns="seen", errors="ignore").duplicated()
    rows = screen.drop(rows, same, "doubled_rows", "the same transfer again", action="repaired")
    return rows.assign(log_index=rows.groupby(["chain", "tx_hash"], sort=False).cumcount().astype("float64"))


def _labelled(rows: pd.DataFrame, labels: pd.DataFrame, origin: str) -> pd.DataFrame:
    for side in _SIDES:
        if f"{side}_address" not in rows:
            raise SchemaError(f"{origin}: a label file needs the column `{side}_address`")
        # What is known when the transfer is: not at its block, and not today.
        found = owners_at(labels, rows[f"{side}_address"], rows["available_time"])
        rows = rows.assign(**{f"{side}_owner": found["owner"], f"{side}_owner_type": found["owner_type"]})
    return rows
