"""Tables that a feed requests: addresses, times, and rows of the answers.

Addresses and readers are those of `slackwater.sources.exchange`, so that a row has the values that `slackwater fetch`
would write for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from slackwater.errors import ParameterError, did_you_mean
from slackwater.feed.items import FaultKind
from slackwater.market.quality.ledger import Finding
from slackwater.sources.exchange.endpoint import Ask, Endpoint
from slackwater.sources.exchange.tables import LAGS, Notes, canonical, stamped
from slackwater.sources.exchange.venue import Venue
from slackwater.times import DAY, HOUR, MINUTE, SECOND, microseconds, timestamp

__all__ = ["DEPTH", "NoDepth", "Poll", "address", "depth_row", "longest_range", "polls_of", "rows_of_answer"]

DEPTH: Final = "depth"
LEVELS: Final[Mapping[str, int]] = {"binance": 1000, "bybit": 500, "okx": 400, "gate": 300}
"""Levels per side that are requested, the most that each venue gives to one request."""

_SLACK: Final = 200_000
"""Microseconds after a row becomes available at which it is requested."""


class Poll(NamedTuple):
    """Table to be requested after each multiple of `every`, by `after`, with all rows of the last `reach`.

    Without a new row for longer than `rhythm`, the answers are stale (None: any time may pass).
    """

    table: str
    every: timedelta
    after: timedelta
    reach: timedelta
    rhythm: timedelta | None

    def due(self, now: int) -> int:
        """Return the number of the last request that is due at a time in microseconds."""
        return (now - microseconds(self.after) - _SLACK) // microseconds(self.every)


def polls_of(
    venue: Venue, *, interval: timedelta, finest: timedelta, wanted: Iterable[str] | None = None
) -> list[Poll]:
    """Return the polls of a venue: all, or those of some tables.

    Parameters
    ----------
    venue
        The venue.
    interval, finest
        Length of the bars, before whose decision a book is read, and of the finest ones, as which the mark price and
        the premium index are requested.
    wanted
        Tables; None: all that the venue has.

    Raises
    ------
    ParameterError
        If a table is not one that the venue is asked for; with the reason, where one is known.
    """
    polls = {poll.table: poll for poll in _polls(venue, interval, finest)}
    for name in wanted or ():
        if name not in polls:
            reason = venue.absent.get(name, f"there is no such request{did_you_mean(name, polls)}")
            raise ParameterError(f"`polled` names `{name}`: {reason}")
    return [poll for name, poll in polls.items() if wanted is None or name in wanted]


def _polls(venue: Venue, interval: timedelta, finest: timedelta) -> list[Poll]:
    held = [
        Poll("mark_price", finest, LAGS["mark_price"], 3 * finest, 3 * finest + MINUTE),
        # A replay of a data set may have one every five minutes, as that of the simulator.
        Poll("premium_index", finest, LAGS["premium_index"], 3 * finest, max(3 * finest, 5 * MINUTE) + MINUTE),
        # A statistic counts as known after the period that follows its stamp.
        Poll("open_interest", 5 * MINUTE, LAGS["open_interest"], HOUR, 4 * max(5 * MINUTE, finest)),
        Poll("funding", HOUR, LAGS["funding"], 3 * DAY, 9 * HOUR),
        Poll("liquidations", 20 * SECOND, timedelta(0), 10 * MINUTE, None),
    ]
    # A book is known when it is read, and read just before the bar closes; what is wrong with one is said at once.
    return [*(poll for poll in held if poll.table in venue.tables), Poll(DEPTH, interval, -2 * SECOND, HOUR, None)]


def address(
    venue: Venue, table: str, symbol: str, first: int, last: int, interval: timedelta
) -> tuple[str, dict[str, Any]]:
    """Return ccxt's name of a method, and the parameters for the rows of a range in microseconds."""
    endpoint = _endpoint(venue, table)
    ask = Ask(
        instrument=venue.instrument(symbol),
        first=first // 1000,
        last=last // 1000,
        period=endpoint.period_name(interval),
    )
    return endpoint.method, endpoint.params(ask)


