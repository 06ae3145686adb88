"""Gain and loss of one trade after costs, and its expected value at given odds.

Impact grows with the square root of the quantity and nothing else depends on the quantity, so every amount per coin is
a straight line in that root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from slackwater.market.contracts import Contract
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel, OrderCosts
from slackwater.trading.score import MarketContext

__all__ = ["Payoff", "SqrtImpact"]


class SqrtImpact(NamedTuple):
    """An amount per coin that impact makes a line in the root: ``at_zero + per_root × sqrt(quantity)``."""

    at_zero: float
    per_root: float

    def at(self, quantity: float) -> float:
        """Return the value at a quantity >= 0, coins."""
        return self.at_zero + self.per_root * math.sqrt(quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """Payoff of one trade as a function of its quantity.

    Parameters
    ----------
    bracket
        Its three prices.
    contract, costs
        Facts and assumptions.
    context
        Volume of 24 h, volatility and true range of a bar.

    Attributes
    ----------
    entry_slippage, stop_slippage : SqrtImpact
        Slippage of the entry, latency included, and of the stop, fractions of price.
    unit_loss : SqrtImpact
        Loss per coin at the stop with fees and slippage, USDT.
    unit_gain : SqrtImpact
        Gain per coin at the target after fees and slippage, USDT; negative where costs eat it.

    Notes
    -----
    Odds, fair odds and edge are those of method, sections 1.4 and 6.3.
    """

    bracket: Bracket
    contract: Contract
    costs: CostModel
    context: MarketContext
    entry_slippage: SqrtImpact = field(init=False)
    stop_slippage: SqrtImpact = field(init=False)
    unit_loss: SqrtImpact = field(init=False)
    unit_gain: SqrtImpact = field(init=False)

    def __post_init__(self) -> None:
        plan, costs, context = self.bracket, self.costs, self.context
        fee, spread = costs.fee_fraction(self.contract), costs.spread_slippage(self.contract)
        impact = costs.impact_per_root(volume_24h=context.volume_24h, volatility_daily=context.volatility_daily)
        entry = SqrtImpact(spread + costs.latency_slippage(context.volatility_daily), impact)
        stop = SqrtImpact(spread + costs.stop_slippage_beyond_market(context.atr_1h), impact)
        paid = plan.entry * (fee + entry.at_zero)
        lost = plan.stop_distance + paid + plan.stop * (fee + stop.at_zero)
        gained = plan.target_distance - paid - plan.target * fee
        object.__setattr__(self, "entry_slippage", entry)
        object.__setattr__(self, "stop_slippage", stop)
        object.__setattr__(self, "unit_loss", SqrtImpact(lost, (plan.entry + plan.stop) * impact))
        object.__setattr__(self, "unit_gain", SqrtImpact(gained, -plan.entry * impact))

    def order_costs(self, quantity: float) -> OrderCosts:
        """Return the costs of each order at a quantity, coins."""
        entry, latency = self.entry_slippage.at(quantity), self.costs.latency_slippage(self.context.volatility_daily)
        return OrderCosts(
            fee_fraction=self.costs.fee_fraction(self.contract),
            entry_slippage=entry,
            exit_slippage=entry - latency,
            stop_slippage=self.stop_slippage.at(quantity),
            latency_slippage=latency,
            cost_multiple=self.costs.multiple,
        )

    def reward_risk(self, quantity: float) -> float:
        """Return the gain at the target over the loss at the stop, both after costs."""
        return self.unit_gain.at(quantity) / self.unit_loss.at(quantity)

    def net_of_costs(self, quantity: float, *, exit_price: float, exit_reason: str) -> float:
        """Return the gain per coin after fees and slippage, before funding, USDT.

        Parameters
        ----------
        quantity
            Coins.
        exit_price
            Market price of the exit, USDT.
        exit_reason
            ``stop`` and ``time`` are market orders; a ``target`` rests and has no slippage.
        """
        plan, costs = self.bracket, self.order_costs(quantity)
        at_exit = {"stop": costs.stop_slippage, "time": costs.exit_slippage}.get(exit_reason, 0.0)
        paid = plan.entry * (costs.fee_fraction + costs.entry_slippage) + exit_price * (costs.fee_fraction + at_exit)
        return plan.side * (exit_price - plan.entry) - paid

    def probability(self, edge: float) -> float:
        """Return the probability of target rather than stop at an edge (log-odds); NaN at NaN."""
        against = self.bracket.target_distance / self.bracket.stop_distance
        if edge < 0.0:  # no overflow at either end
            for_edge = math.exp(edge)
            return for_edge / (for_edge + against)
        return 1.0 / (1.0 + against * math.exp(-edge))

    def expectancy(self, quantity: float, probability: float) -> float:
        """Return the expected value of the trade at a probability of its target, in R (multiples of `unit_loss`)."""
        return probability * (1.0 + self.reward_risk(quantity)) - 1.0

    def kelly(self, quantity: float, probability: float) -> float:
        """Return the share of equity that the Kelly criterion stakes: ``p - (1 - p) / b``, <= 1; 0 or less: nothing."""
        reward_risk = self.reward_risk(quantity)
        return probability - (1.0 - probability) / reward_risk if reward_risk > 0.0 else -1.0
