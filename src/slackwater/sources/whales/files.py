"""Transfers and flows of one's own, in a CSV or parquet file with columns of any name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, ParameterError, SchemaError
from slackwater.market.schemas import validate
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.raw_columns import open_raw
from slackwater.sources.whales.availability import Availability
from slackwater.sources.whales.json_file import require_columns
from slackwater.sources.whales.labels import AddressBook, Labels, require
from slackwater.sources.whales.transfers import Screen, WhaleTable, canonical_transfers

__all__ = ["FlowColumns", "TransferColumns", "read_flows", "read_transfers"]

_TRANSFER: Final = (
    "event_time",
    "chain",
    "asset",
    "amount",
    "amount_usd",
    "tx_hash",
    "log_index",
    "seen",
    "from_owner",
    "from_owner_type",
    "from_address",
    "to_owner",
    "to_owner_type",
    "to_address",
)
_NEEDED: Final = ("event_time", "chain", "asset", "amount", "amount_usd", "tx_hash")


@dataclass(frozen=True, kw_only=True)
class TransferColumns:
    """Where a file has what.

    Parameters
    ----------
    columns
        Our name to the file's, where they differ: event_time, chain, asset, amount, amount_usd, tx_hash, log_index,
        seen (when it was recorded), and owner, owner_type, address of ``from_`` and ``to_``.
    constants
        Values of columns that the file lacks because they are always the same, such as ``{"chain": "bitcoin"}``.
    utc_offset
        How far its clock is ahead of UTC; None: its times say so themselves.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    utc_offset: timedelta | None = None


def read_transfers(
    path: str | Path,
    *,
    source: str,
    symbols: Mapping[str, str],
    columns: TransferColumns | None = None,
    labels: Labels | None = None,
    address_book: AddressBook | None = None,
    availability: Availability | None = None,
    now: datetime | None = None,
) -> WhaleTable:
    """Read transfers of a file, one a row.

    Parameters
    ----------
    path
        CSV or parquet.
    source
        Who made it.
    symbols
        Asset to perpetual, such as ``{"BTC": "BTCUSDT"}``.
    columns
        Where the file has what.
    labels, address_book, availability, now
        See `slackwater.sources.whales.read_whale_alert`.

    Returns
    -------
    WhaleTable
        Canonical ``whale_transfers``, sorted by symbol and time.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If a column is missing, the file cannot be read, or nothing is said about the labels.
    ParameterError
        If the map names a column that a transfer does not have.
    """
    where, told = Path(path), columns or TransferColumns()
    require(labels, address_book, str(where))
    unknown = sorted({*told.columns, *told.constants} - set(_TRANSFER))
    if unknown:
        raise ParameterError(f"a transfer has no {', '.join(unknown)}; it has {', '.join(_TRANSFER)}")
    rows = _read(where, told.columns, [name for name in _TRANSFER if name not in told.constants])
    rows = rows.assign(**told.constants, source=source)
    lacking = [name for name in _NEEDED if name not in rows]
    if lacking:
        raise SchemaError(
            f"{where}: no column for {', '.join(lacking)}; name it in `columns`, or its only value in `constants`"
        )
    for name in ("event_time", "seen"):
        if name in rows:
            rows[name], _ = utc(rows[name], f"{where}: `{name}`", told.utc_offset)
    for side in ("from", "to"):
        for name, blank in ((f"{side}_owner", None), (f"{side}_owner_type", "unknown")):
            if name not in rows:
                rows[name] = pd.Series(blank, index=rows.index, dtype="str")
    return canonical_transfers(
        rows,
        symbols=symbols,
        origin=str(where),
        availability=availability or Availability(),
        labels=labels,
        address_book=address_book,
        now=now,
    )


@dataclass(frozen=True, kw_only=True)
class FlowColumns:
    """Where a file of flows has what.

    Parameters
    ----------
    time
        Its column of times.
    stamp
        ``"start"``: a row is stamped by the start of its bucket. ``"end"``: by its end.
    inflow, outflow
        Columns of USD onto and off exchanges; both or none.
    netflow
        Column of USD onto less off exchanges; taken of the others where it is not named.
    asset
        Column of assets; or the only asset, as ``"=BTC"``.
    utc_offset
        How far its clock is ahead of UTC; None: its times say so themselves.
    """

    time: str
    stamp: Literal["start", "end"]
    inflow: str = ""
    outflow: str = ""
    netflow: str = ""
    asset: str = "asset"
    utc_offset: timedelta | None = None

    def __post_init__(self) -> None:
        if self.stamp not in ("start", "end"):
            raise ParameterError(f"`stamp` must be start or end, was {self.stamp!r}")
        if bool(self.inflow) != bool(self.outflow) or not (self.inflow or self.netflow):
            raise ParameterError("name `inflow` and `outflow`, or `netflow`, or all of them")


