"""Canonical tables of a venue, straight from its public addresses."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import SCHEMAS, refuse_both_kinds_of_liquidations, validate
from slackwater.sources.exchange.binance import BINANCE
from slackwater.sources.exchange.bybit import BYBIT
from slackwater.sources.exchange.client import Client, TooOldError
from slackwater.sources.exchange.endpoint import HOUR, MINUTE, Ask, Endpoint
from slackwater.sources.exchange.gate import GATE
from slackwater.sources.exchange.listing import Listing, listing_of
from slackwater.sources.exchange.okx import OKX
from slackwater.sources.exchange.pages import Pages, read_pages
from slackwater.sources.exchange.tables import Notes, canonical, stamped
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.http import Politeness

__all__ = ["INTERVALS", "VENUES", "ExchangeTables", "fetch_exchange"]

VENUES: Final[dict[str, Venue]] = {venue.name: venue for venue in (BINANCE, BYBIT, OKX, GATE)}
INTERVALS: Final = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR}

_NOWHERE: Final = {
    "large_trades": "venues give the trades of the last minutes alone; Binance's archive has all of them",
    "depth": "venues give the book of this moment alone; Binance's archive has bands of it",
    "whale_transfers": "no venue publishes wallets; bring transfers from an indexer",
    "exchange_flows": "no venue publishes wallets; bring flows from an indexer",
}
#: An interval before the first settlement must be seen to tell its length.
_BEFORE: Final = {"funding": 24 * HOUR}
#: Funding is paid in whole hours; what is older by more than this is missing.
_LATE: Final = {"funding": 8 * HOUR}


@dataclass(kw_only=True)
class ExchangeTables:
    """What a venue gave.

    Parameters
    ----------
    tables
        Canonical tables by name, none of them empty.
    absent
        Table to the reason why there is none.
    findings
        What was repaired, masked, or ends early.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def fetch_exchange(
    venue: str,
    symbols: Sequence[str],
    start: datetime,
    end: datetime,
    tables: Sequence[str],
    *,
    interval: str = "1m",
    base_url: str | None = None,
    politeness: Politeness | None = None,
    progress: Callable[[str], None] | None = None,
    now: datetime | None = None,
) -> ExchangeTables:
    """Fetch canonical tables of perpetuals from a venue's own interface.

    Parameters
    ----------
    venue
        One of `VENUES`.
    symbols
        Canonical, such as BTCUSDT.
    start, end
        With a time zone; rows with ``start <= event_time <= end``.
    tables
        Canonical names. ``fine_bars`` and ``bars`` are the same bars.
    interval
        Of the bars, one of `INTERVALS`; statistics come at the same spacing, but no finer than five minutes.
    base_url
        Where to ask instead of the venue itself.
    politeness
        How often to try, and how long to wait.
    progress
        Told a line for each table of each symbol.
    now
        The time by the own clock; that of the venue counts where it is earlier. What is not over by then is left out.

    Returns
    -------
    ExchangeTables
        Quantities in coin. Rows are sorted by symbol and `event_time`.

    Raises
    ------
    ParameterError
        If an argument is out of range, or the venue does not list a symbol.
    MissingDataError
        If ccxt is not installed.
    SourceError
        If the venue cannot be reached, refuses, or answers with something else than its rows.
    SchemaError
        If both kinds of liquidations are asked for.
    """
    _check(venue, symbols, start, end, tables, interval)
    source, say = VENUES[venue], progress or (lambda _: None)
    client = Client(venue, base_url=base_url, politeness=politeness)
    out = ExchangeTables()
    listings = {symbol: listing_of(client, source, symbol) for symbol in sorted(symbols)}
    for name in dict.fromkeys(tables):
        endpoints = source.tables.get("bars" if name == "fine_bars" else name)
        if endpoints is None:
            out.absent[name] = source.absent.get(name) or _NOWHERE[name]
            continue
        pieces = []
        for symbol, listing in listings.items():
            notes = Notes(name, symbol)
            reader = _Reader(client, listing, notes, start, end, INTERVALS[interval], now)
            piece = reader.read(endpoints)
            say(f"{venue} {symbol} {name}: {len(piece):,} rows")
            if piece.empty:
                notes.span("no_rows", start, end, 0, "recorded", f"{venue} has no rows of that time")
            out.findings += notes.findings
            pieces.append(piece)
        table = pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)
        if len(table):
            out.tables[name] = validate(table, name, origin=venue)
        else:
            said = sorted({finding.note for finding in out.findings if finding.table == name})
            out.absent[name] = "; ".join([f"{venue} has no rows of that time", *said])
    return out


