"""Ctrl-C, which must not reach numba in the middle of a compilation.

Much of that runs inside of calls from LLVM, where an exception of Python is lost: what follows is a traceback that
nobody can read, or the crash of the interpreter.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import Any

__all__ = ["interrupt_between_compilations"]


_waiting: list[Any] = []


def interrupt_between_compilations() -> None:
    """Have Ctrl-C raise KeyboardInterrupt at once, or if numba compiles a function, as soon as it is compiled.

    For the main thread of a command. Nothing changes where Ctrl-C is ignored, as by a process in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    lock = sys.modules.get("numba.core.compiler_lock")
    if lock is None or not lock.global_compiler_lock.is_locked():
        raise KeyboardInterrupt
    if not _waiting:
        _wait(import_module("numba.core.event"))


def _wait(event: Any) -> None:
    class Compiled(event.Listener):
        def on_start(self, event: Any) -> None:
            """Let the next one begin: a function may need others."""

        def on_end(self, ended: Any) -> None:
            event.unregister(ended.kind, self)
            _waiting.clear()
            raise KeyboardInterrupt

    _waiting.append(Compiled())
    event.register("numba:compiler_lock", _waiting[0])
