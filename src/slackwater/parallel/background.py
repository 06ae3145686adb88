"""Work in a thread that does not keep the process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["begun"]

Result = TypeVar("Result")


def begun(function: Callable[[], Result], name: str) -> Future[Result]:
    """Begin a call that may never return, and return its future, to be asked with a time limit.

    Nothing ends a thread: `concurrent.futures.ThreadPoolExecutor` waits for its own when it ends, and so does Python.

    Parameters
    ----------
    function
        Called once.
    name
        Name of the thread, for those who look at a process that hangs.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True, name=name).start()
    return done
