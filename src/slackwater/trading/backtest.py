"""Trade the past: every event in time order through the gate, every plan down its price path to an exit.

Where the path does not say what happened, the worse is assumed: a bar that touches stop and target is a stop,
a gap through the stop fills at the open, the entry bar counts, and costs are those of the plan.

A liquidation is triggered by the mark price where one is recorded, otherwise by the last trades. It can only
come first where the market gaps beyond the stop *and* the liquidation price, or where the mark runs ahead of the
last trades.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from slackwater.errors import OrderError, ParameterError, SchemaError
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import TrackRecord
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, Ledger
from slackwater.trading.price_path import PricePath, microseconds, moment, price_paths, since_1970
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score

__all__ = ["BacktestResult", "constant_risk_trades", "run_backtest"]

_ALWAYS = 2**62

_MINUTE = timedelta(minutes=1)
_DAY_US = microseconds(timedelta(days=1))


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The tables of one backtest: see `Ledger.trades`, `Ledger.refusals` and `Ledger.equity`.

    `decisions` holds every plan and every refusal in full, in the order in which they were made.

    `exposure` has a row a moment at which a position was opened or closed: time (UTC), n_positions,
    gross_notional_usd, net_notional_usd (longs less shorts, both at the mark), equity_usd, leverage (gross
    notional over equity) and open_risk_fraction (loss at all stops over equity).
    """

    trades: pd.DataFrame
    refusals: pd.DataFrame
    equity: pd.DataFrame
    exposure: pd.DataFrame
    decisions: tuple[TradePlan | Refusal, ...]


def run_backtest(
    scores: pd.DataFrame,
    fine_bars: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None,
    mark: pd.DataFrame | None = None,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    fine_bar_interval: timedelta,
    progress: Callable[[int, int], None] | None = None,
) -> BacktestResult:
    """Run one account through all events of all symbols.

    Parameters
    ----------
    scores
        One row an event, with the columns that `Score.from_row` reads; `missing_features` and `out_of_range_features`
        may be absent (there are none then). Rows whose `direction` is 0 or NaN are no events and are passed over.
    fine_bars
        Finest bars at hand: symbol, open_time, event_time (close), open, high, low, close; by symbol and
        time.
    gate
        The gate that live trading uses.
    funding
        Settled rates: symbol, event_time, funding_rate; None where there is no funding.
    mark
        Bars of the mark price, as `trading.price_path.price_paths` takes them.
    initial_equity
        USDT, > 0.
    decision_lag
        Time from the close of an event's bar to the decision, >= 0.
    horizon
        Time exit, counted from the fill; must be that of the gate.
    fine_bar_interval
        Length of a path bar. Above one minute the entry is the open of the bar that opens with the event, and
        the decision lag is charged as slippage instead.
    progress
        Called with (events done, events in all).

    Returns
    -------
    BacktestResult

    Raises
    ------
    SchemaError, OrderError, MissingDataError
        If a table lacks a column or holds impossible values, if times repeat or run backwards, or if an
        event's symbol has no path.
    ParameterError
        If a duration or the equity is out of range.

    Notes
    -----
    The gate sees the price at which the order is sent (the open of the entry bar) and the account at that
    moment: cash, open positions at the market, their entry costs and funding so far. Events of one moment
    come in the order of their symbols. A position counts as open until the close of its exit bar.

    Funding is charged at every settlement after the fill and up to the exit, on the price of that moment.
    """
    timing = _Timing(decision_lag=decision_lag, horizon=horizon, fine_bar_interval=fine_bar_interval)
    events = _events(scores)
    paths = price_paths(fine_bars, funding, {event.symbol for event in events}, mark=mark)
    gate = timing.charge_latency(gate)
    orders, untradable = _orders(events, paths, timing)
    start = _start(events, fine_bars)
    ledger = Ledger(initial_equity=initial_equity, start=start)
    for refusal in untradable:
        ledger.record_refusal(refusal)
    book = _Book(ledger, paths, TrackRecord.start(initial_equity, start))
    correlations = HourlyCorrelations(paths)
    decisions: list[TradePlan | Refusal] = [*untradable]
    for done, order in enumerate(orders, start=1):
        account = book.account(order.time_us, correlations)
        decision = gate.decide(order.score, account, now=order.time, price=order.price)
        decisions.append(decision)
        if isinstance(decision, Refusal):
            ledger.record_refusal(decision)
        else:
            book.open(order.fill(decision, timing.horizon))
        if progress is not None:
            progress(done, len(orders))
    book.advance(_ALWAYS)
    return BacktestResult(
        trades=ledger.trades(),
        refusals=ledger.refusals(),
        equity=ledger.equity(),
        exposure=book.exposure(),
        decisions=tuple(sorted(decisions, key=lambda decision: decision.decided_at)),
    )


