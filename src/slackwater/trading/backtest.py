"""Trade the past: every event in time order through the gate, every plan down its price path to an exit.

Where the path does not say what happened, the worse is assumed: a bar that touches stop and target is a stop,
a gap through the stop fills at the open, the entry bar counts, and costs are those of the plan.

A liquidation is checked on the path, whose last trades stand in for the mark price as long as no mark price
is recorded. It can only come first where the market gaps beyond the stop *and* the liquidation price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

import pandas as pd

from slackwater.errors import OrderError, ParameterError, SchemaError
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, Ledger
from slackwater.trading.price_path import PricePath, microseconds, price_paths
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score

__all__ = ["BacktestResult", "constant_risk_trades", "run_backtest"]

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The tables of one backtest: see `Ledger.trades`, `Ledger.refusals` and `Ledger.equity`."""

    trades: pd.DataFrame
    refusals: pd.DataFrame
    equity: pd.DataFrame


def run_backtest(
    scores: pd.DataFrame,
    path: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    path_interval: timedelta,
    progress: Callable[[int, int], None] | None = None,
) -> BacktestResult:
    """Run one account through all events of all symbols.

    Parameters
    ----------
    scores
        One row an event, with the columns that `Score.from_row` reads; `missing_features` may be absent
        (nothing is missing then). Rows whose `direction` is 0 or NaN are no events and are passed over.
    path
        Finest bars at hand: symbol, open_time, event_time (close), open, high, low, close; by symbol and
        time.
    gate
        The gate that live trading uses.
    funding
        Settled rates: symbol, event_time, funding_rate; None where there is no funding.
    initial_equity
        USDT, > 0.
    decision_lag
        Time from the close of an event's bar to the decision, >= 0.
    horizon
        Time exit, counted from the fill; must be that of the gate.
    path_interval
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
    timing = _Timing(decision_lag=decision_lag, horizon=horizon, path_interval=path_interval)
    events = _events(scores)
    paths = price_paths(path, funding, {event.symbol for event in events})
    gate = timing.charge_latency(gate)
    orders, untradable = _orders(events, paths, timing)
    ledger = Ledger(initial_equity=initial_equity, start=_start(events, path))
    for refusal in untradable:
        ledger.record_refusal(refusal)
    open_trades: list[ClosedTrade] = []  # walked to their exits already, unknown to the account until then
    for done, order in enumerate(orders, start=1):
        open_trades = _book(ledger, open_trades, until=order.time)
        account = _account(ledger.cash, open_trades, paths, order)
        decision = gate.decide(order.score, account, now=order.time, price=order.price)
        if isinstance(decision, Refusal):
            ledger.record_refusal(decision)
        else:
            open_trades.append(order.fill(decision, timing.horizon))
        if progress is not None:
            progress(done, len(orders))
    _book(ledger, open_trades, until=None)
    return BacktestResult(trades=ledger.trades(), refusals=ledger.refusals(), equity=ledger.equity())


def constant_risk_trades(
    scores: pd.DataFrame,
    path: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    path_interval: timedelta,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the trades that the gate accepts when each meets the same equity and no open position.

    The sample for the verdict: no trade is left out, and none is smaller, because of another one. Trades may
    overlap, also within a symbol. Parameters and errors are those of `run_backtest`, the table that of
    `Ledger.trades`; `equity_after` is the initial equity and the sum of the net gains.
    """
    timing = _Timing(decision_lag=decision_lag, horizon=horizon, path_interval=path_interval)
    events = _events(scores)
    paths = price_paths(path, funding, {event.symbol for event in events})
    gate = timing.charge_latency(gate)
    orders, _ = _orders(events, paths, timing)
    ledger = Ledger(initial_equity=initial_equity, start=_start(events, path))
    account = Account(equity=initial_equity)
    trades = []
    for done, order in enumerate(orders, start=1):
        decision = gate.decide(order.score, account, now=order.time, price=order.price)
        if isinstance(decision, TradePlan):
            trades.append(order.fill(decision, timing.horizon))
        if progress is not None:
            progress(done, len(orders))
    _book(ledger, trades, until=None)
    return ledger.trades()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timing:
    """When decisions are made and how long positions are held."""

    decision_lag: timedelta
    horizon: timedelta
    path_interval: timedelta

    def __post_init__(self) -> None:
        if not self.decision_lag >= timedelta(0):
            raise ParameterError(f"`decision_lag` must be at least 0, was {self.decision_lag}")
        if not timedelta(0) < self.path_interval <= self.horizon:
            raise ParameterError(f"`path_interval` must be in (0, `horizon`], was {self.path_interval}")

    @property
    def coarse(self) -> bool:
        """Whether the path is too coarse to show what happens between the event and the order."""
        return self.path_interval > _MINUTE

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
        return _moment(self.time_us)

    @property
    def price(self) -> float:
        return float(self.path.open[self.entry_bar])

    def fill(self, plan: TradePlan, horizon: timedelta) -> ClosedTrade:
        end = self.path.exit_of(plan, entry_bar=self.entry_bar, horizon=horizon)
        entry_us = int(self.path.open_time[self.entry_bar])
        funding = self.path.funding_usd(side=plan.side, quantity=plan.quantity, start_us=entry_us, end_us=end.time_us)
        return ClosedTrade(
            plan=plan,
            entry_time=_moment(entry_us),
            exit_time=_moment(end.time_us),
            exit_price=end.price,
            exit_reason=end.reason,
            funding_usd=funding,
        )


