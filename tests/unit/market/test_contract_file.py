"""A user's facts over the built-in ones: what is given counts, what is wrong is refused by name."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from slackwater.errors import DataError, MissingDataError, ParameterError, SchemaError
from slackwater.market.contract_file import merge_contracts, read_contracts
from slackwater.market.contracts import contract, liquidation_price, venue_contracts
from slackwater.market.venues import EXCHANGES, VENUES, fact_sources, funding_history

SYMBOLS = tuple(VENUES["binance"].contracts)
SYMBOLS = tuple(VENUES["binance"].contracts)
TIERS = [
    {"notional_cap_usd": 2e6, "maintenance_rate": 0.005, "max_leverage": 100.0},
    {"notional_cap_usd": 2.6e6, "maintenance_rate": 0.0056, "max_leverage": 90.0},
]
FILE: dict[str, Any] = {
    "venue": "bybit",
    "as_of": "2026-11-25",
    "source": "risk-limit of the venue",
    "contracts": {"BTCUSDT": {"taker_fee": 0.0004, "maker_fee": 0.0001, "tiers": TIERS}},
}
NEW = {"tick_size": 0.01, "lot_size": 0.1, "min_quantity": 0.1, "min_notional_usd": 5, "half_spread": 1e-4}
NEW |= {"maker_fee": 0.0002, "taker_fee": 0.00055, "tiers": TIERS}


def test_what_is_given_counts_and_the_rest_stays() -> None:
    merged, built_in = merge_contracts(FILE, "bybit"), venue_contracts("bybit")
    facts = merged["BTCUSDT"]
    assert (facts.taker_fee, facts.maker_fee) == (0.0004, 0.0001)
    assert (facts.tick_size, facts.funding_interval) == (0.1, timedelta(hours=8))
    assert (facts.source, facts.as_of, facts.confirmed) == ("risk-limit of the venue", "2026-11-25", True)
    assert "margin_tiers" not in facts.assumed
    assert "order_steps" in facts.assumed
    assert facts.max_notional_usd == 2.6e6
    # A position beyond the first built-in tier could not even be computed before.
    assert liquidation_price(facts, side=1, entry=50_000.0, quantity=48.0, leverage=5) > 0.0
    assert {name: merged[name] for name in SYMBOLS if name != "BTCUSDT"} == {
        name: built_in[name] for name in SYMBOLS if name != "BTCUSDT"
    }


def test_nothing_said_is_nothing_changed() -> None:
    assert merge_contracts(None, "gate") == venue_contracts("gate")


def test_a_contract_of_its_own_must_be_whole() -> None:
    content = copy.deepcopy(FILE)
    content["contracts"]["DOGEUSDT"] = dict(NEW)
    facts = merge_contracts(content, "bybit")["DOGEUSDT"]
    assert facts.assumed == ("relative_depth", "funding_interval", "funding_limits")
    del content["contracts"]["DOGEUSDT"]["tick_size"]
    with pytest.raises(ParameterError, match="contract DOGEUSDT: it is not built in, so tick_size must be given"):
        merge_contracts(content, "bybit")


def test_one_set_of_facts_is_assumed_for_all_others() -> None:
    """A study of hundreds of symbols needs facts of each, and must not pass assumptions off as known ones."""
    content = FILE | {"contracts": {}, "others": NEW | {"tiers": TIERS[:1]}}
    assert set(merge_contracts(content, "bybit")) == set(SYMBOLS)
    merged = merge_contracts(content, "bybit", ["DOGEUSDT", "BTCUSDT", "PEPEUSDT"])
    assert set(merged) == {*SYMBOLS, "DOGEUSDT", "PEPEUSDT"}
    assert merged["BTCUSDT"] == venue_contracts("bybit")["BTCUSDT"]
    facts = merged["DOGEUSDT"]
    assert (facts.symbol, facts.taker_fee, facts.confirmed) == ("DOGEUSDT", 0.00055, False)
    known = {"order_steps", "fees", "half_spread", "margin_tiers"}
    assert known < set(facts.assumed)
    for change, message in (
        ({"tiers": TIERS}, r"others: `tiers` of an unconfirmed contract must be the first tier alone"),
        ({"taker_fee": 0.5}, r"others: `taker_fee` must be"),
    ):
        with pytest.raises(ParameterError, match=message):
            merge_contracts(content | {"others": content["others"] | change}, "bybit")
    with pytest.raises(ParameterError, match=r"others, contract DOGEUSD: "):
        merge_contracts(content, "bybit", ["DOGEUSD"])


def put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


BTC = ("contracts", "BTCUSDT")
WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], type[Exception], str]] = {
    "another venue": (put("okx", "venue"), SchemaError, "it holds the contracts of okx, not of bybit"),
    "no date": (put("lately", "as_of"), SchemaError, "`as_of` must be a date such as 2026-11-25, was 'lately'"),
    "no source": (put(" ", "source"), SchemaError, "`source` must name where"),
    "a key too many": (put(1, "contract"), SchemaError, "it names contract; there are venue, as_of"),
    "a date to come": (put("9999-12-31", "as_of"), SchemaError, "`as_of` must not lie in the future"),
    "notes that are none": (put([5], "notes"), SchemaError, "`notes` must list texts"),
    "four hundred digits": (
        put(10**400, *BTC, "taker_fee"),
        SchemaError,
        "`taker_fee` must be a number, was one of 401",
    ),
    "contracts as a list": (put([], "contracts"), SchemaError, "`contracts` must map symbols"),
    "a fact that there is not": (
        put(1.0, *BTC, "fee"),
        SchemaError,
        "contract BTCUSDT: it names fee; there are tick_size",
    ),
    "text": (put("0.1", *BTC, "tick_size"), SchemaError, "contract BTCUSDT: `tick_size` must be a number, was '0.1'"),
    "truth": (put(True, *BTC, "taker_fee"), SchemaError, "`taker_fee` must be a number, was True"),
    "negative tick": (put(-0.1, *BTC, "tick_size"), ParameterError, "contract BTCUSDT: `tick_size` must be in"),
    "fee of a half": (put(0.5, *BTC, "taker_fee"), ParameterError, "`taker_fee` must be in"),
    "percent for a fraction": (
        put(0.5, *BTC, "tiers", 0, "maintenance_rate"),
        ParameterError,
        "contract BTCUSDT: `max_leverage` must be in",
    ),
    "tiers that fall": (put(1e6, *BTC, "tiers", 1, "notional_cap_usd"), ParameterError, "must rise"),
    "no tiers": (put([], *BTC, "tiers"), SchemaError, "`tiers` must list at least one"),
    "half a tier": (put({"max_leverage": 5}, *BTC, "tiers", 1), SchemaError, "tier 2 lacks notional_cap_usd"),
    "a week of funding": (put(168, *BTC, "funding_interval_hours"), ParameterError, "must be in .0, 24., was 168"),
    "no hours": (put(float("nan"), *BTC, "funding_interval_hours"), ParameterError, "must be in .0, 24., was nan"),
    "cap below zero": (put(-0.1, *BTC, "funding_cap"), ParameterError, "must lie around 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_by_name(case: str, tmp_path: Path) -> None:
    """Catches a fact that is silently left out, and a size computed from nonsense."""
    change, error, message = WRONG[case]
    content = copy.deepcopy(FILE)
    change(content)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(error, match=rf"mine\.json: .*{message}"):
        read_contracts(path, "bybit")


@pytest.mark.parametrize("key", [False, 1, None])
def test_keys_that_are_no_text_are_refused(key: object) -> None:
    """YAML reads `off`, `1` and `~` as other things than text."""
    content: Any = copy.deepcopy(FILE)
    content["contracts"]["BTCUSDT"][key] = 2
    with pytest.raises(SchemaError, match=f"contract BTCUSDT: it names {key}; there are"):
        merge_contracts(content, "bybit")
    with pytest.raises(SchemaError, match="`contracts` must map symbols to facts, named"):
        merge_contracts(FILE | {"contracts": {key: {"taker_fee": 0.0004}}}, "bybit")


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError):
        read_contracts(tmp_path / "none.json", "bybit")
    path = tmp_path / "mine.json"
    for text in ("", "[1]", "{"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"mine\.json"):
            read_contracts(path, "bybit")


@pytest.mark.parametrize(("venue", "symbol"), list(itertools.product((*EXCHANGES, "simulated"), SYMBOLS)))
def test_every_fact_has_a_source_and_what_is_not_confirmed_is_assumed(venue: str, symbol: str) -> None:
    """Catches a fact that the contract calls assumed and its source calls confirmed, or the other way round."""
    sources = fact_sources(venue, symbol)
    assert all(source.source and source.as_of for source in sources.values())
    unconfirmed = {fact for fact, source in sources.items() if not source.confirmed}
    assert unconfirmed == set(contract(venue, symbol).assumed)
    assert not [fact for fact in sources if sources[fact].confirmed and sources[fact].as_of == "undated"] or (
        venue == "binance"  # the others are measured against its depth
    )


@pytest.mark.parametrize(("venue", "symbol"), list(itertools.product(EXCHANGES, ("BTCUSDT", "ETHUSDT"))))
def test_the_funding_of_the_main_contracts_has_a_history(venue: str, symbol: str) -> None:
    spans = funding_history(venue, symbol)
    assert spans[-1].interval_hours * 3600.0 == contract(venue, symbol).funding_interval.total_seconds()
    assert all(span.confirmed == (venue in ("binance", "bybit")) for span in spans)


@pytest.mark.parametrize(("venue", "symbol"), list(itertools.product(EXCHANGES, ("BTCUSDT", "ETHUSDT"))))
def test_the_page_about_venues_says_what_the_code_says(venue: str, symbol: str) -> None:
    """Catches a fact that changed in the code alone, or lost its mark of doubt in the document."""
    facts, sources, span = contract(venue, symbol), fact_sources(venue, symbol), funding_history(venue, symbol)[-1]

    def mark(fact: str) -> str:
        return "" if sources[fact].confirmed else " (u)"

    first = facts.tiers[0]
    several = f"{len(facts.tiers)} tiers to {facts.max_notional_usd:,.0f}"
    tiers = (
        several
        if len(facts.tiers) > 1
        else f"first tier: {first.maintenance_rate:.2%} to {first.notional_cap_usd:,.0f}"
    )
    seen = f", {span.since} to {span.until}" if span.confirmed else " (u)"
    line = (
        f"| {venue} {symbol} "
        f"| {facts.tick_size:g} / {facts.lot_size:g} / {facts.min_notional_usd:g}{mark('order_steps')} "
        f"| {facts.maker_fee:.4%} / {facts.taker_fee:.4%}{mark('fees')} "
        f"| {tiers}{mark('margin_tiers')} | {span.interval_hours:g} h{seen} |"
    )
    assert line in Path("docs/venues.md").read_text(encoding="utf-8").splitlines()
