"""The venues that can be asked.

A venue of this library is an entry of `slackwater.market.venues` and the module of its name beside this one, which
defines `VENUE`. A venue from outside is one more `Venue`, given in place of a name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from slackwater.errors import ParameterError, did_you_mean
from slackwater.market.venues import EXCHANGES
from slackwater.sources.exchange.venue import Venue

__all__ = ["VENUES", "find_venue"]

VENUES: Final[dict[str, Venue]] = {
    name: import_module(f"slackwater.sources.exchange.{name}").VENUE for name in EXCHANGES
}
"""The venues by name."""


def find_venue(venue: str | Venue) -> Venue:
    """Return a venue by its name; a venue from outside is returned as it is.

    Raises
    ------
    ParameterError
        If there is no venue of this name; the message names the nearest one.
    """
    if isinstance(venue, Venue):
        return venue
    if venue not in VENUES:
        raise ParameterError(f"`venue` must be a known venue, was {venue!r}{did_you_mean(venue, VENUES)}")
    return VENUES[venue]
