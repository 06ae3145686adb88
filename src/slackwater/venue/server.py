"""A mock venue on loopback: one server for REST and websocket, and the replay of a tape."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, Literal

from aiohttp import WSMsgType, web

from slackwater.clock import Clock, ReplayClock, StampClock
from slackwater.errors import ParameterError, did_you_mean
from slackwater.loopback import listen, loopback_url, require_loopback
from slackwater.times import timestamp
from slackwater.venue.delivery import Delivery, frames
from slackwater.venue.dialects import DIALECTS
from slackwater.venue.dialects.dialect import Market, Pushed
from slackwater.venue.script import Fault, starting
from slackwater.venue.tape import Candle, Event, Liquidation, Tape, Trade

__all__ = ["CLOCK_PATH", "VenueServer", "require_address"]

CLOCK_PATH: Final = "/slackwater/clock"
"""Path of an answer that no venue has: `now_ns`, `speed` (null: as fast as the client takes it), `running`. With the
query ``wait`` it comes when the replay has begun."""

FASTEST: Final = 1000.0
_REMEMBERED: Final = 1000
_MICROSECOND: Final = timedelta(microseconds=1)


class VenueServer:
    """A mock venue; use it as an asynchronous context.

    Parameters
    ----------
    venue
        Name of the venue whose formats it has.
    tape
        What happens.
    faults
        The script.
    speed
        Seconds of the tape per second, 1 to 1000; None: as fast as the client takes it.
    clock
        Clock of the replay in place of one with that speed.
    start, end
        Time in microseconds since 1970 at which the replay begins and ends; None: where the tape does.
    host, port
        Address, which must be of the loopback interface; port 0: any that is free.
    begin
        ``"subscription"``: the replay begins with the first subscription. ``"call"``: with a call of `begin`.

    Raises
    ------
    ParameterError
        If there is no such venue, the address is not of the loopback interface, or a number is out of its range.
    """

    def __init__(
        self,
        venue: str,
        tape: Tape,
        *,
        faults: Iterable[Fault] = (),
        speed: float | None = 1.0,
        clock: Clock | None = None,
        start: int | None = None,
        end: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        begin: Literal["subscription", "call"] = "subscription",
    ) -> None:
        require_address(venue, host)
        if speed is not None and not 1.0 <= speed <= FASTEST:
            raise ParameterError(f"`speed` must be 1 to {FASTEST:g}, or max, was {speed:g}")
        self.start = tape.start if start is None else start
        self.end = tape.end + 1 if end is None else end
        if not tape.start <= self.start < self.end:
            raise ParameterError(
                f"the replay must begin within the data, from {timestamp(tape.start)}, and end later; "
                f"was {timestamp(self.start)} to {timestamp(self.end)}"
            )
        self.venue, self.host, self.port = venue, require_loopback(host), port
        if "liquidations" not in DIALECTS[venue].streams and (
            wrong := next((f for f in faults if f.kind in ("burst", "one_message") or f.stream == "liquidations"), None)
        ):
            raise ParameterError(f"fault `{wrong.kind}`: {venue} has no stream of liquidations; leave it out")
        self.dialect, self.tape, self.faults, self.speed = DIALECTS[venue], tape, tuple(faults), speed
        self.sent: Counter[str] = Counter()
        self.requests: list[str] = []
        self.begun = asyncio.Event()
        self._begins_by_itself = begin == "subscription"
        self._clock: Clock = clock or StampClock(self.start * 1000)
        self._paced = clock is not None or speed is not None
        self._connections: dict[web.WebSocketResponse, tuple[web.Request, Delivery]] = {}
        self._trades: deque[Event] = deque(maxlen=_REMEMBERED)
        self._past = -_MICROSECOND
        self._now = self.start
        self._task: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    # -- life ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> VenueServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self.port = await listen(self._runner, self.host, self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
        for request, _ in list(self._connections.values()):
            if request.transport is not None:
                request.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._task is not None:
            await asyncio.wait([self._task])

    @property
    def url(self) -> str:
        """Root of its addresses, such as ``http://127.0.0.1:8080``."""
        return loopback_url(self.host, self.port)

    @property
    def channels(self) -> int:
        """Number of channels that are subscribed to now, over all connections."""
        return sum(len(delivery.channels) for _, delivery in self._connections.values())

    def begin(self) -> None:
        """Begin the replay; later calls do nothing."""
        if self._task is None:
            if isinstance(self._clock, StampClock) and self.speed is not None:
                self._clock = ReplayClock(self.start * 1000, self.speed)
            self._task = asyncio.get_running_loop().create_task(self._replay())
            self.begun.set()

    # -- replay ----------------------------------------------------------------------------------------------

    async def replayed(self) -> None:
        """Wait for the end of the replay; an error that ended it is raised."""
        await self.begun.wait()
        if self._task is not None:
            await self._task

    async def _replay(self) -> None:
        for event in self.tape.events(self.start, self.end):
            while self._paced and (wait := event.time * 1000 - self._clock.now_ns()) > 0:
                await self._clock.sleep(wait / 1e9)
            self._clock.note(event.time * 1000)
            self._now = max(self._now, event.time)
            elapsed = (event.time - self.start) * _MICROSECOND
            await self._happen(event, elapsed)
            self._past = elapsed
            await self._tell(event, elapsed)
            await asyncio.sleep(0)

    async def _happen(self, event: Event, elapsed: timedelta) -> None:
        """Let the faults begin that are due with an event."""
        for _ in starting(self.faults, "abnormal_close", elapsed, self._past):
            for request, _ in list(self._connections.values()):
                if request.transport is not None:
                    request.transport.abort()
        for kind in ("burst", "one_message", "old_ids"):
            for fault in starting(self.faults, kind, elapsed, self._past):
                await self._extra(fault, event, elapsed)

    async def _extra(self, fault: Fault, event: Event, elapsed: timedelta) -> None:
        """Send events that are not on the tape: liquidations a millisecond apart, or trades of before."""
        stream = "trades" if fault.kind == "old_ids" else "liquidations"
        if stream == "trades":
            events = [each for each in self._trades if each.symbol == event.symbol][: fault.count]
        else:
            price = self.tape.histories[event.symbol].price(event.time)
            what = Liquidation("long", price, 2.0)
            first = event.time - fault.count * 1000
            events = [Event(first + 1000 * n, event.symbol, what) for n in range(fault.count)]
        groups = [events] if fault.kind == "one_message" else [[each] for each in events]
        messages = [self._message(group, elapsed) for group in groups]
        self.sent[stream] += len(events)
        for socket, (request, delivery) in list(self._connections.items()):
            if not delivery.wants(stream, event.symbol) or socket.closed or request.transport is None:
                continue
            texts = [t for m in messages for t in delivery.changed(stream, event.symbol, m, elapsed)]
            request.transport.write(frames(texts))  # one write, so that the kernel gets it as one piece

    async def _tell(self, event: Event, elapsed: timedelta) -> None:
        stream = {Candle: "bars", Trade: "trades", Liquidation: "liquidations"}[type(event.what)]
        self.sent[stream] += 1
        if stream == "trades":
            self._trades.append(event)
        message = None if stream == "bars" else self._message([event], elapsed)
        for socket, (_, delivery) in list(self._connections.items()):
            if stream == "bars":
                for interval in delivery.intervals(event.symbol):
                    bar = self.tape.candle(event, interval)
                    candle = self.dialect.candle(self._pushed(event, elapsed), bar)
                    await _send(socket, delivery.changed(stream, event.symbol, candle, elapsed, bar))
            elif message is not None and delivery.wants(stream, event.symbol):
                await _send(socket, delivery.changed(stream, event.symbol, message, elapsed))

    def _message(self, events: list[Event], elapsed: timedelta) -> Any:
        pushed = [self._pushed(event, elapsed) for event in events]
        if isinstance(events[0].what, Trade):
            return self.dialect.trade(pushed[0], events[0].what)
        return self.dialect.liquidations(pushed, [e.what for e in events if isinstance(e.what, Liquidation)])

    def _pushed(self, event: Event, elapsed: timedelta) -> Pushed:
        return Pushed(event.symbol, event.time // 1000, (max(self._now, event.time) + self._skew(elapsed)) // 1000)

    def _skew(self, elapsed: timedelta) -> int:
        skews = [fault.by for fault in self.faults if fault.kind == "clock_skew" and fault.active(elapsed)]
        return sum(skew // _MICROSECOND for skew in skews)

    # -- requests --------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._connected(request)
        if request.path == CLOCK_PATH and "wait" in request.query:
            await self.begun.wait()
        now = max(self._clock.now_ns() // 1000, self._now)
        if request.path == CLOCK_PATH:
            content = {"now_ns": now * 1000, "speed": self.speed, "running": self._task is not None}
            return web.json_response(content)
        self.requests.append(request.path_qs)
        elapsed = (now - self.start) * _MICROSECOND
        active = {fault.kind for fault in self.faults if fault.active(elapsed)}
        if "too_many_requests" in active:
            late = {"code": -1003, "msg": "Too many requests.", "label": "TOO_MANY_REQUESTS"}
            return web.json_response(late, status=429, headers={"Retry-After": "1"})
        market = Market(self.tape.histories, now, (now + self._skew(elapsed)) // 1000, "crossed_book" in active)
        try:
            status, content = self.dialect.answer(request.path, request.query, market)
        except (KeyError, ValueError) as error:
            return web.json_response(
                {"code": -1102, "msg": f"a parameter is missing or malformed: {error}"}, status=400
            )
        return web.json_response(content, status=status)

    async def _connected(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        delivery = Delivery(self.faults)
        self._connections[socket] = (request, delivery)
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._told(socket, request, delivery, message.data)
        except ConnectionError:
            pass  # the client is gone, which is its right
        finally:
            del self._connections[socket]
        return socket

    async def _told(self, socket: web.WebSocketResponse, request: web.Request, delivery: Delivery, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = text  # a ping of a venue that has its own
        channels, replies = self.dialect.subscribe(request.path, message, self._now // 1000)
        await _send(socket, [each if isinstance(each, str) else json.dumps(each) for each in replies])
        delivery.channels.update(channels)
        if channels and self._begins_by_itself:
            self.begin()


async def _send(socket: web.WebSocketResponse, texts: list[str]) -> None:
    for text in texts:
        with contextlib.suppress(ConnectionError, RuntimeError):  # the connection ends while this is sent
            await socket.send_str(text)


def require_address(venue: str, host: str) -> None:
    """Check that a venue can be served on an address.

    Raises
    ------
    ParameterError
        If there is no such venue, or the address is not one of the loopback interface.
    """
    if venue not in DIALECTS:
        raise ParameterError(f"`venue` must be one that can be served, was {venue!r}{did_you_mean(venue, DIALECTS)}")
    require_loopback(host)
