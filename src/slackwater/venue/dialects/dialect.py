"""A dialect of a mock venue: what a venue's module has to provide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from slackwater.market.contracts import base_asset
from slackwater.venue.history import Bar, History
from slackwater.venue.tape import Liquidation, Trade

__all__ = ["Answer", "Channel", "Dialect", "Market", "Pushed", "base_and_quote", "number", "refusal"]

Query = Mapping[str, str]


class Channel(NamedTuple):
    """Channel of a connection: a stream, the symbol (``*``: all), and the interval of candles in microseconds."""

    stream: str
    symbol: str
    interval: int = 0


class Answer(NamedTuple):
    """Answer over REST."""

    status: int
    content: Any


class Pushed(NamedTuple):
    """Event of a message: its stamp and that of the message, in milliseconds since 1970."""

    symbol: str
    time_ms: int
    now_ms: int


class Market(NamedTuple):
    """State of the market for a REST answer: histories by symbol, the time in microseconds, and two faults.

    `now` is the time of the events; `clock_ms` is that of the venue's clock, which may be skewed.
    """

    histories: Mapping[str, History]
    now: int
    clock_ms: int
    crossed: bool

    def book(self, symbol: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return bids and asks, (price, quantity in coin), best first; empty where the tables have no depth.

        The quantities within 1 % and within 5 % are those of the newest row of ``depth``.
        """
        history = self.histories[symbol]
        held = history.newest("depth", self.now)
        if held is None:
            return [], []
        price = history.price(self.now)
        out = []
        for side, sign in (("bid", -1.0), ("ask", 1.0)):
            near, far = (held[1].get(f"{side}_quantity_{reach}pct", math.nan) for reach in (1, 5))
            levels = [(price * (1.0 + sign * 0.0001), near / 2), (price * (1.0 + sign * 0.009), near / 2)]
            levels.append((price * (1.0 + sign * 0.04), max(far - near, 0.0) if far == far else near))
            levels.append((price * (1.0 + sign * 0.06), near))
            out.append(levels)
        bids, asks = out
        if self.crossed:
            bids[0] = (price * 1.001, bids[0][1])
        return bids, asks


class Dialect(Protocol):
    """Formats of a venue."""

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that it has, of `slackwater.venue.script.STREAMS`."""

    def instrument(self, symbol: str) -> str:
        """Return the venue's name of a canonical symbol."""

    def subscribe(self, path: str, message: Any, now_ms: int) -> tuple[list[Channel], list[Any]]:
        """Return the channels that a message subscribes to on a path, and the replies to it."""

    def candle(self, pushed: Pushed, bar: Bar) -> Any:
        """Return the message of a candle."""

    def trade(self, pushed: Pushed, trade: Trade) -> Any:
        """Return the message of a trade."""

    def liquidations(self, pushed: Sequence[Pushed], events: Sequence[Liquidation]) -> Any:
        """Return one message with liquidations of one symbol; None where the venue has no such stream."""

    def answer(self, path: str, query: Query, market: Market) -> Answer:
        """Return the answer over REST."""


def base_and_quote(symbol: str) -> tuple[str, str]:
    """Return the coin and the quote currency of a canonical symbol."""
    base = base_asset(symbol)
    return base, symbol.removeprefix(base)


def number(value: float) -> str:
    """Return a number as venues write it: a decimal text without an exponent.

    Examples
    --------
    >>> number(0.1), number(1e-07), number(40000.0)
    ('0.1', '0.0000001', '40000')
    """
    return f"{Decimal(repr(value)).normalize():f}"


def refusal(status: int, **content: Any) -> Answer:
    """Return an answer that refuses."""
    return Answer(status, content)
