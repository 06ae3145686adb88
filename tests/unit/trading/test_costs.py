"""Costs against hand-computed numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from slackwater.errors import ParameterError
from slackwater.market.contracts import contract
from slackwater.trading.costs import CostModel, funding_payment

BTC = contract("binance", "BTCUSDT")  # half-spread .5 bp, taker 5 bp


def test_market_slippage_is_spread_and_square_root_impact() -> None:
    """Catches a linear law, a missing event factor, and impact in the wrong unit."""
    slippage = CostModel().market_slippage(BTC, quantity=4.0, volume_24h=10_000.0, volatility_daily=0.05)
    assert slippage == pytest.approx(0.00005 + 1.6 * 0.05 * 0.02)


def test_stop_pays_a_share_of_an_hourly_range_on_top() -> None:
    """Catches a stop that fills like a market order."""
    model, order = CostModel(), {"quantity": 4.0, "volume_24h": 1e4, "volatility_daily": 0.05}
    extra = model.stop_slippage(BTC, **order, atr_1h=0.002) - model.market_slippage(BTC, **order)
    assert extra == pytest.approx(0.00006)


def test_multiple_scales_every_cost() -> None:
    """Catches a cost that the 0x and 2x curves would leave out."""
    order = {"quantity": 4.0, "volume_24h": 1e4, "volatility_daily": 0.05, "atr_1h": 0.002}
    models = [CostModel(multiple=multiple, latency=timedelta(seconds=5)) for multiple in (0.0, 1.0, 2.0)]
    for cost in (
        lambda model: model.fee_fraction(BTC),
        lambda model: model.stop_slippage(BTC, **order),
        lambda model: model.latency_slippage(0.05),
    ):
        free, once, twice = map(cost, models)
        assert free == 0.0
        assert once > 0.0
        assert twice == pytest.approx(2 * once)


def test_latency_is_one_standard_deviation_of_the_delay() -> None:
    """Catches a delay charged linearly in time."""
    model = CostModel(latency=timedelta(seconds=54))  # 1/1600 of a day
    assert model.latency_slippage(0.04) == pytest.approx(0.001)


@pytest.mark.parametrize(("side", "rate", "paid"), [(1, 0.0001, 1.0), (-1, 0.0001, -1.0), (1, -0.0003, -3.0)])
def test_positive_funding_is_paid_by_longs(side: int, rate: float, paid: float) -> None:
    """Catches the sign of funding."""
    assert funding_payment(side=side, notional_usd=10_000.0, funding_rate=rate) == pytest.approx(paid)


@pytest.mark.parametrize(
    "bad",
    [
        {"multiple": -1.0},
        {"multiple": float("nan")},
        {"impact_coefficient": -0.1},
        {"event_impact_factor": 0.5},
        {"stop_slippage_atr": float("inf")},
        {"latency": timedelta(seconds=-1)},
        {"latency": timedelta(days=1)},
    ],
)
def test_impossible_assumptions_are_refused(bad: dict[str, object]) -> None:
    """Catches costs that pay the trader."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        CostModel(**bad)
