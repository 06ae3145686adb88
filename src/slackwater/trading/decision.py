"""The two answers of the gate: a plan with every number that led to it, or a refusal with every reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from slackwater.trading.reasons import Reason

__all__ = ["Refusal", "TradePlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePlan:
    """A trade that obeys every rule, and every number that led to it. Prices, sizes and times never change.

    Parameters
    ----------
    venue, symbol, event_time, decided_at
        What, and when the score's bar closed and the decision was made (UTC).
    expires
        Time exit, UTC: `decided_at` + horizon. A backtest counts the horizon from the fill.
    direction, side
        Of the prior move (+1 up, -1 down); of the trade, its opposite (+1 long, -1 short).
    p_direction, p_hit
        Calibrated probabilities of the score.
    equity
        Account value that the plan was sized on, USDT.
    entry, stop, target
        Market price at the decision, stop and target, USDT.
    stop_level, target_level
        What the stop and the target hang on (see `trading.bracket.Levels`).
    quantity, notional_usd
        Coins; coins × `entry`, USDT.
    leverage, leverage_cap, margin_usd
        Margin leverage to set on the venue, the cap it may have been lowered from, the margin it posts.
    liquidation_price, bankruptcy_price
        USDT, for the expected fill.
    risk_usd, risk_fraction
        Loss at the stop with fees and slippage, USDT and fraction of equity. A gap through the stop can lose
        more.
    reward_risk
        Gain at the target over loss at the stop, both after costs.
    p_fair, p_trade, p_trade_low
        Probability of the target rather than the stop: in a market without an edge, as the model says, and at its
        lower bound; the last two are NaN where there is no such model and no rule asks for it.
    expectancy_low
        Worth of the trade at that lower bound, multiples of `risk_usd`.
    binding, caps
        The cap that set the quantity, and every cap with the quantity that it alone would allow (see
        `trading.sizing.Sizing`).
    risk_multiplier, drawdown, loss_streak
        Throttle on the risk, the drawdown (fraction) and the losses in a row that it was read from.
    cluster
        Symbols of the open positions that are one bet with this one.
    depth_1pct
        Coins resting within 1 % of mid on the thinner side; NaN where the venue gives none and the depth rule
        is off.
    fee_fraction
        Fee assumed for each order, fraction of notional.
    entry_slippage, exit_slippage, stop_slippage
        Slippage assumed for the entry (latency inside), a time exit and the stop, fractions of price.
    latency_slippage
        The part of `entry_slippage` that stands for latency.
    cost_multiple
        Factor on costs that all of these already contain.
    volatility_daily, atr_1h, atr_bar, volume_24h
        Of the score.
    contract_confirmed
        Whether the margin tiers are a dated answer of the venue.
    """

    venue: str
    symbol: str
    event_time: datetime
    decided_at: datetime
    expires: datetime
    direction: int
    side: int
    p_direction: float
    p_hit: float
    equity: float
    entry: float
    stop: float
    target: float
    stop_level: str
    target_level: str
    quantity: float
    notional_usd: float
    leverage: int
    leverage_cap: float
    margin_usd: float
    liquidation_price: float
    bankruptcy_price: float
    risk_usd: float
    risk_fraction: float
    reward_risk: float
    p_fair: float
    p_trade: float
    p_trade_low: float
    expectancy_low: float
    binding: str
    caps: tuple[tuple[str, float], ...]
    risk_multiplier: float
    drawdown: float
    loss_streak: int
    cluster: tuple[str, ...]
    depth_1pct: float
    fee_fraction: float
    entry_slippage: float
    exit_slippage: float
    stop_slippage: float
    latency_slippage: float
    cost_multiple: float
    volatility_daily: float
    atr_1h: float
    atr_bar: float
    volume_24h: float
    contract_confirmed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a journal: times as ISO 8601 text, unknown numbers as None."""
        numbers = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {"decision": "plan", **numbers, "caps": dict(self.caps), "cluster": list(self.cluster)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No trade, and every reason for it.

    Parameters
    ----------
    symbol, event_time, decided_at
        What, and when (UTC).
    reasons
        At least one.
    """

    symbol: str
    event_time: datetime
    decided_at: datetime
    reasons: tuple[Reason, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """The stable codes of the reasons, in order."""
        return tuple(reason.code.value for reason in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a journal."""
        return {
            "decision": "refusal",
            "symbol": self.symbol,
            "event_time": _plain(self.event_time),
            "decided_at": _plain(self.decided_at),
            "reasons": [{"code": reason.code.value, "message": reason.message} for reason in self.reasons],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
