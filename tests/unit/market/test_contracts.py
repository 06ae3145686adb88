"""Contract facts and liquidation prices against the venues' own numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import ParameterError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import (
    Contract,
    MarginTier,
    bankruptcy_price,
    base_asset,
    contract,
    liquidation_price,
    venue_contracts,
)
from slackwater.market.venues import VENUES as VENUE_FACTS

VENUES = ("binance", "bybit", "okx", "gate", "simulated")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


def flat(venue: str, *, rate: float) -> Contract:
    """A contract of that venue with one wide tier, so that only the form of the formula speaks."""
    tier = MarginTier(notional_cap_usd=1e9, maintenance_rate=rate, max_leverage=100)
    return replace(contract(venue, "BTCUSDT"), tiers=(tier,), taker_fee=0.0005)


@pytest.mark.parametrize(
    ("venue", "side", "expected"),
    [
        ("binance", 1, 45_180.72),
        ("binance", -1, 54_780.88),
        ("simulated", 1, 45_180.72),
        ("bybit", 1, 45_200.00),
        ("bybit", -1, 54_800.00),
        ("okx", 1, 45_203.42),
        ("okx", -1, 54_753.61),
        ("gate", 1, 45_203.42),
        ("gate", -1, 54_753.61),
    ],
)
def test_golden_liquidation_prices(venue: str, side: int, expected: float) -> None:
    """Catches a venue's form mixed up with another's, or a sign."""
    price = liquidation_price(flat(venue, rate=0.004), side=side, entry=50_000.0, quantity=1.0, leverage=10)
    assert price == pytest.approx(expected, abs=0.005)


def test_bybit_published_example() -> None:
    """Catches maintenance margin taken on the value at liquidation instead of at entry."""
    price = liquidation_price(flat("bybit", rate=0.005), side=1, entry=20_000.0, quantity=1.0, leverage=50)
    assert price == pytest.approx(19_700.0)


def test_binance_deductions_are_the_published_ones() -> None:
    """Catches a mistyped tier: the recursion must give the venue's own maintenance amounts."""
    published = [0, 300, 1_500, 12_000, 132_000, 482_000, 2_982_000, 14_482_000]
    published += [26_482_000, 41_482_000, 121_482_000, 421_482_000]
    assert [tier.deduction_usd for tier in contract("binance", "BTCUSDT").tiers] == published


def maintenance_margin(contract: Contract, notional_usd: float) -> float:
    """Return the margin below which the venue liquidates (method, section 4.2)."""
    tier = contract.tier(notional_usd)
    return notional_usd * tier.maintenance_rate - tier.deduction_usd


def test_deduction_example_of_the_venue() -> None:
    """250,000 × (1 % - .5 %) + 50 = 1,300, and nothing else joins up."""
    low = MarginTier(notional_cap_usd=50e3, maintenance_rate=0.004, max_leverage=125)
    middle = MarginTier(notional_cap_usd=250e3, maintenance_rate=0.005, max_leverage=100, deduction_usd=50.0)
    high = MarginTier(notional_cap_usd=1e6, maintenance_rate=0.01, max_leverage=50, deduction_usd=1_300.0)
    base = replace(contract("binance", "BTCUSDT"), tiers=(low, middle, high))
    assert maintenance_margin(base, 400_000.0) == pytest.approx(4_000 - 1_300)
    with pytest.raises(ParameterError, match="1,300"):
        replace(base, tiers=(low, middle, replace(high, deduction_usd=1_250.0)))


def test_maintenance_margin_is_continuous_at_every_border() -> None:
    """Catches a deduction that belongs to another tier."""
    base = contract("binance", "BTCUSDT")
    for below, above in itertools.pairwise(base.tiers):
        border = below.notional_cap_usd
        just_above = border * above.maintenance_rate - above.deduction_usd
        assert maintenance_margin(base, border) == pytest.approx(just_above)