def longest_range(venue: Venue, table: str, interval: timedelta) -> int | None:
    """Return the longest range in microseconds whose rows fit into one answer; None: any."""
    endpoint = _endpoint(venue, table)
    page = endpoint.limit * endpoint.period_ms(interval) or None
    span = endpoint.longest_range(interval)
    longest = min((each for each in (page, span) if each is not None), default=None)
    return None if longest is None else longest * 1000


def rows_of_answer(
    venue: Venue, table: str, symbol: str, answer: Any, *, size: float, interval: timedelta, now: int
) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Return canonical rows, ascending, and findings about those that were left out.

    Parameters
    ----------
    venue, table, symbol, interval
        What was asked for.
    answer
        Decoded JSON.
    size
        Coins per contract.
    now
        Time of the answer, in microseconds since 1970; rows that become known later are left out.

    Raises
    ------
    SourceError
        If the answer does not have the form of its endpoint.
    """
    endpoint = _endpoint(venue, table)
    notes = Notes(table, symbol)
    parsed = endpoint.finish(endpoint.parse(answer, contract_size=size))
    if not parsed["time"].is_monotonic_increasing:
        parsed = parsed.sort_values("time", kind="stable", ignore_index=True)
    rows = stamped(parsed, endpoint, endpoint.period_ms(interval))
    table_name = "bars" if table == "fine_bars" else table
    known = canonical(rows, table_name, symbol, now=timestamp(now), notes=notes)
    # A range ends with rows that are not over yet, and begins with a settlement that has none before it.
    told = [each for each in notes.findings if each.rule not in ("unfinished", "gap", "blank_value")]
    return [{str(name): value for name, value in row.items()} for row in known.to_dict("records")], told


class NoDepth(NamedTuple):
    """Why a book makes no row."""

    kind: FaultKind
    reason: str


def depth_row(symbol: str, book: Mapping[str, Any], now: int) -> dict[str, Any] | NoDepth:
    """Return the row of a book, or why it makes none.

    Parameters
    ----------
    symbol
        Canonical symbol.
    book
        `bids` and `asks`, pairs of price and quantity in coin, best first.
    now
        When it was read, in microseconds since 1970.
    """
    bids, asks = book["bids"], book["asks"]
    if not bids or not asks:
        return NoDepth(FaultKind.SHALLOW_BOOK, "the book is empty")
    if bids[0][0] >= asks[0][0]:
        reason = f"the best bid, {bids[0][0]:g}, is not below the best ask, {asks[0][0]:g}"
        return NoDepth(FaultKind.CROSSED_BOOK, reason)
    middle = (bids[0][0] + asks[0][0]) / 2.0
    if bids[-1][0] > 0.99 * middle or asks[-1][0] < 1.01 * middle:
        reach = min(1.0 - bids[-1][0] / middle, asks[-1][0] / middle - 1.0)
        reason = f"its levels reach {100.0 * reach:.2g} % from the price, and not 1 %: the depth is unknown"
        return NoDepth(FaultKind.SHALLOW_BOOK, reason)
    row: dict[str, Any] = {"symbol": symbol, "event_time": timestamp(now), "available_time": timestamp(now)}
    for percent in (1, 5):
        reached = bids[-1][0] <= (1 - percent / 100) * middle and asks[-1][0] >= (1 + percent / 100) * middle
        if percent == 1 or reached:
            row[f"bid_quantity_{percent}pct"] = sum(q for p, q in bids if p >= (1 - percent / 100) * middle)
            row[f"ask_quantity_{percent}pct"] = sum(q for p, q in asks if p <= (1 + percent / 100) * middle)
    return row


def _endpoint(venue: Venue, table: str) -> Endpoint:
    return venue.tables["bars" if table == "fine_bars" else table][0]
