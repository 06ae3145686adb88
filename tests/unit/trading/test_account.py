"""The account as the gate sees it."""

from __future__ import annotations

import pytest

from slackwater.errors import ParameterError
from slackwater.trading.account import Account, OpenPosition

LONG = {
    "symbol": "ETHUSDT",
    "side": 1,
    "quantity": 2.0,
    "entry": 100.0,
    "mark": 120.0,
    "leverage": 4.0,
    "risk_usd": 5.0,
}


def test_exposure_sums_marks_margins_and_the_cluster() -> None:
    """Catches notional at entry, margin at the mark, and a cluster of both directions."""
    short = OpenPosition(**LONG | {"symbol": "SOLUSDT", "side": -1, "risk_usd": 7.0})
    account = Account(equity=1_000.0, open_positions=(OpenPosition(**LONG), short))
    exposure = account.exposure(1)
    assert exposure.notional_usd == pytest.approx(480.0)
    assert exposure.margin_usd == pytest.approx(100.0)
    assert exposure.risk_usd == pytest.approx(12.0)
    assert exposure.cluster_risk_usd == pytest.approx(5.0)
    assert account.exposure(-1).cluster_risk_usd == pytest.approx(7.0)
    assert account.holds("ETHUSDT")
    assert not account.holds("BTCUSDT")


@pytest.mark.parametrize(
    "bad",
    [
        {"side": 0},
        {"quantity": 0.0},
        {"entry": float("nan")},
        {"mark": float("inf")},
        {"leverage": 0.5},
        {"risk_usd": -1.0},
    ],
)
def test_impossible_positions_are_refused(bad: dict[str, float]) -> None:
    """Catches a negative risk, which would make room for more."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        OpenPosition(**LONG | bad)
