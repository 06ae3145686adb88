"""What one trade wins and loses, costs inside, and what it is worth at given odds.

Impact grows with the square root of the quantity and nothing else depends on it, so every amount a coin is a straight
line in that root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from slackwater.market.contracts import Contract
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel
from slackwater.trading.score import Score

__all__ = ["Payoff", "RootLine"]


class RootLine(NamedTuple):
    """``at_zero + per_root × sqrt(quantity)``."""

    at_zero: float
    per_root: float

    def at(self, quantity: float) -> float:
        """Value at a quantity >= 0, coins."""
        return self.at_zero + self.per_root * math.sqrt(quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """The arithmetic of one trade.

    Parameters
    ----------
    bracket
        Its three prices.
    contract, costs
        Facts and assumptions.
    score
        For the volume of 24 h, the volatility and the true range of a bar.

    Attributes
    ----------
    entry_slippage, stop_slippage : RootLine
        Slippage of the entry, its latency inside, and of the stop, fractions of price.
    unit_loss : RootLine
        Loss a coin at the stop with fees and slippage, USDT.
    unit_gain : RootLine
        Gain a coin at the target after fees and slippage, USDT; negative where costs eat it.

    Notes
    -----
    The *odds* of a trade are those of its target against its stop. In a market without drift that has time
    enough they are fair: ``p = D / (D + T)``, D and T being the distances to stop and target. A time exit between
    the two counts as the lottery of target and stop that is worth the same, so that fair odds stay fair however
    many trades run out of time. An *edge* is what a model adds to the log of these odds, and 0 is none.
    """

    bracket: Bracket
    contract: Contract
    costs: CostModel
    score: Score
    entry_slippage: RootLine = field(init=False)
    stop_slippage: RootLine = field(init=False)
    unit_loss: RootLine = field(init=False)
    unit_gain: RootLine = field(init=False)

    def __post_init__(self) -> None:
        plan, costs, score = self.bracket, self.costs, self.score
        fee, spread = costs.fee_fraction(self.contract), costs.spread_slippage(self.contract)
        impact = costs.impact_per_root(volume_24h=score.volume_24h, volatility_daily=score.volatility_daily)
        entry = RootLine(spread + costs.latency_slippage(score.volatility_daily), impact)
        stop = RootLine(spread + costs.stop_slippage_beyond_market(score.atr_bar), impact)
        lines = {
            "entry_slippage": entry,
            "stop_slippage": stop,
            "unit_loss": RootLine(
                plan.stop_distance + plan.entry * (fee + entry.at_zero) + plan.stop * (fee + stop.at_zero),
                (plan.entry + plan.stop) * impact,
            ),
            "unit_gain": RootLine(
                plan.target_distance - plan.entry * (fee + entry.at_zero) - plan.target * fee, -plan.entry * impact
            ),
        }
        for name, line in lines.items():
            object.__setattr__(self, name, line)

    def reward_risk(self, quantity: float) -> float:
        """Gain at the target over loss at the stop, both after costs."""
        return self.unit_gain.at(quantity) / self.unit_loss.at(quantity)

    def net_of_costs(self, quantity: float, *, exit_price: float, exit_reason: str) -> float:
        """Gain a coin after fees and slippage, before funding, USDT.

        Parameters
        ----------
        quantity
            Coins.
        exit_price
            Market price of the exit, USDT.
        exit_reason
            ``stop`` and ``time`` are market orders; a ``target`` rests and has no slippage.
        """
        plan, fee = self.bracket, self.costs.fee_fraction(self.contract)
        entry_slippage = self.entry_slippage.at(quantity)
        at_exit = {
            "stop": self.stop_slippage.at(quantity),
            "time": entry_slippage - self.costs.latency_slippage(self.score.volatility_daily),
        }.get(exit_reason, 0.0)
        paid = plan.entry * (fee + entry_slippage) + exit_price * (fee + at_exit)
        return plan.side * (exit_price - plan.entry) - paid

    def probability(self, edge: float) -> float:
        """Probability of target rather than stop at an edge (log-odds); NaN at NaN."""
        against = self.bracket.target_distance / self.bracket.stop_distance
        if edge < 0.0:  # no overflow at either end
            for_edge = math.exp(edge)
            return for_edge / (for_edge + against)
        return 1.0 / (1.0 + against * math.exp(-edge))

    def expectancy(self, quantity: float, probability: float) -> float:
        """Worth of the trade at a probability of its target, multiples of `unit_loss`."""
        return probability * (1.0 + self.reward_risk(quantity)) - 1.0

    def kelly(self, quantity: float, probability: float) -> float:
        """Share of equity that the Kelly criterion stakes: ``p - (1 - p) / b``, not above 1; 0 or less: nothing.

        References
        ----------
        J. L. Kelly (1956), "A new interpretation of information rate", Bell System Technical Journal 35.
        """
        reward_risk = self.reward_risk(quantity)
        return probability - (1.0 - probability) / reward_risk if reward_risk > 0.0 else -1.0
