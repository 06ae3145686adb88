"""Gain and loss of one trade after costs, and its expected value at given odds.

Impact grows with the square root of the quantity and nothing else depends on the quantity, so every amount per coin is
a straight line in that root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numba.extending import register_jitable

from slackwater.market.contracts import Contract
from slackwater.trading.bracket import Bracket, stop_distance, target_distance
from slackwater.trading.costs import (
    CostModel,
    OrderCosts,
    fee_fraction,
    impact_per_root,
    latency_slippage,
    spread_slippage,
    stop_slippage_beyond_market,
)
from slackwater.trading.score import MarketContext

__all__ = [
    "Lines",
    "Payoff",
    "SqrtImpact",
    "amount",
    "expectancy",
    "order_slippage",
    "payoff_lines",
    "probability",
    "reward_risk",
]


class SqrtImpact(NamedTuple):
    """An amount per coin that impact makes a line in the root: ``at_zero + per_root × sqrt(quantity)``."""

    at_zero: float
    per_root: float

    def at(self, quantity: float) -> float:
        """Return the value at a quantity >= 0, coins."""
        return amount(self, quantity)


class Lines(NamedTuple):
    """The lines of a `Payoff`, as `payoff_lines` returns them."""

    entry_slippage: SqrtImpact
    stop_slippage: SqrtImpact
    unit_loss: SqrtImpact
    unit_gain: SqrtImpact


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
        lines = payoff_lines(self.bracket, self.contract, self.costs, self.context)
        for name, line in zip(Lines._fields, lines, strict=True):
            object.__setattr__(self, name, line)

    def order_costs(self, quantity: float) -> OrderCosts:
        """Return the costs of each order at a quantity, coins."""
        latency = self.costs.latency_slippage(self.context.volatility_daily)
        entry, leave, stop = order_slippage(self, latency, quantity)
        return OrderCosts(
            fee_fraction=self.costs.fee_fraction(self.contract),
            entry_slippage=entry,
            exit_slippage=leave,
            stop_slippage=stop,
            latency_slippage=latency,
            cost_multiple=self.costs.multiple,
        )

    def reward_risk(self, quantity: float) -> float:
        """Return the gain at the target over the loss at the stop, both after costs."""
        return reward_risk(self, quantity)

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
        return probability(self.bracket, edge)

    def expectancy(self, quantity: float, probability: float) -> float:
        """Return the expected value of the trade at a probability of its target, in R (multiples of `unit_loss`)."""
        return expectancy(self, quantity, probability)

    def kelly(self, quantity: float, probability: float) -> float:
        """Return the share of equity that the Kelly criterion stakes: ``p - (1 - p) / b``, <= 1; 0 or less: nothing."""
        reward_risk = self.reward_risk(quantity)
        return probability - (1.0 - probability) / reward_risk if reward_risk > 0.0 else -1.0


# The formulas, which Python and kernels share: arguments are objects, or rows of numbers with the same names.


@register_jitable
def payoff_lines(bracket: Any, contract: Any, costs: Any, context: Any) -> Lines:
    """Return the `Lines` of a trade."""
    fee, spread = fee_fraction(costs, contract), spread_slippage(costs, contract)
    impact = impact_per_root(costs, context.volume_24h, context.volatility_daily)
    entry = spread + latency_slippage(costs, context.volatility_daily)
    stop = spread + stop_slippage_beyond_market(costs, context.atr_1h)
    paid = bracket.entry * (fee + entry)
    lost = stop_distance(bracket) + paid + bracket.stop * (fee + stop)
    gained = target_distance(bracket) - paid - bracket.target * fee
    return Lines(
        SqrtImpact(entry, impact),
        SqrtImpact(stop, impact),
        SqrtImpact(lost, (bracket.entry + bracket.stop) * impact),
        SqrtImpact(gained, -bracket.entry * impact),
    )


@register_jitable
def amount(line: SqrtImpact, quantity: float) -> float:
    """Return the value of a `SqrtImpact` at a quantity."""
    return line.at_zero + line.per_root * math.sqrt(quantity)


@register_jitable
def order_slippage(lines: Any, latency: float, quantity: float) -> tuple[float, float, float]:
    """Return the slippage of the entry, of a time exit and of the stop at a quantity; `latency` is in the first."""
    entry = amount(lines.entry_slippage, quantity)
    return entry, entry - latency, amount(lines.stop_slippage, quantity)


@register_jitable
def reward_risk(lines: Any, quantity: float) -> float:
    """Return the gain at the target over the loss at the stop, both after costs."""
    return amount(lines.unit_gain, quantity) / amount(lines.unit_loss, quantity)


@register_jitable
def probability(bracket: Any, edge: float) -> float:
    """Return the probability of target rather than stop at an edge (log-odds); NaN at NaN."""
    against = target_distance(bracket) / stop_distance(bracket)
    if edge < 0.0:  # no overflow at either end
        for_edge = math.exp(edge)
        return for_edge / (for_edge + against)
    return 1.0 / (1.0 + against * math.exp(-edge))


@register_jitable
def expectancy(lines: Any, quantity: float, probability: float) -> float:
    """Return the expected value at a probability of the target, in R (multiples of the loss at the stop)."""
    return probability * (1.0 + reward_risk(lines, quantity)) - 1.0
