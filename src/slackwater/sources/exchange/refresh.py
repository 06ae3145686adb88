"""Contract facts of a venue as of today, in a file that `slackwater.market.contract_file` merges."""

from __future__ import annotations

import copy
import itertools
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from slackwater.errors import ParameterError, SourceError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import require_linear, venue_contracts
from slackwater.market.venues import VenueFacts
from slackwater.sources.exchange.client import Client
from slackwater.sources.exchange.listing import Listing, listing_of
from slackwater.sources.exchange.venue import Address, TierRow, Venue
from slackwater.sources.exchange.venues import find_venue
from slackwater.sources.http import Politeness
from slackwater.storage import write_json

__all__ = ["contract_facts_entry", "refresh_contract_facts"]

_STEPS = ("tick_size", "lot_size", "min_quantity", "min_notional_usd")
_NOT_PUBLIC = ("maker_fee", "taker_fee", "half_spread")
_FUNDING = ("funding_interval_hours", "funding_floor", "funding_cap")


def refresh_contract_facts(
    venue: str | Venue,
    symbols: Sequence[str],
    out: str | Path | None = None,
    *,
    base_url: str | None = None,
    politeness: Politeness | None = None,
    now: datetime | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return the order steps, funding terms and margin tiers of contracts, as a venue publishes them.

    Parameters
    ----------
    venue
        Name of one of `slackwater.sources.exchange.venues.VENUES`, or a venue from outside the library.
    symbols
        Canonical names, such as BTCUSDT.
    out
        File to write.
    base_url, politeness
        See `slackwater.sources.exchange.fetch.fetch_exchange`.
    now
        Date of the facts, by default that of the clock.
    on_wait
        Called with the reason before each wait for the venue.

    Returns
    -------
    dict
        Content of the file: facts, and under ``notes`` what the venue does not publish. It never contains fees: no
        public address states those of an account.

    Raises
    ------
    ParameterError
        If the venue does not list a symbol, or its facts are not a valid contract.
    SourceError
        If it cannot be reached or its answer cannot be read.
    """
    source = find_venue(venue)
    if isinstance(symbols, str) or not symbols:
        raise ParameterError(f"`symbols` must be names such as BTCUSDT, was {symbols!r}")
    for symbol in symbols:
        if symbol != symbol.upper():
            raise ParameterError(f"a symbol is a name such as BTCUSDT, was {symbol!r}")
        require_linear(symbol)
    client = Client(source, base_url=base_url, politeness=politeness, on_wait=on_wait)
    contracts: dict[str, Any] = {}
    notes = [f"fees are not asked for: no public address of {source.name} states those of an account"]
    for symbol in sorted(symbols):
        listing = listing_of(client, source, symbol)
        facts = {name: getattr(listing, name) for name in (*_STEPS, *_FUNDING)}
        facts |= _funding(client, source, listing)
        tiers, about = _tiers(client, source, listing)
        notes += [f"{symbol}: {note}" for note in about]
        contracts[symbol] = {name: value for name, value in facts.items() if math.isfinite(value)}
        if tiers:
            names = ("notional_cap_usd", "maintenance_rate", "max_leverage")
            contracts[symbol]["tiers"] = [dict(zip(names, tier, strict=True)) for tier in tiers]
    content = {
        "venue": source.name,
        "as_of": f"{now or client.time():%Y-%m-%d}",
        "source": f"{source.name}, its public addresses",
        "contracts": contracts,
        "notes": notes,
    }
    _check(content, notes, source.facts or source.name)
    if out is not None:
        write_json(content, out)
    return content


def _check(content: dict[str, Any], notes: list[str], venue: str | VenueFacts) -> None:
    """Refuse facts that could not be read again, and note what a symbol that is not built in still needs."""
    built_in, whole = venue_contracts(venue), copy.deepcopy(content)
    for symbol, facts in whole["contracts"].items():
        lacking = [] if symbol in built_in else [name for name in _NOT_PUBLIC if name not in facts]
        if lacking:
            notes.append(f"{symbol} is not built in: add its {', '.join(lacking)} before you trade on these facts")
            facts |= dict.fromkeys(lacking, 0.0)
    merge_contracts(whole, venue)


def contract_facts_entry(content: Mapping[str, Any]) -> str:
    """Return these facts as lines of ``params.yaml``, indented for the entry of a data set.

    Parameters
    ----------
    content
        Return value of `refresh_contract_facts`.

    Examples
    --------
    >>> content = {"venue": "okx", "as_of": "2026-11-25", "contracts": {"BTCUSDT": {"tick_size": 0.1}}}
    >>> print(contract_facts_entry(content), end="")
        contract_facts:
          venue: okx
          as_of: '2026-11-25'
          contracts:
            BTCUSDT: {tick_size: 0.1}
    """
    text = yaml.safe_dump({"contract_facts": dict(content)}, sort_keys=False, default_flow_style=None, width=100)
    return textwrap.indent(text, "    ")


@contextmanager
def _readable(client: Client, address: Address, expected: str) -> Iterator[Any]:
    """Yield an answer; where the block cannot read it, raise an error that names the address."""
    try:
        yield client.ask(*address)
    except (KeyError, IndexError, TypeError) as error:
        name, method = client.venue.name, address[0]
        raise SourceError(f"{name} answered {method} with something else than {expected}: {error!r}") from None


def _funding(client: Client, venue: Venue, listing: Listing) -> dict[str, float]:
    if venue.funding is None:
        return {}
    with _readable(client, venue.funding(listing.instrument), "its terms") as answer:
        return venue.read_funding(answer, listing.instrument)


def _tiers(client: Client, venue: Venue, listing: Listing) -> tuple[list[TierRow], list[str]]:
    if venue.tiers is None:
        return [], [f"margin tiers need an API key on {venue.name}; the built-in ones stay"]
    with _readable(client, venue.tiers(listing.instrument), "tiers") as answer:
        rows = sorted(venue.read_tiers(answer))
    notes = []
    if venue.tiers_in_contracts is not None:
        with _readable(client, venue.tiers_in_contracts(listing.instrument), "a price") as answer:
            price = venue.read_mark_price(answer)
        rows = [(cap * listing.contract_size * price, rate, leverage) for cap, rate, leverage in rows]
        notes.append(f"the caps are contracts, given here in USDT at a mark price of {price:g}")
    joined = _joined(rows)
    if len(joined) < len(rows):
        notes.append(f"{len(rows) - len(joined)} tiers repeat a rate: the lower leverage counts for all of them")
    return joined, notes


def _joined(rows: Sequence[TierRow]) -> list[TierRow]:
    """Join tiers of one maintenance rate: the highest cap, the lowest leverage."""
    out = []
    for _, each in itertools.groupby(rows, key=lambda row: row[1]):
        same = list(each)
        out.append((same[-1][0], same[-1][1], min(leverage for _, _, leverage in same)))
    return out
