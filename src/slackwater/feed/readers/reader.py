"""A reader of a venue's streams: what a module beside this one has to provide."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from slackwater.feed.bars import Candle
from slackwater.sources.exchange.venue import Venue

__all__ = ["Reader", "Subscribe", "Told", "candle_values"]

Subscribe: TypeAlias = Callable[[Any, Sequence[str], Sequence[str]], list[Coroutine[Any, Any, Any]]]
"""Takes ccxt's client, its names of the symbols, and names of intervals; returns the calls that subscribe."""


class Told(NamedTuple):
    """Content of a message.

    Stream, the venue's name of the instrument, the stamp of the message in milliseconds since 1970 (0: it has none),
    and a candle or an event as `slackwater.sources.exchange.venue.MessageReader` yields it.
    """

    stream: str
    instrument: str
    sent: int
    content: Candle | Mapping[str, Any]

    @property
    def stamp(self) -> int:
        """Latest time that it states, in milliseconds since 1970: when it was sent, or what it is about happened."""
        happened = self.content.opened // 1000 if isinstance(self.content, Candle) else int(self.content["time"])
        return self.sent or happened


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reader of a venue's streams.

    Parameters
    ----------
    venue
        The venue.
    client
        Name of its class in ccxt.pro.
    options
        Options of that class.
    is_data
        Function that tells data from answers to subscriptions and signs of life.
    read
        Function from such a message and the coins per contract by canonical symbol to its contents.
    subscribe
        Function that makes the subscriptions.
    marks_closed
        Whether the last update of a candle is marked; where not, every bar is requested after its close.
    has_liquidations
        Whether there is a stream of liquidations.
    beside_liquidations
        Streams on the same connection as liquidations: while one of them sends, it is alive.
    """

    venue: Venue
    client: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_data: Callable[[Any], bool]
    read: Callable[[Any, Mapping[str, float]], Iterator[Told]]
    subscribe: Subscribe
    marks_closed: bool = True
    has_liquidations: bool = True
    beside_liquidations: tuple[str, ...] = ("bars", "trades")


def candle_values(prices: Sequence[Any], volume: Any, **more: Any) -> dict[str, float]:
    """Return the values of a candle: open, high, low and close, the volume in coin, and other columns."""
    columns = dict(zip(("open", "high", "low", "close"), prices, strict=True), volume=volume, **more)
    return {name: float(value) for name, value in columns.items()}
