"""The live feed of one venue: connections, reconnects, requests, and the rows that follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from slackwater.clock import Clock, ReplayClock, StampClock, WallClock
from slackwater.errors import ParameterError, SourceError
from slackwater.feed import polled, record
from slackwater.feed.assembly import Assembly, Item
from slackwater.feed.client import is_of_ccxt, require_symbols, tapped_client, words_of
from slackwater.feed.items import FaultKind, FeedFault, FeedRow
from slackwater.feed.mock_clock import begun_clock, clock_of
from slackwater.feed.readers import READERS
from slackwater.feed.record import Raw
from slackwater.feed.requests import Requests
from slackwater.feed.settings import FeedSettings
from slackwater.feed.watchdog import Watchdog
from slackwater.sources.intervals import INTERVALS
from slackwater.times import microseconds, timestamp

__all__ = ["Feed"]

_TICK: Final = 0.5
_MINUTE_NS: Final = 60_000_000_000
_LARGEST_ERROR: Final = timedelta(seconds=1)
_ERROR_PER_SPEED: Final = timedelta(seconds=0.05)


class Feed:
    """Feed of one venue; use it as an asynchronous context, and iterate over its items.

    Entering it names what would make every row wrong before anything starts: a symbol that the venue does not have, a
    clock that is off by more than a second. From then on nothing ends it: what goes wrong is a `FeedFault`.

    Parameters
    ----------
    settings
        What is asked for.
    raw_path
        File to which every raw message is appended as one JSON line; None: none.
    clock
        Clock to wait by; None: that of the machine, or of the mock venue.

    Raises
    ------
    MissingExtraError
        If ccxt is not installed.

    Examples
    --------
    ::

        async with Feed(FeedSettings(venue="binance", symbols=("BTCUSDT",))) as feed:
            async for item in feed:
                if isinstance(item, FeedRow) and item.quality.usable and item.table in INPUT_TABLES:
                    session.push(item.table, item.row)
    """

    def __init__(
        self, settings: FeedSettings, *, raw_path: str | Path | None = None, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or WallClock()
        self._asks_for_clock = clock is None and settings.server is not None
        self.reader = READERS[settings.venue]
        self._raw_path = raw_path
        self._raw_file: TextIO | None = None
        self._items: asyncio.Queue[Item | BaseException] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: Any = None
        self._closing: set[asyncio.Task[None]] = set()
        self._markets: dict[str, dict[str, Any]] = {}
        self._ended = asyncio.Event()
        self._interval = INTERVALS[settings.interval]
        self._polls = polled.polls_of(
            self.reader.venue, interval=self._interval, finest=settings.finest, wanted=settings.polled
        )
        self._marked = 0
        self._messages = 0
        self._goes_by_stamps = False
        self._since = 0
        streams = [(name, symbol) for name in ("bars", "trades") for symbol in settings.symbols]
        self.watchdog = Watchdog(streams, settings.rhythms)
        rhythms = {poll.table: poll.rhythm for poll in self._polls if poll.rhythm is not None}
        self._stale = Watchdog([(name, symbol) for name in rhythms for symbol in settings.symbols], rhythms)

    # -- life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Feed:
        try:
            if self._asks_for_clock:
                self.clock = await clock_of(str(self.settings.server)) or self.clock
            if differs := await self._open():
                raise SourceError(f"{differs}, and start again")
        except BaseException:
            await self._closed()
            raise
        start_ns = self.clock.now_ns()
        sizes = {symbol: float(market.get("contractSize") or 1.0) for symbol, market in self._markets.items()}
        speed = self.clock.speed if isinstance(self.clock, ReplayClock) else 0.0
        self.assembly = Assembly(self.settings, sizes, start_ns, clock_error=speed * _ERROR_PER_SPEED)
        self.assembly.listen(self.watchdog.heard)
        self._requests = Requests(
            self.assembly, self._polls, take=self._take, fault=self._fault, clock=lambda: self.clock
        )
        self._stale.listen(start_ns)
        if self._raw_path is not None:
            self._raw_file = Path(self._raw_path).open("a", encoding="utf-8")  # noqa: SIM115 -- closed on leaving
        self._start(self._connections())
        self._start(self._ticks())
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._closed()
        if self._raw_file is not None:
            self._raw_file.close()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            item = await self._items.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    def follow(self, symbols: Collection[str]) -> None:
        """Have every trade of these symbols passed on as a `Print`, and of no others."""
        self.assembly.followed = set(symbols)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        """Hand an error that nobody expected to whoever iterates: a feed does not die in silence."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._items.put_nowait(error)

    def _take_data(self, message: Any) -> None:
        """Take a message of a stream."""
        self._messages += 1
        if isinstance(self.clock, StampClock):
            with contextlib.suppress(Exception):  # what cannot be read is reported by the assembly
                told = self.reader.read(message, self.assembly.sizes)
                self.clock.note(1_000_000 * max(each.stamp for each in told))
        self._take(record.WEBSOCKET, message)

    def _take(self, stream: str, message: Any) -> None:
        """Record a raw message, and pass on what follows from it."""
        raw = Raw(self.clock.now_ns(), self.settings.venue, stream, message)
        if self._raw_file is not None:
            self._write(self._raw_file, raw.line())
        for item in self.assembly.take(raw):
            if isinstance(item, FeedRow):
                self._stale.heard(item.table, item.row["symbol"], raw.receive_ns)
            self._items.put_nowait(item)

    def _write(self, file: TextIO, text: str) -> None:
        """Write to the record; without it, as on a full disk, the feed goes on."""
        try:
            file.write(text)
            file.flush()
        except OSError as error:
            self._raw_file = None
            self._fault(
                FaultKind.REFUSED, "record", "", f"{file.name} cannot be written, it ends here: {error.strerror}"
            )

    def _fault(self, kind: FaultKind, stream: str, symbol: str, text: str) -> None:
        where = " ".join(part for part in (self.settings.venue, symbol, stream) if part)
        time = timestamp(self.clock.now_ns() // 1000)
        self._items.put_nowait(FeedFault(kind, time, stream, symbol, f"{where}: {text}"))

    # -- connections -----------------------------------------------------------------------------------------

    async def _open(self) -> str:
        """Make a client, load its markets, and compare the clocks; return a sentence if they differ, or nothing."""
        venue = self.settings.venue
        self._client = tapped_client(self.reader, self.settings.server, self._take_data)
        try:
            await self._client.load_markets()
            before = self.clock.now_ns()
            theirs = int(await self._client.fetch_time())
            after = self.clock.now_ns()
        except Exception as error:
            if not is_of_ccxt(error):
                raise
            raise SourceError(f"{venue} cannot be asked for its markets and time: {words_of(error)}") from None
        self._markets = require_symbols(self._client, self.reader, self.settings.symbols)
        if self._goes_by_stamps:
            self.clock.note(theirs * 1_000_000)
            return ""
        off = timedelta(milliseconds=(before + after) // 2_000_000 - theirs)
        uncertain = timedelta(microseconds=(after - before) // 2_000)
        if abs(off) - uncertain <= _LARGEST_ERROR:
            return ""
        way = "ahead of" if off > timedelta(0) else "behind"
        seconds = f"{abs(off).total_seconds():,.1f} s"
        return f"the clock of this machine is {seconds} {way} that of {venue}, and a second is the most: set it (NTP)"

    def _close_client(self) -> None:
        """Begin to close the client; nobody waits for it, because the other end may be gone."""
        client, self._client = self._client, None
        if client is not None:
            closing = asyncio.get_running_loop().create_task(client.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _closed(self) -> None:
        """Close the client, and wait until all that were closed are so: each holds sockets."""
        self._close_client()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connections(self) -> None:
        """Keep a connection, for ever: the first one is open already."""
        backoff = 1.0
        while True:
            try:
                if self._client is None and (differs := await self._open()):
                    self._fault(FaultKind.CLOCK, "", "", differs)  # it was right at the start: go on
                heard = await self._connected()
                backoff = 1.0 if heard else backoff
            except (SourceError, ParameterError) as error:
                self._take(record.LOST, str(error))
            self._requests.client = None
            self._close_client()
            await self.clock.sleep(backoff)
            backoff = min(2.0 * backoff, self.settings.longest_backoff.total_seconds())

    async def _connected(self) -> bool:
        """Subscribe, and stay until the connection ends; return whether anything was received."""
        self._ended = asyncio.Event()
        self._requests.client, self._requests.markets = self._client, self._markets
        before = self._messages
        self._take(record.CONNECTED, self.assembly.origin)
        self._mark_gap()
        self._listen()
        unified = [self._markets[symbol]["symbol"] for symbol in self.settings.symbols]
        names = [name for name in (self.settings.interval, self.settings.fine_interval) if name]
        tasks = [self._start(self._subscribed(work)) for work in self.reader.subscribe(self._client, unified, names)]
        for symbol in self.settings.symbols:
            if self.assembly.last_trade(symbol) is not None:
                self._start(self._requests.missed_trades(symbol))
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        return self._messages > before

    async def _subscribed(self, work: Coroutine[Any, Any, Any]) -> None:
        """Wait for a subscription to end, which only a lost connection brings about: its data are tapped."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._end(f"a subscription ended ({words_of(error)})")

    def _listen(self) -> None:
        """Begin to count silences, and the age of the connection."""
        self._since = self.clock.now_ns()
        self.watchdog.listen(self._since)

    def _end(self, reason: str) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._take(record.LOST, reason)
            self._mark_gap()

    def _mark_gap(self) -> None:
        """Mark an end of a time in which the stream of liquidations, where there is one, was not seen."""
        if self.reader.has_liquidations:
            self._take(record.GAP, None)

    # -- what is due -----------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        if isinstance(self.clock, StampClock) and self._asks_for_clock:
            begun = await begun_clock(str(self.settings.server))
            self._goes_by_stamps = begun is None
            self.clock = begun or self.clock
            self._listen()
        while True:
            await self.clock.sleep(_TICK)
            now = self.clock.now_ns()
            # While there is no connection, that is the fault, and it has been named.
            for silence in [] if self._ended.is_set() else self.watchdog.silences(now):
                text = f"no data for {silence.seconds:.0f} s, whatever was acknowledged; connecting again"
                self._fault(FaultKind.SILENT, silence.stream, silence.symbol, text)
                self._end(f"{silence.symbol} {silence.stream} is silent")
            for silence in self._stale.silences(now):
                text = f"no new row for {silence.seconds:.0f} s, whatever was answered"
                self._fault(FaultKind.SILENT, silence.stream, silence.symbol, text)
            if now - self._since > self.settings.rebuild_after / timedelta(microseconds=1) * 1000:
                self._end(f"replaced at the age of {self.settings.rebuild_after}: old connections fail silently")
            if self.assembly.any_due(now):
                self._take(record.TICK, None)
            self._mark_gaps(now)
            for work in self._requests.due(now):
                self._start(work)

    def _mark_gaps(self, now: int) -> None:
        """Mark each bar in which liquidations may be missed; the ends of a gap are marked where they are noticed."""
        place = now // 1000 // microseconds(self._interval)
        if place != self._marked:
            self._marked = place
            if not self._sees_liquidations(now):
                self._take(record.GAP, None)

    def _sees_liquidations(self, now: int) -> bool:
        """Return whether liquidations would have been seen in the last minute."""
        if self.reader.has_liquidations:
            return not self._ended.is_set() and self.watchdog.alive(self.reader.beside_liquidations, now)
        polled_tables = {poll.table for poll in self._polls}
        return "liquidations" not in polled_tables or self._requests.answered_since("liquidations", now - _MINUTE_NS)
