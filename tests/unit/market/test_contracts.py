"""Contract facts and liquidation prices against the venues' own numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

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
        ("bybit", 1, 45_180.72),
        ("bybit", -1, 54_780.88),
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


@pytest.mark.parametrize(
    ("time", "long", "short"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), 19_700.0, 20_300.0),
        (datetime(2025, 9, 1, 23, 59, 59, tzinfo=UTC), 19_700.0, 20_300.0),
        (datetime(2025, 9, 2, tzinfo=UTC), 19_698.49, 20_298.51),
        (datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=10))), 19_698.49, 20_298.51),
    ],
)
def test_bybit_takes_maintenance_margin_at_the_mark_since_september_2025(
    time: datetime, long: float, short: float
) -> None:
    """Catches the published example of before (19,700) in later years, when shorts are liquidated earlier, and the
    form of today in a backtest of earlier years."""
    facts = flat("bybit", rate=0.005).at(time)
    for side, expected in ((1, long), (-1, short)):
        price = liquidation_price(facts, side=side, entry=20_000.0, quantity=1.0, leverage=50)
        assert price == pytest.approx(expected, abs=0.005)


def test_facts_of_a_file_carry_both_forms_of_bybit() -> None:
    """Catches a contract from the user, built in or not, that has the form of today for all time."""
    steps = {"tick_size": 0.1, "lot_size": 1.0, "min_quantity": 1.0, "min_notional_usd": 5.0, "half_spread": 0.0001}
    facts = {**steps, "maker_fee": 0.0002, "taker_fee": 0.00055, "tiers": TIERS}
    content = {"venue": "bybit", "as_of": "2026-11-25", "source": "me", "contracts": {"DOGEUSDT": facts}}
    content["contracts"]["BTCUSDT"] = {"tiers": TIERS}
    merged = merge_contracts(content, "bybit")
    for symbol in ("DOGEUSDT", "BTCUSDT"):
        before = merged[symbol].at(datetime(2024, 3, 1, tzinfo=UTC))
        assert (merged[symbol].liquidation, before.liquidation) == ("notional", "entry_value")


TIERS = [
    {"notional_cap_usd": 5e6, "maintenance_rate": 0.004, "max_leverage": 100.0},
    {"notional_cap_usd": 2e7, "maintenance_rate": 0.01, "max_leverage": 50.0},
    {"notional_cap_usd": 5e7, "maintenance_rate": 0.02, "max_leverage": 20.0},
    {"notional_cap_usd": 1e8, "maintenance_rate": 0.03, "max_leverage": 10.0},
]


@pytest.mark.parametrize("notional", [6e6, 2.5e7, 6e7, 9.9e7])
@pytest.mark.parametrize("side", [1, -1])
def test_okx_charges_the_rate_of_its_tier_on_the_whole_position(notional: float, side: int) -> None:
    """Catches a deduction that OKX does not grant, and a tier that moves with the price: OKX counts contracts."""
    content = {"venue": "okx", "as_of": "2026-11-25", "source": "me", "contracts": {"BTCUSDT": {"tiers": TIERS}}}
    facts = merge_contracts(content, "okx")["BTCUSDT"]
    assert [tier.deduction_usd for tier in facts.tiers] == [0.0] * 4
    rate = next(row["maintenance_rate"] for row in TIERS if notional <= row["notional_cap_usd"])
    price = liquidation_price(facts, side=side, entry=50_000.0, quantity=notional / 50_000.0, leverage=10)
    assert price == pytest.approx(50_000.0 * (1 - side / 10) / (1 - side * (rate + facts.taker_fee)))
    with pytest.raises(ParameterError, match="must be 0"):
        replace(facts, tiers=(*facts.tiers[:3], replace(facts.tiers[3], deduction_usd=1_000.0)))


@pytest.mark.parametrize("name", ["OKX", "okex", "Bybit", "gateio", "hyperliquid", "", "binance "])
def test_an_unknown_venue_does_not_take_the_formula_of_another(name: str) -> None:
    """Catches a slip in a name that falls back on Binance's form of the liquidation price."""
    with pytest.raises(ParameterError, match="`venue` of a contract must be a known venue"):
        replace(contract("binance", "BTCUSDT"), venue=name)
    with pytest.raises(ParameterError, match="venue"):
        merge_contracts(None, name)
    with pytest.raises(ParameterError, match="small letters"):
        replace(VENUE_FACTS["okx"], name=name.upper())


@pytest.mark.parametrize("symbol", ["BTCUSD", "BTCUSD_PERP", "XBTUSD", "BTC-USD-SWAP", "USDT", "BTCEUR", "ETHUSD_26"])
def test_an_inverse_contract_is_refused(symbol: str) -> None:
    """Catches a coin-margined contract computed as a linear one: a long at leverage 2 dies at 33,500, not at 25,250."""
    steps = {"tick_size": 0.5, "lot_size": 1.0, "min_quantity": 1.0, "min_notional_usd": 1.0, "half_spread": 0.0001}
    facts = {**steps, "maker_fee": 0.0002, "taker_fee": 0.00055, "tiers": TIERS}
    content = {"venue": "bybit", "as_of": "2026-11-25", "source": "me", "contracts": {symbol: facts}}
    with pytest.raises(ParameterError, match=f"contract {symbol}: .*inverse"):
        merge_contracts(content, "bybit")


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
    facts = contract("gate", "BTCUSDT")
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
