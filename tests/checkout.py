"""Copies of the repository that run their own sources, with the kernels that are compiled already."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from numba.core.caching import UserProvidedCacheLocator
from numba.core.compiler_lock import global_compiler_lock

from pipelines._closure import ROOT


def copy_repository(root: Path, *names: str) -> None:
    """Copy some files and directories of the repository, `src` among them, below `root`.

    Numba finds a kernel in its cache by the place of the file: a copy would compile all kernels once more. It is given
    those of the repository, in a cache of its own.
    """
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    with global_compiler_lock:  # no other worker writes to the cache (slackwater/parallel/compile_lock.py)
        for package in sorted({module.parent.relative_to(root) for module in (root / "src").rglob("*.py")}):
            if kernels_of(ROOT, package).is_dir():
                ignored = shutil.ignore_patterns("*.tmp.*")
                shutil.copytree(kernels_of(ROOT, package), kernels_of(root, package), ignore=ignored)


def environment_of(root: Path) -> dict[str, str]:
    """Return the environment of a process in a copy; one without `src` runs the sources that are installed."""
    if not (root / "src").is_dir():
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": str(root / "src"), "NUMBA_CACHE_DIR": str(_cache_of(root))}


def kernels_of(root: Path, package: Path) -> Path:
    """Return the directory of the compiled kernels of a package, of the repository or of a copy."""
    return _cache_of(root) / UserProvidedCacheLocator.get_suitable_cache_subpath(str(root / package / "module.py"))


def _cache_of(root: Path) -> Path:
    """Return that of this process, or a directory beside the copy: in it, git and DVC would see it."""
    return Path(os.environ["NUMBA_CACHE_DIR"]) if root == ROOT else root.with_name(f"{root.name}-kernels")
