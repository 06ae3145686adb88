"""The two answers of the gate: a plan with every number that led to it, or a refusal with every reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime
from enum import IntEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from slackwater.trading.reasons import Reason

if TYPE_CHECKING:  # labels walk plans down price paths, and do not depend on how a plan is sized
    from slackwater.trading.bracket import Bracket, Levels
    from slackwater.trading.drawdown_control import Throttle
    from slackwater.trading.score import Score
    from slackwater.trading.sizing import Sizing

__all__ = ["Refusal", "Side", "TradePlan"]


class Side(IntEnum):
    """Side of a plan: prints as ``long`` or ``short``, and counts as the sign of a move that it gains from.

    Examples
    --------
    >>> str(Side.LONG), f"{Side.SHORT}", Side.SHORT * 2.0
    ('long', 'short', -2.0)
    """

    LONG = 1
    SHORT = -1

    def __str__(self) -> str:
        """Return the name in small letters."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePlan:
    """A trade that keeps every rule, and the parts that led to it. Prices, sizes and times never change.

    The numbers most asked for are attributes of the plan too: ``plan.stop`` is ``plan.bracket.stop``.

    Parameters
    ----------
    venue, contract_confirmed
        Name of the venue, and whether its margin tiers are a dated answer of the venue.
    decided_at, expires
        Time of the decision, and of the time exit (`decided_at` + horizon), UTC. A backtest counts the horizon from
        the fill.
    equity
        Account value that the plan was sized on, USDT.
    score
        The score that was decided on.
    levels, bracket
        Levels that stop and target are placed at; entry (market price at the decision), stop and target.
    sizing
        Quantity, leverage, risk, odds and costs.
    throttle
        Factor on the risk, and the drawdown that it was computed from.
    loss_streak
        Losses in a row before this trade.
    cluster
        Symbols of the open positions in the same correlated cluster.
    """

    venue: str
    contract_confirmed: bool
    decided_at: datetime
    expires: datetime
    equity: float
    score: Score
    levels: Levels
    bracket: Bracket
    sizing: Sizing
    throttle: Throttle
    loss_streak: int
    cluster: tuple[str, ...]

    symbol = property(attrgetter("score.symbol"), doc="Symbol, such as ``BTCUSDT``.")
    event_time = property(attrgetter("score.event_time"), doc="Close of the bar of the score, UTC.")
    side = property(lambda self: Side(self.bracket.side), doc="`Side`: ``long`` (+1) or ``short`` (-1).")
    entry = property(attrgetter("bracket.entry"), doc="Market price at the decision, USDT.")
    stop = property(attrgetter("bracket.stop"), doc="Stop, USDT.")
    target = property(attrgetter("bracket.target"), doc="Target, USDT.")
    quantity = property(attrgetter("sizing.quantity"), doc="Coins.")
    notional_usd = property(attrgetter("sizing.notional_usd"), doc="Coins × `entry`, USDT.")
    leverage = property(attrgetter("sizing.leverage"), doc="Margin leverage to set on the venue.")
    liquidation_price = property(attrgetter("sizing.liquidation_price"), doc="For the expected fill, USDT.")
    bankruptcy_price = property(attrgetter("sizing.bankruptcy_price"), doc="For the expected fill, USDT.")
    risk_usd = property(attrgetter("sizing.risk_usd"), doc="Loss at the stop with fees and slippage, USDT.")
    p_fair = property(attrgetter("sizing.p_fair"), doc="Probability of the target without an edge.")
    p_trade_low = property(attrgetter("sizing.p_trade_low"), doc="Lower bound of the probability of the target.")
    expectancy_low = property(attrgetter("sizing.expectancy_low"), doc="Expected value at that bound, R.")
    binding = property(attrgetter("sizing.binding"), doc="The cap that set the quantity.")
    caps = property(attrgetter("sizing.caps"), doc="Every cap with the quantity that it alone would allow.")
    costs = property(attrgetter("sizing.costs"), doc="Costs of each order, `trading.costs.OrderCosts`.")

    def flat(self) -> dict[str, Any]:
        """Return every number under one name each: the columns of the ledger and the keys of the journal."""
        score, context = self.score, self.score.context
        return {
            "symbol": score.symbol,
            "event_time": score.event_time,
            "direction": score.direction,
            "triggers": "+".join(score.triggers),
            "p_direction": score.p_direction,
            "p_hit": score.p_hit,
            "volatility_daily": context.volatility_daily,
            "atr_1h": context.atr_1h,
            "volume_24h": context.volume_24h,
            "depth_1pct": context.depth_1pct,
            "stop_level": self.levels.stop_level,
            "target_level": self.levels.target_level,
            "risk_multiplier": self.throttle.multiplier,
            "drawdown": self.throttle.drawdown,
            **{
                item.name: getattr(part, item.name)
                for part in (self, self.bracket, self.sizing, self.costs)
                for item in fields(part)
                if item.name not in _PARTS
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a journal: times as ISO 8601 text, unknown numbers as None."""
        numbers = {name: _plain(value) for name, value in self.flat().items()}
        return {"decision": "plan", **numbers, "caps": dict(self.caps), "cluster": list(self.cluster)}


_PARTS = ("score", "levels", "bracket", "sizing", "throttle", "costs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No trade, and every reason for it.

    Parameters
    ----------
    symbol, event_time, decided_at
        Symbol, close of the bar of the score, and time of the decision (UTC).
    reasons
        At least one.
    triggers
        Names of the triggers of the score.
    """

    symbol: str
    event_time: datetime
    decided_at: datetime
    reasons: tuple[Reason, ...]
    triggers: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The stable codes of the reasons, in order."""
        return tuple(reason.code for reason in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a journal."""
        return {
            "decision": "refusal",
            "symbol": self.symbol,
            "event_time": _plain(self.event_time),
            "triggers": "+".join(self.triggers),
            "decided_at": _plain(self.decided_at),
            "reasons": [{"code": reason.code, "message": reason.message} for reason in self.reasons],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
