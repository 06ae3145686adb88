"""A feed that listens to a mock venue on loopback, both real, faster than the machine's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
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

SPEED = 100.0
MINUTES = 6
STREAMS = {"binance": ("bars", "trades", "liquidations")}
SECOND = timedelta(seconds=1)


@dataclass
class FeedRun:
    """What a feed has yielded, what the venue has sent, and the truth."""

    items: list[FeedRow | FeedFault]
    sent: dict[str, int]
    tables: dict[str, pd.DataFrame]
    requests: list[str]

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
    minutes: int = MINUTES,
    raw_path: Path | None = None,
    ready: asyncio.Barrier | None = None,
    **settings: Any,
) -> FeedRun:
    """Listen to minutes of a market with faults from its beginning, and to one more, in which bars are requested."""
    tables = minute_market(minutes + 1, symbols=settings.get("symbols", ("BTCUSDT",)))
    script = [fault_of_text(each) for each in faults]
    asked = {"symbols": ("BTCUSDT",), "interval": "1m", "decision_lag": 30 * SECOND, "proof_wait": 10 * SECOND}
    async with VenueServer(venue, Tape(tables), speed=SPEED, faults=script, begin="call") as server:
        feed_settings = FeedSettings(venue=venue, server=server.url, **asked | settings)
        items: list[FeedRow | FeedFault] = []
        async with Feed(feed_settings, raw_path=raw_path) as feed:
            reading = asyncio.create_task(_collect(feed, items))
            while server.channels < len(STREAMS[venue]):
                await asyncio.sleep(0.01)
            if ready is not None:
                await ready.wait()
            server.begin()
            await asyncio.wait_for(server.ended.wait(), 60)
            reading.cancel()
        end = START + minutes * MINUTE
        truth = {name: table[table["event_time"] <= end] for name, table in tables.items()}
        return FeedRun([each for each in items if _time(each) <= end], dict(server.sent), truth, server.requests)


def _time(item: FeedRow | FeedFault) -> pd.Timestamp:
    return item.row["event_time"] if isinstance(item, FeedRow) else item.time


async def _collect(feed: Feed, items: list[FeedRow | FeedFault]) -> None:
    async for item in feed:
        items.append(item)  # noqa: PERF401 -- those before the end of the task count


def listen_to_all(venue: str, scripts: Iterable[Sequence[str]], **settings: Any) -> list[FeedRun]:
    """Listen to several scripts at once."""

    async def run() -> list[FeedRun]:
        given = list(scripts)
        ready = asyncio.Barrier(len(given))  # all begin together, when none is busy with connecting any more
        return await asyncio.gather(*(listen(venue, script, ready=ready, **settings) for script in given))

    return asyncio.run(run())
