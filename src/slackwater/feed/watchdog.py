"""Streams that are silent for longer than their rhythm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

__all__ = ["Silence", "Watchdog"]

_LONGEST_NS: Final = 3_600_000_000_000


class Silence(NamedTuple):
    """Stream of a symbol that has sent nothing for so many seconds."""

    stream: str
    symbol: str
    seconds: float


class Watchdog:
    """Watchdog of the streams of a feed.

    Only data show that a stream is alive; an acknowledged subscription and an answered ping do not. A stream that stays
    silent is reported again after twice the time, four times, and so on, up to an hour.

    Parameters
    ----------
    streams
        Pairs of stream and symbol.
    rhythms
        Longest silence by stream; streams without one are not watched.
    """

    def __init__(self, streams: Iterable[tuple[str, str]], rhythms: Mapping[str, timedelta]) -> None:
        self._rhythm = {
            pair: rhythms[pair[0]] // timedelta(microseconds=1) * 1000 for pair in streams if pair[0] in rhythms
        }
        self._last = dict.fromkeys(self._rhythm, 0)
        self._strikes = dict.fromkeys(self._rhythm, 0)

    def heard(self, stream: str, symbol: str, now_ns: int) -> None:
        """Take note of data."""
        if (stream, symbol) in self._last:
            self._last[stream, symbol] = now_ns
            self._strikes[stream, symbol] = 0

    def listen(self, now_ns: int) -> None:
        """Begin to count the silence of every stream: a connection was opened."""
        self._last = dict.fromkeys(self._last, now_ns)

    def silences(self, now_ns: int) -> list[Silence]:
        """Return the streams whose silence is too long, each once per strike."""
        out = []
        for pair, last in self._last.items():
            allowed = min(self._rhythm[pair] << self._strikes[pair], max(_LONGEST_NS, self._rhythm[pair]))
            if now_ns - last > allowed:
                self._strikes[pair] += 1
                self._last[pair] = now_ns
                out.append(Silence(*pair, (now_ns - last) / 1e9))
        return out

    def alive(self, streams: Iterable[str], now_ns: int) -> bool:
        """Return whether any of some streams has sent data within its rhythm."""
        names = set(streams)
        return any(
            now_ns - last <= self._rhythm[p] and not self._strikes[p] for p, last in self._last.items() if p[0] in names
        )
