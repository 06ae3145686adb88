"""Facts of contracts from the user, such as a venue's own answer of today, merged over the built-in ones.

They are kept in a JSON file, or with the same keys in ``params.yaml`` (``contract_facts`` of a data set)::

    {
      "venue": "bybit",
      "as_of": "2026-11-25",
      "source": "the venue's public addresses",
      "contracts": {
        "BTCUSDT": {
          "tick_size": 0.1, "lot_size": 0.001, "min_quantity": 0.001, "min_notional_usd": 5.0,
          "maker_fee": 0.0002, "taker_fee": 0.00055,
          "funding_interval_hours": 8.0, "funding_floor": -0.005, "funding_cap": 0.005,
          "tiers": [{"notional_cap_usd": 2000000.0, "maintenance_rate": 0.005, "max_leverage": 100.0}]
        }
      }
    }

Every fact may be left out where there is a built-in one. Those that are given count as known and leave the contract's
`assumed`; tiers that are given are confirmed, because the file is dated. ``notes``, a list of texts, may stand beside.
So may ``others``, one set of facts for every other symbol of a data set: all of them count as assumed, and none as
confirmed, so that there is one tier only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.contracts import Contract, MarginTier, is_outside, margin_tiers, venue_contracts
from slackwater.market.venues import VenueFacts, venue_facts
from slackwater.storage import read_json

__all__ = ["merge_contracts", "read_contracts"]

#: Needed of a contract that is not built in; the rest is assumed.
_NEEDED: Final = ("tick_size", "lot_size", "min_quantity", "min_notional_usd", "maker_fee", "taker_fee", "half_spread")
_NUMBERS: Final = (*_NEEDED, "relative_depth", "funding_interval_hours", "funding_floor", "funding_cap")
_TIER: Final = ("notional_cap_usd", "maintenance_rate", "max_leverage")
#: Stands for a symbol where facts are checked that no symbol has yet.
_ANY: Final = "ANYUSDT"
#: What must be given for a fact to be known.
_KNOWN_BY: Final = {
    "order_steps": ("tick_size", "lot_size", "min_quantity", "min_notional_usd"),
    "fees": ("maker_fee", "taker_fee"),
    "half_spread": ("half_spread",),
    "relative_depth": ("relative_depth",),
    "margin_tiers": ("tiers",),
    "funding_interval": ("funding_interval_hours",),
    "funding_limits": ("funding_floor", "funding_cap"),
}


def read_contracts(path: str | Path, venue: str | VenueFacts) -> dict[str, Contract]:
    """Return the contracts of a venue by symbol: the built-in ones, with the facts of a file merged in.

    The file must be about this venue, given by its name or as facts from outside; its format is that of the module.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If it is not JSON, of another venue or without a date, or names unknown facts.
    ParameterError
        If a fact is out of range, or a contract that is not built in lacks one; with the symbol.
    """
    content = read_json(path)
    try:
        return merge_contracts(content, venue)
    except (SchemaError, ParameterError) as error:
        raise type(error)(f"{path}: {error}") from None


def merge_contracts(content: Any, venue: str | VenueFacts, symbols: Iterable[str] = ()) -> dict[str, Contract]:
    """Return the contracts of a venue with the content of a file merged in; None: the built-in ones.

    `symbols` that are neither built in nor named have the facts under ``others``, where there are any. See
    `read_contracts` for the other parameters and errors.

    Examples
    --------
    >>> content = {"venue": "gate", "as_of": "2026-11-25", "source": "my account", "contracts": {}}
    >>> content["contracts"]["BTCUSDT"] = {"maker_fee": 0.0001, "taker_fee": 0.0004}
    >>> merge_contracts(content, "gate")["BTCUSDT"].taker_fee
    0.0004
    """
    facts_of_venue = venue_facts(venue)
    if content is None:
        return venue_contracts(venue)
    _mapping("it", content, ("venue", "as_of", "source", "contracts"), optional=("notes", "others"))
    if content["venue"] != facts_of_venue.name:
        raise SchemaError(f"it holds the contracts of {content['venue']}, not of {facts_of_venue.name}")
    as_of, source = content["as_of"], content["source"]
    _check_date(as_of)
    if not isinstance(source, str) or not source.strip():
        raise SchemaError(f"`source` must name where the facts come from, was {source!r}")
    if not isinstance(content["contracts"], dict):
        raise SchemaError(f"`contracts` must map symbols to facts, was {content['contracts']!r:.60}")
    notes = content.get("notes", [])
    if not isinstance(notes, (list, tuple)) or not all(isinstance(note, str) for note in notes):
        raise SchemaError(f"`notes` must list texts, was {notes!r:.60}")
    out = venue_contracts(venue)
    for symbol, facts in content["contracts"].items():
        if not isinstance(symbol, str):
            raise SchemaError(f"`contracts` must map symbols to facts, named {symbol!r}")
        try:
            out[symbol] = _merged(out.get(symbol), facts_of_venue, symbol, facts, source, as_of)
        except (SchemaError, ParameterError) as error:
            raise type(error)(f"contract {symbol}: {error}") from None
    if "others" in content:
        out |= _assumed_alike(content["others"], facts_of_venue, source, as_of, sorted(set(symbols) - out.keys()))
    return out


def _assumed_alike(
    facts: Any, venue: VenueFacts, source: str, as_of: str, symbols: Iterable[str]
) -> dict[str, Contract]:
    """Return one set of facts for each symbol, none of which counts as known."""
    out = {}
    for symbol in (_ANY, *symbols):
        try:
            whole = _merged(None, venue, symbol, facts, source, as_of)
            out[symbol] = replace(whole, assumed=tuple(_KNOWN_BY), confirmed=False)
        except (SchemaError, ParameterError) as error:
            where = "others" if symbol == _ANY else f"others, contract {symbol}"
            raise type(error)(f"{where}: {error}") from None
    del out[_ANY]
    return out


def _merged(base: Contract | None, venue: VenueFacts, symbol: str, facts: Any, source: str, as_of: str) -> Contract:
    _mapping("it", facts, (), optional=(*_NUMBERS, "tiers"))
    numbers = {name: _number(name, facts[name]) for name in _NUMBERS if name in facts}
    changes: dict[str, Any] = dict(numbers)
    if "funding_interval_hours" in changes:
        hours = changes.pop("funding_interval_hours")
        if not 0.0 < hours <= 24.0:
            raise ParameterError(f"`funding_interval_hours` must be in (0, 24], was {hours}")
        changes["funding_interval"] = timedelta(hours=hours)
    if "tiers" in facts:
        changes |= {"tiers": _tiers(facts["tiers"], venue), "source": source, "as_of": as_of, "confirmed": True}
    known = {fact for fact, names in _KNOWN_BY.items() if all(name in facts for name in names)}
    if base is not None:
        return replace(base, **changes, assumed=tuple(fact for fact in base.assumed if fact not in known))
    lacking = [name for name in (*_NEEDED, "tiers") if name not in facts]
    if lacking:
        raise ParameterError(f"it is not built in, so {', '.join(lacking)} must be given too")
    assumed = tuple(fact for fact in _KNOWN_BY if fact not in known)
    return Contract(
        venue=venue.name,
        symbol=symbol,
        liquidation=venue.liquidation,
        liquidation_before=venue.liquidation_before,
        outside=is_outside(venue),
        **changes,
        assumed=assumed,
    )


def _tiers(rows: Any, venue: VenueFacts) -> tuple[MarginTier, ...]:
    if not isinstance(rows, (list, tuple)) or not rows:
        raise SchemaError("`tiers` must list at least one tier")
    out = []
    for place, row in enumerate(rows, start=1):
        _mapping(f"tier {place}", row, _TIER)
        cap, rate, leverage = (_number(f"{name} of tier {place}", row[name]) for name in _TIER)
        out.append((cap, rate, leverage))
    return margin_tiers(out, venue.liquidation)


def _mapping(what: str, content: Any, needed: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise SchemaError(f"{what} must be a mapping of names to values, was {content!r:.60}")
    lacking = [name for name in needed if name not in content]
    unknown = sorted(str(name) for name in set(content) - {*needed, *optional})
    if lacking:
        raise SchemaError(f"{what} lacks {', '.join(lacking)}")
    if unknown:
        raise SchemaError(f"{what} names {', '.join(unknown)}; there are {', '.join((*needed, *optional))}")
    return content


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SchemaError(f"`{name}` must be a number, was {value!r:.60}")
    try:
        return float(value)
    except OverflowError:
        raise SchemaError(f"`{name}` must be a number, was one of {len(str(value))} digits") from None


def _check_date(as_of: Any) -> None:
    try:
        when = datetime.fromisoformat(as_of).date()
    except (TypeError, ValueError):
        raise SchemaError(f"`as_of` must be a date such as 2026-11-25, was {as_of!r}") from None
    if when < date(2019, 1, 1):
        raise SchemaError(f"`as_of` must be 2019 or later, when there were such contracts, was {as_of}")
    if when > datetime.now(UTC).date() + timedelta(days=1):
        raise SchemaError(f"`as_of` must not lie in the future, was {as_of}")
