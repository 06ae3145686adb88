"""Heartbeat of a process that watches: a file beside its journal, and requests to a service that expects them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from slackwater.errors import ParameterError
from slackwater.storage import atomic_file, json_line, strict_json

__all__ = ["HEARTBEAT", "Beat", "Heartbeat", "heartbeat_path", "last_beat"]

HEARTBEAT: Final = "SLACKWATER_HEARTBEAT"
"""Environment variable with the URL that is requested while everything is fine."""

_TIMEOUT: Final = 10.0
_EVERY_FILE: Final = 1.0
_LAST_NS: Final = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Content of the file of a heartbeat.

    Parameters
    ----------
    feed_ns
        Time by the clock of the feed, nanoseconds since 1970.
    machine_ns
        Time by the clock of the machine.
    process
        Number of the process.
    """

    feed_ns: int
    machine_ns: int
    process: int


class Heartbeat:
    """Sign of life of a process.

    Parameters
    ----------
    journal
        Journal of the process; the file is beside it, ``<journal>.heartbeat``.
    every
        Time between requests, at least a second.
    environment
        Where `SLACKWATER_HEARTBEAT` is looked up: a URL that is requested by GET, as the dead man's switch of
        healthchecks.io wants it. Without it, only the file is written.
    clock
        Clock of the machine, in seconds since 1970.

    Raises
    ------
    ParameterError
        If the URL is not one of http or https. Its content is not part of the message.
    """

    def __init__(
        self,
        journal: str | Path,
        *,
        every: timedelta = timedelta(minutes=1),
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = heartbeat_path(journal)
        self._every = max(every.total_seconds(), 1.0)
        self._url = environment.get(HEARTBEAT, "").strip()
        self._clock = clock
        self._written = self._requested = float("-inf")
        self._request: Thread | None = None
        self._refused = self._unwritten = ""
        if self._url:
            _require_web(self._url)

    @property
    def trouble(self) -> str:
        """Say in one sentence why the last sign of life did not arrive; empty if it did."""
        return self._unwritten or self._refused

    def beat(self, feed_ns: int) -> None:
        """Give a sign of life; call it as often as you like while everything is fine.

        The file is written at most once per second. The request is made by a thread of its own, so this takes about a
        millisecond, and raises no error: `trouble` states what did not work. While the file cannot be written, nothing
        is requested.

        Parameters
        ----------
        feed_ns
            Time by the clock of the feed, nanoseconds since 1970.
        """
        now = self._clock()
        if abs(now - self._written) >= _EVERY_FILE:
            self._write(Beat(feed_ns=feed_ns, machine_ns=int(now * 1e9), process=os.getpid()))
            self._written = now
        idle = self._request is None or not self._request.is_alive()
        if self._url and not self._unwritten and idle and abs(now - self._requested) >= self._every:
            self._requested = now
            self._request = Thread(target=self._ask, name="heartbeat", daemon=True)
            self._request.start()

    def wait(self) -> None:
        """Wait until a request that is under way has ended."""
        if self._request is not None:
            self._request.join()

    def _write(self, beat: Beat) -> None:
        content = {"feed_ns": beat.feed_ns, "machine_ns": beat.machine_ns, "process": beat.process}
        try:
            with atomic_file(self._path) as temporary:
                temporary.write_text(json_line(content) + "\n", encoding="utf-8")
        except OSError as error:
            self._unwritten = f"{self._path} cannot be written: {error.strerror}"
        else:
            self._unwritten = ""

    def _ask(self) -> None:
        try:
            request = Request(self._url, headers={"User-Agent": "slackwater"})  # noqa: S310 checked at the start
            with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                answer.read(1024)
        except HTTPError as error:
            self._refused = f"the service of {HEARTBEAT} answered {error.code}"
            error.close()
        except Exception as error:  # its text contains the address, which is a secret
            self._refused = f"the service of {HEARTBEAT} could not be reached ({type(error).__name__})"
        else:
            self._refused = ""


def heartbeat_path(journal: str | Path) -> Path:
    """Return the file of the heartbeat of the process that writes a journal."""
    path = Path(journal)
    return path.with_name(f"{path.name}.heartbeat")


def last_beat(journal: str | Path) -> Beat | None:
    """Return the last sign of life beside a journal; None if there is none, or none that can be read.

    Its time by the machine is the older one of what the file contains and of the time stamp of the file, so that
    neither a copied file nor a touched one passes for a sign of life.
    """
    path = heartbeat_path(journal)
    try:
        stamp_ns = path.stat().st_mtime_ns
        content = strict_json(path.read_text(encoding="utf-8"))
        feed_ns, machine_ns = int(content["feed_ns"]), int(content["machine_ns"])
        if not (0 <= feed_ns < _LAST_NS and 0 <= machine_ns < _LAST_NS):
            return None
        return Beat(feed_ns=feed_ns, machine_ns=min(machine_ns, stamp_ns), process=int(content["process"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


def _require_web(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in url
    except ValueError:
        fine = False
    if not fine:
        raise ParameterError(f"the environment variable {HEARTBEAT} must be one URL of http or https")
