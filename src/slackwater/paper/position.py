"""One paper trade from its order to its exit: which price fills it, which one ends it.

Where what was seen leaves several possibilities, the worse one is taken, as in the backtest.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from slackwater.market.contracts import Contract, bankruptcy_price, liquidation_price
from slackwater.paper.plan_values import plan_of_values, plan_values
from slackwater.times import SECOND_US, epoch_us, timestamp
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
    """Why a position ended, when, and at which market price.

    Parameters
    ----------
    reason
        Of `EXIT_REASONS`.
    time_us
        When it is known, in microseconds since 1970: a trade of the market, or the close of a bar.
    price
        Market price, USDT.
    held_us, gone_us
        The position was open up to the first for certain, and no longer after the second: a bar does not show when
        within it the position ended.
    """

    reason: str
    time_us: int
    price: float
    held_us: int
    gone_us: int


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
    funding_usd, settled
        Funding paid so far, and the times of its settlements.
    end
        How it ended; None before.
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
    settled: list[int] = field(default_factory=list)
    end: Ending | None = None

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
        worst = bar.high if self.plan.side > 0 else bar.low
        return self.meets_print(bar.opened_us, worst, math.inf)

    def fill(self, time_us: int, contract: Contract) -> None:
        """Open the position at the worst price that the order has met."""
        plan = self.plan
        self.filled, self.filled_us = self.worst, time_us
        self.low = self.high = self.worst
        paid = self.worst * (1.0 + plan.side * plan.costs.entry_slippage)
        # The plan lies within the known tiers; a fill at a worse price may not: the last one counts for it then.
        last = replace(contract.tiers[-1], notional_cap_usd=sys.float_info.max)
        self.liquidation = liquidation_price(
            replace(contract, tiers=(*contract.tiers[:-1], last)),
            side=plan.side,
            entry=paid,
            quantity=plan.quantity,
            leverage=plan.leverage,
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
        side, plan = self.plan.side, self.plan
        if side * price <= side * plan.stop:
            return self._ending("stop", price, time_us, time_us)
        if side * price > side * plan.target:
            return self._ending("target", plan.target, time_us, time_us)
        if time_us >= self.expires_us:
            return self._ending("time", price, time_us, time_us)
        self._saw(price, price)
        return None

    def ended_by_bar(self, bar: Bar) -> Ending | None:
        """Return how a bar ends a position whose trades were not all seen, as the backtest reads bars."""
        if not self.is_open or bar.opened_us < self.filled_us:
            return None
        side, plan = int(self.plan.side), self.plan
        if bar.opened_us >= self.expires_us:
            worst = bar.low if side > 0 else bar.high
            reason = "stop" if side * worst <= side * plan.stop else "time"
            return self._ending(reason, worst, bar.opened_us, bar.closed_us)
        prices = [np.array([price]) for price in (bar.open, bar.high, bar.low, bar.close)]
        unmarked = [np.array([math.nan])] * 3  # liquidations follow the mark price: `ended_by_mark`
        path: tuple[Any, ...] = (*prices, *unmarked, 0, 1, side, plan.stop, plan.target, self.liquidation)
        code, _, price = walk_to_exit(*path)
        if code == _TIME:
            self._saw(bar.low, bar.high)
            return None
        return self._ending(EXIT_REASONS[code], price, bar.opened_us, bar.closed_us)

    def ended_by_mark(self, bar: Bar) -> Ending | None:
        """Return the liquidation in a bar of the mark price: the margin is lost.

        Of the bar in which the order was filled the close alone counts: it comes after the fill for certain.
        """
        if not self.is_open or bar.closed_us <= self.filled_us:
            return None
        side = int(self.plan.side)
        worst = bar.close if bar.opened_us < self.filled_us else (bar.low if side > 0 else bar.high)
        if side * worst <= side * self.liquidation:
            return self._ending("liquidation", self.bankruptcy, max(bar.opened_us, self.filled_us), bar.closed_us)
        return None

    def settle(self, time_us: int, rate: float, mark: float) -> float | None:
        """Pay one settlement, and return what was paid, USDT; None if the position was not open then, or has paid.

        One that it may not have lived to see is charged if it costs, and not credited.
        """
        if not self.is_open or time_us <= self.filled_us:
            return None
        if any(abs(time_us - each) < SECOND_US for each in self.settled):  # venues stamp some milliseconds off
            return None
        notional = self.plan.quantity * mark
        paid = funding_payment(side=int(self.plan.side), notional_usd=notional, funding_rate=rate)
        if self.end is not None and time_us > (self.end.gone_us if paid > 0.0 else self.end.held_us):
            return None
        self.funding_usd += paid
        self.settled.append(time_us)
        return paid

    def closed(self, end: Ending) -> ClosedTrade:
        """End it, and return the trade."""
        self.end = end
        return ClosedTrade(
            plan=self.plan,
            entry_time=timestamp(self.filled_us),
            exit_time=timestamp(end.time_us),
            exit_price=end.price,
            exit_reason=end.reason,
            funding_usd=self.funding_usd,
            held_until=timestamp(end.held_us),
            gone_after=timestamp(end.gone_us),
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

    def _ending(self, reason: str, price: float, held_us: int, gone_us: int) -> Ending:
        """Return the end; beyond the bankruptcy price the venue's insurance bears the rest, and the margin is lost."""
        if self.plan.side * price < self.plan.side * self.bankruptcy:
            reason, price = "liquidation", self.bankruptcy
        return Ending(reason, gone_us, price, held_us, gone_us)

    # -- checkpoints -----------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return it in types of JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "plan": plan_values(self.plan)}

    @classmethod
    def of_values(cls, content: Mapping[str, Any]) -> Position:
        """Return the position of `values`."""
        end = content["end"]
        ended = None if end is None else Ending(*end)
        return cls(**{**content, "plan": plan_of_values(content["plan"]), "end": ended})
