"""Trade the past: every event in time order through the gate, every plan along its price path to an exit.

Where the fine bars do not show what happened, the worse is assumed: a bar that touches stop and target is a stop, a gap
through the stop fills at the open, the entry bar counts, and costs are those of the plan.

A liquidation is triggered by the mark price where one is recorded, otherwise by the last trades. It can only come first
where the market gaps beyond the stop *and* the liquidation price, or where the mark runs ahead of the last trades.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import pandas as pd

from slackwater.errors import MissingDataError, OrderError, ParameterError, SchemaError
from slackwater.times import DAY_US, MINUTE, epoch_us, microseconds, timestamp
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.correlations import HourlyCorrelations, HourlyPrices
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.drawdown_control import TrackRecord
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, Ledger
from slackwater.trading.price_path import PricePath
from slackwater.trading.read_paths import PathsThatAreRead, RecentPaths
from slackwater.trading.reasons import Reason
from slackwater.trading.score import SCORE_COLUMNS, Score

__all__ = ["Backtest", "BacktestResult", "Progress", "in_exit_order"]

_ALWAYS = 2**62
_FIRST_DAY = date(1970, 1, 1)
_MOST_BARS: Final = 4_000_000
"""Bars of windows that are kept, about 300 MB."""
_ROWS: Final = 8_192

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The tables of one backtest: see `Ledger.trades`, `Ledger.refusals` and `Ledger.equity`.

    `decisions` holds every plan and every refusal in full, in the order in which they were made.

    `exposure` has one row per opening or closing of a position: time (UTC), n_positions, gross_notional_usd,
    net_notional_usd (longs less shorts, both at the mark), equity_usd, leverage (gross notional over equity) and
    open_risk_fraction (loss at all stops over equity).
    """

    trades: pd.DataFrame
    refusals: pd.DataFrame
    equity: pd.DataFrame
    exposure: pd.DataFrame
    decisions: tuple[TradePlan | Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Order:
    """An event at the time at which its order would be sent, and the open of its entry bar, at which it is filled."""

    score: Score
    entry_us: int
    price: float
    time_us: int

    @property
    def time(self) -> datetime:
        return timestamp(self.time_us)


class _Windows:
    """The prices of an order from its entry to its horizon; those used last are kept, as several accounts fill it."""

    def __init__(self, paths: Mapping[str, PricePath], horizon: timedelta) -> None:
        self._paths, self._horizon_us = paths, microseconds(horizon)
        self.recent = RecentPaths(_MOST_BARS)

    def of(self, order: _Order) -> PricePath:
        """Return the bars from the entry bar on, which is the first."""
        paths, symbol, span = self._paths, order.score.symbol, self._span(order)
        if isinstance(paths, PathsThatAreRead):
            return self.recent.of((symbol, order.entry_us), lambda: paths.between(symbol, *span))
        return self.cut(order, paths[symbol])

    def cut(self, order: _Order, path: PricePath) -> PricePath:
        """Return the same from the path of its symbol, which is at hand."""
        return self.recent.of((order.score.symbol, order.entry_us), lambda: path.between(*self._span(order)))

    def _span(self, order: _Order) -> tuple[int, int]:
        return order.entry_us, order.entry_us + self._horizon_us


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backtest:
    """Events and prices of the past, parsed and checked once, to be traded under any gate. Make one with `of`.

    `events` are in the order of time and symbol; `paths` has the price path of every symbol with an event, and maybe of
    others; `hourly` has the prices of those with an event at full hours.
    """

    events: tuple[Score, ...]
    paths: Mapping[str, PricePath]
    hourly: Mapping[str, HourlyPrices]
    initial_equity: float
    horizon: timedelta
    latency: timedelta
    start: datetime
    orders: tuple[_Order, ...]
    untradable: tuple[Refusal, ...]
    windows: _Windows = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", _Windows(self.paths, self.horizon))

    @property
    def symbols(self) -> list[str]:
        """The symbols that have an event, in order."""
        return sorted({event.symbol for event in self.events})

    @classmethod
    def of(
        cls,
        scores: pd.DataFrame,
        paths: Mapping[str, PricePath],
        *,
        initial_equity: float,
        decision_lag: timedelta,
        horizon: timedelta,
        fine_bar_interval: timedelta,
    ) -> Backtest:
        """Parse and check the scores, and find the entry bar of every event.

        Parameters
        ----------
        scores
            One row per event, with `SCORE_COLUMNS`; `missing_features`, `out_of_range_features` and `triggers` may be
            absent (there are none then). Rows whose `direction` is 0 or NaN are not events and are passed over.
        paths
            Fine bars and funding of each symbol (`slackwater.trading.price_path.price_paths`). A mapping that reads its
            paths when they are asked for is held one symbol at a time.
        initial_equity
            USDT, > 0.
        decision_lag
            Time from the close of an event's bar to the decision, >= 0.
        horizon
            Time exit, counted from the fill; must be that of the gate.
        fine_bar_interval
            Length of a fine bar. Above one minute the entry is the open of the bar that opens with the event, and the
            decision lag is charged as slippage instead.

        Raises
        ------
        SchemaError, OrderError, MissingDataError
            If `scores` lacks a column or repeats an event, or the symbol of an event has no path.
        ParameterError
            If a duration is out of range.
        """
        if not decision_lag >= timedelta(0):
            raise ParameterError(f"`decision_lag` must be at least 0, was {decision_lag}")
        if not timedelta(0) < fine_bar_interval <= horizon:
            raise ParameterError(f"`fine_bar_interval` must be in (0, `horizon`], was {fine_bar_interval}")
        if not isinstance(paths, Mapping):
            raise ParameterError(f"`paths` must be price paths by symbol (`price_paths`), was {type(paths).__name__}")
        events = _events(scores)
        by_symbol: dict[str, list[Score]] = {}
        for event in events:
            by_symbol.setdefault(event.symbol, []).append(event)
        if not paths:
            raise MissingDataError("there are no fine bars")
        if lacking := sorted(by_symbol.keys() - set(paths)):
            known = ", ".join(paths)
            raise MissingDataError(f"there are no fine bars of {', '.join(lacking)}; there are of {known}")
        # Coarse bars do not show what happens between the event and the order.
        coarse = fine_bar_interval > MINUTE
        orders: list[_Order] = []
        untradable: list[Refusal] = []
        hourly = {}
        for symbol in sorted(by_symbol):
            path = paths[symbol]
            found = _orders(
                by_symbol[symbol],
                path,
                decision_us=microseconds(decision_lag),
                wait_us=0 if coarse else microseconds(decision_lag),
                interval=fine_bar_interval,
                horizon_us=microseconds(horizon),
            )
            orders += found[0]
            untradable += found[1]
            hourly[symbol] = HourlyPrices.of(path)
        first = [timestamp(int(path.open_time[0])) for path in paths.values()] if not events else []
        return cls(
            events=tuple(events),
            paths=paths,
            hourly=hourly,
            initial_equity=initial_equity,
            horizon=horizon,
            latency=decision_lag if coarse else timedelta(0),
            start=events[0].event_time if events else min(first),
            orders=tuple(sorted(orders, key=lambda order: (order.time_us, order.score.symbol))),
            untradable=tuple(sorted(untradable, key=lambda refusal: (refusal.event_time, refusal.symbol))),
        )

    def rescored(self, predictions: pd.DataFrame) -> Backtest:
        """Return the same events and prices with other predictions.

        Parameters
        ----------
        predictions
            One row per event: ``symbol``, ``event_time``, ``p_direction``, ``trade_edge`` and ``trade_edge_low``. What
            else a score holds stays.

        Raises
        ------
        SchemaError
            If a column is missing, or an event has no prediction.
        """
        names = ["p_direction", "trade_edge", "trade_edge_low"]
        missing = [name for name in ("symbol", "event_time", *names) if name not in predictions]
        if missing:
            raise SchemaError(f"table predictions lacks the columns {', '.join(missing)}")
        keys = zip(predictions["symbol"], predictions["event_time"], strict=True)
        found = dict(zip(keys, predictions[names].to_dict("records"), strict=True))
        lost = [event for event in self.events if (event.symbol, event.event_time) not in found]
        if lost:
            raise SchemaError(f"{len(lost)} events have no prediction, first {lost[0].symbol} at {lost[0].event_time}")

        events = tuple(replace(event, **found[event.symbol, event.event_time]) for event in self.events)
        by_key = {(event.symbol, event.event_time): event for event in events}
        orders = (replace(order, score=by_key[order.score.symbol, order.score.event_time]) for order in self.orders)
        return replace(self, events=events, orders=tuple(orders))

    def run(self, gate: Gate, *, progress: Progress | None = None) -> BacktestResult:
        """Run one account through all events of all symbols.

        Parameters
        ----------
        gate
            The gate that live trading uses.
        progress
            Called with (events done, events in all).

        Raises
        ------
        ParameterError
            If the horizon is not that of the gate, or the equity is out of range.

        Notes
        -----
        The gate gets the price at which the order is sent (the open of the entry bar) and the account at that time:
        cash, open positions at the market, their entry costs and funding so far. Events of one time come in the order
        of their symbols. A position counts as open until the close of its exit bar.

        Funding is charged at every settlement after the fill and up to the exit, on the price of that time.
        """
        gate = self.charged(gate)
        ledger = Ledger(initial_equity=self.initial_equity, start=self.start)
        for refusal in self.untradable:
            ledger.record_refusal(refusal)
        book = _Book(ledger, TrackRecord.start(self.initial_equity, self.start))
        correlations = HourlyCorrelations(self.hourly)
        decisions: list[TradePlan | Refusal] = [*self.untradable]
        for done, order in enumerate(self.orders, start=1):
            account = book.account(order.score.symbol, order.time_us, correlations)
            decision = gate.decide(order.score, account, now=order.time, price=order.price)
            decisions.append(decision)
            if isinstance(decision, Refusal):
                ledger.record_refusal(decision)
            else:
                window = self.windows.of(order)
                book.open(window.hold(decision, entry_bar=0, horizon=self.horizon), window)
            if progress is not None:
                progress(done, len(self.orders))
        book.advance(_ALWAYS)
        return BacktestResult(
            trades=ledger.trades(),
            refusals=ledger.refusals(),
            equity=ledger.equity(),
            exposure=book.exposure(),
            decisions=tuple(sorted(decisions, key=lambda decision: decision.decided_at)),
        )

    def unit_risk_trades(self, gate: Gate, *, progress: Progress | None = None) -> list[ClosedTrade]:
        """Return the trades that the gate accepts when each meets the same equity and no open position.

        This is the sample for the verdict: no trade is left out or made smaller because of another one, and no rule of
        drawdown control ends it. Trades may overlap, also within a symbol; they come in the order of their exits.
        Parameters and errors are those of `run`.
        """
        gate = self.charged(gate)
        account = Account(equity=self.initial_equity)
        trades = []
        # Symbol after symbol, so that each path is read once.
        for done, order in enumerate(sorted(self.orders, key=lambda order: order.score.symbol), start=1):
            decision = gate.decide(order.score, account, now=order.time, price=order.price)
            if isinstance(decision, TradePlan):
                window = self.windows.cut(order, self.paths[order.score.symbol])
                trades.append(window.hold(decision, entry_bar=0, horizon=self.horizon))
            if progress is not None:
                progress(done, len(self.orders))
        return in_exit_order(trades)

    def charged(self, gate: Gate) -> Gate:
        """Return the gate that decides: the one given, or on coarse bars one with the decision lag among its costs.

        Raises
        ------
        ParameterError
            If the horizon of the gate is another one.
        """
        if gate.horizon != self.horizon:
            raise ParameterError(f"`horizon` must be that of the gate, {gate.horizon}, was {self.horizon}")
        if self.latency <= gate.costs.latency:
            return gate
        return replace(gate, costs=replace(gate.costs, latency=self.latency))


def in_exit_order(trades: Iterable[ClosedTrade]) -> list[ClosedTrade]:
    """Return trades in the order of their exits, then of their symbols; equal ones keep theirs."""
    return sorted(trades, key=_by_exit)


def _events(scores: pd.DataFrame) -> list[Score]:
    """Return the rows that are events as scores, in the order of time and symbol."""
    nothing = pd.Series([()] * len(scores), index=scores.index, dtype=object)
    for name in ("missing_features", "out_of_range_features", "triggers"):
        if name not in scores.columns:
            scores = scores.assign(**{name: nothing})
    missing = [name for name in SCORE_COLUMNS if name not in scores.columns]
    if missing:
        raise SchemaError(f"table scores lacks the columns {', '.join(missing)}")
    twice = scores.duplicated(["symbol", "event_time"]).to_numpy()
    if twice.any():
        raise OrderError(f"table scores: symbol and event_time repeat at rows {scores.index[twice][:3].tolist()}")
    direction = scores["direction"]
    rows = scores.loc[direction.notna() & (direction != 0), list(SCORE_COLUMNS)].sort_values(["event_time", "symbol"])
    # A part at a time: as dictionaries, the rows are several times as long.
    parts = (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))
    return [Score.from_row(row) for part in parts for row in part.to_dict("records")]


