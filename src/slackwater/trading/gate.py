"""The gate: every score becomes a trade plan that breaks no rule, or a refusal that names every reason.

Live trading and the backtest call the same object.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, bankruptcy_price, venue_contracts
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.geometry import Geometry, stop_price, target_price
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score
from slackwater.trading.sizing import Sizing, SizingRules, size_position

__all__ = ["Account", "Gate", "OpenPosition", "Reason", "ReasonCode", "Refusal", "TradePlan"]

# What a market can plausibly say; anything else is refused as bad input rather than sized on.
_PLAUSIBLE = {
    "close": (0.0, 1e9),
    "volatility_daily": (0.0, 1.0),
    "atr_1h": (0.0, 0.5),
    "atr_bar": (0.0, 0.5),
    "volume_24h": (0.0, 1e15),
}
_DISTANCES = ("distance_to_high_24h", "distance_to_low_24h", "distance_to_high_72h", "distance_to_low_72h")
_MAX_DISTANCE = 3.0  # a factor of twenty within three days
_MAX_EQUITY = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Decide on scores.

    Parameters
    ----------
    contracts
        Facts by symbol; default: those of the simulated venue. ``venue_contracts("binance")`` gives a
        venue's.
    rules, costs
        Limits and cost assumptions.
    probability_threshold
        Smallest calibrated direction probability that is traded, in [0, 1].
    horizon
        Time after which a position is closed, in (0, 30 days].
    max_score_age
        Age of the bar's close beyond which a score is stale, > 0.

    Raises
    ------
    ParameterError
        If a value is outside of its range.

    Notes
    -----
    A score names no swept level, so the stop stands beyond the 24 h extreme and is refused if that is too
    far; the target stands before the opposite end of the 72 h range. All open positions of one direction
    count as one cluster (`Account.exposure`).

    The direction probability is only compared with the threshold. It never enters the size: it is not the
    probability that this plan's own stop, target and time exit pay.

    Examples
    --------
    >>> Gate(probability_threshold=0.6).rules.risk_fraction
    0.01
    """

    contracts: Mapping[str, Contract] = field(default_factory=lambda: venue_contracts("simulated"))
    rules: SizingRules = field(default_factory=SizingRules)
    costs: CostModel = field(default_factory=CostModel)
    probability_threshold: float = 0.55
    horizon: timedelta = timedelta(hours=24)
    max_score_age: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability_threshold <= 1.0:
            raise ParameterError(f"`probability_threshold` must be in [0, 1], was {self.probability_threshold}")
        if not timedelta(0) < self.horizon <= timedelta(days=30):
            raise ParameterError(f"`horizon` must be in (0, 30 days], was {self.horizon}")
        if not self.max_score_age > timedelta(0):
            raise ParameterError(f"`max_score_age` must be positive, was {self.max_score_age}")

    def decide(
        self, score: Score, account: Account, *, now: datetime | None = None, price: float | None = None
    ) -> TradePlan | Refusal:
        """Plan a trade on one score, or refuse it with every reason that can be found.

        Parameters
        ----------
        score
            What the scorer says.
        account
            Equity and open positions.
        now
            The clock, timezone-aware; default: the moment the score became available.
        price
            Market price at which the order would be sent, USDT; default: the close of the score's bar. Stop
            and target do not depend on it; size, risk and reward do.

        Returns
        -------
        TradePlan or Refusal
            Input that cannot be right (NaN, infinite, zero, negative) leads to a refusal, never to a size.

        Raises
        ------
        ParameterError
            If `now` is naive.
        """
        decided_at = score.available_time if now is None else now
        if decided_at.tzinfo is None:
            raise ParameterError(f"`now` must have a time zone, was {now}")
        quote = score.close if price is None else price
        contract = self.contracts.get(score.symbol)
        bad_inputs = [*_bad_inputs(score, price)]
        reasons = [*self._timing_reasons(score, decided_at), *self._signal_reasons(score), *bad_inputs]
        sound_equity = 0.0 < account.equity <= _MAX_EQUITY
        if not sound_equity:
            message = f"equity must be in (0, {_MAX_EQUITY:g}] USDT, was {account.equity}"
            reasons.append(Reason(ReasonCode.BAD_EQUITY, message))
        if account.holds(score.symbol):
            reasons.append(Reason(ReasonCode.POSITION_OPEN, f"a position in {score.symbol} is already open"))
        if contract is None:
            message = f"no contract of {score.symbol}; known are {', '.join(sorted(self.contracts))}"
            reasons.append(Reason(ReasonCode.UNKNOWN_CONTRACT, message))
        if contract is not None and score.direction != 0 and not bad_inputs:
            stop, target = self._levels(score, contract)
            reasons.extend(self._level_reasons(score, contract, quote, stop, target))
            side = -score.direction
            ordered = side * (quote - stop) > 0 and side * (target - quote) > 0 and min(stop, target) > 0
            if ordered and sound_equity:
                geometry = Geometry(side=side, entry=quote, stop=stop, target=target)
                sizing = size_position(
                    geometry,
                    score=score,
                    contract=contract,
                    rules=self.rules,
                    costs=self.costs,
                    equity=account.equity,
                    exposure=account.exposure(side),
                )
                if isinstance(sizing, Sizing):
                    if not reasons:
                        return self._plan(score, contract, geometry, sizing, account.equity, decided_at)
                else:
                    reasons.extend(sizing)
        return Refusal(symbol=score.symbol, event_time=score.event_time, decided_at=decided_at, reasons=tuple(reasons))

    def _timing_reasons(self, score: Score, now: datetime) -> Iterator[Reason]:
        if now < score.available_time:
            message = f"the score is available from {score.available_time}, it is {now}"
            yield Reason(ReasonCode.NOT_YET_AVAILABLE, message)
        if now - score.event_time > self.max_score_age:
            message = f"the bar closed {now - score.event_time} ago, allowed is {self.max_score_age}"
            yield Reason(ReasonCode.STALE, message)

    def _signal_reasons(self, score: Score) -> Iterator[Reason]:
        if score.missing_features:
            names = ", ".join(score.missing_features)
            message = f"{len(score.missing_features)} features that should be there are missing: {names}"
            yield Reason(ReasonCode.MISSING_FEATURES, message)
        if score.direction == 0:
            yield Reason(ReasonCode.NO_EVENT, "the bar is no event")
        elif math.isnan(score.p_direction):
            yield Reason(ReasonCode.NO_PROBABILITY, "the event has no direction probability")
        elif score.p_direction < self.probability_threshold:
            message = (
                f"direction probability {score.p_direction:.4f} is below the threshold {self.probability_threshold:g}"
            )
            yield Reason(ReasonCode.PROBABILITY_BELOW_THRESHOLD, message)

    def _levels(self, score: Score, contract: Contract) -> tuple[float, float]:
        """Stop beyond the 24 h extreme on the losing side, target before the 72 h extreme on the other."""
        side = -score.direction
        if side > 0:
            extreme = score.close * math.exp(-score.distance_to_low_24h)
            boundary = score.close * math.exp(score.distance_to_high_72h)
        else:
            extreme = score.close * math.exp(score.distance_to_high_24h)
            boundary = score.close * math.exp(-score.distance_to_low_72h)
        atr, tick = score.atr_1h * score.close, contract.tick_size
        return (
            stop_price(
                side=side,
                extreme=extreme,
                atr_1h_usd=atr,
                tick_size=tick,
                buffer_atr=self.rules.stop_buffer_atr,
            ),
            target_price(
                side=side,
                boundary=boundary,
                atr_1h_usd=atr,
                tick_size=tick,
                buffer_atr=self.rules.target_buffer_atr,
            ),
        )

    def _level_reasons(
        self, score: Score, contract: Contract, quote: float, stop: float, target: float
    ) -> Iterator[Reason]:
        side, rules = -score.direction, self.rules
        if side * (target - score.close) <= 0 or target <= 0:
            message = f"the market at {score.close} stands at the far end of its 72 h range (target {target})"
            yield Reason(ReasonCode.NO_TARGET, message)
        elif side * (target - quote) <= 0:
            message = f"the price {quote} has already passed the target {target}"
            yield Reason(ReasonCode.PRICE_MOVED_THROUGH, message)
        distance = side * (quote - stop)
        noise = max(rules.min_stop_ticks * contract.tick_size, rules.min_stop_atr * score.atr_1h * score.close)
        if distance <= 0 and side * (score.close - stop) > 0:
            yield Reason(ReasonCode.PRICE_MOVED_THROUGH, f"the price {quote} has already passed the stop {stop}")
        elif distance < noise:
            message = f"the stop {stop} is {distance:.6g} USDT away, at least {noise:.6g} is out of the noise"
            yield Reason(ReasonCode.STOP_IN_NOISE, message)
        if distance > rules.max_stop_distance * quote:
            message = f"the stop {stop} is {distance / quote:.2%} away, allowed is {rules.max_stop_distance:.2%}"
            yield Reason(ReasonCode.STOP_TOO_FAR, message)

    def _plan(
        self,
        score: Score,
        contract: Contract,
        geometry: Geometry,
        sizing: Sizing,
        equity: float,
        decided_at: datetime,
    ) -> TradePlan:
        fill = geometry.entry * (1.0 + geometry.side * sizing.entry_slippage)
        latency = self.costs.latency_slippage(score.volatility_daily)
        return TradePlan(
            venue=contract.venue,
            symbol=score.symbol,
            event_time=score.event_time,
            decided_at=decided_at,
            expires=decided_at + self.horizon,
            direction=score.direction,
            side=geometry.side,
            p_direction=score.p_direction,
            p_hit=score.p_hit,
            equity=equity,
            entry=geometry.entry,
            stop=geometry.stop,
            target=geometry.target,
            quantity=sizing.quantity,
            notional_usd=sizing.quantity * geometry.entry,
            leverage=sizing.leverage,
            leverage_cap=self.rules.leverage_cap,
            margin_usd=sizing.quantity * fill / sizing.leverage,
            liquidation_price=sizing.liquidation_price,
            bankruptcy_price=bankruptcy_price(side=geometry.side, entry=fill, leverage=sizing.leverage),
            risk_usd=sizing.risk_usd,
            risk_fraction=sizing.risk_usd / equity,
            reward_risk=sizing.reward_risk,
            binding=sizing.binding,
            depth_known=not math.isnan(score.depth_bid_1pct),
            fee_fraction=self.costs.fee_fraction(contract),
            entry_slippage=sizing.entry_slippage,
            exit_slippage=sizing.entry_slippage - latency,
            stop_slippage=sizing.stop_slippage,
            latency_slippage=latency,
            cost_multiple=self.costs.multiple,
            volatility_daily=score.volatility_daily,
            atr_1h=score.atr_1h,
            atr_bar=score.atr_bar,
            volume_24h=score.volume_24h,
            contract_confirmed=contract.confirmed,
        )


