"""What a venue says of an instrument: its unit, its steps, its funding."""

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

__all__ = ["Listing", "listing_of", "moment_of"]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """An instrument by the venue's own answer; NaN where the venue says nothing.

    Parameters
    ----------
    symbol, instrument
        Its canonical name, and the venue's.
    contract_size
        Coins of one contract, 1 where the venue counts in coin.
    listed
        When trading began.
    tick_size, min_notional_usd
        USDT.
    lot_size, min_quantity
        Coins.
    funding_interval_hours, funding_floor, funding_cap
        Of today.
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
    """Ask a venue for an instrument.

    Raises
    ------
    ParameterError
        If the venue does not list it, or it is no perpetual margined in its quote currency.
    SourceError
        If the answer cannot be read.
    """
    instrument = venue.instrument(symbol)
    method, params = venue.listing(instrument)
    try:
        answer = client.ask(method, params)
    except SourceError as error:
        # Venues refuse the name of an instrument that they do not have.
        if "refuses" in str(error):
            raise ParameterError(f"{venue.name} does not know {symbol} (as {instrument}): {error}") from None
        raise
    try:
        facts = venue.read_listing(answer, instrument)
    except (KeyError, IndexError, TypeError) as error:
        raise SourceError(f"{venue.name} answered {method} with something else than an instrument: {error!r}") from None
    if facts is None:
        raise ParameterError(f"{venue.name} lists no perpetual {symbol} (as {instrument})")
    listing = Listing(symbol=symbol, instrument=instrument, **facts)
    if not (math.isfinite(listing.contract_size) and listing.contract_size > 0.0):
        raise SourceError(f"{venue.name} does not say how many coins a contract of {instrument} is")
    return listing


def moment_of(milliseconds: Any) -> datetime | None:
    """Return a time of an answer; None where there is none."""
    value = number(milliseconds)
    return datetime.fromtimestamp(value / 1000.0, UTC) if value > 0.0 else None
