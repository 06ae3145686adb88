"""Service on loopback that takes alerts as a webhook does, and answers what a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from slackwater.journal.event import Event, Kind, Origin

AT_NS = 1_709_294_705 * 10**9  # 2024-03-01 12:05:05 UTC
PAPER = Origin(account="paper", synthetic=True)


@dataclass(frozen=True)
class Reply:
    """Answer of the service, and how long it takes."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


@dataclass(frozen=True)
class Received:
    """Request: path, content, and when it came, by the monotonic clock."""

    path: str
    content: dict[str, Any]
    at: float


class AlertService:
    """HTTP server in a thread. `replies` are given one after the other; after the last one, all is well."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.received: list[Received] = []
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.answer(self, json.loads(text) if text else {})

            def do_GET(self) -> None:
                service.answer(self, {})

            def log_message(self, *_: Any) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def answer(self, handler: BaseHTTPRequestHandler, content: dict[str, Any]) -> None:
        with self._lock:
            reply = self.replies.pop(0) if self.replies else Reply()
            self.received.append(Received(handler.path, content, time.monotonic()))
        time.sleep(reply.delay)
        body = json.dumps(dict(reply.body)).encode()
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "token") -> str:
        """URL of apprise for a webhook of this service."""
        return f"json://127.0.0.1:{self.port}/{path}"

    @property
    def titles(self) -> list[str]:
        return [each.content["title"] for each in self.received]

    @property
    def texts(self) -> list[str]:
        return [each.content["message"] for each in self.received]


def event(kind: Kind, key: str, content: Mapping[str, Any], **changes: Any) -> Event:
    """Event of the account `paper`, SYNTHETIC, on BTCUSDT."""
    values: dict[str, Any] = {"kind": kind, "key": key, "ts_ns": AT_NS, "symbol": "BTCUSDT", "origin": PAPER}
    return Event(**values | {"payload": content} | changes)


def fault(number: int, *, symbol: str = "BTCUSDT", rule: str = "gap", message: str = "a bar is missing") -> Event:
    content = {"table": "bars", "rule": rule, "message": message}
    return event(
        Kind.DATA_FAULT, f"data_fault/{symbol}/{rule}/{number}", content, symbol=symbol, ts_ns=AT_NS + number * 10**9
    )


def alarm(number: int, state: str, *, symbol: str = "BTCUSDT", name: str = "crowding", episode: str = "1") -> Event:
    content = {"alarm": name, "episode": episode, "state": state, "message": f"longs crowd, look {number}"}
    return event(Kind.ALARM, f"alarm/{symbol}/{name}/{number}", content, symbol=symbol, ts_ns=AT_NS + number * 10**9)
