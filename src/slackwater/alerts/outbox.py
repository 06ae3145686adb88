"""Outbox of a journal: which event was read last, what waits to be sent, and what each channel has sent.

It is a small file beside the journal that is replaced as a whole at each step, so that a process that is killed at any
time goes on from the last one: what was sent but not yet recorded is sent again, and nothing is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final

from slackwater.alerts.episodes import Episodes, Notice
from slackwater.alerts.errors import AlertError
from slackwater.storage import atomic_file, json_line, strict_json

__all__ = ["Outbox", "Position"]

_FORMAT: Final = "slackwater alerts 1"
_LONGEST_WAIT: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Place in a journal: number and digest of the last event that was read; 0 and an empty text before the first."""

    id: int = 0
    sha: str = ""


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What a channel has sent: number of the last notice, and the time before which it must not be asked again."""

    sent: int
    not_before: float = 0.0


class Outbox:
    """Record of what was read and sent; all methods may be called from several threads.

    Parameters
    ----------
    path
        File; read if it is there.
    keep
        Largest number of notices that are kept for a channel that does not answer; older ones are counted.

    Raises
    ------
    AlertError
        If the file is damaged or not an outbox.
    """

    def __init__(self, path: Path, *, keep: int = 1_000) -> None:
        self.path = path
        self._keep = keep
        self._lock = RLock()
        self._closed = False
        self._position = Position()
        self._last = 0  # number of the newest notice
        self._notices: list[tuple[int, Notice]] = []
        self._channels: dict[str, _Progress] = {}
        self._episodes: Mapping[str, Any] = {}
        self.is_new = not path.exists()
        if not self.is_new:
            self._load()

    @property
    def position(self) -> Position:
        """The last event that was read."""
        return self._position

    @property
    def episodes(self) -> Mapping[str, Any]:
        """State of the episodes at that event."""
        return self._episodes

    def begin(self, channels: Iterable[str], now: float) -> None:
        """Go on with these channels: others are forgotten, and a new one begins where the foremost one is."""
        with self._lock:
            foremost = max((each.sent for each in self._channels.values()), default=self._last)
            known = {name: self._channels.get(name, _Progress(sent=foremost)) for name in channels}
            for progress in known.values():  # a clock that was set back must not make a channel wait for days
                progress.not_before = min(progress.not_before, now + _LONGEST_WAIT)
            self._channels = known
            self._write()

    def advance(self, position: Position, notices: Sequence[Notice], episodes: Mapping[str, Any]) -> None:
        """Record that the journal was read up to a place, what is to be sent because of it, and the episodes then."""
        with self._lock:
            self._position, self._episodes = position, episodes
            for notice in notices:
                self._last += 1
                self._notices.append((self._last, notice))
            del self._notices[: max(0, len(self._notices) - self._keep)]
            self._write()

    def pending(self, channel: str) -> tuple[list[tuple[int, Notice]], int]:
        """Return what a channel has not sent, with numbers, the oldest first, and how many older ones are not kept."""
        with self._lock:
            sent = self._channels[channel].sent
            waiting = [each for each in self._notices if each[0] > sent]
            return waiting, self._last - sent - len(waiting)

    def not_before(self, channel: str) -> float:
        """Return the time before which a channel must not be asked, in seconds since 1970."""
        with self._lock:
            return self._channels[channel].not_before

    def sent(self, channel: str, number: int, not_before: float) -> None:
        """Record that a channel has sent everything up to the notice of a number."""
        with self._lock:
            progress = self._channels[channel]
            progress.sent, progress.not_before = number, not_before
            least = min(each.sent for each in self._channels.values())
            self._notices = [each for each in self._notices if each[0] > least]
            self._write()

    def postpone(self, channel: str, not_before: float) -> None:
        """Record the time before which a channel must not be asked again."""
        with self._lock:
            self._channels[channel].not_before = not_before
            self._write()

    def close(self) -> None:
        """Write no more: another process may go on, whose record a thread that is still sending must not overwrite."""
        with self._lock:
            self._closed = True

    def _write(self) -> None:
        if self._closed:
            return
        content = {
            "format": _FORMAT,
            "read": asdict(self._position),
            "last": self._last,
            "notices": [[number, asdict(notice)] for number, notice in self._notices],
            "channels": {name: asdict(progress) for name, progress in self._channels.items()},
            "episodes": self._episodes,
        }
        try:
            with atomic_file(self.path) as temporary, temporary.open("w", encoding="utf-8") as file:
                file.write(json_line(content) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise AlertError(
                f"{self.path} cannot be written ({error.strerror}): what is sent now may be sent again after a "
                "restart; free some space, or make its directory writable"
            ) from error

    def _load(self) -> None:
        try:
            content = strict_json(self.path.read_text(encoding="utf-8"))
            if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
                raise ValueError(f"its `format` is not {_FORMAT!r}")
            self._position = Position(id=int(content["read"]["id"]), sha=str(content["read"]["sha"]))
            self._last = int(content["last"])
            self._notices = [(int(number), _notice(notice)) for number, notice in content["notices"]]
            self._channels = {
                name: _Progress(sent=int(each["sent"]), not_before=float(each["not_before"]))
                for name, each in content["channels"].items()
            }
            self._episodes = dict(content["episodes"])
            Episodes(1.0, 1.0).restore(self._episodes)
            self._require_order()
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise AlertError(
                f"{self.path} is not the outbox of a journal, or is damaged ({error}): move it away to begin with the "
                "events that follow, or restore it from a copy"
            ) from error

    def _require_order(self) -> None:
        numbers = [number for number, _ in self._notices]
        if numbers != list(range(self._last - len(numbers) + 1, self._last + 1)):
            raise ValueError("its notices are not numbered one after the other")
        if any(not 0 <= each.sent <= self._last for each in self._channels.values()):
            raise ValueError("a channel has sent more than there was")
        if self._position.id < 0 or any(notice.event > self._position.id for _, notice in self._notices):
            raise ValueError("a notice is about an event that was not read")


def _notice(content: Mapping[str, Any]) -> Notice:
    return Notice(
        event=int(content["event"]),
        more=int(content["more"]),
        since_ns=int(content["since_ns"]),
        symbols=tuple(str(each) for each in content["symbols"]),
    )
