"""Rounding to steps, where binary floats lie."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

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


@settings(deadline=None, max_examples=500)
@given(
    value=st.one_of(
        st.floats(min_value=-1e9, max_value=1e9),
        st.floats(allow_nan=False, allow_infinity=False),
        st.builds(lambda count, step: count * step, st.integers(-(10**7), 10**7), STEPS),  # a multiple, or next to one
    ),
    step=st.one_of(STEPS, st.sampled_from([1e-8, 5e-324, 3e-5, 1e15, 1e300])),
)
def test_the_result_is_that_of_decimals(value: float, step: float) -> None:
    """Catches whole numbers that are off by one next to a multiple, or used where floats have too few digits."""
    exact = Decimal(repr(step))
    for found, way in ((round_down, ROUND_FLOOR), (round_up, ROUND_CEILING)):
        try:
            wanted = float((Decimal(repr(value)) / exact).to_integral_value(way) * exact)
        except InvalidOperation:  # more digits than decimals have here
            continue
        assert found(value, step) == wanted


@pytest.mark.parametrize(("value", "step"), [(math.nan, 0.1), (math.inf, 0.1), (1.0, 0.0), (1.0, math.nan)])
def test_nonsense_is_a_named_error(value: float, step: float) -> None:
    """Catches a Decimal exception that names nothing."""
    with pytest.raises(ParameterError, match="step"):
        round_down(value, step)
