"""The desk: what a live process was told becomes scores, decisions, orders, fills and events of the journal.

It has neither clock nor network nor files. The same inputs lead to the same events, so that a process that was killed
continues by reading its inputs again, and a reconciliation can ask what would have happened.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np

from slackwater.errors import SlackwaterError
from slackwater.feed.items import FeedFault, FeedRow, Print, Quality
from slackwater.journal.event import Event, Origin
from slackwater.journal.kinds import data_fault_event, decision_event, score_event
from slackwater.labels.trades import TradeRules
from slackwater.market.bars import BAR_RULE, impossible_bars
from slackwater.market.inputs import INPUT_TABLES
from slackwater.paper.alarms import Alarms
from slackwater.paper.broker import Broker
from slackwater.paper.forgone import ForgoneTrades
from slackwater.paper.hourly_closes import HourlyCloses
from slackwater.paper.input_log import LoggedInput, Tick
from slackwater.paper.position import Bar
from slackwater.scoring.session import Session
from slackwater.scoring.stream import EventScore
from slackwater.sources.exchange.tables import LAGS
from slackwater.times import DAY_US, SECOND, epoch_us, microseconds, timestamp
from slackwater.trading.account import Account
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate

__all__ = ["Desk", "DeskSettings"]

_IN_TIME: Final = (Quality.LIVE, Quality.POLLED)

_TABLES: Final = frozenset({*INPUT_TABLES, "fine_bars", "mark_price"})
"""Tables of which a feed has rows."""


@dataclass(frozen=True, kw_only=True)
class DeskSettings:
    """What a desk trades with.

    Parameters
    ----------
    origin
        Account and bundle, for the journal.
    equity
        Cash at the start, USDT.
    start_us
        Start, in microseconds since 1970.
    finest
        Table of the finest bars, ``fine_bars`` or ``bars``, and their length.
    fed
        Tables that the feed supplies.
    patience
        How long a bar of some symbols is waited for after the last one that came.
    """

    origin: Origin
    equity: float
    start_us: int
    finest: tuple[str, timedelta]
    fed: tuple[str, ...] = ()
    patience: timedelta = 30 * SECOND


class Desk:
    """Trader on paper: `take` every input in order, and write down the events that it returns.

    The bars of a close are scored when those of all symbols are there, at the earliest when the decision is due. Those
    of some are waited for while others still come; a decision that is late for that reason is refused by the gate.

    Parameters
    ----------
    session
        Scores, warmed with history.
    gate
        Rules, with the contracts of the venue.
    settings
        Account, and how bars are waited for.

    Attributes
    ----------
    broker, forgone, alarms, closes
        Its parts.
    scores : dict
        Last score by symbol.
    newest : dict
        Event time of the newest row by table and symbol, microseconds since 1970.
    now_us : int
        Time of the last input, microseconds since 1970.
    """

    def __init__(self, session: Session, gate: Gate, settings: DeskSettings) -> None:
        self.session, self.gate, self.settings = session, gate, settings
        spec = session.scorer.spec
        self._step, self._lag = microseconds(spec.bar_interval), microseconds(spec.decision_lag)
        origin = settings.origin
        self.broker = Broker(
            equity=settings.equity,
            start_us=settings.start_us,
            contracts=gate.contracts,
            latency=gate.costs.latency,
            horizon=gate.horizon,
            origin=origin,
        )
        self.forgone = ForgoneTrades(
            TradeRules(contracts=gate.contracts, bracket=gate.bracket, costs=gate.costs),
            horizon=gate.horizon,
            interval=settings.finest[1],
            decision_lag=spec.decision_lag,
            origin=origin,
        )
        self.alarms = Alarms(session.scorer.feature_names, origin)
        self.closes = HourlyCloses()
        self.scores: dict[str, EventScore] = {}
        self._bars: dict[str, list[int]] = {symbol: [] for symbol in session.symbols}
        self._notes: dict[str, set[tuple[int, str]]] = {symbol: set() for symbol in session.symbols}
        self._next = self._first_close()
        self._last_bar_us = self._fault_us = 0
        self._day = settings.start_us // DAY_US
        self.newest: dict[str, dict[str, int]] = {}
        self.now_us = settings.start_us

    def _first_close(self) -> int:
        """Return the first close that is not scored yet: the one after history, or after the start."""
        held = self.session.record()
        bars = held.loc[held["table"] == "bars", "newest"]
        newest = self.settings.start_us if bars.empty else epoch_us(bars.max())
        return newest // self._step * self._step + self._step

    @property
    def next_decision_us(self) -> int:
        """When the next decision is due, in microseconds since 1970."""
        return self._next + self._lag

    def decides_at(self, now_us: int) -> bool:
        """Return whether a tick at a time (microseconds since 1970) leads to a decision."""
        return self.next_decision_us <= now_us and self._ready(now_us)

    # -- inputs ----------------------------------------------------------------------------------------------

    def take(self, taken: LoggedInput) -> list[Event]:
        """Take an input, and return what follows from it, in order."""
        self.now_us = max(self.now_us, taken.now_us)
        if self.now_us // DAY_US != self._day:  # before anything is booked in the new day
            self._day = self.now_us // DAY_US
            self.broker.observe(self._day * DAY_US)
        what = taken.what
        if isinstance(what, Print):
            return list(self._printed(what))
        if isinstance(what, Tick):
            return list(self._ticked(what))
        if isinstance(what, FeedFault):
            return [self._fault(what.symbol, what.stream or "feed", what.kind.name.lower(), what.text)]
        return list(self._row(what)) if what.quality.usable else []

    def _printed(self, trade: Print) -> Iterator[Event]:
        if 0.0 < trade.price < math.inf and 0.0 < trade.quantity < math.inf:
            yield from self.broker.take_print(trade, self.now_us)
        else:
            yield self._fault(trade.symbol, "trades", "impossible_trade", f"{trade.quantity} coins at {trade.price}")

    def _row(self, row: FeedRow) -> Iterator[Event]:
        symbol, table = row.row.get("symbol"), row.table
        if symbol not in self.session.symbols or table not in _TABLES:
            yield self._fault("", table, "unknown_row", f"a row of {table}, {symbol!r:.50} is not traded here")
            return
        times = self.newest.setdefault(table, {})
        event_us = epoch_us(row.row["event_time"])
        times[symbol] = max(event_us, times.get(symbol, 0))
        if row.quality not in _IN_TIME:
            self._notes[symbol].add((event_us, f"{table}: {row.quality.value}"))
        if table in INPUT_TABLES:
            try:
                self.session.push(table, self._as_known(row))
            except SlackwaterError as error:
                yield self._fault(symbol, table, "refused_row", str(error))
            else:
                if table == "bars":
                    self._bars[symbol].append(event_us)
                    self._last_bar_us = self.now_us
        if table in (self.settings.finest[0], "mark_price"):
            yield from self._traded_at(symbol, table, row.row)
        elif table == "funding":
            rate = float(row.row["funding_rate"])
            if math.isfinite(rate):
                self.forgone.take_funding(symbol, event_us, rate)
                yield from self.broker.take_funding(symbol, event_us, rate)
            else:
                yield self._fault(symbol, table, "unknown_rate", f"the rate of {timestamp(event_us)} is not known")

    def _traded_at(self, symbol: str, table: str, row: Mapping[str, Any]) -> Iterator[Event]:
        """Let orders and positions meet a bar of the market or of its mark price."""
        prices = {name: float(row.get(name, math.nan)) for name in ("open", "high", "low", "close")}
        opened, closed = epoch_us(row["open_time"]), epoch_us(row["event_time"])
        if opened >= closed or impossible_bars({name: [price] for name, price in prices.items()}).any():
            text = f"the row that closes at {row['event_time']} is not a bar: {BAR_RULE}"
            yield self._fault(symbol, table, "impossible_bar", text)
            return
        bar = Bar(opened, closed, **prices)
        if table == "mark_price":
            yield from self.broker.take_mark(symbol, bar, self.now_us)
        else:
            yield from self.broker.take_bar(symbol, bar, self.now_us)
            yield from self.forgone.take_bar(symbol, bar)

    def _as_known(self, row: FeedRow) -> Mapping[str, Any]:
        """Return a row with the time from which it counts.

        A bar counts at its own decision, which waits for it. While decisions lag behind by more than a bar, none of
        them is traded: rows then count from when they would have been known, so that the features have no hole.
        """
        known, event = epoch_us(row.row["available_time"]), epoch_us(row.row["event_time"])
        if row.table == "bars":
            known = min(known, event + self._lag)
        elif self.now_us > self.next_decision_us + self._step:
            published = event + microseconds(LAGS.get(row.table, timedelta(0)))
            known = min(known, max(published, self.next_decision_us - self._step + 1))
        return {**row.row, "available_time": timestamp(known)}

    def _ticked(self, tick: Tick) -> Iterator[Event]:
        self.broker.prices.update({name: price for name, price in tick.prices.items() if 0.0 < price < math.inf})
        while self.decides_at(self.now_us):
            yield from self._closed()
            self._next += self._step

    def _ready(self, now_us: int) -> bool:
        """Return whether the next close can be scored: all bars are there, or those that lack no longer come."""
        there = [self._next in bars for bars in self._bars.values()]
        if all(there):
            return True
        newer = any(bar > self._next for bars in self._bars.values() for bar in bars)
        patient = now_us - max(self._last_bar_us, self._next + self._lag) < microseconds(self.settings.patience)
        return (any(there) or newer) and not patient

    # -- decisions -------------------------------------------------------------------------------------------

    def _closed(self) -> Iterator[Event]:
        """Score a close, and decide on its events."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                scores = self.session.close(timestamp(self._next))
            except SlackwaterError as error:
                yield self._fault("", "bars", "close_failed", str(error))
                scores = {}
        for each in warned:
            yield self._fault("", "bars", "close_warning", str(each.message))
        for symbol, bars in self._bars.items():
            self._bars[symbol] = [bar for bar in bars if bar > self._next]
        for symbol, score in scores.items():
            held = self._notes[symbol]  # those of later bars wait for them: after an outage many come at once
            self._notes[symbol] = {(time, note) for time, note in held if time > self._next}
            notes = {note for time, note in held if time <= self._next}
            noted = replace(score, quality=score.quality._replace(notes=tuple(sorted(notes))))
            self.scores[symbol] = noted
            self.closes.add(symbol, self._next, score.context.close)
            yield from self.alarms.take(noted)
            if score.direction:
                yield from self._decided(noted)

    def _decided(self, score: EventScore) -> Iterator[Event]:
        origin = self.settings.origin
        yield score_event(score, self.session.scorer.feature_names, origin)
        account = self.broker.account(self._correlations(score.symbol))
        decision = self.decide(score, account, self.broker.prices.get(score.symbol))
        content = decision.to_dict() | {"account_equity": account.equity, "data_notes": list(score.quality.notes)}
        yield decision_event(content, origin)
        if isinstance(decision, TradePlan):
            yield from self.broker.order(decision, self.now_us)
        else:
            self.forgone.refused(score, decision)

    def decide(self, score: EventScore, account: Account, price: float | None) -> TradePlan | Refusal:
        """Ask the gate about an event now, at the last price (USDT; None: there was none)."""
        return self.gate.decide(score, account, now=timestamp(self.now_us), price=price)

    def _correlations(self, symbol: str) -> Mapping[tuple[str, str], float] | None:
        if not self.broker.positions:
            return None
        return HourlyCorrelations.of(self.closes.paths()).at(self.now_us, {symbol, *self.broker.positions})

    def _fault(self, symbol: str, table: str, rule: str, message: str) -> Event:
        # Two of a moment are two events: their times name them.
        self._fault_us = max(self.now_us, self._fault_us + 1)
        return data_fault_event(
            symbol=symbol,
            time=timestamp(self._fault_us),
            table=table,
            rule=rule,
            message=" ".join(message.split())[:1000],
            origin=self.settings.origin,
        )

    # -- checkpoints -----------------------------------------------------------------------------------------

    def save_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays of the session, and everything else in types of JSON."""
        return self.session.save_state(), {
            "broker": self.broker.values(),
            "forgone": self.forgone.values(),
            "alarms": self.alarms.values(),
            "closes": self.closes.values(),
            "bars": self._bars,
            "notes": {symbol: [list(each) for each in sorted(notes)] for symbol, notes in self._notes.items()},
            "newest": self.newest,
            "next": self._next,
            "last_bar": self._last_bar_us,
            "last_fault": self._fault_us,
            "day": self._day,
            "now": self.now_us,
        }

    def load_state(self, arrays: Mapping[str, np.ndarray], content: Mapping[str, Any], where: str) -> None:
        """Continue from what `save_state` returned; BundleError if the session is that of another bundle."""
        self.session.load_state(arrays, where)
        self.broker.take_values(content["broker"])
        self.forgone.take_values(content["forgone"])
        self.alarms.take_values(content["alarms"])
        self.closes.take_values(content["closes"])
        self._bars = {symbol: list(bars) for symbol, bars in content["bars"].items()}
        self._notes = {
            symbol: {(int(time), str(note)) for time, note in notes} for symbol, notes in content["notes"].items()
        }
        self.newest = {table: dict(times) for table, times in content["newest"].items()}
        self._next, self._last_bar_us = int(content["next"]), int(content["last_bar"])
        self._fault_us = int(content["last_fault"])
        self._day, self.now_us = int(content["day"]), int(content["now"])
