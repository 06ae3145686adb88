"""The process that trades on paper: what a feed yields goes to an account. It never places a real order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from slackwater.clock import Clock
from slackwater.feed.live import Feed
from slackwater.feed.settings import FeedSettings
from slackwater.paper.input_log import Input, Tick
from slackwater.paper.stored_account import StoredAccount
from slackwater.sources.intervals import INTERVALS
from slackwater.times import MINUTE_US, timestamp

__all__ = ["feed_settings", "watch"]

_WAITING: Final = 0.5
"""Seconds between two looks while a decision waits for bars."""


async def watch(
    account: StoredAccount, clock: Clock | None = None, *, on_feed: Callable[[Feed], None] = lambda feed: None
) -> None:
    """Trade until the task is cancelled; then write a checkpoint, and the end into the journal.

    Parameters
    ----------
    account
        Account that was opened.
    clock
        Clock to wait by; None: that of the machine, or of the mock venue.
    on_feed
        Called with the feed once it is connected.

    Raises
    ------
    ParameterError, SourceError
        As `slackwater.feed.live.Feed`: a symbol that the venue lacks, a clock that is off, a venue out of reach.
    PaperError, JournalError
        If the log or the journal can no longer be written; whatever was decided before is in both.
    """
    try:
        async with Feed(feed_settings(account), raw_path=account.settings.raw_path, clock=clock) as feed:
            on_feed(feed)
            feed.follow(account.desk.broker.working)
            ticking = asyncio.get_running_loop().create_task(_tell_the_time(account, feed))
            try:
                async for item in feed:
                    _take(account, feed, item)
                    if ticking.done():
                        ticking.result()
            finally:
                ticking.cancel()
    finally:
        account.end()


def feed_settings(account: StoredAccount) -> FeedSettings:
    """Return the settings of the feed of an account: it goes on where the rows end that the account has."""
    settings, desk = account.settings, account.desk
    since = {(row.table, row.symbol): row.newest for row in desk.session.record().itertuples()}
    for table, times in desk.newest.items():
        since |= {(table, symbol): timestamp(time) for symbol, time in times.items()}
    names = {length: name for name, length in INTERVALS.items()}
    spec = desk.session.scorer.spec
    table, length = desk.settings.finest
    return FeedSettings(
        venue=settings.venue,
        symbols=tuple(settings.symbols),
        interval=names[spec.bar_interval],
        fine_interval=None if table == "bars" else names[length],
        decision_lag=max(spec.decision_lag, timedelta(milliseconds=1)),
        since=since,
        server=settings.server,
    )


async def _tell_the_time(account: StoredAccount, feed: Feed) -> None:
    """Tell the desk the time at the moment at which a decision is due, and each minute."""
    while True:
        now_us = feed.clock.now_ns() // 1000
        due_us = min(account.desk.next_decision_us, now_us - now_us % MINUTE_US + MINUTE_US) - now_us
        await feed.clock.sleep(due_us / 1e6 if due_us > 0 else _WAITING)
        prices = {name: feed.assembly.last_price(name) for name in account.settings.symbols}
        _take(account, feed, Tick({name: price for name, price in prices.items() if price is not None}))


def _take(account: StoredAccount, feed: Feed, what: Input) -> None:
    if account.take(feed.clock.now_ns() // 1000, what):
        feed.follow(account.desk.broker.working)