def _bad_inputs(score: Score, price: float | None) -> Iterator[Reason]:
    def bad(name: str, value: float, expected: str) -> Reason:
        return Reason(ReasonCode.BAD_INPUT, f"`{name}` must be {expected}, was {value}")

    for name, (low, high) in _PLAUSIBLE.items():
        value = getattr(score, name)
        if not low < value <= high:
            yield bad(name, value, f"in ({low:g}, {high:g}]")
    for name in _DISTANCES:
        value = getattr(score, name)
        if not 0.0 <= value <= _MAX_DISTANCE:
            yield bad(name, value, f"in [0, {_MAX_DISTANCE:g}]")
    low, high = _PLAUSIBLE["close"]
    if price is not None and not low < price <= high:
        yield bad("price", price, f"in ({low:g}, {high:g}]")
    for name in ("p_direction", "p_hit"):
        value = getattr(score, name)
        if not (0.0 <= value <= 1.0 or math.isnan(value)):
            yield bad(name, value, "in [0, 1] or NaN")
    depths = (score.depth_bid_1pct, score.depth_ask_1pct)
    known = [depth for depth in depths if not math.isnan(depth)]
    if len(known) == 1 or any(not 0.0 <= depth <= _PLAUSIBLE["volume_24h"][1] for depth in known):
        message = f"depth must be known and not negative on both sides or unknown (NaN) on both, was {depths}"
        yield Reason(ReasonCode.BAD_INPUT, message)
