"""The settings of a feed: venue, symbols, intervals, rhythms and patience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from slackwater.errors import ParameterError, did_you_mean
from slackwater.loopback import is_loopback
from slackwater.market.columns import is_name
from slackwater.market.venues import EXCHANGES
from slackwater.sources.intervals import INTERVALS
from slackwater.sources.large_trades import LargeTradeRule, TradeSizes
from slackwater.times import DAY, MINUTE, SECOND

__all__ = ["RHYTHMS", "FeedSettings"]

RHYTHMS: Final[Mapping[str, timedelta]] = MappingProxyType({"bars": 70 * SECOND, "trades": 120 * SECOND})
"""Longest silence of a stream of a symbol that is not a fault. Liquidations may be silent for hours: their health is
that of the streams on the same connection."""


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """What a feed is asked for.

    Parameters
    ----------
    venue
        Name of a venue.
    symbols
        Canonical symbols.
    interval
        Length of the bars of table ``bars``: 1m, 5m, 15m or 1h.
    fine_interval
        Length of those of table ``fine_bars``, and of the rows of ``mark_price`` and ``premium_index``; None: there are
        no finer ones.
    decision_lag
        Time from the close of a bar to its decision; what comes later is `Quality.LATE`.
    since
        Event time of the newest row that is known already, by table and symbol
        (`slackwater.scoring.session.Session.record`); bars after it are back-filled.
    server
        Root URL of a mock venue on the loopback interface, in place of the venue.
    rhythms
        Longest silence by stream; see `RHYTHMS`.
    large_trades
        Rule by which trades are large.
    polled
        Tables to request at regular times (`slackwater.feed.polled`); None: all that the venue has.
    trade_sizes
        Counts of earlier trades by symbol; without them no trade is large until the rule has warmed up.
    proof_wait
        Time after the close of a bar after which it is requested, if its stream has not proven it.
    rebuild_after
        Age at which the client and its connections are replaced.
    longest_backoff
        Longest wait before a new connection; waits begin with a second and double.
    attempts
        Number of tries of a request.

    Raises
    ------
    ParameterError
        If a value is out of its range; the message names it.
    """

    venue: str
    symbols: tuple[str, ...]
    interval: str = "5m"
    fine_interval: str | None = None
    decision_lag: timedelta = 5 * SECOND
    since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    server: str | None = None
    rhythms: Mapping[str, timedelta] = field(default_factory=lambda: RHYTHMS)
    large_trades: LargeTradeRule = field(default_factory=LargeTradeRule)
    trade_sizes: Mapping[str, TradeSizes] = field(default_factory=dict)
    polled: tuple[str, ...] | None = None
    proof_wait: timedelta = 3 * SECOND
    rebuild_after: timedelta = DAY
    longest_backoff: timedelta = MINUTE
    attempts: int = 8

    def __post_init__(self) -> None:
        if self.venue not in EXCHANGES:
            raise ParameterError(
                f"`venue` must be a known venue, was {self.venue!r}{did_you_mean(self.venue, EXCHANGES)}"
            )
        names = self.symbols
        known = tuple(RHYTHMS)
        positive = ("decision_lag", "proof_wait", "rebuild_after", "longest_backoff")
        rules = {
            "`symbols` must be different names such as 'BTCUSDT'": isinstance(names, tuple)
            and bool(names)
            and all(isinstance(name, str) and is_name(name) for name in names)
            and len(set(names)) == len(names),
            f"`interval` must be one of {', '.join(INTERVALS)}": self.interval in INTERVALS,
            f"`fine_interval` must be one of {', '.join(INTERVALS)}": self.fine_interval in (None, *INTERVALS),
            "`fine_interval` must be shorter than `interval`": self.fine_interval is None
            or INTERVALS.get(self.fine_interval, DAY) < INTERVALS.get(self.interval, DAY),
            f"`rhythms` must name {', '.join(known)}, each above 0": set(self.rhythms) <= set(known)
            and all(each > timedelta(0) for each in self.rhythms.values()),
            **{f"`{name}` must be above 0": getattr(self, name) > timedelta(0) for name in positive},
            "`attempts` must be at least 1": self.attempts >= 1,
            f"`server` must be http://, a loopback address and a port, was {self.server!r}": self.server is None
            or _on_loopback(self.server),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ParameterError(f"feed of {self.venue}: {'; '.join(broken)}")

    @property
    def finest(self) -> timedelta:
        """Length of the finest bars."""
        return min(self.bar_tables.values())

    @property
    def bar_tables(self) -> dict[str, timedelta]:
        """The tables of bars and their lengths."""
        fine = {} if self.fine_interval is None else {"fine_bars": INTERVALS[self.fine_interval]}
        return {"bars": INTERVALS[self.interval], **fine}


def _on_loopback(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme == "http" and is_loopback(parts.hostname or "") and parts.port is not None
    except ValueError:
        return False
