"""The time that is left of work of which a part is done."""

from __future__ import annotations

import time

__all__ = ["TimeLeft"]


class TimeLeft:
    """Estimates how long the rest takes, from the pace since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def after(self, done: float, total: float) -> str:
        """Return in words how much time is left when a part of a total is done, in any unit.

        Examples
        --------
        >>> TimeLeft().after(4, 4)
        'done'
        """
        left = total - done
        if left <= 0 or done <= 0:
            return "done" if left <= 0 else "time left unknown"
        seconds = (time.monotonic() - self._begun) / done * left
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
