"""Canonical tables of a venue, from its public addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import SCHEMAS, refuse_both_kinds_of_liquidations, validate
from slackwater.sources.exchange.client import Client, TooOldError
from slackwater.sources.exchange.endpoint import MILLISECOND, Ask, Endpoint
from slackwater.sources.exchange.listing import Listing, listing_of
from slackwater.sources.exchange.pages import Pages, read_pages
from slackwater.sources.exchange.tables import Notes, canonical, stamped
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.exchange.venues import find_venue
from slackwater.sources.http import Politeness
from slackwater.sources.intervals import INTERVALS
from slackwater.sources.request import FetchRequest
from slackwater.times import DAY, HOUR, epoch_us

__all__ = ["ExchangeTables", "fetch_exchange"]

_NOWHERE: Final = {
    "large_trades": "venues publish the trades of the last minutes alone; Binance's archive has all of them",
    "depth": "venues publish the current book alone; Binance's archive has bands of it",
    "whale_transfers": "no venue publishes wallets; take transfers from an indexer",
    "exchange_flows": "no venue publishes wallets; take flows from an indexer",
}
#: The interval of a settlement is the time since the one before, so that reading begins earlier.
_BEFORE: Final = {"funding": DAY // MILLISECOND}
#: Longest usual time between rows of tables without a spacing; a longer one at either end is a finding.
_LATE: Final = {"funding": 8 * HOUR // MILLISECOND}


@dataclass(kw_only=True)
class ExchangeTables:
    """Tables of a venue.

    Parameters
    ----------
    tables
        Canonical tables by name, none of them empty.
    absent
        Reason by table that has no rows.
    findings
        Findings: rows repaired or masked, and histories that begin late or end early.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def fetch_exchange(
    venue: str | Venue,
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
    venue, symbols, start, end, tables, interval
        See `slackwater.sources.request.FetchRequest`. ``fine_bars`` and ``bars`` are the same bars; statistics have the
        spacing of the bars, but not less than five minutes.
    base_url
        Root of a server to ask instead of the venue.
    politeness
        Limits of retries and waits.
    progress
        Function that is called with a line per table and symbol, and about what is waited for.
    now
        The time, by default that of the clock. The venue's clock counts where it is earlier. Rows that become known
        later are left out.

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
        If both kinds of liquidations are requested.
    """
    FetchRequest(
        venue=venue, symbols=symbols, start=start, end=end, tables=tables, interval=interval, source="exchange"
    )
    refuse_both_kinds_of_liquidations(set(tables))
    source, report = find_venue(venue), progress or (lambda _: None)
    client = Client(source, base_url=base_url, politeness=politeness, on_wait=report)
    report(f"asking {source.name} for {', '.join(sorted(symbols))}: {', '.join(dict.fromkeys(tables))}")
    out = ExchangeTables()
    listings = {symbol: listing_of(client, source, symbol) for symbol in sorted(symbols)}
    for name in dict.fromkeys(tables):
        endpoints = source.tables.get("bars" if name == "fine_bars" else name)
        if endpoints is None:
            out.absent[name] = source.absent.get(name) or _NOWHERE.get(name, f"{source.name} does not have it")
            continue
        pieces = []
        for symbol, listing in listings.items():
            notes = Notes(name, symbol)
            reader = _Reader(client, listing, notes, start, end, INTERVALS[interval], now)
            piece = reader.read(endpoints)
            report(f"{source.name} {symbol} {name}: {len(piece):,} rows")
            if piece.empty:
                notes.span("no_rows", start, end, 0, "recorded", f"{source.name} has no rows in this span")
            out.findings += notes.findings
            pieces.append(piece)
        table = pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)
        if len(table):
            out.tables[name] = validate(table, name, origin=source.name)
        else:
            reasons = sorted({finding.note for finding in out.findings if finding.table == name})
            out.absent[name] = "; ".join(dict.fromkeys([f"{source.name} has no rows in this span", *reasons]))
    return out


@dataclass(frozen=True)
class _Reader:
    """Reader of one table of one symbol."""

    client: Client
    listing: Listing
    notes: Notes
    start: datetime
    end: datetime
    interval: timedelta
    now: datetime | None

    def read(self, endpoints: Sequence[Endpoint]) -> pd.DataFrame:
        name, read = self.notes.table, [(endpoint, self._rows(endpoint)) for endpoint in endpoints]
        # The first endpoint that has any decides which rows there are.
        (main, rows), *others = [each for each in read if len(each[1])] or read[:1]
        for _, other in others:
            rows = rows.merge(other.drop_duplicates("time", keep=False), on="time", how="left")
        self._complete(rows, main)
        table = canonical(
            stamped(rows, main, main.period_ms(self.interval)),
            name,
            self.listing.symbol,
            now=self.client.time(self.now),
            notes=self.notes,
        )
        return table[table["event_time"].between(pd.Timestamp(self.start), pd.Timestamp(self.end))]

    def _range(self, endpoint: Endpoint) -> tuple[int, int, int]:
        """Return the first and last stamp to request, and the first of the span of the user, in milliseconds."""
        period = endpoint.period_ms(self.interval)
        shift = period if endpoint.stamp == "start" else 0
        now = _milliseconds(self.client.time(self.now))
        step = max(period, 1)
        first = -(-(_milliseconds(self.start) - shift) // step) * step
        last = min(_milliseconds(self.end), now) - shift
        wanted = first
        first -= _BEFORE.get(self.notes.table, 0)
        if endpoint.history is not None:
            first = max(first, -(-(now - endpoint.history // MILLISECOND) // step) * step)
        if endpoint.history_points is not None:
            first = max(first, -(-(now - endpoint.history_points * step) // step) * step)
        return first, last, wanted

    def _rows(self, endpoint: Endpoint) -> pd.DataFrame:
        first, last, _ = self._range(endpoint)
        period = endpoint.period_ms(self.interval)
        refused: list[str] = []

        def ask(low: int, high: int) -> pd.DataFrame:
            name = endpoint.period_name(self.interval)
            asked = Ask(instrument=self.listing.instrument, first=low, last=high, period=name)
            try:
                answer = self.client.ask(endpoint.method, endpoint.params(asked), too_old=endpoint.too_old)
            except TooOldError as error:
                refused.append(str(error))
                return pd.DataFrame({"time": pd.Series(dtype="int64")})
            return endpoint.parse(answer, contract_size=self.listing.contract_size)

        pages = read_pages(
            ask,
            first,
            last,
            resolution=period or endpoint.time_unit,
            limit=endpoint.limit,
            repeats="event_time" not in SCHEMAS[self.notes.table].key,
            span=endpoint.longest_range(self.interval),
        )
        self._note_pages(pages, endpoint, refused)
        if pages.rows.empty:
            return pd.DataFrame({"time": pages.rows["time"], **{name: [] for name in _made(endpoint)}})
        return endpoint.finish(pages.rows)

    def _note_pages(self, pages: Pages, endpoint: Endpoint, refused: list[str]) -> None:
        if refused:
            self.notes.span("history_limit", self.start, self.end, 0, "recorded", f"answer of the venue: {refused[0]}")
        if pages.foreign and pages.rows.empty:
            note = f"{endpoint.method} answered with {pages.foreign} rows outside of the range of the request"
            self.notes.span("foreign_times", self.start, self.end, pages.foreign, "masked", note)
        for time in pages.crowded:
            note = f"{endpoint.limit} rows or more share this stamp, the most that the venue returns per request"
            self.notes.span("crowded", _time(time), _time(time), endpoint.limit, "recorded", note)

    def _complete(self, rows: pd.DataFrame, endpoint: Endpoint) -> None:
        """Note where a history begins later or ends earlier than requested."""
        first, last, wanted = self._range(endpoint)
        period = endpoint.period_ms(self.interval)
        name = self.notes.table
        if not period and name not in _LATE:
            return  # Events are irregular.
        times = rows["time"] if len(rows) else pd.Series([last])
        usual = 0 if period or len(times) < 2 else int(times.sort_values().diff().median())
        slack = max(period, _LATE.get(name, 0), usual)
        oldest, newest = int(times.min()), int(times.max())
        if oldest - wanted >= slack and (len(rows) or first > wanted):
            note = "the venue does not go back further"
            if endpoint.history is not None and first > wanted:
                note = f"the venue keeps {(endpoint.history + DAY).days} days"
            elif endpoint.history_points is not None and first > wanted:
                note = "the venue keeps 10,000 rows"
            elif self.listing.listed is not None and oldest <= _milliseconds(self.listing.listed + DAY):
                note = f"listed {self.listing.listed:%Y-%m-%d}"
            lost = (oldest - wanted) // period if period else 0
            self.notes.span("history_begins", _time(wanted), _time(oldest), lost, "recorded", note)
        # The last period may still be open, and the one before it may be published late.
        if len(rows) and last - newest > slack + 2 * period:
            lost = (last - newest) // period if period else 0
            note = "the venue has nothing newer"
            self.notes.span("history_ends", _time(newest), _time(last), lost, "recorded", note)


def _made(endpoint: Endpoint) -> list[str]:
    """Return the names of the columns that an endpoint makes."""
    blank = pd.DataFrame({name: pd.Series(dtype="float64") for name in endpoint.columns})
    return [name for name in endpoint.finish(blank.astype({"time": "int64"})) if name != "time"]


def _milliseconds(time: datetime) -> int:
    return epoch_us(time) // 1000


def _time(milliseconds: int) -> pd.Timestamp:
    return pd.Timestamp(milliseconds, unit="ms", tz="UTC")
