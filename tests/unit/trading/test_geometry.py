"""Three prices, rounded to the safe side, and set once."""

from __future__ import annotations

import dataclasses
import math

import pytest

from slackwater.errors import ParameterError
from slackwater.trading.geometry import Geometry, stop_price, target_price


def test_stop_is_rounded_away_from_the_entry() -> None:
    """Catches rounding to nearest, which would put the stop inside of its own buffer."""
    common = {"atr_1h_usd": 1.0, "tick_size": 0.5, "buffer_atr": 0.25}
    assert stop_price(side=1, extreme=100.0, **common) == 99.5  # 99.75 down
    assert stop_price(side=-1, extreme=100.0, **common) == 100.5  # 100.25 up


def test_target_is_rounded_toward_the_entry() -> None:
    """Catches a target that the market need not reach."""
    common = {"atr_1h_usd": 1.0, "tick_size": 0.5, "buffer_atr": 0.1}
    assert target_price(side=1, boundary=110.0, **common) == 109.5  # 109.9 down
    assert target_price(side=-1, boundary=90.0, **common) == 90.5  # 90.1 up


@pytest.mark.parametrize(
    ("side", "stop", "target", "named"),
    [
        (1, 101.0, 110.0, "stop"),
        (1, 100.0, 110.0, "stop"),
        (1, 99.0, 100.0, "target"),
        (1, 99.0, 90.0, "target"),
        (-1, 99.0, 90.0, "stop"),
        (-1, 101.0, 110.0, "target"),
        (1, math.nan, 110.0, "stop"),
        (1, 99.0, math.inf, "target"),
        (1, -1.0, 110.0, "stop"),
        (0, 99.0, 110.0, "side"),
    ],
)
def test_prices_on_the_wrong_side_are_refused(side: int, stop: float, target: float, named: str) -> None:
    """Catches a stop that is no stop."""
    with pytest.raises(ParameterError, match=named):
        Geometry(side=side, entry=100.0, stop=stop, target=target)


@pytest.mark.parametrize("name", ["side", "entry", "stop", "target"])
def test_nothing_can_be_moved_afterwards(name: str) -> None:
    """Catches a type that allows a stop to be widened."""
    trade = Geometry(side=1, entry=100.0, stop=99.0, target=110.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(trade, name, 98.0)
