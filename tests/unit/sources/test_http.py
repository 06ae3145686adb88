"""Downloads from a real server on loopback: resumed, verified, polite, and nothing partial under a final name."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from pathlib import Path

import pytest

from slackwater.errors import ParameterError, SchemaError, SourceError
from slackwater.sources.http import Downloader, Politeness, split_credentials
from tests.mirror.server import FaultPlan, Mirror, running

CONTENT = bytes(range(256)) * 4000
QUICK = Politeness(attempts=5, first_wait=0.01, longest_wait=0.02, timeout=0.5)
FILE = "/data/file.zip"


def served(path: str) -> bytes | None:
    return CONTENT if path == FILE else None


def once(fault: str, *, of: str = FILE) -> FaultPlan:
    return lambda path, number: fault if path == of and number == 1 else None


def always(fault: str, *, of: str = FILE) -> FaultPlan:
    return lambda path, number: fault if path == of else None


@pytest.mark.parametrize(
    "fault", ["429", "500", "503", "reset", "truncated", "slow", "stall", "flipped_byte", "garbage"]
)
def test_one_fault_does_not_change_what_comes(fault: str, tmp_path: Path) -> None:
    """Fails if a kind of fault is not tried again, or a damaged body is taken for the file."""
    with running(Mirror(served, faults=once(fault))) as mirror, Downloader(tmp_path, politeness=QUICK) as downloader:
        download = downloader.fetch(mirror.url + FILE)
    assert mirror.injected[fault] == 1
    assert download is not None
    assert download.verified
    assert download.path.read_bytes() == CONTENT
    assert download.path.name == hashlib.sha256(CONTENT).hexdigest()
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_forgotten_is_still_there_for_others(tmp_path: Path) -> None:
    """Two addresses may serve the same content: fails where one takes it from under the reader of the other."""
    other = FILE + ".copy"
    with (
        running(
            Mirror(lambda path: CONTENT if path in (FILE, other) else None, checksums=lambda path: False)
        ) as mirror,
        Downloader(tmp_path, politeness=QUICK) as downloader,
    ):
        one, two = downloader.fetch(mirror.url + FILE), downloader.fetch(mirror.url + other)
        assert one is not None
        assert two is not None
        downloader.forget(one)
        assert two.path.read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["429", "500", "reset"])
def test_a_fault_of_the_checksum_is_tried_again_too(fault: str, tmp_path: Path) -> None:
    plan = once(fault, of=FILE + ".CHECKSUM")
    with running(Mirror(served, faults=plan)) as mirror, Downloader(tmp_path, politeness=QUICK) as downloader:
        download = downloader.fetch(mirror.url + FILE)
    assert download is not None
    assert download.verified


def test_what_is_not_there_is_none_and_is_asked_for_again(tmp_path: Path) -> None:
    """A file that was missing may come later: it must not be remembered as missing."""
    with running(Mirror(served, faults=once("404"))) as mirror, Downloader(tmp_path, politeness=QUICK) as downloader:
        assert downloader.fetch(mirror.url + "/data/none.zip") is None
        assert downloader.fetch(mirror.url + FILE) is None
        assert downloader.fetch(mirror.url + FILE) is not None


def test_what_is_kept_is_not_asked_for_again(tmp_path: Path) -> None:
    with running(Mirror(served)) as mirror:
        for _ in range(2):
            with Downloader(tmp_path, politeness=QUICK) as downloader:
                assert downloader.fetch(mirror.url + FILE) is not None
        assert len(mirror.requests) == 2  # the checksum and the file, once each


def test_a_kept_file_that_rotted_is_fetched_anew(tmp_path: Path) -> None:
    with running(Mirror(served)) as mirror, Downloader(tmp_path, politeness=QUICK) as downloader:
        first = downloader.fetch(mirror.url + FILE)
        assert first is not None
        first.path.write_bytes(b"x" + CONTENT[1:])
        again = downloader.fetch(mirror.url + FILE)
        assert again is not None
        assert again.path.read_bytes() == CONTENT


def test_the_rest_is_asked_for_and_not_the_whole(tmp_path: Path) -> None:
    """Fails if a cut download begins from nothing."""
    with running(Mirror(served, faults=once("truncated"))) as mirror, Downloader(tmp_path, politeness=QUICK) as one:
        assert one.fetch(mirror.url + FILE) is not None
        ranges = [headers.get("range") for path, headers in mirror.requests if path == FILE]
    assert ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_part_of_another_version_is_not_continued(tmp_path: Path) -> None:
    """The file changes between the cut and the second try: the two halves must not be sewn together."""
    versions = [CONTENT, CONTENT[::-1]]
    seen: list[str] = []

    def plan(path: str, number: int) -> str | None:
        if path == FILE:
            seen.append(path)
            if len(seen) == 1:
                return "truncated"
            mirror.content = lambda path: versions[1] if path == FILE else None  # type: ignore[assignment]
        return None

    mirror = Mirror(served, faults=plan, checksums=lambda path: False)
    with running(mirror), Downloader(tmp_path, politeness=QUICK) as downloader:
        download = downloader.fetch(mirror.url + FILE)
    assert download is not None
    assert download.path.read_bytes() == versions[1]
    assert not download.verified


def test_another_part_than_asked_for_is_refused(tmp_path: Path) -> None:
    def plan(path: str, number: int) -> str | None:
        return {1: "truncated", 2: "wrong_range"}.get(number) if path == FILE else None

    with running(Mirror(served, faults=plan)) as mirror, Downloader(tmp_path, politeness=QUICK) as downloader:
        download = downloader.fetch(mirror.url + FILE)
    assert download is not None
    assert download.path.read_bytes() == CONTENT


def test_a_checksum_that_never_agrees_is_a_named_refusal_and_keeps_nothing(tmp_path: Path) -> None:
    with running(Mirror(served, faults=always("wrong_checksum", of=FILE + ".CHECKSUM"))) as mirror:
        downloader = Downloader(tmp_path, politeness=QUICK)
        with pytest.raises(
            SchemaError, match=r"file\.zip: its sha256 is .*, its checksum [0-9a-f]+; .*downloaded twice"
        ):
            downloader.fetch(mirror.url + FILE)
        downloader.close()
        assert sum(path == FILE for path, _ in mirror.requests) == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("fault", ["500", "429", "reset"])
def test_a_server_that_keeps_failing_is_one_clear_error(fault: str, tmp_path: Path) -> None:
    with (
        running(Mirror(served, faults=always(fault))) as mirror,
        Downloader(tmp_path, politeness=QUICK) as downloader,
        pytest.raises(SourceError, match=r"could not be downloaded after 5 tries: .*what came in so far is kept"),
    ):
        downloader.fetch(mirror.url + FILE)


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with running(Mirror(served)) as mirror:
        url = mirror.url
    with Downloader(tmp_path, politeness=QUICK) as downloader, pytest.raises(SourceError, match="ConnectError"):
        downloader.fetch(url + FILE)


def _retry_after(mirror: Mirror, value: str) -> None:
    handler = mirror.RequestHandlerClass
    send = handler._send  # type: ignore[attr-defined]

    class Told(handler):  # type: ignore[misc,valid-type]
        def _send(self, status: int, body: bytes, headers: dict[str, str], fault: str | None = None) -> None:
            send(self, status, body, headers | ({"retry-after": value} if status == 429 else {}), fault)

    mirror.RequestHandlerClass = Told


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    """The second request must not come before the server wants it, although the own waits are shorter."""
    times: list[float] = []

    def plan(path: str, number: int) -> str | None:
        times.append(time.monotonic())
        return "429" if path == FILE and number == 1 else None

    mirror = Mirror(served, faults=plan)
    _retry_after(mirror, "1")
    with running(mirror), Downloader(tmp_path, politeness=QUICK) as downloader:
        assert downloader.fetch(mirror.url + FILE) is not None
    assert times[-1] - times[-2] >= 1.0


def test_a_wait_beyond_all_measure_is_an_error_and_not_a_sleep(tmp_path: Path) -> None:
    mirror = Mirror(served, faults=always("429"))
    _retry_after(mirror, "86400")
    with (
        running(mirror),
        Downloader(tmp_path, politeness=QUICK) as downloader,
        pytest.raises(SourceError, match="allows no request for 86,400 s"),
    ):
        downloader.fetch(mirror.url + FILE)


def test_a_file_beyond_the_limit_is_refused_and_not_kept(tmp_path: Path) -> None:
    rules = Politeness(attempts=1, largest_file=1000)
    with (
        running(Mirror(served)) as mirror,
        Downloader(tmp_path, politeness=rules) as downloader,
        pytest.raises(SchemaError, match="is larger than 1,000 bytes"),
    ):
        downloader.fetch(mirror.url + FILE)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 1000]


def test_credentials_reach_the_server_and_nothing_else(tmp_path: Path) -> None:
    """Fails if a password is left in an error, a file name or a record of the cache."""
    with running(Mirror(served, faults=always("500", of="/data/bad.zip"))) as mirror:
        root = mirror.url.replace("://", "://someone:sesame@")
        with Downloader(tmp_path, politeness=QUICK) as downloader:
            assert downloader.fetch(root + FILE) is not None
            mirror.content = lambda path: CONTENT  # type: ignore[assignment]
            with pytest.raises(SourceError) as caught:
                downloader.fetch(root + "/data/bad.zip")
        assert all("authorization" in headers for _, headers in mirror.requests)
    assert "sesame" not in str(caught.value)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".json", ".version")]
    assert written
    assert not any("sesame" in path.read_text() for path in written)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http:///nowhere", "http://x/y?token=1", "x"])
def test_what_is_no_url_of_a_file_is_refused(url: str) -> None:
    with pytest.raises(ParameterError):
        split_credentials(url)


def test_two_threads_that_want_one_file_download_it_once(tmp_path: Path) -> None:
    with running(Mirror(served, chunk_pause=0.01)) as mirror, Downloader(tmp_path, politeness=QUICK) as downloader:
        got = []
        threads = [threading.Thread(target=lambda: got.append(downloader.fetch(mirror.url + FILE))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 4
        assert sum(path == FILE for path, _ in mirror.requests) == 1


class _Drip(threading.Thread):
    """A server that sends one byte of its answer in a twentieth of a second, for ever."""

    def __init__(self, head: bytes) -> None:
        super().__init__(daemon=True)
        self.head = head
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.asked = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = connection.recv(65536)
            if b".CHECKSUM" in request:
                connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return
            self.asked += 1
            connection.sendall(self.head)
            while not self.stop.wait(0.05):
                connection.sendall(b"x")

    def __enter__(self) -> _Drip:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.socket.close()


DRIPS = {
    "body": b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
    "head": b"HTTP/1.1 200 OK\r\nx-drip: ",
}


@pytest.mark.parametrize("part", DRIPS)
def test_a_server_that_drips_does_not_hold_a_download_open(part: str, tmp_path: Path) -> None:
    """Each byte comes in time for the timeout of a read."""
    hasty = Politeness(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=0.3)
    begun = time.monotonic()
    with _Drip(DRIPS[part]) as server, Downloader(tmp_path, politeness=hasty) as downloader:
        with pytest.raises(SourceError, match=r"bytes per second|no whole answer within"):
            downloader.fetch(server.url + FILE)
        assert server.asked == 2
    assert time.monotonic() - begun < 10.0


def test_a_wait_is_told_with_its_server_and_reason(tmp_path: Path) -> None:
    told: list[str] = []
    with running(Mirror(served, faults=always("500"))) as mirror:
        downloader = Downloader(tmp_path, politeness=QUICK, on_wait=told.append)
        with downloader, pytest.raises(SourceError):
            downloader.fetch(mirror.url + FILE)
    assert len(told) == 1  # the others came within five seconds
    assert told[0].startswith(f"waiting for {mirror.url.removeprefix('http://')}: the server answered 500; try 2 of 5")
