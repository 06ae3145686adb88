"""Raw messages of a feed: one JSON line each, from which the same rows can be made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from slackwater.errors import MissingDataError, SchemaError

__all__ = ["CONNECTED", "FAILED", "GAP", "LOST", "TICK", "WEBSOCKET", "Raw", "read_raw"]

WEBSOCKET: Final = "websocket"
"""Stream of the messages of the connections. Answers to requests have the name of their table, after ``rest``."""
CONNECTED: Final = "connected"
LOST: Final = "lost"
GAP: Final = "gap"
FAILED: Final = "failed"
TICK: Final = "tick"


class Raw(NamedTuple):
    """What a feed received or noticed, before anything is made of it.

    Parameters
    ----------
    receive_ns
        Nanoseconds since 1970.
    venue
        Name of the venue.
    stream
        ``websocket``, ``rest`` and a table, or what happened to the connection.
    message
        Decoded JSON.
    """

    receive_ns: int
    venue: str
    stream: str
    message: Any

    def line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(self._asdict(), separators=(",", ":")) + "\n"


def read_raw(path: str | Path) -> Iterator[Raw]:
    """Yield the messages of a record; a last line that a killed process left unfinished is left out.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If another line is not a raw message; with its number.
    """
    place = Path(path)
    try:
        file = place.open(encoding="utf-8")
    except OSError as error:
        raise MissingDataError(f"{place} cannot be read: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                content = json.loads(line)
                yield Raw(int(content["receive_ns"]), str(content["venue"]), str(content["stream"]), content["message"])
            except (ValueError, KeyError, TypeError) as error:
                raise SchemaError(f"{place}, line {number} is not a raw message ({error}): {line[:80]!r}") from None
