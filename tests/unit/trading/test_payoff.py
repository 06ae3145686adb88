"""What a trade wins, loses and is worth, against numbers worked out by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from slackwater.market.contracts import contract
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel
from slackwater.trading.payoff import Payoff
from slackwater.trading.score import Score

LONG = Bracket(side=1, entry=50_000.0, stop=49_000.0, target=53_000.0)
SHORT = Bracket(side=-1, entry=50_000.0, stop=51_000.0, target=47_000.0)
FREE = CostModel(multiple=0.0)


@pytest.fixture
def make_payoff(make_score: Callable[..., Score]) -> Callable[..., Payoff]:
    def make(bracket: Bracket = LONG, costs: CostModel = FREE) -> Payoff:
        return Payoff(
            bracket=bracket, contract=contract("binance", "BTCUSDT"), costs=costs, context=make_score().context
        )

    return make


@pytest.mark.parametrize(("bracket", "stop"), [(LONG, 49_000.0), (SHORT, 51_000.0)])
def test_the_loss_is_the_distance_with_fees_and_slippage(
    make_payoff: Callable[..., Payoff], bracket: Bracket, stop: float
) -> None:
    """Catches a cost on the wrong price, a sign by side, and impact of another quantity."""
    payoff = make_payoff(bracket, CostModel(latency=timedelta(seconds=54)))
    # 2 of 20,000 coins: .01; at 3 % a day and the event factor of 1.6, impact is 4.8 bp; half-spread .5, latency 7.5
    entry, stopped = 0.00053 + 0.00075, 0.00053 + 0.03 * 0.006
    assert payoff.entry_slippage.at(2.0) == pytest.approx(entry)
    assert payoff.stop_slippage.at(2.0) == pytest.approx(stopped)
    loss = 1_000.0 + 50_000.0 * (0.0005 + entry) + stop * (0.0005 + stopped)
    assert payoff.unit_loss.at(2.0) == pytest.approx(loss)


@pytest.mark.parametrize(("bracket", "target"), [(LONG, 53_000.0), (SHORT, 47_000.0)])
def test_the_gain_pays_the_entry_and_a_fee_at_the_target(
    make_payoff: Callable[..., Payoff], bracket: Bracket, target: float
) -> None:
    """Catches a gain before costs, and slippage charged to a resting order."""
    payoff = make_payoff(bracket, CostModel())
    gain = 3_000.0 - 50_000.0 * (0.0005 + 0.00053) - target * 0.0005
    assert payoff.reward_risk(2.0) == pytest.approx(gain / payoff.unit_loss.at(2.0))


@pytest.mark.parametrize("bracket", [LONG, SHORT])
def test_without_an_edge_the_odds_are_fair(make_payoff: Callable[..., Payoff], bracket: Bracket) -> None:
    """Catches the odds of stop against target, and a zero edge that is worth something: p = 1/4, b = 3."""
    payoff = make_payoff(bracket)
    fair = payoff.probability(0.0)
    assert fair == pytest.approx(0.25)
    assert payoff.expectancy(1.0, fair) == pytest.approx(0.0, abs=1e-12)
    assert payoff.kelly(1.0, fair) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("bracket", [LONG, SHORT])
def test_without_an_edge_costs_make_a_trade_worth_less_than_nothing(
    make_payoff: Callable[..., Payoff], bracket: Bracket
) -> None:
    """Catches an expectancy that leaves costs out."""
    payoff = make_payoff(bracket, CostModel())
    fair = payoff.probability(0.0)
    assert payoff.expectancy(1.0, fair) < -0.05
    assert payoff.kelly(1.0, fair) < 0.0


def test_an_edge_adds_to_the_log_of_the_odds(make_payoff: Callable[..., Payoff]) -> None:
    """Catches an edge added to the probability, or to the odds of the stop: odds of 1:3, doubled, are 2:3."""
    payoff = make_payoff()
    assert payoff.probability(math.log(2.0)) == pytest.approx(0.4)
    assert payoff.probability(-math.log(2.0)) == pytest.approx(1 / 7)
    assert payoff.expectancy(1.0, 0.4) == pytest.approx(0.4 * 3 - 0.6)


@pytest.mark.parametrize("edge", [-1e4, -800.0, -30.0, 30.0, 800.0, 1e4])
def test_an_absurd_edge_overflows_nowhere(make_payoff: Callable[..., Payoff], edge: float) -> None:
    """Catches `exp` of a large number."""
    assert make_payoff().probability(edge) == pytest.approx(float(edge > 0), abs=1e-12)


def test_probability_grows_with_the_edge_and_is_unknown_without_one(make_payoff: Callable[..., Payoff]) -> None:
    """Catches the two branches of the formula that do not join, and NaN that becomes a probability."""
    payoff = make_payoff()
    odds = [payoff.probability(edge) for edge in np.linspace(-5.0, 5.0, 101)]
    assert all(low < high for low, high in itertools.pairwise(odds))
    assert payoff.probability(-1e-12) == pytest.approx(payoff.probability(0.0))
    assert math.isnan(payoff.probability(math.nan))


@pytest.mark.parametrize("probability", [0.3, 0.4, 0.75])
def test_kelly_is_the_stake_of_the_fastest_growth(make_payoff: Callable[..., Payoff], probability: float) -> None:
    """Catches p - q instead of p - q / b, with the growth itself as the judge."""
    payoff = make_payoff(costs=CostModel())
    stakes = np.linspace(0.0, 0.999, 100_000)
    growth = probability * np.log1p(stakes * payoff.reward_risk(1.0)) + (1 - probability) * np.log1p(-stakes)
    assert payoff.kelly(1.0, probability) == pytest.approx(stakes[growth.argmax()], abs=2e-5)


def test_kelly_stakes_nothing_where_costs_eat_the_gain(make_payoff: Callable[..., Payoff]) -> None:
    """Catches a division by zero or by a negative reward, which would turn the sign of the stake."""
    near = replace(LONG, target=50_010.0)
    payoff = make_payoff(near, CostModel())
    assert payoff.reward_risk(1.0) < 0.0
    assert payoff.kelly(1.0, 0.999) <= 0.0
    assert payoff.expectancy(1.0, 0.999) < 0.0


def test_a_larger_order_is_worth_less(make_payoff: Callable[..., Payoff]) -> None:
    """Catches impact that does not grow with the size."""
    payoff = make_payoff(costs=CostModel())
    small, large = 0.1, 10.0
    assert payoff.unit_loss.at(small) < payoff.unit_loss.at(large)
    assert payoff.reward_risk(small) > payoff.reward_risk(large)
    assert payoff.expectancy(small, 0.4) > payoff.expectancy(large, 0.4)
    assert payoff.kelly(small, 0.4) > payoff.kelly(large, 0.4)
