"""One server for the four venues: their paths, their pages, their units, their ways to fail."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Query = dict[str, str]
Answer = tuple[int, Any]

#: What can go wrong with one answer.
FAULTS = ("429", "500", "503", "reset", "truncated", "cut_json", "html", "empty_body")


@dataclass
class Habits:
    """How the venue behaves.

    Parameters
    ----------
    listed, now
        Milliseconds: its history begins, and ends.
    page_cap
        Fewer rows a page than it promises.
    ignores_range
        It gives its newest rows, whatever it was asked for.
    funding_changes
        Time to the hours between settlements from then on; eight before.
    missing_settlements
        Times of settlements that it lost.
    repeats
        Every row twice.
    """

    listed: int
    now: int
    page_cap: int | None = None
    ignores_range: bool = False
    funding_changes: dict[int, int] = field(default_factory=dict)
    missing_settlements: tuple[int, ...] = ()
    repeats: bool = False

    def page(self, rows: Sequence[Any], limit: int, *, newest_first: bool) -> list[Any]:
        """Cut ascending rows, or times of rows, to a page."""
        limit = min(limit, self.page_cap or limit)
        cut = rows[-limit:][::-1] if newest_first else rows[:limit]
        return [row for row in cut for _ in range(2 if self.repeats else 1)]

    def grid(self, first: int, last: int, step: int) -> range:
        """Return the stamps of a regular series that lie in a range and in the history."""
        if self.ignores_range:
            first, last = self.listed, self.now
        low = max(first, self.listed)
        return range(-(-low // step) * step, min(last, self.now) + 1, step)


class VenueServer(ThreadingHTTPServer):
    """A venue on loopback.

    Parameters
    ----------
    answer
        Path and query to status and JSON.
    faults
        Number of the request (from 0) to the name of its fault.
    now
        Milliseconds that its clock shows; None: the time.
    """

    daemon_threads = True

    def __init__(
        self,
        answer: Callable[[str, Query], Answer],
        *,
        faults: Callable[[int], str | None] | None = None,
        now: int | None = None,
    ):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.now = now
        self.faults = faults or (lambda number: None)
        self.requests: list[tuple[str, Query]] = []
        self.injected: list[str] = []
        self.headers_seen: list[dict[str, str]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, path: str, query: Query, headers: dict[str, str]) -> str | None:
        with self._lock:
            fault = self.faults(len(self.requests))
            self.requests.append((path, query))
            self.headers_seen.append(headers)
            if fault:
                self.injected.append(fault)
            return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that are reset are what is tested."""


@contextlib.contextmanager
def running(server: VenueServer) -> Iterator[VenueServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: VenueServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        fault = self.server.take(parts.path, query, {k.lower(): v for k, v in self.headers.items()})
        if fault in ("429", "500", "503"):
            retry = {"retry-after": "0"} if fault == "429" else {}
            self._send(int(fault), b'{"code": -1003, "msg": "later"}', **retry)
        elif fault == "html":
            self._send(200, b"<html><body>Attention Required! | proxy</body></html>", content_type="text/html")
        elif fault == "empty_body":
            self._send(200, b"")
        else:
            status, content = self.server.answer(parts.path, query)
            self._send_content(status, json.dumps(content).encode(), fault)

    def _send_content(self, status: int, body: bytes, fault: str | None) -> None:
        if fault == "reset":
            # A reset instead of an end: linger 0.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + body[:20])
            self.close_connection = True
            self.connection.close()
        elif fault == "truncated":
            self._send(200, body[: len(body) // 2], length=len(body))
            self.close_connection = True
        elif fault == "cut_json":
            self._send(200, body[: len(body) // 2])
        else:
            self._send(status, body)

    def _send(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        length: int | None = None,
        **headers: str,
    ) -> None:
        self.send_response_only(status)
        stamp = time.strftime(
            "%a, %d %b %Y %H:%M:%S GMT", time.gmtime(None if self.server.now is None else self.server.now / 1000)
        )
        for name, value in {"date": stamp, "content-type": content_type, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
