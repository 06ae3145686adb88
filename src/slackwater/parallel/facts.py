"""Versions and sources, which must be equal in this process and in a worker: other code gives other results."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["differences", "facts", "facts_digest"]

_PACKAGES: Final = (
    *("numpy", "pandas", "numba", "scipy", "pyarrow", "lightgbm", "scikit-learn"),
    *("dask", "distributed", "slackwater"),
)


@cache
def facts() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on, and a digest of the sources."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    root, digest = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found | {"the sources of slackwater": digest.hexdigest()[:12]}


def facts_digest(found: Mapping[str, str]) -> str:
    """Return a digest of `facts`."""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def differences(own: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return in words what differs, empty where nothing does.

    Examples
    --------
    >>> differences({"python": "3.11.2", "numpy": "2.3.1"}, {"python": "3.11.2", "numpy": "2.2.0"})
    'numpy is 2.2.0 there and 2.3.1 here'
    """
    names = dict.fromkeys([*own, *theirs])
    return ", ".join(
        f"{name} is {theirs.get(name, 'unknown')} there and {own.get(name, 'unknown')} here"
        for name in names
        if own.get(name) != theirs.get(name)
    )
