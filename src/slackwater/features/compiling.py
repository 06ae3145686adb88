"""The first compilation of the families, shared by several processes: numba itself uses one processor.

1. Without a cache of kernels, each process takes one family after the other and compiles it into its own directory.
2. What they made is moved into the cache. A kernel that two of them needed is taken from one.
3. The loop over all families finds them there (`slackwater.features.families.advance_families`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from numba import float64
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from slackwater.features.families import FAMILIES

__all__ = ["compile_families"]

_SIGNATURE: Final = (float64[::1],) * 4
"""State, constants, row and outputs of one family, as the loop over all of them passes them."""

_MOST: Final = 4
"""Processes, of about 300 MiB each: the loop over all families, which comes after them, takes longer than a fifth."""

_CHILD: Final = "SLACKWATER_COMPILING"
"""Set in their environment: a program whose `sys.executable` is itself must not start itself again and again."""

_PREFIX: Final = "compiling-"
_LEFT_BEHIND: Final = timedelta(hours=1)


@cache
def compile_families() -> None:
    """Compile the families of the library in several processes, unless they are in the cache.

    What such a process cannot compile is left to this one, at the first call, where an error is seen. A worker has one
    processor, and compiles alone.
    """
    parallel: Any = import_module("slackwater.parallel.process")  # no kernel depends on it
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    alone = processors == 1 or not sys.executable or getattr(sys, "frozen", False) or parallel.has_one_thread()
    if alone or _CHILD in os.environ or "NUMBA_CACHE_DIR" not in os.environ:
        return
    root = Path(os.environ["NUMBA_CACHE_DIR"])
    with global_compiler_lock:  # other threads wait, and other processes that share the cache one after the other
        if _are_compiled(root):
            return
        try:
            _compile_in_processes(root, min(processors, _MOST))
        except OSError:  # no room, no right to start a process
            return


def _are_compiled(root: Path) -> bool:
    """Whether the cache has every family, or there is no cache that could have them."""
    for family in FAMILIES:
        kernel: Any = family.advance
        if not isinstance(kernel, CPUDispatcher):  # NUMBA_DISABLE_JIT
            return True
        place = Path(str(kernel.stats.cache_path))
        if not place.is_relative_to(root):  # numba was imported before slackwater
            return True
        if not list(place.glob(f"{family.__module__.rpartition('.')[2]}.{kernel.py_func.__name__}-*.nbi")):
            return False
    return True


def _compile_in_processes(root: Path, number: int) -> None:
    for left in root.glob(f"{_PREFIX}*"):
        if time.time() - left.stat().st_mtime > _LEFT_BEHIND.total_seconds():
            shutil.rmtree(left, ignore_errors=True)
    import_module("slackwater.parallel").say("compiling the features, once per version: about half a minute")
    with tempfile.TemporaryDirectory(dir=root, prefix=_PREFIX, ignore_cleanup_errors=True) as made:
        own = [Path(made) / str(n) for n in range(number)]
        running: list[subprocess.Popen[bytes]] = []
        try:
            for directory in own:
                running.append(_started(directory))  # noqa: PERF401  (each is ended, whatever the next one does)
            for each in running:
                each.wait()
        finally:
            for each in running:
                each.kill()
                each.wait()
        for directory in own:
            _move(directory, root)


def _started(directory: Path) -> subprocess.Popen[bytes]:
    """Start a process that compiles families into a directory, and ends with this one."""
    directory.mkdir()
    return subprocess.Popen(  # noqa: S603  (this module)
        [sys.executable, "-P", "-m", "slackwater.features.compiling", str(directory.parent), str(os.getpid())],
        env=os.environ | {"NUMBA_CACHE_DIR": str(directory), _CHILD: "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _move(made: Path, root: Path) -> None:
    """Move kernels whose index the cache does not have: their code first, then the index that names it."""
    for index in sorted(made.rglob("*.nbi")):
        to = root / index.relative_to(made)
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.exists():
            continue
        for code in sorted(index.parent.glob(f"{index.stem}.*.nbc")):
            code.replace(to.with_name(code.name))
        index.replace(to)


def _compile(claims: Path) -> None:
    """Compile the families that no other process has taken."""
    for family in FAMILIES:
        try:
            (claims / family.name).touch(exist_ok=False)
        except FileExistsError:
            continue
        kernel: Any = family.advance
        kernel.compile(_SIGNATURE)


if __name__ == "__main__":
    import_module("slackwater.parallel.process").start(int(sys.argv[2]))
    _compile(Path(sys.argv[1]))
