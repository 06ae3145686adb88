"""One paper trade from its order to its exit: which price fills it, which one ends it.

Where what was seen leaves several possibilities, the worse one is taken, as in the backtest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from slackwater.market.contracts import Contract, bankruptcy_price, liquidation_price
from slackwater.paper.plan_values import plan_of_values, plan_values
from slackwater.times import epoch_us, timestamp
from slackwater.trading.costs import funding_payment
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import EXIT_REASONS, ClosedTrade
from slackwater.trading.price_path import walk_to_exit

__all__ = ["Bar", "Ending", "Position"]

_TIME = EXIT_REASONS.index("time")


class Bar(NamedTuple):
    """Bar of last trades or of the mark price: times in microseconds since 1970, prices in USDT."""

    opened_us: int
    closed_us: int
    open: float
    high: float
    low: float
    close: float


class Ending(NamedTuple):
    """Why a position ended (`EXIT_REASONS`), when (microseconds since 1970), and at which market price."""

    reason: str
    time_us: int
    price: float


@dataclass(slots=True, kw_only=True)
class Position:
    """Market order that was sent, and the position that it opens.

    Stop and target are those of the plan, which is frozen: nothing here moves them.

    Parameters
    ----------
    trade
        Name of the trade in the journal.
    plan
        The decision.
    arrives_us
        When the order reaches the market: the decision and the latency of the cost assumptions.
    horizon_us
        Time exit, counted from the fill.
    traded, worst
        Coins that the market has traded since then, and the worst price among these trades.
    filled, filled_us
        Market price and time of the fill; None before it.
    liquidation, bankruptcy
        Prices for that fill; NaN before it.
    low, high
        Extremes of the market while it was open.
    funding_usd, settled_us
        Funding paid so far, and the newest settlement that was paid.
    """

    trade: str
    plan: TradePlan
    arrives_us: int
    horizon_us: int
    traded: float = 0.0
    worst: float = math.nan
    filled: float | None = None
    filled_us: int = 0
    liquidation: float = math.nan
    bankruptcy: float = math.nan
    low: float = math.nan
    high: float = math.nan
    funding_usd: float = 0.0
    settled_us: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the order is filled."""
        return self.filled is not None

    @property
    def expires_us(self) -> int:
        """Time exit, in microseconds since 1970; that of the plan before the fill."""
        return self.filled_us + self.horizon_us if self.is_open else epoch_us(self.plan.expires)

    # -- the order -------------------------------------------------------------------------------------------

    def meets_print(self, time_us: int, price: float, quantity: float) -> bool:
        """Let the order meet a trade of the market; return whether it is filled by it.

        It takes the worst price until the market has traded as much as was ordered.
        """
        if time_us < self.arrives_us:
            return False
        side = self.plan.side
        self.worst = price if math.isnan(self.worst) else side * max(side * self.worst, side * price)
        self.traded += quantity
        return self.traded >= self.plan.quantity

    def meets_bar(self, bar: Bar) -> bool:
        """Let the order meet a bar of which no trade was seen; return whether it is filled, at its worst price."""
        if bar.opened_us < self.arrives_us:
            return False
        worst = bar.high if self.plan.side > 0 else bar.low
        return self.meets_print(bar.opened_us, worst, math.inf)

    def fill(self, time_us: int, contract: Contract) -> None:
        """Open the position at the worst price that the order has met."""
        plan = self.plan
        self.filled, self.filled_us = self.worst, time_us
        self.settled_us = time_us
        self.low = self.high = self.worst
        paid = self.worst * (1.0 + plan.side * plan.costs.entry_slippage)
        self.liquidation = liquidation_price(
            contract, side=plan.side, entry=paid, quantity=plan.quantity, leverage=plan.leverage
        )
        self.bankruptcy = bankruptcy_price(side=plan.side, entry=paid, leverage=plan.leverage)

    # -- the position ----------------------------------------------------------------------------------------

    def ended_by_print(self, time_us: int, price: float) -> Ending | None:
        """Return how a trade of the market ends the position; None if it does not.

        A stop is filled at the price of the trade that triggered it, which lies at it or beyond; a target at its own
        price, and only by a trade beyond it. After its time, the first trade ends it.
        """
        if not self.is_open or time_us < self.filled_us:
            return None
        self._saw(price, price)
        side, plan = self.plan.side, self.plan
        if side * price <= side * plan.stop:
            return self._stopped(time_us, price)
        if side * price > side * plan.target:
            return Ending("target", time_us, plan.target)
        if time_us >= self.expires_us:
            return Ending("time", time_us, price)
        return None

    def ended_by_bar(self, bar: Bar) -> Ending | None:
        """Return how a bar ends a position whose trades were not all seen, as the backtest reads bars."""
        if not self.is_open or bar.opened_us < self.filled_us:
            return None
        side, plan = int(self.plan.side), self.plan
        if bar.opened_us >= self.expires_us:
            worst = bar.low if side > 0 else bar.high
            beyond = side * worst <= side * plan.stop
            return self._stopped(bar.closed_us, worst) if beyond else Ending("time", bar.closed_us, worst)
        prices = [np.array([price]) for price in (bar.open, bar.high, bar.low, bar.close)]
        unmarked = [np.array([math.nan])] * 3  # liquidations follow the mark price: `ended_by_mark`
        path: tuple[Any, ...] = (*prices, *unmarked, 0, 1, side, plan.stop, plan.target, self.liquidation)
        code, _, price = walk_to_exit(*path)
        if code == _TIME:
            self._saw(bar.low, bar.high)
            return None
        if EXIT_REASONS[code] == "stop":
            return self._stopped(bar.closed_us, price)
        return Ending(EXIT_REASONS[code], bar.closed_us, price)

    def ended_by_mark(self, bar: Bar) -> Ending | None:
        """Return the liquidation in a bar of the mark price: the margin is lost."""
        if not self.is_open or bar.opened_us < self.filled_us:
            return None
        worst = bar.low if self.plan.side > 0 else bar.high
        if self.plan.side * worst > self.plan.side * self.liquidation:
            return None
        return Ending("liquidation", bar.closed_us, self.bankruptcy)

    def settle(self, time_us: int, rate: float, mark: float) -> float | None:
        """Pay one settlement, and return what was paid, USDT; None if the position was not open then, or has paid."""
        if not self.is_open or time_us <= self.settled_us:
            return None
        notional = self.plan.quantity * mark
        paid = funding_payment(side=int(self.plan.side), notional_usd=notional, funding_rate=rate)
        self.funding_usd += paid
        self.settled_us = time_us
        return paid

    def closed(self, end: Ending) -> ClosedTrade:
        """Return the trade that has ended."""
        return ClosedTrade(
            plan=self.plan,
            entry_time=timestamp(self.filled_us),
            exit_time=timestamp(end.time_us),
            exit_price=end.price,
            exit_reason=end.reason,
            funding_usd=self.funding_usd,
            filled=self.filled,
        )

    def excursions(self, end: Ending) -> tuple[float, float]:
        """Return the largest loss and the largest gain while it was open, before costs, in R, >= 0."""
        plan = self.plan
        entry = float(self.filled or math.nan)
        moves = [plan.side * (price - entry) * plan.quantity / plan.risk_usd for price in (self.low, self.high)]
        moves += [0.0, plan.side * (end.price - entry) * plan.quantity / plan.risk_usd]
        return -min(moves), max(moves)

    def value_usd(self, price: float) -> float:
        """Return the gain at a price less the costs of the entry and the funding so far, USDT; 0 before the fill."""
        if self.filled is None:
            return 0.0
        plan = self.plan
        costs = plan.quantity * self.filled * (plan.costs.fee_fraction + plan.costs.entry_slippage)
        return float(plan.side * plan.quantity * (price - self.filled) - costs - self.funding_usd)

    def _saw(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)

    def _stopped(self, time_us: int, price: float) -> Ending:
        """Return the stop; beyond the bankruptcy price the venue's insurance bears the rest, and the margin is lost."""
        if self.plan.side * price < self.plan.side * self.bankruptcy:
            return Ending("liquidation", time_us, self.bankruptcy)
        return Ending("stop", time_us, price)

    # -- checkpoints -----------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return it in types of JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "plan": plan_values(self.plan)}

    @classmethod
    def of_values(cls, content: Mapping[str, Any]) -> Position:
        """Return the position of `values`."""
        return cls(**{**content, "plan": plan_of_values(content["plan"])})
