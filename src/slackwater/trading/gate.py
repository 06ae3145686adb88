"""The gate: every score becomes a trade plan that breaks no rule, or a refusal that names every reason.

Live trading and the backtest call the same object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from slackwater.errors import ParameterError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import Contract, bankruptcy_price, venue_contracts
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.bracket import Bracket, BracketRules, Levels, level_reasons, trade_levels
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import DrawdownRules, Throttle, halts, throttle
from slackwater.trading.entry import EntryRules, entry_reasons
from slackwater.trading.plausibility import implausible
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score
from slackwater.trading.sizing import Sizing, SizingRules, size_position

__all__ = ["Account", "Gate", "OpenPosition", "Reason", "ReasonCode", "Refusal", "TradePlan"]

_MAX_EQUITY = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Decide on scores.

    Parameters
    ----------
    contracts
        Facts by symbol; default: those of the simulated venue. ``venue_contracts("binance")`` gives a
        venue's.
    entry, bracket, rules, drawdown_control, costs
        Conditions on the score, places of stop and target, limits of the size, what losses forbid, and cost
        assumptions.
    horizon
        Time after which a position is closed, in (0, 30 days].

    Raises
    ------
    ParameterError
        If a value is outside of its range.

    Notes
    -----
    The stop stands beyond the extreme of the last sweep, or for an event without one beyond the 24 h extreme,
    and is refused if that is too far; the target stands before the opposite end of the 72 h range or a pool that
    comes before it (`trading.bracket.trade_levels`). Open positions that are one bet count as one
    (`Account.exposure`).

    The direction probability is only compared with the threshold. It never enters the size: what a trade is worth,
    and the Kelly cap, come from the lower bound of the odds of the very trade that is planned.

    Examples
    --------
    >>> Gate(entry=EntryRules(probability_threshold=0.6)).rules.risk_fraction
    0.01
    """

    contracts: Mapping[str, Contract] = field(default_factory=lambda: venue_contracts("simulated"))
    entry: EntryRules = field(default_factory=EntryRules)
    bracket: BracketRules = field(default_factory=BracketRules)
    rules: SizingRules = field(default_factory=SizingRules)
    drawdown_control: DrawdownRules = field(default_factory=DrawdownRules)
    costs: CostModel = field(default_factory=CostModel)
    horizon: timedelta = timedelta(hours=24)

    @classmethod
    def of(
        cls,
        venue: str,
        *,
        entry: Mapping[str, Any],
        bracket: Mapping[str, Any],
        rules: Mapping[str, Any],
        drawdown_control: Mapping[str, Any],
        costs: Mapping[str, Any],
        horizon: timedelta,
        contract_facts: Mapping[str, Any] | None = None,
    ) -> Gate:
        """Build a gate from the sections of parameters, or of the manifest of a bundle.

        `contract_facts` are merged over the built-in ones (`slackwater.market.contract_file`).

        Raises
        ------
        ParameterError
            If the venue is unknown, or a value is outside of its range.
        SchemaError
            If the facts are of another venue, or name what a contract does not have.
        """
        return cls(
            contracts=merge_contracts(contract_facts, venue),
            entry=EntryRules(**entry),
            bracket=BracketRules(**bracket),
            rules=SizingRules(**rules),
            drawdown_control=DrawdownRules(**drawdown_control),
            costs=CostModel(**costs),
            horizon=horizon,
        )

    def __post_init__(self) -> None:
        if not timedelta(0) < self.horizon <= timedelta(days=30):
            raise ParameterError(f"`horizon` must be in (0, 30 days], was {self.horizon}")

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
        OrderError
            If `now` lies before the day that the account's record has reached.
        """
        decided_at = score.available_time if now is None else now
        if decided_at.tzinfo is None:
            raise ParameterError(f"`now` must have a time zone, was {now}")
        quote = score.close if price is None else price
        contract = self.contracts.get(score.symbol)
        bad_inputs = [*implausible(score, price)]
        reasons = [*entry_reasons(score, decided_at, self.entry), *bad_inputs]
        sound_equity = 0.0 < account.equity <= _MAX_EQUITY
        if not sound_equity:
            message = f"equity must be in (0, {_MAX_EQUITY:g}] USDT, was {account.equity:,.2f}"
            reasons.append(Reason(ReasonCode.BAD_EQUITY, message))
        else:
            reasons.extend(self._halts(account, decided_at))
        if account.holds(score.symbol):
            reasons.append(Reason(ReasonCode.POSITION_OPEN, f"a position in {score.symbol} is already open"))
        if contract is None:
            message = f"no contract of {score.symbol}; known are {', '.join(sorted(self.contracts))}"
            reasons.append(Reason(ReasonCode.UNKNOWN_CONTRACT, message))
        if contract is not None and score.direction != 0 and not bad_inputs:
            levels = trade_levels(score, tick_size=contract.tick_size, rules=self.bracket)
            reasons.extend(level_reasons(levels, score, quote=quote, tick_size=contract.tick_size, rules=self.bracket))
            bracket = levels.at(quote)
            if bracket is not None and sound_equity:
                throttled = self._throttle(account)
                exposure = account.exposure(score.symbol, levels.side)
                sizing = size_position(
                    bracket,
                    score=score,
                    contract=contract,
                    rules=self.rules,
                    costs=self.costs,
                    equity=account.equity,
                    exposure=exposure,
                    risk_multiplier=throttled.multiplier,
                )
                if isinstance(sizing, Sizing):
                    if not reasons:
                        return self._plan(
                            score, contract, levels, bracket, sizing, throttled, account, exposure.cluster, decided_at
                        )
                else:
                    reasons.extend(sizing)
        return Refusal(symbol=score.symbol, event_time=score.event_time, decided_at=decided_at, reasons=tuple(reasons))

    def _halts(self, account: Account, now: datetime) -> tuple[Reason, ...]:
        return () if account.record is None else halts(account.record, account.equity, now, self.drawdown_control)

    def _throttle(self, account: Account) -> Throttle:
        if account.record is None:
            return Throttle(multiplier=1.0, drawdown=0.0, drawdown_factor=1.0, streak_factor=1.0)
        return throttle(account.record, account.equity, self.drawdown_control)

    def _plan(
        self,
        score: Score,
        contract: Contract,
        levels: Levels,
        bracket: Bracket,
        sizing: Sizing,
        throttled: Throttle,
        account: Account,
        cluster: tuple[str, ...],
        decided_at: datetime,
    ) -> TradePlan:
        equity = account.equity
        fill = bracket.entry * (1.0 + bracket.side * sizing.entry_slippage)
        latency = self.costs.latency_slippage(score.volatility_daily)
        return TradePlan(
            venue=contract.venue,
            symbol=score.symbol,
            event_time=score.event_time,
            decided_at=decided_at,
            expires=decided_at + self.horizon,
            direction=score.direction,
            side=bracket.side,
            p_direction=score.p_direction,
            p_hit=score.p_hit,
            equity=equity,
            entry=bracket.entry,
            stop=bracket.stop,
            target=bracket.target,
            stop_level=levels.stop_level,
            target_level=levels.target_level,
            quantity=sizing.quantity,
            notional_usd=sizing.quantity * bracket.entry,
            leverage=sizing.leverage,
            leverage_cap=self.rules.leverage_cap,
            margin_usd=sizing.quantity * fill / sizing.leverage,
            liquidation_price=sizing.liquidation_price,
            bankruptcy_price=bankruptcy_price(side=bracket.side, entry=fill, leverage=sizing.leverage),
            risk_usd=sizing.risk_usd,
            risk_fraction=sizing.risk_usd / equity,
            reward_risk=sizing.reward_risk,
            p_fair=sizing.p_fair,
            p_trade=sizing.p_trade,
            p_trade_low=sizing.p_trade_low,
            expectancy_low=sizing.expectancy_low,
            binding=sizing.binding,
            caps=sizing.caps,
            risk_multiplier=throttled.multiplier,
            drawdown=throttled.drawdown,
            loss_streak=0 if account.record is None else account.record.loss_streak,
            cluster=cluster,
            depth_1pct=min(score.depth_bid_1pct, score.depth_ask_1pct),
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
