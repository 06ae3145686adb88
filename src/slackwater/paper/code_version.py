"""Version and digest of the code of this package: two processes with the same one decide alike."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import slackwater

__all__ = ["code_version"]


@cache
def code_version() -> str:
    """Return such as ``0.1.0+3fa94c20d1e7``: the version, and the beginning of the digest of all sources."""
    root = Path(slackwater.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    try:
        number = version("slackwater")
    except PackageNotFoundError:  # sources that are not installed
        number = "0"
    return f"{number}+{digest.hexdigest()[:12]}"