def constant_risk_trades(
    scores: pd.DataFrame,
    fine_bars: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None,
    mark: pd.DataFrame | None = None,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    fine_bar_interval: timedelta,
    progress: Callable[[int, int], None] | None = None,
) -> list[ClosedTrade]:
    """Return the trades that the gate accepts when each meets the same equity and no open position.

    The sample for the verdict: no trade is left out, and none is smaller, because of another one, and no rule of
    drawdown control ends it. Trades may overlap, also within a symbol; they come in the order of their exits.
    Parameters and errors are those of `run_backtest`.
    """
    timing = _Timing(decision_lag=decision_lag, horizon=horizon, fine_bar_interval=fine_bar_interval)
    events = _events(scores)
    paths = price_paths(fine_bars, funding, {event.symbol for event in events}, mark=mark)
    gate = timing.charge_latency(gate)
    orders, _ = _orders(events, paths, timing)
    account = Account(equity=initial_equity)
    trades = []
    for done, order in enumerate(orders, start=1):
        decision = gate.decide(order.score, account, now=order.time, price=order.price)
        if isinstance(decision, TradePlan):
            trades.append(order.fill(decision, timing.horizon))
        if progress is not None:
            progress(done, len(orders))
    return sorted(trades, key=_by_exit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timing:
    """When decisions are made and how long positions are held."""

    decision_lag: timedelta
    horizon: timedelta
    fine_bar_interval: timedelta

    def __post_init__(self) -> None:
        if not self.decision_lag >= timedelta(0):
            raise ParameterError(f"`decision_lag` must be at least 0, was {self.decision_lag}")
        if not timedelta(0) < self.fine_bar_interval <= self.horizon:
            raise ParameterError(f"`fine_bar_interval` must be in (0, `horizon`], was {self.fine_bar_interval}")

    @property
    def coarse(self) -> bool:
        """Whether the path is too coarse to show what happens between the event and the order."""
        return self.fine_bar_interval > _MINUTE

    def charge_latency(self, gate: Gate) -> Gate:
        """Return the gate itself, or on a coarse path the gate with the decision lag among its costs."""
        if gate.horizon != self.horizon:
            raise ParameterError(f"`horizon` must be that of the gate, {gate.horizon}, was {self.horizon}")
        if not self.coarse:
            return gate
        return replace(gate, costs=replace(gate.costs, latency=max(self.decision_lag, gate.costs.latency)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Order:
    """An event at the moment at which its order would be sent."""

    score: Score
    path: PricePath
    entry_bar: int
    time_us: int

    @property
    def time(self) -> datetime:
        return moment(self.time_us)

    @property
    def price(self) -> float:
        return float(self.path.open[self.entry_bar])

    def fill(self, plan: TradePlan, horizon: timedelta) -> ClosedTrade:
        return self.path.hold(plan, entry_bar=self.entry_bar, horizon=horizon)


def _events(scores: pd.DataFrame) -> list[Score]:
    """Read the rows that are events, in time order."""
    columns = [field.name for field in fields(Score)]
    nothing = pd.Series([()] * len(scores), index=scores.index, dtype=object)
    for name in ("missing_features", "out_of_range_features"):
        if name not in scores.columns:
            scores = scores.assign(**{name: nothing})
    missing = [name for name in columns if name not in scores.columns]
    if missing:
        raise SchemaError(f"table scores lacks the columns {', '.join(missing)}")
    twice = scores.duplicated(["symbol", "event_time"]).to_numpy()
    if twice.any():
        raise OrderError(f"table scores: symbol and event_time repeat at rows {scores.index[twice][:3].tolist()}")
    direction = scores["direction"]
    rows = scores.loc[direction.notna() & (direction != 0), columns].sort_values(["event_time", "symbol"])
    return [Score.from_row(row) for row in rows.to_dict("records")]


def _start(events: list[Score], fine_bars: pd.DataFrame) -> datetime:
    """Time of the account's first row: the first event, or where there is none the first bar."""
    start: datetime = events[0].event_time if events else fine_bars["open_time"].min()
    return start


def _orders(events: list[Score], paths: dict[str, PricePath], timing: _Timing) -> tuple[list[_Order], list[Refusal]]:
    """Find the entry bar of each event; refuse events without one, or that outlast the path."""
    orders, refusals = [], []
    interval_us, horizon_us = microseconds(timing.fine_bar_interval), microseconds(timing.horizon)
    for score in events:
        path = paths[score.symbol]
        event_us = since_1970(score.event_time)
        decision_us = event_us + microseconds(timing.decision_lag)
        sent_us = event_us if timing.coarse else decision_us
        bar = path.first_bar_from(sent_us)
        reason = None
        if bar == len(path.open_time) or path.close_time[-1] < path.open_time[bar] + horizon_us:
            message = f"the path ends at {moment(int(path.close_time[-1]))}, before the horizon has passed"
            reason = Reason(ReasonCode.PATH_ENDS_BEFORE_HORIZON, message)
        elif path.open_time[bar] - sent_us >= interval_us:
            message = f"no bar opens within {timing.fine_bar_interval} of {moment(sent_us)}"
            reason = Reason(ReasonCode.NO_ENTRY_BAR, message)
        if reason is None:
            time_us = max(decision_us, int(path.open_time[bar]))
            orders.append(_Order(score=score, path=path, entry_bar=bar, time_us=time_us))
        else:
            refusals.append(
                Refusal(
                    symbol=score.symbol,
                    event_time=score.event_time,
                    decided_at=moment(decision_us),
                    reasons=(reason,),
                )
            )
    return sorted(orders, key=lambda order: (order.time_us, order.score.symbol)), refusals


class _Book:
    """The account as it lives through its trades: cash, open trades, record and exposure.

    Trades are walked to their exits when they are opened; the account learns of an exit when its time has come.
    """

    def __init__(self, ledger: Ledger, paths: dict[str, PricePath], record: TrackRecord) -> None:
        self._ledger, self._paths, self._record = ledger, paths, record
        self._open: list[ClosedTrade] = []
        self._exposure: list[dict[str, Any]] = []

    def open(self, trade: ClosedTrade) -> None:
        """Take on a trade whose order was sent at this moment."""
        self._open.append(trade)
        self._note(since_1970(trade.entry_time))

    def account(self, time_us: int, correlations: HourlyCorrelations) -> Account:
        """Return the account at the market when an order is sent."""
        self.advance(time_us)
        equity = self._equity(time_us)
        self._record = self._record.observed(moment(time_us), equity)
        positions = tuple(self._position(trade, time_us) for trade in self._open)
        known = correlations.at(time_us) if positions else None
        return Account(equity=equity, open_positions=positions, record=self._record, correlations=known)

    def advance(self, until_us: int) -> None:
        """Book every exit up to a moment, and look at the account at every midnight on the way."""
        while self._open:
            trade = min(self._open, key=_by_exit)
            exit_us = since_1970(trade.exit_time)
            # A day begins before what is booked at its first moment, so that no loss falls between two days.
            midnight = since_1970(pd.Timestamp(self._record.day, tz="UTC")) + _DAY_US
            if min(midnight, exit_us) > until_us:
                break
            if midnight <= exit_us:
                self._record = self._record.observed(moment(midnight), self._equity(midnight))
                continue
            self._open.remove(trade)
            self._ledger.record_trade(trade)
            self._record = self._record.closed(trade.exit_time, trade.net_usd, self._equity(exit_us))
            self._note(exit_us)

    def exposure(self) -> pd.DataFrame:
        """Return the exposure after every opening and closing."""
        columns = ["time", "n_positions", "gross_notional_usd", "net_notional_usd", "equity_usd"]
        table = pd.DataFrame(self._exposure, columns=[*columns, "leverage", "open_risk_fraction"])
        table["time"] = pd.to_datetime(table["time"], utc=True).dt.as_unit("us")
        numbers = {name: "float64" for name in table.columns if name not in ("time", "n_positions")}
        return table.astype({"n_positions": "int64", **numbers})

    def _equity(self, time_us: int) -> float:
        """Value the account at the market: cash, and what the open trades are worth after what they have paid."""
        equity = self._ledger.cash
        for trade in self._open:
            plan, path = trade.plan, self._paths[trade.plan.symbol]
            paid = path.funding_usd(
                side=plan.side,
                quantity=plan.quantity,
                start_us=since_1970(trade.entry_time),
                end_us=time_us,
            )
            gain = plan.side * plan.quantity * (path.mark_at(time_us) - plan.entry)
            equity += gain - trade.entry_costs_usd - paid
        return equity

    def _position(self, trade: ClosedTrade, time_us: int) -> OpenPosition:
        plan = trade.plan
        return OpenPosition(
            symbol=plan.symbol,
            side=plan.side,
            quantity=plan.quantity,
            entry=plan.entry,
            mark=self._paths[plan.symbol].mark_at(time_us),
            leverage=plan.leverage,
            risk_usd=plan.risk_usd,
        )

    def _note(self, time_us: int) -> None:
        positions = [self._position(trade, time_us) for trade in self._open]
        equity = self._equity(time_us)
        gross = math.fsum(position.notional_usd for position in positions)
        self._exposure.append(
            {
                "time": moment(time_us),
                "n_positions": len(positions),
                "gross_notional_usd": gross,
                "net_notional_usd": math.fsum(position.side * position.notional_usd for position in positions),
                "equity_usd": equity,
                "leverage": gross / equity if equity > 0.0 else math.nan,
                "open_risk_fraction": math.fsum(p.risk_usd for p in positions) / equity if equity > 0.0 else math.nan,
            }
        )


def _by_exit(trade: ClosedTrade) -> tuple[datetime, str]:
    return trade.exit_time, trade.plan.symbol
