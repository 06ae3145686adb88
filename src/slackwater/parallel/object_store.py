"""Files that all machines reach by a URL where they share no directory: the objects of one run, such as in S3.

An object is put whole and read whole. Nothing is renamed, no object is written twice, and none is found by a listing:
every store will do that `fsspec` has a driver for.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from slackwater.errors import MissingExtraError, ParameterError, SourceError
from slackwater.numbers import brief
from slackwater.parallel.background import begun
from slackwater.parallel.call import in_task
from slackwater.parallel.errors import WorkerError
from slackwater.parallel.pooled import Tell

__all__ = ["SHARED", "ObjectStore", "StoredObject"]

SHARED: Final = "SLACKWATER_SHARED"
"""The environment variable that names the store of the workers of a cluster."""

Result = TypeVar("Result")

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://[^\s?#*\[\]]+")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MARK: Final = "run.txt"
"""What is put first and removed first: while it is there, so is the run."""
_ANSWER: Final = 10.0
_LEAVE: Final = 8.0
"""Seconds within which a store must answer, to put the mark and to read it, and to remove it: within 30 s in all."""
_REMOVAL: Final = 600.0
_LOOK_EVERY: Final = 0.25
_SLOWEST: Final = 100_000
"""Bytes per second below which a store counts as one that does not answer."""
_OF_THE_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, and what is needed to know its content again.

    Parameters
    ----------
    name
        Name within the store of the run.
    size
        Number of bytes.
    sha256
        Digest of the content.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ObjectStore:
    """A place in a store of objects, which is sent to workers as its URL; as text it shows no credentials.

    Build it with `of`.

    Parameters
    ----------
    url
        URL below which the names of objects stand, with its credentials.
    where
        Where it was given, for messages.
    """

    url: str = field(repr=False)
    where: str = SHARED

    @classmethod
    def of(cls, url: str, where: str = SHARED) -> ObjectStore:
        """Return the place of a URL, such as ``s3://bucket/prefix`` or ``file:///mnt/disk``, whose driver is installed.

        Raises
        ------
        ParameterError
            If it is not such a URL, or has a driver that is unknown or not installed.
        """
        if not _URL.fullmatch(url) or "::" in url or not url.isprintable():
            raise ParameterError(
                f"{where} must be one URL such as s3://bucket/prefix, without blanks, ?, #, *, brackets and ::, was "
                f"{brief(_shown(url))}"
            )
        store = cls(url.rstrip("/"), where)
        store._require_driver()
        return store

    def __str__(self) -> str:
        """Return the URL without credentials."""
        return _shown(self.url)

    @contextmanager
    def of_one_run(self, tell: Tell) -> Iterator[ObjectStore]:
        """Yield a place of its own below this one; what was put there, by whomever, is removed after the block.

        Its name tells whose it is: a process that is killed leaves it behind.

        Parameters
        ----------
        tell
            Called with a line where the objects cannot be removed: the results are there all the same.

        Raises
        ------
        SourceError
            If nothing can be put there and read again.
        """
        begin = datetime.now(UTC)
        own = ObjectStore(f"{self.url}/slackwater-{begin:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", self.where)
        mark = (
            f"Objects of a run of slackwater, begun {begin:%Y-%m-%d %H:%M:%S} UTC by the process {os.getpid()} on "
            f"{socket.gethostname()}. It removes them when it ends. Remove them if it was killed.\n"
        )
        own._do("written", _MARK, lambda fs, place: fs.pipe_file(place, mark.encode()), _ANSWER)
        try:
            own.require_run()
            yield own
        finally:
            own._remove(tell)

    def put(self, path: Path, name: str) -> StoredObject:
        """Put the content of a file under a name that nobody else uses.

        Raises
        ------
        SourceError
            If the store refuses or cannot be reached.
        """
        made = _described(name, path)
        limit = _ANSWER + made.size / _SLOWEST
        self._do("written", name, lambda fs, place: fs.put_file(str(path), place), limit, disk=f"{self}/{name}")
        return made

    def get(self, wanted: StoredObject, path: Path) -> None:
        """Write an object to a file.

        Raises
        ------
        SourceError
            If it is not there, is not what was put there, or the store refuses or cannot be reached.
        """
        limit = _ANSWER + wanted.size / _SLOWEST
        self._do("read", wanted.name, lambda fs, place: fs.get_file(place, str(path)), limit, disk=str(path))
        found = _described(wanted.name, path)
        if found != wanted:
            raise SourceError(
                f"{self}/{wanted.name} is not what was put there ({found.size:,} bytes, {wanted.size:,} were put): "
                "find out what else writes there, then repeat the command"
            )

    def require_run(self) -> None:
        """Raise SourceError unless this machine reaches the store, and the run that put its objects there goes on."""
        self._do("read", _MARK, lambda fs, place: fs.cat_file(place), _ANSWER)

    def remove_if_ended(self, name: str) -> None:
        """Remove what a task has put there too late: after the run had ended, and had removed its objects."""
        if not self._do("read", _MARK, _is_there, _ANSWER):
            self._do("removed", name, _remove, _ANSWER)

    def _remove(self, tell: Tell) -> None:
        """Remove all objects of the run, the mark first: a task that puts one later sees that it is to remove it."""
        try:
            self._do("removed", _MARK, _remove, _LEAVE)
            self._do("removed", "", partial(_remove, recursive=True), _REMOVAL)
        except (SourceError, ParameterError) as error:
            tell(f"remove what is left below {self} by hand: {error}")

    def _require_driver(self) -> None:
        """Raise an error that names the driver to install, on this machine."""
        protocol = self.url.partition(":")[0]
        try:
            from fsspec import get_filesystem_class
        except ModuleNotFoundError as error:
            raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[scale]"`') from error
        try:
            get_filesystem_class(protocol)
        except ValueError:
            reason = f"fsspec has no driver for {protocol}://: name another store, or install its driver"
        except ImportError as error:  # its text is one of fsspec's own
            reason = f"the driver for {protocol}:// is not installed ({error}): install it"
        else:
            return
        if in_task():
            raise WorkerError(f"on the worker {socket.gethostname()} {reason} there, as on every worker")
        raise ParameterError(f"{self.where} is {self}, and {reason} here and on every worker")

    def _do(
        self, done: str, name: str, act: Callable[[Any, str], Result], limit: float, *, disk: str | None = None
    ) -> Result:
        """Return what the driver does with an object, within a limit of seconds; `disk` is what fills up with it."""
        self._require_driver()
        asked, until = begun(partial(_acted, self.url, name, act), "object store"), time.monotonic() + limit
        # Not one long wait: a process that is still for minutes counts as one that hangs (`pipelines/_watch.py`).
        while not asked.done() and time.monotonic() < until:
            wait([asked], timeout=_LOOK_EVERY)
        try:
            return asked.result(timeout=0.0)
        except Exception as error:
            failure = error
        # Raised here and not above: what led to an error is shown with it, and a driver may repeat its URL.
        if disk is not None and isinstance(failure, OSError) and failure.errno in _OF_THE_DISK:
            raise OSError(failure.errno, os.strerror(failure.errno), disk)
        who = f"the worker {socket.gethostname()}" if in_task() else "this process"
        raise SourceError(f"{self}/{name}".rstrip("/") + f" cannot be {done} by {who} {self._reason(failure, limit)}")

    def _reason(self, failure: Exception, limit: float) -> str:
        kind = type(failure).__name__
        # Nothing of a driver's text is shown beside credentials: it may hold them in any encoding.
        told = kind if "@" in self.url else f"{kind}: {' '.join(str(failure).split())[:300]}".rstrip(": ")
        if isinstance(failure, TimeoutError):
            return f"(no answer within {limit:.0f} s): make sure that this machine reaches {self.where}"
        if isinstance(failure, FileNotFoundError):
            return (
                f"({told}): it is not there; make sure that {self.where} names the same existing place on every "
                "machine, and that nothing else removes objects, then repeat the command"
            )
        if isinstance(failure, PermissionError):
            return f"({told}): allow the user of this machine to read, write, list and remove objects of {self.where}"
        return f"({told}): make sure that {self.where} names a store that this machine can reach, read and write"


def _acted(url: str, name: str, act: Callable[[Any, str], Result]) -> Result:
    fs, root = _file_system(url)
    fs.invalidate_cache()  # a listing from before must not hide what others have put or removed
    return act(fs, f"{root}/{name}".rstrip("/"))


@lru_cache(maxsize=4)
def _file_system(url: str) -> tuple[Any, str]:
    """Return the driver and the place of a URL; a driver may connect, and so never return, when it is made."""
    from fsspec.core import url_to_fs

    # Only a directory has directories, and only its driver knows the option.
    options = {"auto_mkdir": True} if url.startswith(("file:", "local:")) else {}
    fs, root = url_to_fs(url, **options)
    return fs, str(root)


def _remove(fs: Any, place: str, **options: bool) -> None:
    with suppress(FileNotFoundError):
        fs.rm(place, **options)


def _is_there(fs: Any, place: str) -> bool:
    """Return whether there is an object; unlike the driver's `exists`, which takes every error for a no."""
    try:
        fs.cat_file(place)
    except FileNotFoundError:
        return False
    return True


def _described(name: str, path: Path) -> StoredObject:
    with path.open("rb") as file:
        return StoredObject(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _shown(url: str) -> str:
    """Return a URL, or a text in place of one, without what may be credentials.

    Examples
    --------
    >>> _shown("ftp://user:secret@host/data"), _shown("s3://bucket/prefix?token=secret")
    ('ftp://***@host/data', 's3://bucket/prefix')
    """
    scheme = _SCHEME.match(url)
    start = scheme[0] if scheme else ""
    _, at, place = url[len(start) :].rpartition("@")
    return f"{start}{'***@' if at else ''}{re.split('[?#]', place, maxsplit=1)[0]}"