@settings(deadline=None, max_examples=200)
@given(
    side=st.sampled_from([1, -1]),
    leverage=st.integers(min_value=1, max_value=10),
    notional=st.floats(min_value=1e3, max_value=1e8),
)
def test_tier_is_that_of_the_liquidation_price(side: int, leverage: int, notional: float) -> None:
    """At the liquidation price, margin left = maintenance margin of the notional *there*.

    Catches the tier taken at entry, or an iteration that stops early.
    """
    base, entry = contract("binance", "BTCUSDT"), 50_000.0
    quantity = notional / entry
    price = liquidation_price(base, side=side, entry=entry, quantity=quantity, leverage=leverage)
    left = notional / leverage + side * quantity * (price - entry)
    if price == 0.0:
        assert leverage == 1
        assert side == 1
    else:
        assert left == pytest.approx(maintenance_margin(base, quantity * price), rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("side", [1, -1])
def test_more_leverage_brings_liquidation_nearer(venue: str, side: int) -> None:
    """Catches a margin that grows with leverage."""
    facts = flat(venue, rate=0.004)
    prices = [
        liquidation_price(facts, side=side, entry=100.0, quantity=1.0, leverage=leverage) for leverage in range(1, 26)
    ]
    distances = [side * (100.0 - price) for price in prices]
    assert all(near < far for far, near in itertools.pairwise(distances))
    assert all(
        side * (price - bankruptcy_price(side=side, entry=100.0, leverage=leverage)) >= 0
        for leverage, price in enumerate(prices, start=1)
    )


@pytest.mark.parametrize("side", [1, -1])
def test_liquidation_price_has_no_jump_where_a_tier_ends(side: int) -> None:
    """Catches a tier chosen at entry: the price would then jump as the position crosses a border."""
    base = contract("binance", "BTCUSDT")
    quantities = [6.0 * (1.0 + step * 1e-4) for step in range(2_000)]  # 300k at 50,000 lies inside
    prices = [
        liquidation_price(base, side=side, entry=50_000.0, quantity=quantity, leverage=8) for quantity in quantities
    ]
    assert max(abs(a - b) for a, b in itertools.pairwise(prices)) < 0.05


def test_bankruptcy_price_of_a_short() -> None:
    """Catches the long's sign used for both."""
    assert bankruptcy_price(side=-1, entry=100.0, leverage=4) == pytest.approx(125.0)


@pytest.mark.parametrize(("venue", "symbol"), list(itertools.product(VENUES, SYMBOLS)))
def test_unconfirmed_contracts_know_their_first_tier_only(venue: str, symbol: str) -> None:
    """Catches a table without a dated source that is trusted beyond its first row."""
    facts = contract(venue, symbol)
    assert (facts.venue, facts.symbol) == (venue, symbol)
    assert facts.source
    assert facts.as_of
    assert facts.confirmed == ((venue, symbol) == ("binance", "BTCUSDT") or venue == "simulated")
    if not facts.confirmed:
        assert len(facts.tiers) == 1
        with pytest.raises(ParameterError, match="unconfirmed"):
            maintenance_margin(facts, facts.max_notional_usd * 1.01)
        several = contract("binance", "BTCUSDT").tiers
        with pytest.raises(ParameterError, match="first tier alone"):
            replace(facts, tiers=several)


@pytest.mark.parametrize(("venue", "symbol"), list(itertools.product(VENUES, SYMBOLS)))
def test_what_no_dated_source_states_is_named_as_assumed(venue: str, symbol: str) -> None:
    """Catches an assumption that passes for a fact, and a difference between venues that nobody measured."""
    facts, reference = contract(venue, symbol), contract("binance", symbol)
    assert (facts.half_spread, facts.relative_depth) == (reference.half_spread, 1.0)
    if venue == "simulated":
        assert facts.assumed == ()
        return
    assert {"half_spread", "order_steps"} <= set(facts.assumed)
    assert ("relative_depth" in facts.assumed) == (venue != "binance")
    assert ("fees" in facts.assumed) == (venue == "gate")
    assert ("margin_tiers" in facts.assumed) == (not facts.confirmed)
    assert ("funding_limits" in facts.assumed) == math.isinf(facts.funding_cap) == math.isinf(facts.funding_floor)
    assert ("funding_interval" in facts.assumed) == (symbol != "BTCUSDT")
    assert facts.funding_interval == timedelta(hours=8)


def test_simulated_venue_says_that_it_is_synthetic() -> None:
    """Catches numbers of the simulator passing for a venue's."""
    assert all("SYNTHETIC" in facts.source for facts in venue_contracts("simulated").values())


def test_short_that_grows_beyond_the_known_tiers_has_no_liquidation_price() -> None:
    """Catches a short accepted at entry whose notional at liquidation lies outside the table."""
    facts = contract("okx", "BTCUSDT")
    inside = facts.max_notional_usd / 50_000.0
    assert liquidation_price(facts, side=1, entry=50_000.0, quantity=inside, leverage=5) > 0
    with pytest.raises(ParameterError, match="margin tiers"):
        liquidation_price(facts, side=-1, entry=50_000.0, quantity=inside, leverage=5)


@pytest.mark.parametrize(
    ("venue", "symbol", "hint"),
    [("binanse", "BTCUSDT", "binance"), ("Bybit", "BTCUSDT", "bybit"), ("okx", "BTCUSD", "BTCUSDT")],
)
def test_unknown_names_get_a_hint(venue: str, symbol: str, hint: str) -> None:
    """Catches a bare KeyError."""
    with pytest.raises(ParameterError, match=f"did you mean `{hint}`"):
        contract(venue, symbol)


def test_looked_up_contracts_may_be_replaced_without_harm() -> None:
    """Catches a shared table that one caller can change for all."""
    facts = venue_contracts("binance")
    facts["BTCUSDT"] = replace(facts["BTCUSDT"], taker_fee=0.0)
    assert contract("binance", "BTCUSDT").taker_fee == 0.0005


@pytest.mark.parametrize(
    "bad",
    [
        {"side": 0},
        {"entry": 0.0},
        {"entry": float("nan")},
        {"entry": float("inf")},
        {"quantity": 0.0},
        {"quantity": -1.0},
        {"quantity": float("nan")},
        {"leverage": 0.5},
        {"leverage": float("nan")},
    ],
)
def test_hostile_positions_are_named_errors(bad: dict[str, float]) -> None:
    """Catches a liquidation price computed from nonsense."""
    arguments = {"side": 1, "entry": 100.0, "quantity": 1.0, "leverage": 5.0} | bad
    with pytest.raises(ParameterError):
        liquidation_price(contract("binance", "BTCUSDT"), **arguments)


@pytest.mark.parametrize(
    "bad",
    [
        {"tick_size": 0.0},
        {"lot_size": float("nan")},
        {"min_quantity": -1.0},
        {"min_notional_usd": -1.0},
        {"taker_fee": -0.001},
        {"half_spread": float("inf")},
        {"tiers": ()},
        {"relative_depth": 0.0},
        {"relative_depth": float("nan")},
        {"funding_interval": timedelta(0)},
        {"funding_interval": timedelta(days=2)},
        {"funding_cap": -0.001},
        {"funding_floor": 0.001},
        {"funding_cap": float("nan")},
    ],
)
def test_hostile_contract_facts_are_named_errors(bad: dict[str, object]) -> None:
    """Catches a contract that would let a size be computed from nonsense."""
    with pytest.raises(ParameterError):
        replace(contract("binance", "BTCUSDT"), **bad)


@pytest.mark.parametrize(("symbol", "asset"), [("BTCUSDT", "BTC"), ("ETHUSDC", "ETH"), ("SOLUSD", "SOL")])
def test_base_asset(symbol: str, asset: str) -> None:
    """Catches USDT read as USD with a T left over."""
    assert base_asset(symbol) == asset


@pytest.mark.parametrize("symbol", ["USDT", "BTCEUR", ""])
def test_base_asset_refuses_what_it_cannot_split(symbol: str) -> None:
    """Catches an empty coin."""
    with pytest.raises(ParameterError, match="symbol"):
        base_asset(symbol)


def test_a_venue_from_outside_has_contracts_like_the_built_in_ones() -> None:
    """Fails if the formula of the liquidation price follows from the name of the venue."""
    mine = replace(VENUE_FACTS["okx"], name="mine", taker_fee=0.001)
    facts = contract(mine, "BTCUSDT")
    assert (facts.venue, facts.taker_fee, facts.assumed) == ("mine", 0.001, contract("okx", "BTCUSDT").assumed)
    wide = {"tiers": flat("okx", rate=0.004).tiers, "taker_fee": 0.0005, "confirmed": True}
    prices = [
        liquidation_price(replace(each, **wide), side=1, entry=50_000.0, quantity=1.0, leverage=10)
        for each in (facts, contract("okx", "BTCUSDT"))
    ]
    assert prices[0] == prices[1]
    content = {
        "venue": "mine",
        "as_of": "2026-11-25",
        "source": "me",
        "contracts": {"ETHUSDT": {"relative_depth": 0.5}},
    }
    assert merge_contracts(content, mine)["ETHUSDT"].relative_depth == 0.5
