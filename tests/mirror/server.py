"""The server of the mirror: ranges, versions and checksums as the archive serves them, and faults as networks do."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.mirror.archive import archive_file, checksum

#: What can go wrong with one answer.
FAULTS = (
    "404",
    "429",
    "500",
    "503",
    "slow",
    "stall",
    "reset",
    "truncated",
    "wrong_checksum",
    "garbage",
    "flipped_byte",
    "wrong_range",
)
#: Name of the fault for the n-th request of a path, or nothing.
FaultPlan = Callable[[str, int], str | None]


def no_faults(path: str, number: int) -> str | None:
    return None


class Mirror(ThreadingHTTPServer):
    """A mirror on loopback.

    Parameters
    ----------
    content
        Bytes of a path, or None where there is no such file.
    faults
        Which request goes wrong, and how.
    chunk_pause
        Seconds between the pieces of a body, for a server that is always slow.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        content: Callable[[str], bytes | None] = archive_file,
        *,
        faults: FaultPlan = no_faults,
        chunk_pause: float = 0.0,
        port: int = 0,
        checksums: Callable[[str], bool] = lambda path: True,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.content = lru_cache(maxsize=500)(content)
        self.faults = faults
        self.chunk_pause = chunk_pause
        self.checksums = checksums
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.injected: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault_of(self, path: str, headers: dict[str, str]) -> str | None:
        with self._lock:
            self.requests.append((path, headers))
            self._seen[path] += 1
            fault = self.faults(path, self._seen[path])
            # What would change nothing is no fault, and is not counted as one.
            if fault == "wrong_checksum" and not path.endswith(".CHECKSUM"):
                fault = None
            if (fault == "wrong_range" and "range" not in headers) or self.content(
                path.removesuffix(".CHECKSUM")
            ) is None:
                fault = None
            if fault is not None:
                self.injected[fault] += 1
            return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are what is tested."""


@contextlib.contextmanager
def running(mirror: Mirror) -> Iterator[Mirror]:
    thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.shutdown()
        mirror.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Mirror

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path
        fault = self.server.fault_of(path, {key.lower(): value for key, value in self.headers.items()})
        is_checksum = path.endswith(".CHECKSUM")
        content = self.server.content(path.removesuffix(".CHECKSUM"))
        if is_checksum and content is not None:
            content = checksum(content, path.rsplit("/", 1)[-1]) if self.server.checksums(path) else None
        if content is None or fault == "404":
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        elif fault == "429":
            self._send(429, b"", {"retry-after": "0"})
        elif fault == "503":
            self._send(503, b"", {"retry-after": email.utils.formatdate(time.time() - 5, usegmt=True)})
        elif fault == "500":
            self._send(500, b"oops", {})
        elif fault == "garbage":
            self._send(200, b"<html>sign in to this network</html>", {})
        elif fault == "wrong_checksum" and is_checksum:
            self._send(200, f"{hashlib.sha256(b'another').hexdigest()}  x\n".encode(), {})
        else:
            self._file(content, fault)

    def _file(self, content: bytes, fault: str | None) -> None:
        tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        headers = {"etag": tag, "accept-ranges": "bytes", "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        begin = int(wanted[1]) if wanted and self.headers.get("if-range") in (None, tag) else 0
        status = 200
        if wanted and begin >= len(content):
            self._send(416, b"", {"content-range": f"bytes */{len(content)}"})
            return
        if begin:
            status = 206
            shown = begin + 1 if fault == "wrong_range" else begin
            headers["content-range"] = f"bytes {shown}-{len(content) - 1}/{len(content)}"
        body = content[begin:]
        if fault == "flipped_byte":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        self._send(status, body, headers, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        if fault == "reset":
            self.wfile.write(body[:half])
            self.wfile.flush()
            # A socket that lingers for no time ends with a reset instead of a farewell.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault in ("truncated", "stall"):
            self.wfile.write(body[:half])
            self.wfile.flush()
            if fault == "stall":
                time.sleep(1.5)
            self.close_connection = True
        else:
            pause = 0.005 if fault == "slow" else self.server.chunk_pause
            step = max(1, len(body) // 20) if pause else max(1, len(body))
            for begin in range(0, len(body), step):
                self.wfile.write(body[begin : begin + step])
                if pause:
                    self.wfile.flush()
                    time.sleep(pause)
