"""Costs of a trade: fees, spread, impact, the slippage of a stop, latency, funding.

Slippage is a fraction of the price at which an order meets the market, always to the disadvantage of the trader.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numba.extending import register_jitable

from slackwater.market.contracts import Contract
from slackwater.settings import settings
from slackwater.trading.rules import CostAssumptions

__all__ = [
    "CostModel",
    "OrderCosts",
    "fee_fraction",
    "funding_payment",
    "impact_per_root",
    "latency_slippage",
    "spread_slippage",
    "stop_slippage_beyond_market",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCosts:
    """Costs assumed for the orders of one plan.

    Parameters
    ----------
    fee_fraction
        Fee of each order, fraction of its notional.
    entry_slippage, exit_slippage, stop_slippage
        Slippage of the entry (latency included), of a time exit and of the stop, fractions of price.
    latency_slippage
        Part of `entry_slippage` that stands for latency.
    cost_multiple
        Factor on costs that all of these already contain.
    """

    fee_fraction: float
    entry_slippage: float
    exit_slippage: float
    stop_slippage: float
    latency_slippage: float
    cost_multiple: float


@settings
class CostModel(CostAssumptions):
    """Fees and slippage of an order under the cost assumptions (method, section 6.2)."""

    def fee_fraction(self, contract: Contract) -> float:
        """Return the fee of one order, fraction of its notional."""
        return fee_fraction(self, contract)

    def latency_slippage(self, volatility_daily: float) -> float:
        """Return the slippage charged for the delay, fraction of price: one standard deviation over it."""
        return latency_slippage(self, volatility_daily)

    def market_slippage(
        self, contract: Contract, *, quantity: float, volume_24h: float, volatility_daily: float
    ) -> float:
        """Return the slippage of a market order, fraction of price: half of the spread and the impact.

        Parameters
        ----------
        contract
            Gives the half-spread.
        quantity
            Coins, >= 0.
        volume_24h
            Coins traded in the last 24 h, > 0.
        volatility_daily
            Fraction per square root of a day, >= 0.

        Examples
        --------
        >>> from slackwater.market.contracts import contract
        >>> btc = contract("binance", "BTCUSDT")
        >>> round(CostModel().market_slippage(btc, quantity=1.0, volume_24h=1e5, volatility_daily=0.03), 6)
        0.000202
        """
        per_root = impact_per_root(self, volume_24h, volatility_daily)
        return spread_slippage(self, contract) + per_root * math.sqrt(quantity)

    def stop_slippage(
        self, contract: Contract, *, quantity: float, volume_24h: float, volatility_daily: float, atr_1h: float
    ) -> float:
        """Return the slippage of a stop, fraction of price: a market order's and a share of the hourly true range."""
        market = self.market_slippage(
            contract, quantity=quantity, volume_24h=volume_24h, volatility_daily=volatility_daily
        )
        return market + stop_slippage_beyond_market(self, atr_1h)


# The formulas, which Python and kernels share: `costs` and `contract` are the objects or rows of their numbers.


@register_jitable
def fee_fraction(costs: Any, contract: Any) -> float:
    """Return the fee of one order, fraction of its notional."""
    return costs.multiple * contract.taker_fee


@register_jitable
def latency_slippage(costs: Any, volatility_daily: float) -> float:
    """Return the slippage charged for the delay, fraction of price: one standard deviation over it."""
    return costs.multiple * volatility_daily * math.sqrt(costs.latency_days)


@register_jitable
def spread_slippage(costs: Any, contract: Any) -> float:
    """Return the slippage of a market order of no size, fraction of price: half of the spread."""
    return costs.multiple * contract.half_spread


@register_jitable
def impact_per_root(costs: Any, volume_24h: float, volatility_daily: float) -> float:
    """Return the impact of one coin, fraction of price; that of q coins is sqrt(q) times as much."""
    coefficient = costs.multiple * costs.event_impact_factor * costs.impact_coefficient
    return coefficient * volatility_daily / math.sqrt(volume_24h)


@register_jitable
def stop_slippage_beyond_market(costs: Any, atr_1h: float) -> float:
    """Return the slippage of a stop beyond a market order, fraction of price: a share of the hourly true range."""
    return costs.multiple * costs.stop_slippage_atr * atr_1h


def funding_payment(*, side: int, notional_usd: float, funding_rate: float) -> float:
    """Return the funding that a position pays at one settlement, USDT; negative if it receives.

    Parameters
    ----------
    side
        +1 long, -1 short.
    notional_usd
        Value of the position at the mark price of the settlement, USDT.
    funding_rate
        Settled rate of the interval, fraction of notional. Positive: longs pay shorts.

    Examples
    --------
    >>> funding_payment(side=1, notional_usd=10_000.0, funding_rate=0.0001)
    1.0
    >>> funding_payment(side=-1, notional_usd=10_000.0, funding_rate=0.0001)
    -1.0
    """
    return side * notional_usd * funding_rate
