"""What is to be known of a venue before it can be asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slackwater.sources.exchange.endpoint import Endpoint

__all__ = ["Request", "TierRow", "Venue"]

Request = tuple[str, dict[str, Any]]
"""A method by ccxt's name, and what to send."""

TierRow = tuple[float, float, float]
"""Notional cap, maintenance rate (fraction), largest leverage."""


@dataclass(frozen=True, kw_only=True)
class Venue:
    """How a venue names instruments, what it has, and what it lacks and why.

    Parameters
    ----------
    name
        As everywhere in slackwater, and in ccxt.
    instrument
        Canonical symbol to the venue's name.
    listing
        What to ask about an instrument.
    read_listing
        Takes the fields of `slackwater.sources.exchange.listing.Listing` out of that answer, by the venue's name of
        the instrument; None where it is not among them, or no such perpetual.
    tiers
        What to ask about its margin tiers; None: the venue tells them with an API key alone.
    read_tiers
        Takes the tiers out of that answer, caps in the venue's unit.
    tiers_in_contracts
        Where that unit is contracts, not USDT: what to ask for the mark price that turns the one into the other.
    read_mark_price
        Takes that price out of the answer.
    funding
        What to ask about the terms of its funding, where the listing does not tell them.
    read_funding
        Takes the fields of `slackwater.sources.exchange.listing.Listing` that it knows out of that answer.
    tables
        Canonical table to the endpoints that its columns come from; the first one that has rows decides which.
    absent
        Canonical table to the reason why there is none.
    """

    name: str
    instrument: Callable[[str], str]
    listing: Callable[[str], Request]
    read_listing: Callable[[Any, str], dict[str, Any] | None]
    tiers: Callable[[str], Request] | None = None
    read_tiers: Callable[[Any], list[TierRow]] = lambda answer: []
    tiers_in_contracts: Callable[[str], Request] | None = None
    read_mark_price: Callable[[Any], float] = lambda answer: math.nan
    funding: Callable[[str], Request] | None = None
    read_funding: Callable[[Any, str], dict[str, float]] = lambda answer, instrument: {}
    tables: Mapping[str, tuple[Endpoint, ...]]
    absent: Mapping[str, str]
