"""Faults applied to what a mock venue is about to send on one connection."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from slackwater.venue.dialects.dialect import Channel
from slackwater.venue.history import Bar
from slackwater.venue.script import Fault

__all__ = ["Delivery", "frames"]


class Delivery:
    """Messages of one connection, as a script changes them.

    Parameters
    ----------
    faults
        The script.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.channels: set[Channel] = set()
        self._faults = tuple(faults)
        self._forming_seen: set[tuple[Fault, str]] = set()
        self._held: str | None = None

    def wants(self, stream: str, symbol: str, interval: int = 0) -> bool:
        """Return whether the connection has subscribed to a stream of a symbol."""
        return any(Channel(stream, name, interval) in self.channels for name in (symbol, "*"))

    def intervals(self, symbol: str) -> list[int]:
        """Return the intervals, in microseconds, of the candles of a symbol that the connection has subscribed to."""
        return sorted(each.interval for each in self.channels if (each.stream, each.symbol) == ("bars", symbol))

    def changed(self, stream: str, symbol: str, content: Any, elapsed: timedelta, bar: Bar | None = None) -> list[str]:
        """Return the texts to send now in place of a message: none, itself, or several."""
        active = [fault for fault in self._faults if fault.active(elapsed)]
        kinds = {fault.kind for fault in active}
        if "silence" in kinds or any(f.kind == "acknowledge_only" and f.stream == stream for f in active):
            return []
        if bar is not None and self._is_muted(active, symbol, bar):
            return []
        text = json.dumps(content, separators=(",", ":"))
        texts = [text, text] if "duplicates" in kinds else [text]
        if "reorder" not in kinds:
            held, self._held = self._held, None
            return texts if held is None else [held, *texts]
        if self._held is None:
            self._held = texts.pop()
            return texts
        held, self._held = self._held, None
        return [*texts, held]

    def _is_muted(self, active: list[Fault], symbol: str, bar: Bar) -> bool:
        """Return whether a candle is swallowed: one that is not closed is let through, and none after it."""
        for fault in active:
            if fault.kind == "forming_then_silence":
                if (fault, symbol) in self._forming_seen:
                    return True
                if not bar.closed:
                    self._forming_seen.add((fault, symbol))
        return False


def frames(texts: Iterable[str]) -> bytes:
    """Return texts as the frames of a websocket server (RFC 6455, section 5.2), to be written at once."""
    out = []
    for text in texts:
        payload = text.encode()
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x81, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x81, 126, size)
        else:
            head = struct.pack("!BBQ", 0x81, 127, size)
        out.append(head + payload)
    return b"".join(out)
