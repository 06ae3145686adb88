"""Downloads of files with retries, resumption, checksums and a cache."""

from __future__ import annotations

import contextlib
import email.utils
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx
import tenacity

from slackwater.errors import ParameterError, SchemaError, SourceError
from slackwater.sources.download_cache import CacheEntry, Download
from slackwater.sources.patience import Waits, within
from slackwater.storage import sha256_of

__all__ = ["LATER", "Downloader", "Politeness", "retry_after", "split_credentials"]

_CHECKSUM_BYTES: Final = 4096
#: Statuses of servers that must be asked later: banned, too many requests, unavailable.
LATER: Final = frozenset({418, 429, 503})


class _TransientError(Exception):
    """A failure after which the request is repeated."""


class _DamagedError(Exception):
    """The content differs from its checksum."""


@dataclass(frozen=True, kw_only=True)
class Politeness:
    """Limits of requests to a server.

    Parameters
    ----------
    attempts
        Tries of one file before it counts as unreachable, at least 1.
    first_wait, longest_wait
        Wait before the second try, which doubles (with jitter) up to the longest, in seconds.
    longest_retry_after
        Longest wait that a server may demand, in seconds; one that demands more is unreachable.
    delay
        Least time between the starts of two requests, over all threads, in seconds.
    timeout
        Time without a byte after which a connection counts as lost, in seconds; the connection and the head of an
        answer may take twice as long, and `least_rate` is measured over this time.
    least_rate
        Bytes per second below which a connection counts as lost, so that a server that drips cannot hold a download
        open for ever. What came in so far is kept and continued.
    largest_file
        Largest answer that is accepted, in bytes.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    delay: float = 0.0
    timeout: float = 30.0
    least_rate: float = 1024.0
    largest_file: int = 8 << 30

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ParameterError(f"`attempts` must be at least 1, was {self.attempts}")
        for name in ("first_wait", "longest_wait", "longest_retry_after", "delay", "least_rate"):
            if not getattr(self, name) >= 0.0:
                raise ParameterError(f"`{name}` must be at least 0 seconds, was {getattr(self, name)}")
        if not self.timeout > 0.0 or self.largest_file < 1:
            raise ParameterError("`timeout` and `largest_file` must be positive")

    @property
    def tries(self) -> str:
        """Number of tries, for messages."""
        return f"{self.attempts} tries" if self.attempts > 1 else "one try"

    def wait(self, attempt: int) -> float:
        """Return the wait after a try in seconds; half of it is random, so that threads do not return all at once."""
        grown = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        return grown * (0.5 + 0.5 * random.random())  # noqa: S311 not a secret


class Downloader:
    """Downloader of files into a cache, which several threads and processes may share.

    Parameters
    ----------
    cache
        Directory of the cache. Its files are never requested again.
    politeness
        Limits of requests.
    on_bytes
        Function that is called with the bytes of each received chunk, from the thread of the download.
    on_wait
        Function that is called with a line about what is waited for, at most once in five seconds.

    Examples
    --------
    >>> with Downloader(".cache") as downloader:  # the directory is made with the first file
    ...     downloader.fetch("ftp://example.org/file.zip")
    Traceback (most recent call last):
    slackwater.errors.ParameterError: a URL must begin with http:// or https://, was ftp://example.org/file.zip
    """

    def __init__(
        self,
        cache: str | Path,
        *,
        politeness: Politeness | None = None,
        on_bytes: Callable[[int], None] | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self.cache = Path(cache)
        self.politeness = politeness or Politeness()
        self._on_bytes = on_bytes or (lambda _: None)
        self._waits = Waits(on_wait)
        self._client = httpx.Client(timeout=self.politeness.timeout, headers={"user-agent": "slackwater"})
        self._turn = threading.Lock()
        self._not_before = 0.0
        self._stop = threading.Event()

    def __enter__(self) -> Downloader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the waits of other threads, and close the connections."""
        self._stop.set()
        self._client.close()

    def fetch(self, url: str) -> Download | None:
        """Return a file of the server, from the cache if it is there.

        Parameters
        ----------
        url
            Address of the file. Where the server has ``url + ".CHECKSUM"``, the content must agree with it.

        Returns
        -------
        Download or None
            None: the server does not have the file.

        Raises
        ------
        SchemaError
            If the content differs from its checksum twice, or is larger than the limit.
        SourceError
            If the server cannot be reached, keeps failing, or refuses.
        """
        public, credentials = split_credentials(url)
        entry = CacheEntry(self.cache, public)
        with entry.alone():
            kept = entry.kept()
            if kept is not None:
                return kept
            expected = self._checksum(public, credentials)
            try:
                return self._download(entry, credentials, expected)
            except _DamagedError:
                # Archives are published anew now and then: request both once more.
                expected = self._checksum(public, credentials)
            try:
                return self._download(entry, credentials, expected)
            except _DamagedError as error:
                raise SchemaError(f"{public}: {error}; it was downloaded twice and is refused") from None

    def forget(self, download: Download) -> None:
        """Drop a file from the cache, such as one that is not an archive."""
        CacheEntry(self.cache, download.url).forget(download)

    def _checksum(self, url: str, credentials: httpx.BasicAuth | None) -> str:
        """Return the sha256 that the server states, or an empty text where it states none."""

        def ask() -> str:
            with self._answer(f"{url}.CHECKSUM", credentials, {}) as answer:
                if answer is None:
                    return ""
                chunks = self._fast_enough(answer.iter_raw())
                text = b"".join(_at_most(chunks, _CHECKSUM_BYTES, f"{url}.CHECKSUM"))
                found = re.match(rb"\s*([0-9a-fA-F]{64})(\s|$)", text)
                if found is None:
                    raise _TransientError(f"the checksum is not a sha256: {text[:60]!r}")
                return found[1].decode().lower()

        return self._persist(ask, f"{url}.CHECKSUM")

    def _download(self, entry: CacheEntry, credentials: httpx.BasicAuth | None, expected: str) -> Download | None:
        if not self._persist(lambda: self._stream(entry, credentials), entry.url):
            return None
        sha256 = sha256_of(entry.partial)
        if expected and sha256 != expected:
            entry.discard()
            raise _DamagedError(f"its sha256 is {sha256}, its checksum {expected}")
        return entry.keep(sha256, verified=bool(expected))

    def _stream(self, entry: CacheEntry, credentials: httpx.BasicAuth | None) -> bool:
        """Append an answer to the partial file; False: there is no such file."""
        have, version = entry.resumable()
        headers = {"range": f"bytes={have}-", "if-range": version} if have else {}
        with self._answer(entry.url, credentials, headers) as answer:
            if answer is None:
                entry.discard()
                return False
            if answer.status_code == 416:
                entry.discard()
                raise _TransientError("the requested rest does not exist")
            if answer.status_code == 200:
                have = 0
                entry.begin(_version_of(answer))
            elif not _continues(answer, have):
                entry.discard()
                raise _TransientError(f"another part than requested: {answer.headers.get('content-range')}")
            with entry.partial.open("ab") as file:
                try:
                    chunks = self._fast_enough(answer.iter_raw())
                    for chunk in _at_most(chunks, self.politeness.largest_file - have, entry.url):
                        if self._stop.is_set():
                            raise SourceError(f"{entry.url}: the download was stopped")
                        file.write(chunk)
                        self._on_bytes(len(chunk))
                except SchemaError:
                    entry.discard()
                    raise
        return True

    @contextlib.contextmanager
    def _answer(
        self, url: str, credentials: httpx.BasicAuth | None, headers: dict[str, str]
    ) -> Iterator[httpx.Response | None]:
        """Yield an answer with content, or None where there is no such file; raise for every other one."""
        self._wait_for_turn()
        # A server that compresses a zip once more would break its checksum and its length.
        asked = {"accept-encoding": "identity", **headers}
        try:
            wanted = self._client.build_request("GET", url, headers=asked)
            send = partial(self._client.send, wanted, auth=credentials, stream=True)
            # A head that drips passes every timeout of a read.
            with contextlib.closing(within(2.0 * self.politeness.timeout, send)) as answer:
                status = answer.status_code
                if status in (404, 410):
                    yield None
                elif status in LATER:
                    raise self._told_to_wait(answer)
                elif status >= 500 or status == 408:
                    raise _TransientError(f"the server answered {status}")
                elif status in (200, 206, 416):
                    yield answer
                elif 300 <= status < 400:
                    target = split_credentials(answer.headers.get("location", "somewhere else"))[0]
                    raise SourceError(f"{url} is not there, the server redirects to {target}; name that one")
                else:
                    raise SourceError(f"{url}: the server refuses with status {status}")
        except TimeoutError as error:
            raise _TransientError(str(error)) from None
        except httpx.TransportError as error:  # a body that is shorter than promised is one of them
            raise _TransientError(f"{type(error).__name__}: {error}") from None
        except httpx.InvalidURL as error:
            raise ParameterError(f"{url} is not a URL: {error}") from None

    def _fast_enough(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield chunks; raise if fewer bytes than the least rate came in over the time of a timeout."""
        rules = self.politeness
        begun, received = time.monotonic(), 0
        for chunk in chunks:
            received += len(chunk)
            passed = time.monotonic() - begun
            if passed >= rules.timeout:
                rate = received / passed
                if rate < rules.least_rate:
                    raise _TransientError(f"it sends {rate:,.0f} bytes per second, fewer than {rules.least_rate:,.0f}")
                begun, received = time.monotonic(), 0
            yield chunk

    def _wait_for_turn(self) -> None:
        with self._turn:
            wait = self._not_before - time.monotonic()
            self._not_before = max(self._not_before, time.monotonic()) + self.politeness.delay
        if wait > 0.0 and self._stop.wait(wait):
            raise SourceError("the download was stopped")

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _told_to_wait(self, answer: httpx.Response) -> Exception:
        """Return the error of an answer with a status of `LATER`, and let all threads wait as long as it demands."""
        wait = retry_after(answer.headers.get("retry-after", ""))
        if wait > self.politeness.longest_retry_after:
            return SourceError(
                f"{answer.url.copy_with(userinfo=b'')}: the server answered {answer.status_code} and allows no request "
                f"for {wait:,.0f} s; try again then, what came in so far is kept"
            )
        with self._turn:
            self._not_before = max(self._not_before, time.monotonic() + wait)
        return _TransientError(f"the server answered {answer.status_code}")

    def _persist(self, action: Callable[[], Any], url: str) -> Any:
        """Repeat an action with growing waits; a failure that persists becomes one error."""
        rules = self.politeness
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(rules.attempts),
            wait=lambda state: rules.wait(state.attempt_number),
            retry=tenacity.retry_if_exception_type(_TransientError),
            sleep=self._pause,
            before_sleep=lambda state: self._waits.tell(urlsplit(url).netloc, state, rules.attempts),
            reraise=True,
        )
        try:
            return retrying(action)
        except _TransientError as error:
            raise SourceError(
                f"{url} could not be downloaded after {rules.tries}: {error}; run it again, what came in so far is kept"
            ) from None


def split_credentials(url: str) -> tuple[str, httpx.BasicAuth | None]:
    """Return a URL without its credentials, and the credentials.

    Raises
    ------
    ParameterError
        If it is not an http or https URL, or has a query or a fragment.

    Examples
    --------
    >>> split_credentials("https://user:secret@mirror.example/data")[0]
    'https://mirror.example/data'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ParameterError(f"a URL that cannot be read: {error}") from None
    netloc = (f"[{host}]" if host and ":" in host else host or "") + (f":{port}" if port else "")
    public = urlunsplit((parts.scheme, netloc, quote(unquote(parts.path)), "", ""))
    if parts.scheme not in ("http", "https") or not host:
        raise ParameterError(f"a URL must begin with http:// or https://, was {public}")
    if parts.query or parts.fragment:
        raise ParameterError(f"a URL of files must not have `?` or `#`, {public} had")
    credentials = (
        httpx.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))
        if parts.username or parts.password
        else None
    )
    return public, credentials


def _version_of(answer: httpx.Response) -> str:
    """Return the version of an answer: a strong ETag, or the time of its last change, or an empty text."""
    tag = str(answer.headers.get("etag", ""))
    return tag if tag and not tag.startswith("W/") else str(answer.headers.get("last-modified", ""))


def _continues(answer: httpx.Response, have: int) -> bool:
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
    return found is not None and int(found[1]) == have and int(found[2]) == int(found[3]) - 1


def _at_most(chunks: Iterator[bytes], limit: int, url: str) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise SchemaError(f"{url} is larger than {limit:,} bytes and is refused")
        yield chunk


def retry_after(text: str) -> float:
    """Return the wait in a ``Retry-After`` header in seconds, from a number or a date; 0 where it cannot be read."""
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
