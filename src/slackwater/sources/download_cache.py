"""Cache of downloads, addressed by content; a file has its final name only when it is complete.

::

    <root>/content/<sha256>          complete files
    <root>/urls/<sha256 of URL>.json      the file of a URL
    <root>/urls/<sha256 of URL>.part      a file that is coming in, and beside it the version that it is of
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slackwater.storage import atomic_file, read_json, sha256_of, write_json

__all__ = ["CacheEntry", "Download"]


@dataclass(frozen=True, kw_only=True)
class Download:
    """A whole file in the cache.

    Parameters
    ----------
    url
        URL, without credentials.
    path
        Path; the file name is its sha256.
    sha256
        Digest of the content.
    size
        Bytes.
    verified
        Whether the server published a checksum, which agreed.
    """

    url: str
    path: Path
    sha256: str
    size: int
    verified: bool


class CacheEntry:
    """Entry of the cache for one URL.

    Parameters
    ----------
    root
        Directory of the cache.
    url
        URL without credentials, which is written to disk.
    """

    def __init__(self, root: Path, url: str) -> None:
        self.url = url
        self._content = root / "content"
        self._record = root / "urls" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
        self._version = self._record.with_suffix(".version")

    @property
    def partial(self) -> Path:
        """Path of the incomplete file."""
        return self._record.with_suffix(".part")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the entry against other threads and processes; the lock ends with the process at the latest."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with self._record.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def kept(self) -> Download | None:
        """Return the file if it is complete; a damaged file or record counts as absent."""
        try:
            known = read_json(self._record)
            path = self._content / str(known["sha256"])
            size, verified = int(known["size"]), bool(known["verified"])
            whole = known["url"] == self.url and path.stat().st_size == size and sha256_of(path) == path.name
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Download(url=self.url, path=path, sha256=path.name, size=size, verified=verified) if whole else None

    def keep(self, sha256: str, *, verified: bool) -> Download:
        """Give the completed partial file its final name, and return it."""
        path = self._content / sha256
        size = self.partial.stat().st_size
        self._content.mkdir(parents=True, exist_ok=True)
        self.partial.replace(path)
        self.discard()
        write_json({"url": self.url, "sha256": sha256, "size": size, "verified": verified}, self._record)
        return Download(url=self.url, path=path, sha256=sha256, size=size, verified=verified)

    def forget(self, download: Download) -> None:
        """Drop the record of the file. Its content stays, since another URL may share it and be read at this time."""
        self._record.unlink(missing_ok=True)

    def resumable(self) -> tuple[int, str]:
        """Return the bytes received so far and their version; (0, "") where they cannot be resumed."""
        try:
            version = self._version.read_text(encoding="utf-8")
            size = self.partial.stat().st_size
        except OSError:
            return 0, ""
        return (size, version) if version and size else (0, "")

    def begin(self, version: str) -> None:
        """Start a new partial file; without a version (an empty text) it cannot be resumed."""
        self.discard()
        with atomic_file(self._version) as note:
            note.write_text(version, encoding="utf-8")

    def discard(self) -> None:
        """Delete the partial file."""
        self.partial.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)
