"""A feed that listens to a mock venue: real sockets, ccxt's real client, and a clock that waits for both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Quality
from slackwater.feed.live import Feed
from slackwater.feed.settings import FeedSettings
from slackwater.venue.script import fault_of_text
from slackwater.venue.server import VenueServer
from slackwater.venue.tape import Tape
from tests.minute_market import MINUTE, START, minute_market
from tests.virtual_clock import VirtualClock

MINUTES = 4


@dataclass
class FeedRun:
    """What a feed has yielded, what the venue has sent, and the truth."""

    items: list[FeedRow | FeedFault]
    counts: dict[tuple[str, str], int]
    sent: dict[str, int]
    tables: dict[str, pd.DataFrame]

    def rows(self, table: str, *qualities: Quality) -> list[dict[str, Any]]:
        """Rows of a table; without qualities those that are usable."""
        rows = [each for each in self.items if isinstance(each, FeedRow) and each.table == table]
        return [each.row for each in rows if (each.quality in qualities if qualities else each.quality.usable)]

    def faults(self, kind: FaultKind) -> list[FeedFault]:
        return [each for each in self.items if isinstance(each, FeedFault) and each.kind is kind]


async def listen(
    venue: str,
    faults: Sequence[str] = (),
    *,
    clock: VirtualClock,
    ready: asyncio.Barrier,
    minutes: int = MINUTES,
    raw_path: Path | None = None,
    more: dict[str, pd.DataFrame] | None = None,
    **settings: Any,
) -> FeedRun:
    """Listen to minutes of a market with faults from its beginning, and to one more, in which bars are requested.

    `more` are tables that it has in place of its own.
    """
    tables = minute_market(minutes + 1, symbols=settings.get("symbols", ("BTCUSDT",)))
    tables |= more or {}
    script = [fault_of_text(each) for each in faults]
    async with VenueServer(venue, Tape(tables), clock=clock, faults=script, begin="call") as server:
        feed_settings = FeedSettings(
            venue=venue, server=server.url, **{"symbols": ("BTCUSDT",), "interval": "1m"} | settings
        )
        items: list[FeedRow | FeedFault] = []
        async with Feed(feed_settings, raw_path=raw_path, clock=clock) as feed:
            reading = asyncio.create_task(_collect(feed, items))
            while server.channels < _channels(feed_settings):
                await asyncio.sleep(0.01)
            await ready.wait()
            server.begin()
            await server.replayed()
            reading.cancel()
            counts = dict(feed.assembly.counts)
        end = START + minutes * MINUTE
        truth = {name: table[table["event_time"] <= end] for name, table in tables.items()}
        return FeedRun([each for each in items if _time(each) <= end], counts, dict(server.sent), truth)


def _channels(settings: FeedSettings) -> int:
    """How many channels a feed subscribes to; OKX has one of liquidations for all symbols, Gate none."""
    symbols = len(settings.symbols)
    return symbols * (len(settings.bar_tables) + 1) + {"okx": 1, "gate": 0}.get(settings.venue, symbols)


def _time(item: FeedRow | FeedFault) -> pd.Timestamp:
    return item.row["event_time"] if isinstance(item, FeedRow) else item.time


async def _collect(feed: Feed, items: list[FeedRow | FeedFault]) -> None:
    async for item in feed:
        items.append(item)  # noqa: PERF401 -- those before the end of the task count


def listen_to_all(
    venue: str,
    scripts: Sequence[Sequence[str]],
    polled: Sequence[tuple[str, ...] | None] | None = None,
    **settings: Any,
) -> list[FeedRun]:
    """Listen to several scripts at once, each with the tables that it requests."""

    async def run() -> list[FeedRun]:
        clock, ready = VirtualClock(START.value), asyncio.Barrier(len(scripts) + 1)
        pairs = zip(scripts, polled or [None] * len(scripts), strict=True)
        works = [listen(venue, s, clock=clock, ready=ready, polled=p, **settings) for s, p in pairs]
        tasks = asyncio.gather(*works)
        waiting = asyncio.ensure_future(ready.wait())  # the clock stands still until all are connected
        await asyncio.wait([tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
        with clock.running():
            return await tasks

    return asyncio.run(run())
