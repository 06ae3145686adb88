"""The account as the gate sees it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from slackwater.errors import ParameterError
from slackwater.trading.account import Account, Exposure, OpenPosition

LONG = {
    "symbol": "ETHUSDT",
    "side": 1,
    "quantity": 2.0,
    "entry": 100.0,
    "mark": 120.0,
    "leverage": 4.0,
    "risk_usd": 5.0,
}
BTC, ETH, SOL, XRP = "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"


def held(symbol: str, side: int, risk_usd: float = 5.0) -> OpenPosition:
    return OpenPosition(**LONG | {"symbol": symbol, "side": side, "risk_usd": risk_usd})


def cluster(
    side: int, positions: tuple[OpenPosition, ...], correlations: Mapping[tuple[str, str], float] | None = None
) -> tuple[str, ...]:
    """The positions that are one bet with a new one in BTC."""
    account = Account(equity=1_000.0, open_positions=positions, correlations=correlations)
    return account.exposure(BTC, side).cluster


def test_exposure_sums_marks_margins_and_the_cluster() -> None:
    """Catches notional at entry, margin at the mark, and a cluster of both sides."""
    account = Account(equity=1_000.0, open_positions=(held(ETH, 1), held(SOL, -1, risk_usd=7.0)))
    exposure = account.exposure(BTC, 1)
    assert exposure.notional_usd == pytest.approx(480.0)
    assert exposure.margin_usd == pytest.approx(100.0)
    assert exposure.risk_usd == pytest.approx(12.0)
    assert exposure.cluster_risk_usd == pytest.approx(5.0)
    assert exposure.cluster == (ETH,)
    assert account.exposure(BTC, -1).cluster_risk_usd == pytest.approx(7.0)
    assert account.holds(ETH)
    assert not account.holds(BTC)


def test_an_empty_account_carries_nothing() -> None:
    """Catches a new trade that counts as a position of its own cluster."""
    assert Account(equity=1_000.0).exposure(BTC, 1) == Exposure()


@pytest.mark.parametrize(
    ("own", "other", "correlation", "one_bet"),
    [
        (1, 1, 0.51, True),
        (-1, -1, 0.51, True),
        (1, 1, 0.5, False),  # the limit itself is not passed
        (1, 1, 0.0, False),
        (1, -1, 0.9, False),  # a hedge
        (1, 1, -0.9, False),  # likewise
        (1, -1, -0.51, True),  # long the one and short its mirror image
        (-1, 1, -0.51, True),
        (1, -1, -0.5, False),
        (1, 1, math.nan, True),  # unknown counts by side
        (1, -1, math.nan, False),
    ],
)
@pytest.mark.parametrize("pair", [(BTC, ETH), (ETH, BTC)])
def test_one_bet_is_alike_on_the_same_side_or_opposed_on_opposite_sides(
    own: int, other: int, correlation: float, one_bet: bool, pair: tuple[str, str]
) -> None:
    """Catches the sign of a side or of a correlation left out, `>=`, and a pair that is found in one order only."""
    assert cluster(own, (held(ETH, other),), {pair: correlation}) == ((ETH,) if one_bet else ())


@pytest.mark.parametrize("correlations", [None, {}, {(ETH, SOL): 0.1}])
def test_an_unknown_pair_is_one_bet_on_the_same_side(correlations: dict[tuple[str, str], float] | None) -> None:
    """Catches an unknown pair that counts as unrelated, which would allow more risk than is known to be safe."""
    assert cluster(1, (held(ETH, 1),), correlations) == (ETH,)
    assert cluster(1, (held(ETH, -1),), correlations) == ()


def test_a_cluster_reaches_through_a_third_position() -> None:
    """Catches a cluster of direct neighbours, whatever the order in which positions were opened."""
    chain = {(BTC, ETH): 0.8, (ETH, SOL): 0.8, (BTC, SOL): 0.1, (BTC, XRP): 0.0, (ETH, XRP): 0.0, (SOL, XRP): 0.4}
    positions = (held(SOL, 1, 2.0), held(XRP, 1, 3.0), held(ETH, 1, 4.0))
    for order in itertools.permutations(positions):
        exposure = Account(equity=1_000.0, open_positions=order, correlations=chain).exposure(BTC, 1)
        assert exposure.cluster == (ETH, SOL)
        assert exposure.cluster_risk_usd == pytest.approx(6.0)
        assert exposure.risk_usd == pytest.approx(9.0)


def test_a_cluster_reaches_through_a_short() -> None:
    """Catches a chain whose second link is judged by the side of the new trade instead of its own."""
    chain = {(BTC, ETH): -0.8, (ETH, SOL): -0.8, (BTC, SOL): 0.0}
    assert cluster(1, (held(ETH, -1), held(SOL, 1)), chain) == (ETH, SOL)
    assert cluster(1, (held(ETH, -1), held(SOL, -1)), chain) == (ETH,)
    assert cluster(-1, (held(ETH, -1), held(SOL, 1)), chain) == ()


def test_a_position_is_one_bet_with_a_new_one_in_its_own_symbol() -> None:
    """Catches a correlation of a symbol with itself that is looked up, and missing."""
    known = {(BTC, BTC): 0.0}
    assert cluster(1, (held(BTC, 1),), known) == (BTC,)
    assert cluster(-1, (held(BTC, 1),), known) == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"side": 0},
        {"quantity": 0.0},
        {"quantity": -1.0},
        {"quantity": math.inf},
        {"entry": math.nan},
        {"entry": 0.0},
        {"mark": math.inf},
        {"mark": -1.0},
        {"leverage": 0.5},
        {"leverage": math.nan},
        {"risk_usd": -1.0},
        {"risk_usd": math.nan},
    ],
)
def test_impossible_positions_are_refused(bad: dict[str, float]) -> None:
    """Catches a negative risk, which would make room for more."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        OpenPosition(**LONG | bad)


