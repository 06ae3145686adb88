"""The gate: every score becomes a trade plan that breaks no rule, or a refusal that names every reason.

Live trading and the backtest call the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import pandas as pd

from slackwater.errors import ParameterError, did_you_mean
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import Contract, venue_contracts
from slackwater.numbers import brief, exact_number
from slackwater.times import DAY
from slackwater.trading.account import Account
from slackwater.trading.bracket import level_reasons, trade_levels
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import UNTHROTTLED, halts, throttle
from slackwater.trading.entry import entry_reasons
from slackwater.trading.extra_rules import GateRule, check_rules, reasons_of
from slackwater.trading.input_checks import input_violations
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import LONGEST_HORIZON, BracketRules, DrawdownRules, EntryRules, SizingRules
from slackwater.trading.score import Score
from slackwater.trading.sizing import Sizing, size_position
from slackwater.unchecked import unchecked

__all__ = ["Gate", "GateRule"]

_MAX_EQUITY = 1e12

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Decision on a score: a trade plan that breaks no rule, or a refusal (method, section 6).

    Parameters
    ----------
    contracts
        Facts by symbol; default: those of the simulated venue. ``venue_contracts("binance")`` gives those of Binance.
    entry, bracket, rules, drawdown_control, costs
        Conditions on the score, placement of stop and target, limits of the size, limits after losses, and cost
        assumptions.
    horizon
        Time after which a position is closed, in (0, 30 days]; stop and target are placed in standard deviations over
        it.
    extra_rules
        Rules from outside the library, each with its own name; a score is refused if one of them fails.

    Raises
    ------
    ParameterError
        If a value is outside of its range, or an extra rule could not be asked or shares its name.

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
    horizon: timedelta = DAY
    extra_rules: tuple[GateRule, ...] = ()

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
        symbols: Iterable[str] = (),
    ) -> Gate:
        """Return the gate of the sections in the manifest of a bundle.

        `contract_facts` are merged over the built-in ones (`slackwater.market.contract_file`), also for the `symbols`
        that they do not name.

        Raises
        ------
        ParameterError
            If the venue is unknown, a section names a setting that does not exist, or a value is outside of its range.
        SchemaError
            If the facts are of another venue, or name what a contract does not have.
        """
        return cls(
            contracts=merge_contracts(contract_facts, venue, symbols),
            entry=_made(EntryRules, "entry", entry),
            bracket=_made(BracketRules, "bracket", bracket),
            rules=_made(SizingRules, "rules", rules),
            drawdown_control=_made(DrawdownRules, "drawdown_control", drawdown_control),
            costs=_made(CostModel, "costs", costs),
            horizon=horizon,
        )

    def __post_init__(self) -> None:
        if not (isinstance(self.horizon, timedelta) and timedelta(0) < self.horizon <= LONGEST_HORIZON):
            raise ParameterError(f"`horizon` must be in (0, 30 days], was {brief(self.horizon)}")
        check_rules(self.extra_rules)

    def decide(
        self, score: Score, account: Account, *, now: datetime | None = None, price: float | None = None
    ) -> TradePlan | Refusal:
        """Plan a trade on one score, or refuse it with every reason that can be found.

        Parameters
        ----------
        score
            Result of the scorer.
        account
            Equity and open positions.
        now
            The clock, timezone-aware; default: the time at which the score became available.
        price
            Market price at which the order would be sent, USDT, also as text or `Decimal`; default: the close of the
            score's bar. Stop and target do not depend on it; size, risk and reward do.

        Returns
        -------
        TradePlan or Refusal
            Implausible input (NaN, infinite, zero, negative) leads to a refusal, never to a size.

        Raises
        ------
        ParameterError
            If `now` is not a time with a zone, `price` is not a number, or score or account are of another type.
        OrderError
            If `now` lies before the day that the account's record has reached.
        """
        if not isinstance(score, Score):
            raise ParameterError(f"`score` must be a Score (`Score.from_row` of a row), was a {type(score).__name__}")
        if not isinstance(account, Account):
            raise ParameterError(f"`account` must be an Account, was a {type(account).__name__}")
        decided_at = score.available_time if now is None else now
        if not isinstance(decided_at, datetime) or decided_at.tzinfo is None:  # NaT has none
            raise ParameterError(f"`now` must be a time with a time zone, was {brief(now)}")
        price = None if price is None else _price(price)
        quote = score.context.close if price is None else price
        contract = self.contracts.get(score.symbol)
        if contract is not None:
            contract = contract.at(decided_at)
        bad_inputs = [*input_violations(score, price)]
        reasons = [
            *entry_reasons(score, decided_at, self.entry),
            *bad_inputs,
            *self._account_reasons(account, decided_at),
        ]
        if account.holds(score.symbol):
            reasons.append(Reason("position_open", f"a position in {score.symbol} is already open"))
        if contract is None:
            message = f"no contract of {score.symbol}; known are {', '.join(sorted(self.contracts))}"
            reasons.append(Reason("unknown_contract", message))
        if score.direction != 0 and not bad_inputs:
            for rule in self.extra_rules:
                reasons.extend(reasons_of(rule, score, account, decided_at))
            if contract is not None:
                planned = self._planned(score, account, contract, quote, decided_at, reasons)
                if planned is not None:
                    return planned
        return Refusal(
            symbol=score.symbol,
            event_time=score.event_time,
            decided_at=decided_at,
            reasons=tuple(reasons),
            triggers=score.triggers,
        )

    def _account_reasons(self, account: Account, now: datetime) -> Iterator[Reason]:
        if not _is_sound(account.equity):
            message = f"equity must be in (0, {_MAX_EQUITY:g}] USDT, was {account.equity:,.2f}"
            yield Reason("bad_equity", message)
        elif account.record is not None:
            yield from halts(account.record, account.equity, now, self.drawdown_control)

    def _planned(
        self,
        score: Score,
        account: Account,
        contract: Contract,
        quote: float,
        decided_at: datetime,
        reasons: list[Reason],
    ) -> TradePlan | None:
        """Return the plan if there is no reason against it, else None, with the reasons of levels and size added."""
        tick_size = contract.tick_size
        levels = trade_levels(
            score.context, side=-score.direction, tick_size=tick_size, rules=self.bracket, horizon=self.horizon
        )
        reasons.extend(level_reasons(levels, score.context, quote=quote, tick_size=tick_size, rules=self.bracket))
        bracket = levels.at(quote)
        if bracket is None or not _is_sound(account.equity):
            return None
        record = account.record
        throttled = UNTHROTTLED if record is None else throttle(record, account.equity, self.drawdown_control)
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
        if not isinstance(sizing, Sizing):
            reasons.extend(sizing)
            return None
        if reasons:
            return None
        return _plan(
            (
                contract.venue,
                contract.confirmed,
                decided_at,
                decided_at + _timedelta(self.horizon),
                account.equity,
                score,
                levels,
                bracket,
                sizing,
                throttled,
                0 if record is None else record.loss_streak,
                exposure.cluster,
            )
        )


_plan = unchecked(
    TradePlan,
    *("venue", "contract_confirmed", "decided_at", "expires", "equity", "score"),
    *("levels", "bracket", "sizing", "throttle", "loss_streak", "cluster"),
)
_timedelta = cache(pd.Timedelta)  # what a Timestamp makes of a timedelta at each sum: most of the time it takes


def _made(rules: type[_T], name: str, given: Mapping[str, Any]) -> _T:
    known = [each.name for each in fields(rules)]  # type: ignore[arg-type]  # settings are dataclasses
    for key in given:
        if key not in known:
            raise ParameterError(f"{name}: there is no setting `{key}`{did_you_mean(key, known)}")
    return rules(**given)


def _price(value: Any) -> float:
    try:
        return exact_number(value)
    except ValueError as error:
        raise ParameterError(f"`price` {error}") from None


def _is_sound(equity: float) -> bool:
    return 0.0 < equity <= _MAX_EQUITY
