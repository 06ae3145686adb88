"""The request for a data set: venue, symbols, dates and tables, checked before any server is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from slackwater.errors import ParameterError
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.binance_archive.catalogue import DEFAULT_LAGS, market_of
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.exchange.venues import find_venue
from slackwater.sources.intervals import INTERVALS
from slackwater.sources.large_trades import LargeTradeRule
from slackwater.times import HOUR

__all__ = ["FetchRequest"]


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """Request for the tables of some symbols over a span of time.

    Parameters
    ----------
    venue
        Name of one of `slackwater.sources.exchange.venues.VENUES`, or a venue from outside the library.
    symbols
        Canonical names of perpetuals, such as BTCUSDT.
    start, end
        With a time zone. Rows stamped from `start` to `end`, both included; the archive is read up to the last file
        that begins before `end`, so that a settlement at the midnight of `end` is not among them.
    tables
        Canonical tables; None: all tables of the archive but `large_trades`, whose files are a hundred times as large.
    interval
        Interval of the bars, one of `slackwater.sources.intervals.INTERVALS`.
    source
        ``"archive"``: the venue's public archive. ``"exchange"``: its own interface, whose history is shorter. None:
        the archive where there is one.
    large_trades
        Rule for large trades.

    Raises
    ------
    ParameterError
        If a field is out of range.
    """

    venue: str | Venue
    symbols: Sequence[str]
    start: datetime
    end: datetime
    tables: Sequence[str] | None = None
    interval: str = "1m"
    source: Literal["archive", "exchange"] | None = None
    large_trades: LargeTradeRule = field(default_factory=LargeTradeRule)

    def __post_init__(self) -> None:
        venue = find_venue(self.venue)
        if isinstance(self.symbols, str) or not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ParameterError(f"`symbols` must be names such as BTCUSDT, each once, was {self.symbols!r}")
        for name in ("start", "end"):
            time = getattr(self, name)
            if time.tzinfo is None:
                raise ParameterError(f"`{name}` must carry a time zone, was {time}")
            if time.year < 2018:
                raise ParameterError(f"`{name}` must not lie before 2018, when no venue had these, was {time}")
        if self.end <= self.start:
            raise ParameterError(f"`end` must be after `start`, was {self.end} and {self.start}")
        if self.interval not in INTERVALS:
            raise ParameterError(f"`interval` must be one of {', '.join(INTERVALS)}, was {self.interval!r}")
        if self.source not in (None, "archive", "exchange"):
            raise ParameterError(f"`source` must be archive or exchange, was {self.source!r}")
        if self.source == "archive" and not venue.archive:
            raise ParameterError(f"there is no archive of {venue.name}; use `exchange`")
        known = DEFAULT_LAGS if self.from_archive else SCHEMAS
        unknown = sorted(set(self.tables or ()) - set(known))
        if unknown or (self.tables is not None and not self.tables):
            raise ParameterError(f"`tables` must be among {', '.join(known)}; {', '.join(unknown) or 'none'} is not")
        if self.from_archive:
            for symbol in self.symbols:
                market_of(symbol)

    @property
    def from_archive(self) -> bool:
        """True if the tables come from the archive, not from the exchange's own interface."""
        return self.source == "archive" or (self.source is None and find_venue(self.venue).archive)

    @property
    def wanted(self) -> list[str]:
        """The tables to fetch, sorted."""
        return sorted(set(DEFAULT_LAGS) - {"large_trades"} if self.tables is None else set(self.tables))

    def to_dict(self) -> dict[str, Any]:
        """Return the request, fit for JSON."""
        rule = self.large_trades
        asked: dict[str, Any] = {
            "venue": find_venue(self.venue).name,
            "source": "archive" if self.from_archive else "exchange",
            "symbols": sorted(self.symbols),
            "start": self.start.astimezone(UTC).isoformat(),
            "end": self.end.astimezone(UTC).isoformat(),
            "tables": self.wanted,
            "interval": self.interval,
        }
        if "large_trades" in self.wanted:
            hours = {name: getattr(rule, name) / HOUR for name in ("window", "warm_up")}
            asked["large_trades"] = {"quantile": rule.quantile, "floor_usd": rule.floor_usd, "hours": hours}
        return asked
