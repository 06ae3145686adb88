"""Terms of an instrument: its unit, its steps, its funding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slackwater.errors import ParameterError, SourceError
from slackwater.sources.exchange.endpoint import number

if TYPE_CHECKING:
    from slackwater.sources.exchange.client import Client
    from slackwater.sources.exchange.venue import Venue

__all__ = ["Listing", "listing_of", "time_of"]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Terms of an instrument by the venue's own answer; NaN where they are missing.

    Parameters
    ----------
    symbol, instrument
        Its canonical name, and the venue's.
    contract_size
        Coins per contract, 1 where the venue counts in coin.
    listed
        Start of trading.
    tick_size, min_notional_usd
        USDT.
    lot_size, min_quantity
        Coins.
    funding_interval_hours, funding_floor, funding_cap
        Terms of today: hours, and fractions of notional.
    """

    symbol: str
    instrument: str
    contract_size: float = 1.0
    listed: datetime | None = None
    tick_size: float = math.nan
    lot_size: float = math.nan
    min_quantity: float = math.nan
    min_notional_usd: float = math.nan
    funding_interval_hours: float = math.nan
    funding_floor: float = math.nan
    funding_cap: float = math.nan


def listing_of(client: Client, venue: Venue, symbol: str) -> Listing:
    """Return the terms of an instrument of a venue.

    Raises
    ------
    ParameterError
        If the venue does not list it, or it is not a perpetual margined in its quote currency.
    SourceError
        If the answer cannot be read.
    """
    instrument = venue.instrument(symbol)
    method, params = venue.listing(instrument)
    try:
        answer = client.ask(method, params)
    except SourceError as error:
        # Venues refuse unknown instruments with various codes.
        if "refuses" in str(error):
            raise ParameterError(f"{venue.name} has no {symbol} (as {instrument}): {error}") from None
        raise
    try:
        facts = venue.read_listing(answer, instrument)
    except (KeyError, IndexError, TypeError) as error:
        raise SourceError(f"{venue.name} answered {method} with something else than an instrument: {error!r}") from None
    if facts is None:
        raise ParameterError(f"{venue.name} lists no perpetual {symbol} (as {instrument})")
    listing = Listing(symbol=symbol, instrument=instrument, **facts)
    if not (math.isfinite(listing.contract_size) and listing.contract_size > 0.0):
        raise SourceError(f"{venue.name} does not publish the coins per contract of {instrument}")
    return listing


def time_of(milliseconds: Any) -> datetime | None:
    """Return a time of an answer, in UTC; None where it is missing."""
    value = number(milliseconds)
    return datetime.fromtimestamp(value / 1000.0, UTC) if value > 0.0 else None
