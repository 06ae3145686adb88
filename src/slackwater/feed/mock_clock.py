"""The clock of a mock venue, which a feed that listens to one goes by."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from slackwater.clock import Clock, ReplayClock, StampClock
from slackwater.errors import SourceError

__all__ = ["begun_clock", "clock_of"]

CLOCK_PATH: Final = "/slackwater/clock"
"""Path at which a mock venue states its clock (`slackwater.venue.server`); no real venue is asked for it."""

_TRIES: Final = 3


async def clock_of(server: str) -> Clock | None:
    """Return the clock of a mock venue; one that stands still until the replay begins; None if it states none.

    Raises
    ------
    SourceError
        If there is no server.
    """
    stated = await _stated(server)
    if stated is None:
        return None
    waits = stated["speed"] is None or not stated["running"]
    return StampClock(stated["now_ns"]) if waits else ReplayClock(stated["now_ns"], stated["speed"])


async def begun_clock(server: str) -> ReplayClock | None:
    """Wait for the replay to begin, and return its clock; None if it has no speed."""
    stated = await _stated(server, "?wait")
    if stated is None or stated["speed"] is None:
        return None
    answers = [await _timed(server, stated["speed"]) for _ in range(_TRIES)]
    # The answer that came fastest is the most exact.
    return min(answers, key=lambda answer: answer[0])[1]


async def _timed(server: str, speed: float) -> tuple[float, ReplayClock]:
    """Return how many seconds an answer took, and the clock by that answer."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    stated = await _stated(server)
    if stated is None:
        raise SourceError(f"{server} has stopped to state the clock of its replay")
    took = loop.time() - before
    return took, ReplayClock(stated["now_ns"] + int(took / 2 * speed * 1e9), speed)


async def _stated(server: str, query: str = "") -> dict[str, Any] | None:
    import aiohttp  # comes with ccxt

    timeout = aiohttp.ClientTimeout(total=None if query else 5.0)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{server}{CLOCK_PATH}{query}", timeout=timeout) as answer,
        ):
            content: dict[str, Any] | None = await answer.json() if answer.status == 200 else None
            return content
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise SourceError(f"{server} does not answer: {type(error).__name__}: {error}") from None