@dataclass(frozen=True)
class _Reader:
    """Reads one table of one symbol."""

    client: Client
    listing: Listing
    notes: Notes
    start: datetime
    end: datetime
    interval: int
    now: datetime | None

    def read(self, endpoints: Sequence[Endpoint]) -> pd.DataFrame:
        name, read = self.notes.table, [(endpoint, self._rows(endpoint)) for endpoint in endpoints]
        # The first endpoint that has any decides which rows there are.
        (main, rows), *others = [each for each in read if len(each[1])] or read[:1]
        for _, other in others:
            rows = rows.merge(other.drop_duplicates("time", keep=False), on="time", how="left")
        self._complete(rows, main)
        moment = self.client.moment(self.now)
        period = main.period(self.interval)
        table = canonical(stamped(rows, main, period), name, self.listing.symbol, now=moment, notes=self.notes)
        return table[table["event_time"].between(pd.Timestamp(self.start), pd.Timestamp(self.end))]

    def _range(self, endpoint: Endpoint) -> tuple[int, int, int]:
        """Return the first and last stamp to ask for, and the first that was wanted, in milliseconds."""
        period = endpoint.period(self.interval)
        shift = period if endpoint.stamp == "start" else 0
        moment = _milliseconds(self.client.moment(self.now))
        step = max(period, 1)
        first = -(-(_milliseconds(self.start) - shift) // step) * step
        last = min(_milliseconds(self.end), moment) - shift
        wanted = first
        first -= _BEFORE.get(self.notes.table, 0)
        if endpoint.history is not None:
            first = max(first, -(-(moment - endpoint.history // timedelta(milliseconds=1)) // step) * step)
        if endpoint.history_points is not None:
            first = max(first, -(-(moment - endpoint.history_points * step) // step) * step)
        return first, last, wanted

    def _rows(self, endpoint: Endpoint) -> pd.DataFrame:
        first, last, _ = self._range(endpoint)
        period = endpoint.period(self.interval)
        refused: list[str] = []

        def ask(low: int, high: int) -> pd.DataFrame:
            asked = Ask(
                instrument=self.listing.instrument, first=low, last=high, period=endpoint.periods.get(period, "")
            )
            try:
                answer = self.client.ask(endpoint.method, endpoint.params(asked), too_old=endpoint.too_old)
            except TooOldError as error:
                refused.append(str(error))
                answer = None
            if answer is None:
                return pd.DataFrame({"time": pd.Series(dtype="int64")})
            return endpoint.parse(answer, contract_size=self.listing.contract_size)

        pages = read_pages(
            ask,
            first,
            last,
            resolution=period or endpoint.time_unit,
            limit=endpoint.limit,
            repeats="event_time" not in SCHEMAS[self.notes.table].key,
            span=endpoint.longest_range(period),
        )
        self._note_pages(pages, endpoint, refused)
        if pages.rows.empty:
            return pd.DataFrame({"time": pages.rows["time"], **{name: [] for name in _made(endpoint)}})
        return endpoint.finish(pages.rows)

    def _note_pages(self, pages: Pages, endpoint: Endpoint, refused: list[str]) -> None:
        if refused:
            self.notes.span("history_limit", self.start, self.end, 0, "recorded", f"the venue says: {refused[0]}")
        if pages.foreign and pages.rows.empty:
            note = f"{endpoint.method} answered with {pages.foreign} rows of other times than were asked"
            self.notes.span("foreign_times", self.start, self.end, pages.foreign, "masked", note)
        for moment in pages.crowded:
            time = pd.Timestamp(moment, unit="ms", tz="UTC")
            note = f"{endpoint.limit} rows or more share this stamp, which is all that the venue gives at once"
            self.notes.span("crowded", time, time, endpoint.limit, "recorded", note)

    def _complete(self, rows: pd.DataFrame, endpoint: Endpoint) -> None:
        """Note where a history begins later or ends earlier than it was asked for."""
        first, last, wanted = self._range(endpoint)
        period = endpoint.period(self.interval)
        name = self.notes.table
        if not period and name not in _LATE:
            return  # Events come when they come.
        slack = max(period, _LATE.get(name, 0))
        if rows.empty:
            times = pd.Series([last])
        else:
            times = rows["time"]
        oldest, newest = int(times.min()), int(times.max())
        if oldest - wanted >= slack and (len(rows) or first > wanted):
            note = "the venue does not go back further"
            if endpoint.history is not None and first > wanted:
                note = f"the venue keeps {(endpoint.history + timedelta(days=1)).days} days"
            elif endpoint.history_points is not None and first > wanted:
                note = "the venue keeps 10,000 rows"
            elif self.listing.listed is not None and oldest <= _milliseconds(self.listing.listed) + 24 * HOUR:
                note = f"listed {self.listing.listed:%Y-%m-%d}"
            lost = (oldest - wanted) // period if period else 0
            self.notes.span("history_begins", _time(wanted), _time(oldest), lost, "recorded", note)
        # The last period may be open still, and the one before it be published late.
        if len(rows) and last - newest > slack + 2 * period:
            lost = (last - newest) // period if period else 0
            note = "the venue has nothing newer"
            self.notes.span("history_ends", _time(newest), _time(last), lost, "recorded", note)


def _made(endpoint: Endpoint) -> list[str]:
    """Return the names of the columns that an endpoint makes."""
    blank = pd.DataFrame({name: pd.Series(dtype="float64") for name in endpoint.columns})
    return [name for name in endpoint.finish(blank.astype({"time": "int64"})) if name != "time"]


def _milliseconds(time: datetime) -> int:
    return (time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _time(milliseconds: int) -> pd.Timestamp:
    return pd.Timestamp(milliseconds, unit="ms", tz="UTC")


def _check(
    venue: str, symbols: Sequence[str], start: datetime, end: datetime, tables: Sequence[str], interval: str
) -> None:
    if venue not in VENUES:
        near = difflib.get_close_matches(str(venue).lower(), VENUES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ParameterError(f"`venue` must be one of {', '.join(VENUES)}, was {venue!r}{hint}")
    if isinstance(symbols, str) or not symbols:
        raise ParameterError(f"`symbols` must be names such as BTCUSDT, was {symbols!r}")
    for name, time in (("start", start), ("end", end)):
        if time.tzinfo is None:
            raise ParameterError(f"`{name}` must carry a time zone, was {time}")
    if end <= start:
        raise ParameterError(f"`end` must be after `start`, was {end} and {start}")
    unknown = sorted(set(tables) - set(SCHEMAS))
    if unknown or not tables:
        raise ParameterError(f"`tables` must name canonical tables ({', '.join(SCHEMAS)}), was {unknown or 'empty'}")
    if interval not in INTERVALS:
        raise ParameterError(f"`interval` must be one of {', '.join(INTERVALS)}, was {interval!r}")
    refuse_both_kinds_of_liquidations(set(tables))
