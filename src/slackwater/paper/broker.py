"""Paper broker: orders of plans meet the trades of the market, and the account pays what a real one would.

Nothing is sent anywhere. Fees, slippage and the formulas of funding and liquidation are those of the backtest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from slackwater.errors import ParameterError
from slackwater.feed.items import Print
from slackwater.journal.event import Event, Origin, trade_id
from slackwater.journal.kinds import exit_event, fill_event, funding_event, order_event
from slackwater.market.contracts import Contract
from slackwater.paper.position import Bar, Ending, Position
from slackwater.times import DAY_US, HOUR_US, MINUTE_US, epoch_us, microseconds, timestamp
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.decision import TradePlan
from slackwater.trading.drawdown_control import TrackRecord

__all__ = ["Broker"]

_LATE_FUNDING_US: Final = DAY_US
"""How long after an exit a settlement that it has lived to see may become known."""

_KEPT_HOURS: Final = 48
"""Settlements lie at full hours, and are valued at the mark price of then; so many hours back."""


class Broker:
    """Account of paper trades.

    Parameters
    ----------
    equity
        Cash at the start, USDT, > 0.
    start_us
        Start, in microseconds since 1970.
    contracts
        Facts by symbol.
    latency, horizon
        Time from a decision to the arrival of its order; time exit, counted from the fill.
    origin
        Account and bundle, for the journal.

    Attributes
    ----------
    cash : float
        Equity at the start and the net results of closed trades, USDT.
    positions : dict
        Orders and open positions by symbol; there is at most one per symbol.
    prices : dict
        Last price by symbol, USDT, for whoever takes note of them.
    """

    def __init__(
        self,
        *,
        equity: float,
        start_us: int,
        contracts: Mapping[str, Contract],
        latency: timedelta,
        horizon: timedelta,
        origin: Origin,
    ) -> None:
        if not 0.0 < equity < 1e12:
            raise ParameterError(f"`equity` must be in (0, 1e12) USDT, was {equity}")
        self.cash = float(equity)
        self.positions: dict[str, Position] = {}
        self.record = TrackRecord.start(equity, timestamp(start_us))
        self._ended: list[Position] = []
        self.prices: dict[str, float] = {}
        self._marks: dict[str, Bar] = {}
        self._hours: dict[str, dict[int, float]] = {}
        self._contracts, self._origin = contracts, origin
        self._latency_us, self._horizon_us = microseconds(latency), microseconds(horizon)

    @property
    def working(self) -> set[str]:
        """Symbols with an order or a position: their trades are needed one by one."""
        return set(self.positions)

    # -- orders ----------------------------------------------------------------------------------------------

    def order(self, plan: TradePlan, now_us: int) -> list[Event]:
        """Send the orders of a plan: the entry at the market; stop and target, which rest from the fill on.

        ParameterError if the symbol has a position, which the gate refuses.
        """
        if plan.symbol in self.positions:
            raise ParameterError(f"`plan` must be of a symbol without a position, {plan.symbol} has one")
        trade = trade_id(self._origin.account, plan.symbol, plan.event_time)
        self.positions[plan.symbol] = Position(
            trade=trade, plan=plan, arrives_us=now_us + self._latency_us, horizon_us=self._horizon_us
        )
        side = int(plan.side)
        orders = (("entry", side, float("nan")), ("stop", -side, plan.stop), ("target", -side, plan.target))
        return [
            order_event(
                trade=trade,
                symbol=plan.symbol,
                time=timestamp(now_us),
                order=role,
                role=role,
                side=towards,
                quantity=plan.quantity,
                price=price,
                origin=self._origin,
            )
            for role, towards, price in orders
        ]

    # -- the market ------------------------------------------------------------------------------------------

    def take_print(self, trade: Print, now_us: int) -> list[Event]:
        """Take a trade of the market."""
        self.prices[trade.symbol] = trade.price
        position = self.positions.get(trade.symbol)
        if position is None:
            return []
        if not position.is_open:
            if not position.meets_print(trade.time_us, trade.price, trade.quantity):
                return []
            return self._filled(position, trade.time_us, now_us)
        end = position.ended_by_print(trade.time_us, trade.price)
        return [] if end is None else self._closed(position, end, now_us)

    def take_bar(self, symbol: str, bar: Bar, now_us: int) -> list[Event]:
        """Take a final bar of the finest ones: it shows what trades that nobody saw have done."""
        position = self.positions.get(symbol)
        if position is None:
            return []
        events = []
        if not position.is_open:
            if not position.meets_bar(bar):
                return []
            # Its own bar may end it at once: what of it came after the fill, nobody has seen.
            events = self._filled(position, bar.opened_us, now_us)
        end = position.ended_by_bar(bar)
        if events and end is None and symbol in self._marks:  # the mark of this bar may have come before it
            end = position.ended_by_mark(self._marks[symbol])
        return events if end is None else events + self._closed(position, end, now_us)

    def take_mark(self, symbol: str, bar: Bar, now_us: int) -> list[Event]:
        """Take a bar of the mark price, which triggers liquidations and values funding."""
        if bar.opened_us % HOUR_US == 0:
            hours = self._hours.setdefault(symbol, {})
            hours[bar.opened_us] = bar.open
            for old in sorted(hours)[:-_KEPT_HOURS]:
                del hours[old]
        if symbol not in self._marks or bar.closed_us >= self._marks[symbol].closed_us:
            self._marks[symbol] = bar
        position = self.positions.get(symbol)
        end = None if position is None else position.ended_by_mark(bar)
        return [] if position is None or end is None else self._closed(position, end, now_us)

    def take_funding(self, symbol: str, time_us: int, rate: float) -> list[Event]:
        """Take a settlement: whoever was open then pays, also if the position has ended since.

        It is valued at the mark price of its hour, or at the last one where that is not known (yet).
        """
        hour = (time_us + HOUR_US // 2) // HOUR_US * HOUR_US
        known = self._hours.get(symbol, {}).get(hour) if abs(time_us - hour) <= MINUTE_US else None
        events = []
        for position in (*self.positions.values(), *self._ended):
            if position.plan.symbol != symbol:
                continue
            paid = position.settle(time_us, rate, self._price(position) if known is None else known)
            if paid is None:
                continue
            if position.end is not None:
                self.cash -= paid
            events.append(
                funding_event(
                    trade=position.trade,
                    symbol=symbol,
                    time=timestamp(time_us),
                    rate=rate,
                    paid_usd=paid,
                    origin=self._origin,
                )
            )
        return events

    def observe(self, now_us: int) -> None:
        """Let the record see the account; to be called at each midnight too."""
        self._ended = [each for each in self._ended if each.end and now_us - each.end.time_us <= _LATE_FUNDING_US]
        self.record = self.record.observed(timestamp(now_us), self.equity())

    # -- the account -----------------------------------------------------------------------------------------

    def equity(self) -> float:
        """Return cash and open positions at the mark, or at the last price where there is none, USDT."""
        return self.cash + math.fsum(each.value_usd(self._price(each)) for each in self.positions.values())

    def account(self, correlations: Mapping[tuple[str, str], float] | None) -> Account:
        """Return the account as the gate reads it; an order that is not filled yet counts as a position."""
        held = tuple(
            OpenPosition(
                symbol=each.plan.symbol,
                side=int(each.plan.side),
                quantity=each.plan.quantity,
                entry=each.plan.entry if each.filled is None else each.filled,
                mark=self._price(each),
                leverage=each.plan.leverage,
                risk_usd=each.plan.risk_usd,
            )
            for _, each in sorted(self.positions.items())
        )
        known = correlations if held else None
        return Account(equity=self.equity(), open_positions=held, record=self.record, correlations=known)

    def _price(self, position: Position) -> float:
        symbol = position.plan.symbol
        if symbol in self._marks:
            return self._marks[symbol].close
        return self.prices.get(symbol, position.plan.entry)

    def _filled(self, position: Position, time_us: int, now_us: int) -> list[Event]:
        plan = position.plan
        position.fill(time_us, self._contracts[plan.symbol].at(timestamp(time_us)))
        price = position.worst * (1.0 + plan.side * plan.costs.entry_slippage)
        fee = plan.costs.fee_fraction * plan.quantity * position.worst
        return [self._fill_event(position, "entry", price, fee, now_us)]

    def _closed(self, position: Position, end: Ending, now_us: int) -> list[Event]:
        plan = position.plan
        trade = position.closed(end)
        del self.positions[plan.symbol]
        self._ended.append(position)
        self.cash += trade.net_usd
        self.record = self.record.closed(timestamp(now_us), trade.net_usd, self.equity())
        slips = {"time": plan.costs.exit_slippage, "stop": plan.costs.stop_slippage}.get(end.reason, 0.0)
        fee = plan.costs.fee_fraction * plan.quantity * end.price
        adverse, favourable = position.excursions(end)
        return [
            self._fill_event(position, end.reason, end.price * (1.0 - plan.side * slips), fee, now_us),
            exit_event(
                {**trade.to_row(), "known_time": timestamp(now_us)},
                mae_r=adverse,
                mfe_r=favourable,
                origin=self._origin,
            ),
        ]

    def _fill_event(self, position: Position, order: str, price: float, fee_usd: float, now_us: int) -> Event:
        return fill_event(
            trade=position.trade,
            symbol=position.plan.symbol,
            time=timestamp(now_us),
            order=order,
            fill="1",
            quantity=position.plan.quantity,
            price=price,
            fee_usd=fee_usd,
            origin=self._origin,
        )

    # -- checkpoints -----------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return the state in types of JSON."""
        record = {name: getattr(self.record, name) for name in TrackRecord.__slots__}
        lost = self.record.last_loss_time
        dates = {"day": self.record.day.isoformat(), "week": self.record.week.isoformat()}
        return {
            "cash": self.cash,
            "record": record | dates | {"last_loss_time": None if lost is None else epoch_us(lost)},
            "positions": [each.values() for each in self.positions.values()],
            "ended": [each.values() for each in self._ended],
            "prices": dict(self.prices),
            "marks": {symbol: list(bar) for symbol, bar in self._marks.items()},
            "hours": {symbol: [list(each) for each in hours.items()] for symbol, hours in self._hours.items()},
        }

    def take_values(self, content: Mapping[str, Any]) -> None:
        """Continue from the state of `values`."""
        record = dict(content["record"])
        lost = record["last_loss_time"]
        record |= {name: date.fromisoformat(record[name]) for name in ("day", "week")}
        self.cash = float(content["cash"])
        self.record = TrackRecord(**record | {"last_loss_time": None if lost is None else timestamp(lost)})
        held = [Position.of_values(each) for each in content["positions"]]
        self.positions = {each.plan.symbol: each for each in held}
        self._ended = [Position.of_values(each) for each in content["ended"]]
        self.prices = dict(content["prices"])
        self._marks = {symbol: Bar(*bar) for symbol, bar in content["marks"].items()}
        self._hours = {symbol: {int(hour): mark for hour, mark in each} for symbol, each in content["hours"].items()}
