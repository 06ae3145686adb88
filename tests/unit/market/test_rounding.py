"""Rounding to steps, where binary floats lie."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import ParameterError
from slackwater.market.rounding import round_down, round_up

STEPS = st.sampled_from([0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 0.25])


def test_multiples_stay_where_they_are() -> None:
    """Catches floor(0.7 / 0.1) = 6 and its likes."""
    for count in range(1, 2_000):
        value = float(f"{count}e-3")
        assert round_down(value, 0.001) == value
        assert round_up(value, 0.001) == value


@settings(deadline=None, max_examples=300)
@given(value=st.floats(min_value=-1e9, max_value=1e9), step=STEPS)
def test_down_is_never_above_and_up_never_below(value: float, step: float) -> None:
    """Catches rounding to nearest."""
    down, up = round_down(value, step), round_up(value, step)
    assert down <= value <= up
    assert up - down <= step * (1 + 1e-6) + math.ulp(abs(value))


@pytest.mark.parametrize(("value", "step"), [(math.nan, 0.1), (math.inf, 0.1), (1.0, 0.0), (1.0, math.nan)])
def test_nonsense_is_a_named_error(value: float, step: float) -> None:
    """Catches a Decimal exception that names nothing."""
    with pytest.raises(ParameterError, match="step"):
        round_down(value, step)
