"""The cache of compiled kernels: one directory for each content of all kernels.

Numba checks only the file of a kernel itself to decide whether its cache is fresh. A kernel that calls a kernel in
another file, or reads a constant of it, would silently go on running the old version after an update. So the cache of
this version lives in a directory named after a digest of every file with a kernel and of all that these files import
(docs/decisions/0004).
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

__all__ = ["use_cache_of_this_version"]

_IMPORT: Final = re.compile(rb"^\s*(?:from|import) (slackwater\.[\w.]+|numba)", re.MULTILINE)


def use_cache_of_this_version() -> None:
    """Point numba at the cache of this version, unless ``NUMBA_CACHE_DIR`` is set.

    Must run before numba is imported. Where the user's cache directory cannot be written, numba keeps its default.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = home / "slackwater" / f"kernels-{_digest()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(directory, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(directory)


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