def read_flows(
    path: str | Path,
    *,
    source: str,
    symbols: Mapping[str, str],
    bucket: timedelta,
    columns: FlowColumns,
    lag: timedelta,
    labels: Labels | None = None,
    now: datetime | None = None,
) -> WhaleTable:
    """Read sums of transfers onto and off exchanges, one bucket of time a row.

    Parameters
    ----------
    path
        CSV or parquet.
    source
        Who made it.
    symbols
        Asset to perpetual; any asset may belong to any, since amounts are USD. Rows of other assets are passed over.
    bucket
        Length of a bucket; zero for the moment of a block.
    columns
        Where the file has what.
    lag
        From the end of a bucket to its publication: the confirmations of its last transfer, the indexer, and the
        provider's own schedule.
    labels
        Since when the provider's labels stood as they are; flows are sums over labels, and are restated with them.
    now
        Rows that end later are masked; by default the time of the clock.

    Returns
    -------
    WhaleTable
        Canonical ``exchange_flows``, sorted by symbol and time.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If a column is missing, the file cannot be read, or nothing is said about the labels.
    ParameterError
        If a duration is negative.
    """
    where = Path(path)
    require(labels, None, str(where))
    if bucket < timedelta(0) or lag < timedelta(0):
        raise ParameterError(f"`bucket` and `lag` must not be negative, were {bucket} and {lag}")
    fixed = columns.asset.removeprefix("=") if columns.asset.startswith("=") else None
    names = {"time": columns.time, "inflow_usd": columns.inflow, "outflow_usd": columns.outflow}
    names |= {"netflow_usd": columns.netflow} | ({} if fixed else {"asset": columns.asset})
    named = {ours: theirs for ours, theirs in names.items() if theirs}
    rows = _read(where, named, list(named))
    lacking = sorted(theirs for ours, theirs in named.items() if ours not in rows)
    if lacking:
        raise SchemaError(f"{where}: missing column {', '.join(lacking)}")
    time, _ = utc(rows["time"], f"{where}: `{columns.time}`", columns.utc_offset)
    start = time if columns.stamp == "start" else time - bucket
    rows = rows.assign(event_time=start + bucket, bucket_start=start, source=source)
    rows = rows.assign(asset=fixed) if fixed else rows.assign(asset=rows["asset"].astype("str").str.upper())
    upper = {asset.upper(): symbol for asset, symbol in symbols.items()}
    rows = rows.assign(symbol=rows["asset"].map(upper), available_time=rows["event_time"] + lag)
    screen = Screen("exchange_flows")
    rows = screen.drop(rows, rows["symbol"].isna(), "other_asset", "no perpetual was named for it", action="recorded")
    return WhaleTable(table=_flows(rows, labels, screen, str(where), now), findings=screen.findings)


def _flows(
    rows: pd.DataFrame, labels: Labels | None, screen: Screen, origin: str, now: datetime | None
) -> pd.DataFrame:
    moment = pd.Timestamp.now("UTC") if now is None else pd.Timestamp(now)
    rows = screen.drop(rows, rows["available_time"] > moment, "future", "not yet happened, or not yet published")
    for name in ("inflow_usd", "outflow_usd", "netflow_usd"):
        if name in rows:
            rows = rows.assign(**{name: pd.to_numeric(rows[name], errors="coerce")})
    if "inflow_usd" in rows:
        bad = ~np.isfinite(rows[["inflow_usd", "outflow_usd"]]).all(axis=1) | (
            rows[["inflow_usd", "outflow_usd"]] < 0.0
        ).any(axis=1)
        rows = screen.drop(rows, bad, "unreadable", "an inflow or an outflow is no amount")
        if "netflow_usd" not in rows:
            rows = rows.assign(netflow_usd=rows["inflow_usd"] - rows["outflow_usd"])
    rows = screen.drop(rows, ~np.isfinite(rows["netflow_usd"]), "unreadable", "the net flow is no number")
    if labels is not None and len(rows):
        early = rows["bucket_start"] < pd.Timestamp(labels.known_since)
        if early.all():
            raise SchemaError(
                f"{origin}: all {len(rows)} flows are of before {labels.known_since:%Y-%m-%d}, since when its labels "
                "stand; they may have been restated"
            )
        note = f"before {labels.known_since:%Y-%m-%d}, since when its labels stand: they may have been restated"
        rows = screen.drop(rows, early, "restated_labels", note)
    rows = rows.sort_values(["symbol", "event_time"], kind="stable")
    rows = screen.drop(rows, rows.duplicated(), "doubled_rows", "the same row again", action="repaired")
    key = ["symbol", "event_time", "asset", "source"]
    rows = screen.drop(rows, rows.duplicated(key, keep=False), "conflicting_rows", "rows of one bucket that differ")
    screen.refuse_nothing(rows, origin)
    return validate(rows.reset_index(drop=True), "exchange_flows", origin=origin)


def _read(path: Path, columns: Mapping[str, str], wanted: list[str]) -> pd.DataFrame:
    """Return the wanted columns that a file has, by our names."""
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}")
    file = open_raw(path)
    present = {}
    for ours in wanted:
        place = file.position(columns.get(ours, ours))
        if place is not None:
            present[ours] = place
        elif ours in columns:
            raise SchemaError(f"{path}: missing column {columns[ours]}; it has {', '.join(map(str, file.names))}")
    raw = file.read(set(present.values()))
    rows = pd.DataFrame({ours: raw[theirs] for ours, theirs in present.items()})
    require_columns(rows, list(rows), str(path))
    if rows.empty:
        raise SchemaError(f"{path} holds no rows")
    return rows
