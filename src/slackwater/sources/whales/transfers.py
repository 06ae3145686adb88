"""Rows of any source become canonical transfers, or are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.contracts import base_asset
from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import validate
from slackwater.sources.whales.availability import Availability
from slackwater.sources.whales.labels import AddressBook, Labels, owner_types, require

__all__ = ["Screen", "WhaleTable", "canonical_transfers"]

_SIDES: Final = ("from", "to")


@dataclass(kw_only=True)
class WhaleTable:
    """A canonical table, and what was repaired, masked or passed over to make it."""

    table: pd.DataFrame
    findings: list[Finding] = field(default_factory=list)


class Screen:
    """Takes rows out of a table, and says which and why."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.findings: list[Finding] = []

    def drop(self, rows: pd.DataFrame, bad: Any, rule: str, note: str, *, action: Any = "masked") -> pd.DataFrame:
        """Return the rows without the bad ones; `rows` has a column `event_time`."""
        bad = np.asarray(bad, dtype=bool)
        if not bad.any():
            return rows
        self.record(rows, bad, rule, note, action=action)
        return rows[~bad]

    def refuse_nothing(self, rows: pd.DataFrame, origin: str) -> None:
        """Raise SchemaError if all rows were taken out, with the reasons."""
        if rows.empty and self.findings:
            reasons = "; ".join(f"{each.rule} in {each.rows:,} rows ({each.note})" for each in self.findings[:4])
            raise SchemaError(f"{origin}: no row can be used: {reasons}")

    def record(self, rows: pd.DataFrame, bad: Any, rule: str, note: str, *, action: Any = "recorded") -> None:
        """Note what is odd about some rows, which stay."""
        names = rows["symbol"] if "symbol" in rows else pd.Series("", index=rows.index)
        names = names.fillna(rows["asset"]) if "asset" in rows else names
        for symbol, times in rows["event_time"][bad].groupby(names[bad]):
            self.findings.append(
                Finding(
                    table=self.table,
                    symbol=str(symbol),
                    rule=rule,
                    start=times.min(),
                    end=times.max(),
                    rows=len(times),
                    action=action,
                    note=note,
                )
            )


def symbol_of(assets: pd.Series, symbols: Mapping[str, str]) -> pd.Series:
    """Return the perpetual that each asset belongs to, missing where it belongs to none.

    Raises
    ------
    ParameterError
        If an asset is mapped to a perpetual on another coin: their amounts would be summed.
    """
    for asset, symbol in symbols.items():
        # Wrapped coins count as the coin: WBTC, STETH.
        if not asset.upper().endswith(base_asset(symbol)):
            raise ParameterError(
                f"`symbols` maps {asset} to {symbol}, which is on {base_asset(symbol)}: coins of another kind must not "
                "be added up; make flows in USD of them (`flows_from_transfers`)"
            )
    upper = {asset.upper(): symbol for asset, symbol in symbols.items()}
    return assets.map(upper)


