"""Patience with servers: what is waited for is told, and no answer may take for ever."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar, cast

import tenacity

__all__ = ["Waits", "within"]

Answer = TypeVar("Answer")


class Waits:
    """Teller of what is waited for between two tries, which does not repeat itself within some seconds.

    Parameters
    ----------
    tell
        Function that is called with each line.
    """

    EVERY: Final = 5.0

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._told = -math.inf

    def tell(self, server: str, state: tenacity.RetryCallState, attempts: int) -> None:
        """Tell which server failed and how, and when it is asked again; for ``before_sleep`` of tenacity."""
        with self._lock:
            if self._tell is None or time.monotonic() - self._told < self.EVERY:
                return
            self._told = time.monotonic()
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        again = f"try {state.attempt_number + 1} of {attempts} in {wait:.1f} s"
        self._tell(f"waiting for {server}: {' '.join(str(error).split())[:200]}; {again}")


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return what a call returns, however its answer drips in.

    Parameters
    ----------
    seconds
        Longest time, in total.
    call
        Call without arguments. One that takes longer is left to itself, and ends with the process at the latest.

    Raises
    ------
    TimeoutError
        If it takes longer.
    """
    done: queue.SimpleQueue[tuple[Answer | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((call(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True, name="answer").start()
    try:
        answer, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return cast(Answer, answer)
