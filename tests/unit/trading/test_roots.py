"""The two largest quantities that the gate searches for, against plain formulas and scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from slackwater.trading.roots import kelly_quantity, quantity_at_risk

MANY = settings(deadline=None, max_examples=500)
POSITIVE = st.floats(1e-6, 1e6)


@MANY
@given(budget=st.floats(1e-12, 1e7), loss=POSITIVE, per_root=st.floats(0.0, 1e4))
def test_the_loss_at_risk_fills_its_budget_and_no_more(budget: float, loss: float, per_root: float) -> None:
    """Catches a root from below, or one that exceeds the budget by rounding."""
    quantity = quantity_at_risk(budget, loss, per_root)
    lost = quantity * (loss + per_root * math.sqrt(quantity))
    assert lost <= budget
    assert lost == pytest.approx(budget, rel=1e-9)


@MANY
@given(
    equity=st.floats(1.0, 1e9),
    probability=st.floats(0.0, 1.0),
    loss=POSITIVE,
    loss_per_root=st.floats(0.0, 1e3),
    gain=st.floats(-1e3, 1e6),
    gain_per_root=st.floats(-1e3, 0.0),
)
def test_the_kelly_quantity_is_that_of_scipy(
    equity: float, probability: float, loss: float, loss_per_root: float, gain: float, gain_per_root: float
) -> None:
    """Catches a step of the root finder that differs: sizes of past and future decisions would not agree."""

    def room(quantity: float) -> float:
        lost = loss + loss_per_root * math.sqrt(quantity)
        gained = gain + gain_per_root * math.sqrt(quantity)
        kelly = probability - (1.0 - probability) * lost / gained if gained > 0.0 else -1.0
        return equity * kelly - quantity * lost

    found = kelly_quantity(equity, probability, loss, loss_per_root, gain, gain_per_root)
    most = room(0.0)
    if not most > 0.0:
        assert found == 0.0
        return
    above = most / loss
    if room(above) >= 0.0:
        assert found == above
        return
    wanted, step = brentq(room, 0.0, above, xtol=1e-12 * above, rtol=1e-14), 2.0**-50
    while wanted > 0.0 and room(wanted) < 0.0:
        wanted *= 1.0 - step
        step *= 2.0
    assert found == wanted
    assert found == 0.0 or room(found) >= 0.0


def test_unknown_odds_leave_nothing() -> None:
    """Catches NaN that passes for a root."""
    assert kelly_quantity(1e4, math.nan, 1.0, 0.1, 1.0, -0.1) == 0.0
