"""A clock that moves when there is nothing else to do, so that a slow machine changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Iterator
from itertools import count

QUIET = 6
"""Rounds of the loop without anything to do after which nothing is on its way: loopback delivers at once."""


class VirtualClock:
    """Clock of everything that runs in one loop; `running` moves it from waiter to waiter."""

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now_ns(self) -> int:
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now_ns + int(max(seconds, 0.0) * 1e9), next(self._numbers), waiter))
        await waiter

    def note(self, time_ns: int) -> None:
        """It has its own time."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            task.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            quiet = 0
            while quiet < QUIET:
                await asyncio.sleep(0)
                quiet = 0 if loop._ready else quiet + 1  # type: ignore[attr-defined]
            while self._waiting and self._waiting[0][2].done():  # cancelled
                heapq.heappop(self._waiting)
            if not self._waiting:
                continue
            self._now_ns = max(self._now_ns, self._waiting[0][0])
            while self._waiting and self._waiting[0][0] <= self._now_ns:
                waiter = heapq.heappop(self._waiting)[2]
                if not waiter.done():
                    waiter.set_result(None)