def _orders(
    events: list[Score],
    path: PricePath,
    *,
    decision_us: int,
    wait_us: int,
    interval: timedelta,
    horizon_us: int,
) -> tuple[list[_Order], list[Refusal]]:
    """Find the entry bar of each event of a symbol; refuse those without one, or whose horizon ends after the path."""
    orders, refusals = [], []
    for score in events:
        event_us = epoch_us(score.event_time)
        decided_us, sent_us = event_us + decision_us, event_us + wait_us
        bar = path.first_bar_from(sent_us)
        reason = None
        if bar == len(path.open_time) or path.close_time[-1] < path.open_time[bar] + horizon_us:
            message = f"the fine bars end at {timestamp(int(path.close_time[-1]))}, before the horizon has passed"
            reason = Reason("path_ends_before_horizon", message)
        elif path.open_time[bar] - sent_us >= microseconds(interval):
            reason = Reason("no_entry_bar", f"no bar opens within {interval} of {timestamp(sent_us)}")
        if reason is None:
            entry_us = int(path.open_time[bar])
            orders.append(
                _Order(score=score, entry_us=entry_us, price=float(path.open[bar]), time_us=max(decided_us, entry_us))
            )
        else:
            refusals.append(
                Refusal(
                    symbol=score.symbol,
                    event_time=score.event_time,
                    decided_at=timestamp(decided_us),
                    reasons=(reason,),
                    triggers=score.triggers,
                )
            )
    return orders, refusals