def canonical_transfers(
    rows: pd.DataFrame,
    *,
    symbols: Mapping[str, str],
    origin: str,
    availability: Availability,
    labels: Labels | None,
    address_book: AddressBook | None,
    now: datetime | None,
) -> WhaleTable:
    """Return canonical transfers.

    Parameters
    ----------
    rows
        Columns `event_time` (UTC), `chain`, `asset`, `amount`, `amount_usd`, `tx_hash`, `source`, for each of ``from``
        and ``to`` its `_owner` and `_owner_type`, by any name; perhaps `id` (the source's own, of one transfer),
        `log_index`, `seen` (when it was recorded), and `from_address`, `to_address` for an address book.
    symbols
        Asset to perpetual. Assets that are not in it are kept under their own name, which no perpetual has.
    origin
        For messages.
    availability, labels, address_book
        When a row could be known, and since when its labels stood.
    now
        Rows of a later time are masked; by default the time of the clock.

    Raises
    ------
    SchemaError
        If nothing is said about the labels, all rows lie before they were known, or a chain is unknown.
    """
    require(labels, address_book, origin)
    screen = Screen("whale_transfers")
    rows = rows.assign(asset=rows["asset"].astype("str").str.upper(), chain=rows["chain"].astype("str").str.lower())
    mapped = symbol_of(rows["asset"], symbols)
    rows = rows.assign(symbol=mapped.where(mapped.notna(), rows["asset"]))
    rows = screen.drop(rows, rows["event_time"] > pd.Timestamp(now or datetime.now(UTC)), "future", "not yet happened")
    if "id" in rows:
        twice = rows["id"].notna() & rows.duplicated("id")
        rows = screen.drop(rows, twice, "doubled_rows", "the same transfer again", action="repaired").drop(columns="id")
    rows = _typed(rows, screen)
    for name in ("amount", "amount_usd"):
        values = pd.to_numeric(rows[name], errors="coerce")
        rows = rows.assign(**{name: values})
        rows = screen.drop(rows, ~np.isfinite(values) | (values < 0.0), "unreadable", f"`{name}` is no amount")
    lost = rows["tx_hash"].isna() | (rows["tx_hash"].astype("str").str.strip() == "")
    rows = screen.drop(rows, lost, "unidentified", "no hash: it could come twice and count twice")
    if "log_index" in rows:
        places = pd.to_numeric(rows["log_index"], errors="coerce")
        rows = screen.drop(rows, ~(places >= 0.0), "unidentified", "`log_index` is no number: it could count twice")
    else:
        # Without it the very same row is the same transfer.
        same = rows.drop(columns="seen", errors="ignore").duplicated()
        rows = screen.drop(rows, same, "doubled_rows", "the same transfer again", action="repaired")
    rows = rows.assign(
        available_time=availability.available(rows["event_time"], rows["chain"], rows.get("seen")),
        log_index=_places(rows),
    )
    rows = _labelled(rows, labels, address_book, screen, origin)
    owners = {f"{side}_owner": rows[f"{side}_owner"].astype("str") for side in _SIDES}  # missing stays missing
    rows = rows.assign(**owners).sort_values(["symbol", "event_time"], kind="stable")
    key = ["symbol", "chain", "tx_hash", "log_index", "source"]
    rows = screen.drop(rows, rows.duplicated(key), "doubled_rows", "the same transfer again", action="repaired")
    screen.refuse_nothing(rows, origin)
    return WhaleTable(
        table=validate(rows.reset_index(drop=True), "whale_transfers", origin=origin), findings=screen.findings
    )


def _typed(rows: pd.DataFrame, screen: Screen) -> pd.DataFrame:
    for side in _SIDES:
        name = f"{side}_owner_type"
        types, strange = owner_types(rows[name])
        if strange.any():
            note = f"nobody knows the type {rows[name][strange].iloc[0]!r:.40} of `{name}`: taken for unknown"
            screen.record(rows, strange, "unknown_owner_type", note)
        rows = rows.assign(**{name: types})
    return rows


def _labelled(
    rows: pd.DataFrame, labels: Labels | None, book: AddressBook | None, screen: Screen, origin: str
) -> pd.DataFrame:
    if book is not None:
        for side in _SIDES:
            if f"{side}_address" not in rows:
                raise SchemaError(f"{origin}: an address book needs the column `{side}_address`")
            # What is known when the transfer is: not at its block, and not today.
            found = book.owners(rows[f"{side}_address"], rows["available_time"])
            rows = rows.assign(**{f"{side}_owner": found["owner"], f"{side}_owner_type": found["owner_type"]})
        return rows
    if labels is None or rows.empty:
        return rows
    early = rows["event_time"] < pd.Timestamp(labels.known_since)
    if early.all():
        raise SchemaError(
            f"{origin}: all {len(rows)} transfers happened before {labels.known_since:%Y-%m-%d}, since when their "
            "labels stand; they may have been restated"
        )
    note = f"before {labels.known_since:%Y-%m-%d}, since when its labels stand: they may have been restated"
    return screen.drop(rows, early, "restated_labels", note)


def _places(rows: pd.DataFrame) -> pd.Series:
    """Return the place of a transfer in its transaction: as given, or by the order of the rows."""
    if "log_index" in rows:
        return pd.to_numeric(rows["log_index"]).astype("float64")
    return rows.groupby(["chain", "tx_hash"], sort=False).cumcount().astype("float64")
