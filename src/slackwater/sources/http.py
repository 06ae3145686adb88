"""Polite downloads: tried again, resumed, verified, and kept in a cache."""

from __future__ import annotations

import contextlib
import email.utils
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx
import tenacity

from slackwater.errors import ParameterError, SchemaError, SourceError
from slackwater.sources.download_cache import CacheEntry, Download
from slackwater.storage import sha256_of

__all__ = ["Download", "Downloader", "Politeness", "split_credentials"]

CHECKSUM_BYTES: Final = 4096
#: Answers that say "later": too many requests, banned for a while, unavailable.
LATER: Final = frozenset({418, 429, 503})


class _TransientError(Exception):
    """Worth another try."""


class _DamagedError(Exception):
    """The content is not what its checksum says."""


@dataclass(frozen=True, kw_only=True)
class Politeness:
    """How hard a server may be asked.

    Parameters
    ----------
    attempts
        Tries of one file before it counts as unreachable, at least 1.
    first_wait, longest_wait
        Seconds before the second try, doubled (with jitter) up to the longest.
    longest_retry_after
        Longest wait that a server may ask for, in seconds; one that asks for more is unreachable.
    delay
        Least seconds between the starts of two requests, over all threads.
    timeout
        Seconds without a byte after which a connection counts as lost.
    largest_file
        Largest answer that is accepted, in bytes.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    delay: float = 0.0
    timeout: float = 30.0
    largest_file: int = 8 << 30

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ParameterError(f"`attempts` must be at least 1, was {self.attempts}")
        for name in ("first_wait", "longest_wait", "longest_retry_after", "delay"):
            if not getattr(self, name) >= 0.0:
                raise ParameterError(f"`{name}` must be at least 0 seconds, was {getattr(self, name)}")
        if not self.timeout > 0.0 or self.largest_file < 1:
            raise ParameterError("`timeout` and `largest_file` must be positive")


class Downloader:
    """Downloads files into a cache; may be used by several threads, and by several processes on one cache.

    Parameters
    ----------
    cache
        Directory of the cache. What it holds is never asked for again.
    politeness
        How hard the server may be asked.
    on_bytes
        Called with the number of bytes of each chunk that came in, from the thread of the download.

    Examples
    --------
    >>> with Downloader(".cache") as downloader:  # a directory is made when something comes
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
    ) -> None:
        self.cache = Path(cache)
        self.politeness = politeness or Politeness()
        self._on_bytes = on_bytes or (lambda _: None)
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
            Address of the file. ``url + ".CHECKSUM"`` is asked first: where the server has it, the content must agree.

        Returns
        -------
        Download or None
            None: the server has no such file.

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
                # Archives are published anew now and then: ask once more for both.
                expected = self._checksum(public, credentials)
            try:
                return self._download(entry, credentials, expected)
            except _DamagedError as error:
                raise SchemaError(f"{public}: {error}; it was downloaded twice and is refused") from None

    def forget(self, download: Download) -> None:
        """Drop a file from the cache, such as one that turned out to be no archive."""
        CacheEntry(self.cache, download.url).forget(download)

    def _checksum(self, url: str, credentials: httpx.BasicAuth | None) -> str:
        """Return the sha256 that the server states, or an empty text where it states none."""

        def ask() -> str:
            with self._answer(f"{url}.CHECKSUM", credentials, {}) as answer:
                if answer is None:
                    return ""
                text = b"".join(_at_most(answer.iter_raw(), CHECKSUM_BYTES, f"{url}.CHECKSUM"))
                found = re.match(rb"\s*([0-9a-fA-F]{64})(\s|$)", text)
                if found is None:
                    raise _TransientError(f"the checksum is none: {text[:60]!r}")
                return found[1].decode().lower()

        return self._persist(ask, f"{url}.CHECKSUM")

    def _download(self, entry: CacheEntry, credentials: httpx.BasicAuth | None, expected: str) -> Download | None:
        if not self._persist(lambda: self._stream(entry, credentials), entry.url):
            return None
        sha256 = sha256_of(entry.partial)
        if expected and sha256 != expected:
            entry.discard()
            raise _DamagedError(f"its sha256 is {sha256}, its checksum says {expected}")
        return entry.keep(sha256, verified=bool(expected))

    def _stream(self, entry: CacheEntry, credentials: httpx.BasicAuth | None) -> bool:
        """Stream an answer to the partial file, from where it ended last time; False: there is no such file."""
        have, version = entry.resumable()
        headers = {"range": f"bytes={have}-", "if-range": version} if have else {}
        with self._answer(entry.url, credentials, headers) as answer:
            if answer is None:
                entry.discard()
                return False
            if answer.status_code == 416:
                entry.discard()
                raise _TransientError("the rest that was asked for is not there")
            if answer.status_code == 200:
                have = 0
                entry.begin(_version_of(answer))
            elif not _continues(answer, have):
                entry.discard()
                raise _TransientError(f"another part than asked for: {answer.headers.get('content-range')}")
            with entry.partial.open("ab") as file:
                try:
                    for chunk in _at_most(answer.iter_raw(), self.politeness.largest_file - have, entry.url):
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
        """Yield an answer with content, or None where there is no such file; raise what else it may be."""
        self._wait_for_turn()
        # Content as it is: a server that compresses a zip once more would break its checksum and its length.
        asked = {"accept-encoding": "identity", **headers}
        try:
            with self._client.stream("GET", url, headers=asked, auth=credentials) as answer:
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
                    raise SourceError(f"{url} is not there, the server sends on to {target}; name that one")
                else:
                    raise SourceError(f"{url}: the server refuses with status {status}")
        except httpx.TransportError as error:  # a body that is shorter than promised is one of them
            raise _TransientError(f"{type(error).__name__}: {error}") from None
        except httpx.InvalidURL as error:
            raise ParameterError(f"{url} is not a URL: {error}") from None

    def _wait_for_turn(self) -> None:
        with self._turn:
            wait = self._not_before - time.monotonic()
            self._not_before = max(self._not_before, time.monotonic()) + self.politeness.delay
        if wait > 0.0 and self._stop.wait(wait):
            raise SourceError("the download was stopped")

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _told_to_wait(self, answer: httpx.Response) -> Exception:
        """Return the error of an answer that says "later", and let all threads wait for as long as it asks."""
        wait = _retry_after(answer.headers.get("retry-after", ""))
        if wait > self.politeness.longest_retry_after:
            return SourceError(
                f"{answer.url.copy_with(userinfo=b'')}: the server answered {answer.status_code} and wants no request "
                f"for {wait:,.0f} s; try again then, what came in so far is kept"
            )
        with self._turn:
            self._not_before = max(self._not_before, time.monotonic() + wait)
        return _TransientError(f"the server answered {answer.status_code}")

    def _persist(self, action: Callable[[], Any], url: str) -> Any:
        """Try, and try again with growing waits; a failure that stays becomes one clear error."""
        rules = self.politeness

        def wait(state: tenacity.RetryCallState) -> float:
            grown = min(rules.longest_wait, rules.first_wait * 2.0 ** (state.attempt_number - 1))
            # Half of it at random, so that the threads do not come back all at once.
            return grown * (0.5 + 0.5 * random.random())  # noqa: S311 no secret

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(rules.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception_type(_TransientError),
            sleep=self._pause,
            reraise=True,
        )
        try:
            return retrying(action)
        except _TransientError as error:
            tries = f"{rules.attempts} tries" if rules.attempts > 1 else "one try"
            raise SourceError(
                f"{url} could not be downloaded after {tries}: {error}; run it again, what came in so far is kept"
            ) from None


def split_credentials(url: str) -> tuple[str, httpx.BasicAuth | None]:
    """Return a URL without its user and password, and these for the request alone.

    Raises
    ------
    ParameterError
        If it is no http or https URL, or has a query or a fragment.

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
        raise ParameterError(f"a URL of files has no `?` and no `#`, {public} had")
    credentials = (
        httpx.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))
        if parts.username or parts.password
        else None
    )
    return public, credentials


def _version_of(answer: httpx.Response) -> str:
    """Return what names the version of an answer: a strong ETag, or the time of its last change, or nothing."""
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


def _retry_after(text: str) -> float:
    """Return the seconds that a server asks to wait: a number, or a date; 0 where it says nothing that can be read."""
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
