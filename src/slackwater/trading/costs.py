"""What a trade costs: fees, spread, impact, the slippage of a stop, latency, funding.

Slippage is a fraction of the price at which an order meets the market, always to the disadvantage of the
trader.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract

__all__ = ["CostModel", "funding_payment"]

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """The cost assumptions that sizing, gate and backtest share.

    Parameters
    ----------
    multiple
        Factor on fees and slippage, in [0, 10]: 0, 1 and 2 give the cost curve. Funding is a payment between
        traders with a sign, not a cost, and is not scaled.
    impact_coefficient
        Y of the square-root law, in [0, 10].
    event_impact_factor
        Factor on impact because every trade here is made in an event, when depth is about 63 % of normal, >=
        1.
    stop_slippage_atr
        How much worse than its price a stop fills, in mean true ranges of one feature bar, in [0, 10].
    latency
        Delay between the price that a plan is made on and its fill that is charged as slippage of one
        standard deviation, in [0, 1 h]. Zero where the price path resolves the delay itself.

    Raises
    ------
    ParameterError
        If a value is outside of its range.

    Notes
    -----
    Impact of q coins is ``Y × sd_day × sqrt(q / volume_24h) × event factor``. The taker fee is charged on
    both sides, also at the target, where a resting order would pay less: where it does not know, the model is
    dear.
    """

    multiple: float = 1.0
    impact_coefficient: float = 1.0
    event_impact_factor: float = 1.6
    stop_slippage_atr: float = 0.1
    latency: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        for name, low in (
            ("multiple", 0.0),
            ("impact_coefficient", 0.0),
            ("event_impact_factor", 1.0),
            ("stop_slippage_atr", 0.0),
        ):
            if not low <= getattr(self, name) <= 10.0:
                raise ParameterError(f"`{name}` must be in [{low:g}, 10], was {getattr(self, name)}")
        if not timedelta(0) <= self.latency <= timedelta(hours=1):
            raise ParameterError(f"`latency` must be in [0, 1 h], was {self.latency}")

    def fee_fraction(self, contract: Contract) -> float:
        """Fee of one order, fraction of its notional."""
        return self.multiple * contract.taker_fee

    def latency_slippage(self, volatility_daily: float) -> float:
        """Slippage charged for the delay, fraction of price: one standard deviation over it."""
        return self.multiple * volatility_daily * math.sqrt(self.latency / _DAY)

    def market_slippage(
        self, contract: Contract, *, quantity: float, volume_24h: float, volatility_daily: float
    ) -> float:
        """Slippage of a market order, fraction of price: half of the spread and the impact.

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
        per_root = self.impact_per_root(volume_24h=volume_24h, volatility_daily=volatility_daily)
        return self.spread_slippage(contract) + per_root * math.sqrt(quantity)

    def spread_slippage(self, contract: Contract) -> float:
        """Slippage of a market order of no size, fraction of price: half of the spread."""
        return self.multiple * contract.half_spread

    def impact_per_root(self, *, volume_24h: float, volatility_daily: float) -> float:
        """Impact of one coin, fraction of price; that of q coins is sqrt(q) times as much."""
        coefficient = self.multiple * self.event_impact_factor * self.impact_coefficient
        return coefficient * volatility_daily / math.sqrt(volume_24h)

    def stop_slippage(
        self,
        contract: Contract,
        *,
        quantity: float,
        volume_24h: float,
        volatility_daily: float,
        atr_bar: float,
    ) -> float:
        """Slippage of a stop, fraction of price: a market order's and a share of the bar's true range."""
        market = self.market_slippage(
            contract, quantity=quantity, volume_24h=volume_24h, volatility_daily=volatility_daily
        )
        return market + self.stop_slippage_beyond_market(atr_bar)

    def stop_slippage_beyond_market(self, atr_bar: float) -> float:
        """Slippage of a stop beyond that of a market order, fraction of price: a share of the bar's true range."""
        return self.multiple * self.stop_slippage_atr * atr_bar


def funding_payment(*, side: int, notional_usd: float, funding_rate: float) -> float:
    """Funding that a position pays at one settlement, USDT; negative if it receives.

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
