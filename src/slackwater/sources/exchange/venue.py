"""A venue as one object: its tables, its contract terms, and its recorded messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from slackwater.market.venues import VenueFacts
from slackwater.sources.exchange.endpoint import Endpoint

__all__ = ["Address", "MessageReader", "TierRow", "Venue"]

Address: TypeAlias = tuple[str, dict[str, Any]]
"""A method by ccxt's name (a path where the venue has a `url`), and its parameters."""

TierRow: TypeAlias = tuple[float, float, float]
"""Notional cap, maintenance rate (fraction), largest leverage."""

MessageReader: TypeAlias = Callable[[Any, Mapping[str, float]], Iterator[tuple[str, dict[str, Any]]]]
"""Takes a decoded message and the coins per contract by symbol; yields ``"liquidations"`` or ``"trades"`` with a row:
`symbol`, `side`, `price`, `quantity`, milliseconds since 1970 of the event (`time`) and of the message (`sent`), and of
a trade its `id` where the venue has one, as text."""


@dataclass(frozen=True, kw_only=True)
class Venue:
    """A venue: names of instruments, endpoints by table, contract terms, message reader.

    Parameters
    ----------
    name
        Name in slackwater, and in ccxt.
    instrument
        Function from the canonical symbol to the venue's name.
    tables
        Endpoints by canonical table, whose columns are joined; the first one that has rows decides which rows there
        are. ``"bars"`` serves `fine_bars` too.
    absent
        Reason by canonical table that the venue does not have.
    archive
        Whether a public archive serves this venue, too.
    read_message
        Reader of recorded websocket messages; None: there is no reader.
    listing, read_listing
        Address of an instrument's terms, and the function that takes the fields of
        `slackwater.sources.exchange.listing.Listing` out of the answer, given the venue's name of the instrument; None
        where the answer does not contain it, or it is not such a perpetual.
    tiers, read_tiers
        Address of the margin tiers (None: they need an API key), and the function that reads them, caps in the venue's
        unit.
    tiers_in_contracts, read_mark_price
        Where that unit is contracts, not USDT: address of the mark price that converts it, and its reader.
    funding, read_funding
        Address of the funding terms where the listing lacks them, and the function that reads these fields of
        `Listing`.
    url
        Root of the interface of a venue that ccxt does not support; methods are then paths such as ``/v1/candles``.
    facts
        Contract facts of a venue that is not in `slackwater.market.venues`.
    """

    name: str
    instrument: Callable[[str], str] = lambda symbol: symbol
    tables: Mapping[str, tuple[Endpoint, ...]]
    absent: Mapping[str, str] = field(default_factory=dict)
    archive: bool = False
    read_message: MessageReader | None = None
    listing: Callable[[str], Address]
    read_listing: Callable[[Any, str], dict[str, Any] | None]
    tiers: Callable[[str], Address] | None = None
    read_tiers: Callable[[Any], list[TierRow]] = lambda answer: []
    tiers_in_contracts: Callable[[str], Address] | None = None
    read_mark_price: Callable[[Any], float] = lambda answer: math.nan
    funding: Callable[[str], Address] | None = None
    read_funding: Callable[[Any, str], dict[str, float]] = lambda answer, instrument: {}
    url: str = ""
    facts: VenueFacts | None = None