class _OpenTrade(NamedTuple):
    """A trade that has not ended, and the prices from its entry to its horizon."""

    trade: ClosedTrade
    path: PricePath

    def position(self, time_us: int) -> OpenPosition:
        plan = self.trade.plan
        return OpenPosition(
            symbol=plan.symbol,
            side=plan.side,
            quantity=plan.quantity,
            entry=plan.entry,
            mark=self.path.mark_at(time_us),
            leverage=plan.leverage,
            risk_usd=plan.risk_usd,
        )


class _Book:
    """State of the account during a backtest: cash, open trades, record and exposure.

    Trades are walked to their exits when they are opened; the account learns of an exit when its time has come.
    """

    def __init__(self, ledger: Ledger, record: TrackRecord) -> None:
        self._ledger, self._record = ledger, record
        self._open: list[_OpenTrade] = []
        self._exposure: list[dict[str, Any]] = []

    def open(self, trade: ClosedTrade, path: PricePath) -> None:
        """Open a trade whose order was sent at this time, with the prices from its entry to its horizon."""
        self._open.append(_OpenTrade(trade, path))
        self._note(epoch_us(trade.entry_time))

    def account(self, symbol: str, time_us: int, correlations: HourlyCorrelations) -> Account:
        """Return the account at the market when an order of a symbol is sent."""
        self.advance(time_us)
        equity = self._equity(time_us)
        self._record = self._record.observed(timestamp(time_us), equity)
        positions = tuple(each.position(time_us) for each in self._open)
        known = correlations.at(time_us, {symbol, *(each.symbol for each in positions)}) if positions else None
        return Account(equity=equity, open_positions=positions, record=self._record, correlations=known)

    def advance(self, until_us: int) -> None:
        """Book every exit up to a time, and observe the account at every midnight before it."""
        while self._open:
            ends = min(self._open, key=lambda each: _by_exit(each.trade))
            trade = ends.trade
            exit_us = epoch_us(trade.exit_time)
            # A day begins before the exits at its first microsecond are booked, so that no loss falls between two days.
            midnight = (self._record.day - _FIRST_DAY).days * DAY_US + DAY_US
            if min(midnight, exit_us) > until_us:
                break
            if midnight <= exit_us:
                self._record = self._record.observed(timestamp(midnight), self._equity(midnight))
                continue
            self._open.remove(ends)
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
        """Return the account value at the market: cash, and open trades at the mark less costs and funding so far."""
        equity = self._ledger.cash
        for trade, path in self._open:
            plan = trade.plan
            paid = path.funding_usd(
                side=plan.side, quantity=plan.quantity, start_us=epoch_us(trade.entry_time), end_us=time_us
            )
            gain = plan.side * plan.quantity * (path.mark_at(time_us) - plan.entry)
            equity += gain - trade.entry_costs_usd - paid
        return equity

    def _note(self, time_us: int) -> None:
        positions = [each.position(time_us) for each in self._open]
        equity = self._equity(time_us)
        gross = math.fsum(position.notional_usd for position in positions)
        self._exposure.append(
            {
                "time": timestamp(time_us),
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
