"""A store of objects over HTTP on the loopback interface, without directories and rename, and its driver for fsspec.

Importing this module makes the driver known, as `--preload tests.object_store` does on a Dask worker.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

from fsspec import AbstractFileSystem, register_implementation
from fsspec.utils import infer_storage_options

USER, PASSWORD = "mallory", "hunter2/&+"
SECRETS = (USER, PASSWORD, quote(PASSWORD, safe=""), base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())

Answer = Callable[[str, str, int], int | None]
"""What becomes of a request: its method, key and process; an HTTP status instead of doing it, or None."""


def _done(method: str, key: str, process: int) -> None:
    return None


class Store(ThreadingHTTPServer):
    """Objects by key, in memory; every request is recorded, and may be refused or held up by `answer`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.answer: Answer = _done
        self.requests: list[tuple[str, str, int]] = []

    @property
    def url(self) -> str:
        return f"loop://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.server_address[1]}/bucket/prefix"

    def __enter__(self) -> Store:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed in the middle are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        key = unquote(self.path.removeprefix("/"))
        length = int(self.headers.get("Content-Length", 0))
        process = int(self.headers["Process"])
        self.server.requests.append((self.command, key, process))
        first = self.rfile.read(length // 2)
        status = self.server.answer(self.command, key, process)
        content = first + self.rfile.read(length - length // 2)
        if len(content) < length:
            self.close_connection = True  # a put is whole or not at all
            return
        if self.headers.get("Authorization") != f"Basic {SECRETS[-1]}":
            status = 401
        self._reply(status or 200, b"" if status else self._act(key, content))

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_LIST(self) -> None:
        self._serve()

    def _act(self, key: str, content: bytes) -> bytes | None:
        objects = self.server.objects
        if self.command == "PUT":
            objects[key] = content
            return b""
        if self.command == "DELETE":  # as S3: of what is not there, too
            objects.pop(key, None)
            return b""
        if self.command == "LIST":
            return json.dumps({name: len(found) for name, found in objects.items() if name.startswith(key)}).encode()
        return objects.get(key)

    def _reply(self, status: int, content: bytes | None) -> None:
        self.send_response(404 if content is None else status)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")


class LoopFileSystem(AbstractFileSystem):
    """The driver: what fsspec calls a file system, without directories and without rename."""

    protocol = "loop"

    def __init__(self, host: str, port: int, username: str = "", password: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._at = (host, port)
        self._login = base64.b64encode(f"{username}:{unquote(password)}".encode()).decode()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(infer_storage_options(path)["path"]).strip("/") if "://" in path else path.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        found = infer_storage_options(path)
        return {name: found[name] for name in ("host", "port", "username", "password") if name in found}

    def _request(self, method: str, path: str, content: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection(*self._at)
        headers = {"Authorization": f"Basic {self._login}", "Process": str(os.getpid())}
        connection.request(method, f"/{quote(self._strip_protocol(path))}", body=content, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        # Careless, as some drivers are: the text contains what it was given to log in.
        told = f"{answer.status} for {path} with {USER}:{PASSWORD} and {headers}"
        if answer.status in (401, 403):
            raise PermissionError(told)
        if answer.status == 404:
            raise FileNotFoundError(told)
        if answer.status != 200:
            raise OSError(told)
        return body

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        return self._request("GET", path)[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        self._request("PUT", path, value)

    def put_file(self, lpath: str, rpath: str, *given: Any, **options: Any) -> None:
        self._request("PUT", rpath, Path(lpath).read_bytes())

    def get_file(self, rpath: str, lpath: str, *given: Any, **options: Any) -> None:
        Path(lpath).write_bytes(self._request("GET", rpath))

    def rm_file(self, path: str) -> None:
        self._request("DELETE", path)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found: dict[str, dict[str, Any]] = {}
        for key, size in json.loads(self._request("LIST", f"{path}")).items():
            if key == path:
                found[key] = {"name": key, "size": size, "type": "file"}
            elif key.startswith(f"{path}/"):
                head, deeper, _ = key.removeprefix(f"{path}/").partition("/")
                name = f"{path}/{head}"
                found[name] = {"name": name, "size": 0 if deeper else size, "type": "directory" if deeper else "file"}
        if not found:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else list(found)

    def mv(self, *given: Any, **options: Any) -> None:
        raise NotImplementedError("there is no rename")

    def cp_file(self, *given: Any, **options: Any) -> None:
        raise NotImplementedError("there is no copy")

    def mkdir(self, *given: Any, **options: Any) -> None:
        raise NotImplementedError("there are no directories")

    makedirs = mkdirs = mkdir


register_implementation("loop", LoopFileSystem, clobber=True)
