"""Paper trading without sockets: messages of a mock venue through assembly, log, desk and journal, in one thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.feed import polled, record
from slackwater.feed.assembly import Assembly
from slackwater.feed.record import Raw
from slackwater.journal.event import Event
from slackwater.paper.input_log import Input, LoggedInput, Tick
from slackwater.paper.stored_account import PaperSettings, StoredAccount
from slackwater.paper.watch import feed_settings
from slackwater.scoring.scorer import ReversalScorer
from slackwater.sources.intervals import INTERVALS
from slackwater.times import epoch_us, microseconds
from slackwater.venue.delivery import Delivery
from slackwater.venue.dialects import DIALECTS
from slackwater.venue.dialects.dialect import Market, Pushed
from slackwater.venue.script import fault_of_text
from slackwater.venue.tape import Candle, Tape, Trade
from slackwater.venue.tape import Event as Happening
from tests.paper_run import before

VENUE = "binance"
SECOND_US = 1_000_000


class PaperLine:
    """An account of Binance in a directory, as `slackwater watch` keeps it, whose venue is a tape.

    `around` is called with the arrival (microseconds since 1970) of each message, answer or tick and with what is to be
    done about it, which returns the events that follow. Without `disk` nothing is logged or journalled after the start.
    """

    def __init__(
        self,
        place: Path,
        scorer: ReversalScorer,
        tables: Mapping[str, pd.DataFrame],
        start: pd.Timestamp,
        *,
        fine_interval: str = "1m",
        faults: Sequence[str] = (),
        disk: bool = True,
        around: Callable[[int, Callable[[], list[Event]]], Any] = lambda arrived, work: work(),
    ) -> None:
        symbols = tuple(sorted(set(tables["bars"]["symbol"])))
        self.place, self.disk, self.around = place, disk, around
        self.settings = PaperSettings(
            directory=place / "paper",
            journal=place / "journal.db",
            venue=VENUE,
            symbols=symbols,
            fine_interval=fine_interval,
            server="http://127.0.0.1:1",  # none: what is simulated is so in the journal
        )
        self.account = StoredAccount(self.settings, scorer)
        self.account.open(start, before(dict(tables), start))
        self.desk = self.account.desk
        finest, interval = INTERVALS[fine_interval], scorer.spec.bar_interval
        self.assembly = Assembly(feed_settings(self.account), dict.fromkeys(symbols, 1.0), start.value)
        self.assembly.take(Raw(start.value, VENUE, record.CONNECTED, self.assembly.origin))
        self.dialect, self.reader = DIALECTS[VENUE], self.assembly.reader
        self.tape = Tape(tables, symbols)
        self.start_us, self.delivery = epoch_us(start), Delivery([fault_of_text(each) for each in faults])
        self.lengths = sorted({microseconds(interval), microseconds(finest)})
        self.polls = polled.polls_of(self.reader.venue, interval=interval, finest=finest)
        self._polled = {poll.table: poll.due(self.start_us) for poll in self.polls}
        self.now_us = self.start_us

    # -- what happens ----------------------------------------------------------------------------------------

    def run(self, end_us: int) -> None:
        """Let everything happen up to a time, microseconds since 1970."""
        for event in self.tape.events(self.now_us, end_us):
            self.pass_time(event.time)
            for text in self._texts(event):
                self.receive(event.time, record.WEBSOCKET, json.loads(text))
        self.pass_time(end_us)

    def _texts(self, event: Happening) -> list[str]:
        elapsed = timedelta(microseconds=event.time - self.start_us)
        pushed, what = Pushed(event.symbol, event.time // 1000, event.time // 1000), event.what
        if isinstance(what, Candle):
            bars = [self.tape.candle(event, length) for length in self.lengths]
            candles = [(self.dialect.candle(pushed, bar), bar) for bar in bars]
            return [t for c, bar in candles for t in self.delivery.changed("bars", event.symbol, c, elapsed, bar)]
        if isinstance(what, Trade):
            return self.delivery.changed("trades", event.symbol, self.dialect.trade(pushed, what), elapsed)
        message = self.dialect.liquidations([pushed], [what])
        return self.delivery.changed("liquidations", event.symbol, message, elapsed)

    def pass_time(self, until_us: int) -> None:
        """Request what is due, and let the desk decide, second by second."""
        while self.now_us < until_us:
            self.now_us = min((self.now_us // SECOND_US + 1) * SECOND_US, until_us)
            if self.disk or self.now_us >= self.desk.next_decision_us:
                due_us = min(max(self.desk.next_decision_us, self.now_us - SECOND_US), self.now_us)
                self.around(due_us, lambda: self._take(self.now_us, self._tick()))
            if self.now_us % (60 * SECOND_US) < 10 * SECOND_US:
                self._request()

    def _request(self) -> None:
        now, finest = self.now_us, self.assembly.settings.finest
        if self.assembly.any_due(now * 1000):
            self.receive(now, record.TICK, None)
        for need in self.assembly.needs(now * 1000):
            length = self.assembly.settings.bar_tables[need.table]
            self._ask(need.table, need.symbol, need.opens[0], need.opens[-1], length)
        for poll in self.polls:
            if self._polled[poll.table] != (due := poll.due(now)):
                self._polled[poll.table] = due
                for symbol in self.settings.symbols:
                    self._ask(poll.table, symbol, now - microseconds(poll.reach), now, finest)

    def _ask(self, table: str, symbol: str, first: int, last: int, interval: timedelta) -> None:
        market = Market(self.tape.histories, self.now_us, self.now_us // 1000, False)
        if table == polled.DEPTH:
            bids, asks = market.book(symbol)
            answer: Any = {"bids": bids, "asks": asks}
        else:
            method, params = polled.address(self.reader.venue, table, symbol, first, last, interval)
            name = method.rpartition("Get")[2]
            query = {key: str(value) for key, value in params.items()}
            answer = self.dialect.answer(f"/{name[0].lower()}{name[1:]}", query, market).content
        self.receive(self.now_us, f"rest {table}", {"symbol": symbol, "answer": answer})

    # -- what is made of it ----------------------------------------------------------------------------------

    def receive(self, now_us: int, stream: str, message: Any) -> None:
        """Receive a message of a stream, or an answer."""
        self.around(now_us, lambda: self._received(now_us, stream, message))

    def _received(self, now_us: int, stream: str, message: Any) -> list[Event]:
        items = self.assembly.take(Raw(now_us * 1000, VENUE, stream, message))
        return [event for item in items for event in self._take(now_us, item)]

    def _tick(self) -> Tick:
        prices = {name: self.assembly.last_price(name) for name in self.settings.symbols}
        return Tick({name: price for name, price in prices.items() if price is not None})

    def _take(self, now_us: int, what: Input) -> list[Event]:
        taken = LoggedInput(max(now_us, self.desk.now_us), what)
        events = self.account.take(now_us, what) if self.disk else self.desk.take(taken)
        if events:
            self.assembly.followed = set(self.desk.broker.working)
        return events