def _moment(time_us: int) -> pd.Timestamp:
    return pd.Timestamp(time_us, unit="us", tz="UTC")


def _since_1970(time: datetime) -> int:
    return microseconds(time - _moment(0))


def _events(scores: pd.DataFrame) -> list[Score]:
    """Read the rows that are events, in time order."""
    columns = [field.name for field in fields(Score)]
    if "missing_features" not in scores.columns:
        scores = scores.assign(missing_features=[()] * len(scores))
    missing = [name for name in columns if name not in scores.columns]
    if missing:
        raise SchemaError(f"table scores lacks the columns {', '.join(missing)}")
    twice = scores.duplicated(["symbol", "event_time"]).to_numpy()
    if twice.any():
        raise OrderError(f"table scores: symbol and event_time repeat at rows {scores.index[twice][:3].tolist()}")
    direction = scores["direction"]
    rows = scores.loc[direction.notna() & (direction != 0), columns].sort_values(["event_time", "symbol"])
    return [Score.from_row(row) for row in rows.to_dict("records")]


def _start(events: list[Score], path: pd.DataFrame) -> datetime:
    """Time of the account's first row: the first event, or where there is none the first bar."""
    start: datetime = events[0].event_time if events else path["open_time"].min()
    return start


def _orders(events: list[Score], paths: dict[str, PricePath], timing: _Timing) -> tuple[list[_Order], list[Refusal]]:
    """Find the entry bar of each event; refuse events without one, or that outlast the path."""
    orders, refusals = [], []
    interval_us, horizon_us = microseconds(timing.path_interval), microseconds(timing.horizon)
    for score in events:
        path = paths[score.symbol]
        event_us = _since_1970(score.event_time)
        decision_us = event_us + microseconds(timing.decision_lag)
        sent_us = event_us if timing.coarse else decision_us
        bar = path.first_bar_from(sent_us)
        reason = None
        if bar == len(path.open_time) or path.close_time[-1] < path.open_time[bar] + horizon_us:
            message = f"the path ends at {_moment(int(path.close_time[-1]))}, before the horizon has passed"
            reason = Reason(ReasonCode.PATH_ENDS_BEFORE_HORIZON, message)
        elif path.open_time[bar] - sent_us >= interval_us:
            message = f"no bar opens within {timing.path_interval} of {_moment(sent_us)}"
            reason = Reason(ReasonCode.NO_ENTRY_BAR, message)
        if reason is None:
            time_us = max(decision_us, int(path.open_time[bar]))
            orders.append(_Order(score=score, path=path, entry_bar=bar, time_us=time_us))
        else:
            refusals.append(
                Refusal(
                    symbol=score.symbol,
                    event_time=score.event_time,
                    decided_at=_moment(decision_us),
                    reasons=(reason,),
                )
            )
    return sorted(orders, key=lambda order: (order.time_us, order.score.symbol)), refusals


def _account(cash: float, trades: list[ClosedTrade], paths: dict[str, PricePath], order: _Order) -> Account:
    """Value the account at the market when an order is sent."""
    equity, positions = cash, []
    for trade in trades:
        plan, path = trade.plan, paths[trade.plan.symbol]
        mark = path.price_at(order.time_us)
        paid = path.funding_usd(
            side=plan.side,
            quantity=plan.quantity,
            start_us=_since_1970(trade.entry_time),
            end_us=order.time_us,
        )
        equity += plan.side * plan.quantity * (mark - plan.entry) - trade.entry_costs_usd - paid
        positions.append(
            OpenPosition(
                symbol=plan.symbol,
                side=plan.side,
                quantity=plan.quantity,
                entry=plan.entry,
                mark=mark,
                leverage=plan.leverage,
                risk_usd=plan.risk_usd,
            )
        )
    return Account(equity=equity, open_positions=tuple(positions))


def _book(ledger: Ledger, trades: list[ClosedTrade], *, until: datetime | None) -> list[ClosedTrade]:
    """Book the trades whose exit is known by then (None: all), in the order of exits; return the others."""
    known = [trade for trade in trades if until is None or trade.exit_time <= until]
    for trade in sorted(known, key=lambda trade: (trade.exit_time, trade.plan.symbol)):
        ledger.record_trade(trade)
    return [trade for trade in trades if until is not None and trade.exit_time > until]
