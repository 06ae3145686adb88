"""A lock that lets several processes share one cache of kernels: one of them compiles, the others read the result.

Numba writes each file of its cache whole, but reads an index, adds to it and writes it back. Two processes that do so
at once, for two signatures of one kernel, would give both of them the same file, and one would run the other's code.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from pathlib import Path

from numba.core import event

__all__ = ["CompileLock", "compile_one_after_the_other"]

_installed: list[CompileLock] = []


def compile_one_after_the_other() -> None:
    """Have this process wait, before it compiles, for every other one that shares its cache and has called this."""
    if not _installed:
        _installed.append(
            CompileLock(Path(os.environ.get("NUMBA_CACHE_DIR", tempfile.gettempdir())) / "compiling.lock")
        )
        _installed[0].install()


class CompileLock(event.Listener):
    """Holds a lock on a file for as long as this process holds numba's own lock on its compiler.

    Numba looks into the cache, compiles and saves while it holds that, so that a process that waited finds the kernel.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        self._guard = threading.Lock()
        self._depth = 0

    def install(self) -> None:
        """Follow numba's lock from now on, until the process ends."""
        event.register("numba:compiler_lock", self)  # type: ignore[no-untyped-call]

    def on_start(self, event: event.Event) -> None:
        """Wait until no other process compiles."""
        with self._guard:
            self._depth += 1
            if self._depth == 1:
                fcntl.flock(self._file, fcntl.LOCK_EX)

    def on_end(self, event: event.Event) -> None:
        """Let another process compile once the outermost compilation has ended."""
        with self._guard:
            self._depth -= 1
            if self._depth == 0:
                fcntl.flock(self._file, fcntl.LOCK_UN)
