"""Where compiled kernels are kept: one directory for each content of all of them.

Numba looks at the file of a kernel alone to tell whether its cache is fresh. A kernel that calls another one from
another file would go on running the old version of it after an update, silently. So the cache of this version lives
in a directory named after the digest of every file that holds a kernel (docs/decisions/0004).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["use_cache_of_this_version"]


def use_cache_of_this_version() -> None:
    """Point numba at the cache of this version, unless ``NUMBA_CACHE_DIR`` says otherwise.

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
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        compiled = any(mark in content for mark in (b"njit", b"@kernel", b"@family_kernel", b"@operator"))
        # These hold the row positions that are compiled into the kernels.
        if compiled or path.name in ("tables.py", "inputs.py", "intermediates.py"):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + content)
    return digest.hexdigest()[:16]