@pytest.mark.parametrize(
    ("thing", "name", "value"),
    [
        (OpenPosition(**LONG), "risk_usd", 0.0),
        (Account(equity=1_000.0), "equity", 1e6),
        (Exposure(), "cluster_risk_usd", 0.0),
    ],
)
def test_nothing_can_be_changed_afterwards(thing: Any, name: str, value: float) -> None:
    """Catches a position whose risk is talked down while it is open."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, name, value)


POSITION = {"symbol": "BTCUSDT", "side": 1, "quantity": 1.5, "entry": 100.0, "mark": 101.0, "leverage": 2.0}


def test_numbers_as_venues_send_them_are_read() -> None:
    text = {name: str(value) if isinstance(value, float) else value for name, value in POSITION.items()}
    assert OpenPosition(**text, risk_usd=Decimal("0.1")) == OpenPosition(**POSITION, risk_usd=0.1)
    assert Account(equity="10000.5") == Account(equity=Decimal("10000.5")) == Account(equity=10_000.5)


@pytest.mark.parametrize("wrong", [None, "", "1,000", "nan", True, [], 10**400, b"1", Decimal("Infinity"), object()])
def test_what_is_no_number_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(ParameterError, match="`equity` of an account must be a number"):
        Account(equity=wrong)
    with pytest.raises(ParameterError, match="`quantity` of an open position must be a number"):
        OpenPosition(**POSITION | {"quantity": wrong}, risk_usd=0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"open_positions": 7},
        {"open_positions": ["BTCUSDT"]},
        {"record": {}},
        {"correlations": [0.5]},
        {"correlations": {"BTCUSDT": 0.5}},
        {"correlations": {("A", "B"): "0.5"}},
    ],
)
def test_parts_of_an_account_of_another_type_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=f"`{next(iter(wrong))}` must"):
        Account(equity=1.0, **wrong)
