"""The cache of compiled kernels: one directory for each content of all kernels.

Numba checks only the file of a kernel itself to decide whether its cache is fresh. A kernel that calls a kernel in
another file, or reads a constant of it, would silently go on running the old version after an update. So the cache of
this version lives in a directory named after a digest of every file with a kernel and of all that these files import
(docs/decisions/0004).
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from slackwater.errors import ParameterError

__all__ = ["use_cache_of_this_version"]

_IMPORT: Final = re.compile(rb"^\s*(?:from|import) (slackwater\.[\w.]+|numba)", re.MULTILINE)


def use_cache_of_this_version() -> None:
    """Point numba at the cache of this version, unless ``NUMBA_CACHE_DIR`` is set.

    Must run before numba is imported. Where the user has no cache directory that can be written, the cache lies below
    the directory for temporary files, in one that only this user can write: what is cached is run.

    Raises
    ------
    ParameterError
        If ``NUMBA_CACHE_DIR`` cannot be written, or it is not set and there is no directory that can.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given is not None:
        if not _is_writable(Path(given)):
            raise ParameterError(f"NUMBA_CACHE_DIR={given} cannot be written: name a directory that can, or unset it")
        return
    name = f"kernels-{_digest()}"
    for place in (_of_the_user, _temporary):
        directory = place(name)
        if directory is not None:
            os.environ["NUMBA_CACHE_DIR"] = str(directory)
            return
    raise ParameterError("no directory can be written for compiled kernels: set NUMBA_CACHE_DIR to one that can")


def _of_the_user(name: str) -> Path | None:
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no HOME, and the user is not listed
        return None
    directory = home / "slackwater" / name
    return directory if home.is_absolute() and _is_writable(directory) else None


def _temporary(name: str) -> Path | None:
    """Return a directory of this user alone, whose name others know: one that they could have made is not taken."""
    try:
        own = Path(tempfile.gettempdir()) / f"slackwater-{os.getuid()}"
        own.mkdir(mode=0o700, exist_ok=True)
        facts = own.lstat()
    except OSError:
        return None
    is_own = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077
    if not is_own:
        own = Path(tempfile.mkdtemp(prefix="slackwater-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own / name if _is_writable(own / name) else None


def _is_writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def _digest() -> str:
    """Return a digest of every file with a kernel and of what it imports: constants are compiled into kernels."""
    root = Path(__file__).parent
    contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))}
    imported = {name: set(_IMPORT.findall(content)) for name, content in contents.items()}
    reached = {name for name, modules in imported.items() if modules & {b"numba", b"slackwater.operators"}}
    waiting = list(reached)
    while waiting:
        for module in imported[waiting.pop()]:
            start = module.decode().removeprefix("slackwater.").replace(".", "/")
            more = {name for name in contents if name == f"{start}.py" or name.startswith(f"{start}/")} - reached
            reached |= more
            waiting.extend(more)
    digest = hashlib.sha256()
    for name in sorted(reached):
        digest.update(name.encode() + b"\0" + contents[name])
    return digest.hexdigest()[:16]
