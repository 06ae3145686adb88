"""Recorded websocket messages: liquidations and trades.

Venues name different sides. Here the side of a liquidation is that of the position:

======== =================================== ============================ ======================================
venue    message                             side in it                   a liquidated long reads
======== =================================== ============================ ======================================
binance  ``forceOrder``                      of the order                 SELL
bybit    ``allLiquidation``, ``liquidation`` of the position              Buy
okx      ``liquidation-orders``              of the position and order    ``posSide`` long, or ``side`` sell
======== =================================== ============================ ======================================
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pandas as pd

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.schemas import validate
from slackwater.sources.exchange.passed_over import PassedOver
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.exchange.venues import VENUES, find_venue
from slackwater.times import EARLIEST, LATEST

__all__ = ["read_messages"]

#: From the venue's stamp of a message to its arrival, where the record lacks the arrival.
LAG: Final = pd.Timedelta(seconds=1)

Row = dict[str, Any]
Key = tuple[Any, ...]


def read_messages(
    lines: Iterable[str], venue: str | Venue, *, contract_sizes: Mapping[str, float] | None = None
) -> dict[str, pd.DataFrame]:
    """Return the liquidations and trades in recorded messages.

    Parameters
    ----------
    lines
        Messages: JSON, or the nanoseconds since 1970 of the arrival, a space, and JSON. Messages of other kinds are
        passed over, and counted in a warning. What is told again, after a new subscription or by a second recorder,
        counts once, by its earliest arrival: a trade by its id, a liquidation if it is equal in all but its arrival
        (equal ones within one message are different ones). Events of quantity zero are left out.
    venue
        Name of a venue that has a reader, or a venue from outside the library.
    contract_sizes
        Coins per contract by canonical symbol; OKX counts liquidations in contracts.

    Returns
    -------
    dict of DataFrame
        ``liquidations`` and ``trades`` (columns of ``large_trades``; Binance only), those that have rows, sorted by
        symbol and `event_time`. `available_time` is the arrival, or one second after the venue's stamp.

    Raises
    ------
    ParameterError
        If the venue has no reader.
    SchemaError
        If a line is not a message, a value is not a number, or the size of a contract is needed and missing; with the
        line. If no message was read, and some are those of another venue.

    Warns
    -----
    DefectWarning
        If no message was read, or none of some kinds: how many of how many, and the kinds.

    Examples
    --------
    >>> line = '{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","q":"0.014","p":"9910",'
    >>> line += '"ap":"9910","z":"0.014","T":1568014460893}}'
    >>> read_messages([line], "binance")["liquidations"]["side"].item()
    'long'
    """
    source = find_venue(venue)
    if source.read_message is None:
        readable = ", ".join(each.name for each in VENUES.values() if each.read_message)
        raise ParameterError(f"`venue` must be one whose messages can be read ({readable}), was {source.name!r}")
    sizes = contract_sizes or {}
    rows: dict[str, list[Row]] = {"liquidations": [], "trades": []}
    passed_over = PassedOver(source, sizes)
    for place, line in enumerate(_readable(lines), start=1):
        if not line.strip():
            continue
        try:
            arrived, message = _split(line)
            told: Counter[Key] = Counter()
            for table, row in source.read_message(message, sizes):
                key = _identity(table, row, place)
                told[key] += 1
                rows[table].append(_stamped(row, arrived) | {"_key": (key, told[key])})
            passed_over.count(message, taken=told.total() > 0)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SchemaError(
                f"line {place} is not a message of {source.name} ({error}): {line.strip()[:100]}"
            ) from None
    passed_over.report()
    out = {}
    for table, found in rows.items():
        # An event of quantity zero is none.
        found = _each_once(row for row in found if row["quantity"] != 0.0)
        if found:
            frame = pd.DataFrame(found).sort_values(["symbol", "event_time"], kind="stable", ignore_index=True)
            out[table] = validate(
                frame, "liquidations" if table == "liquidations" else "large_trades", origin=source.name
            )
    return out


def _identity(table: str, row: Row, place: int) -> Key:
    """Return what makes an event the same one although it is told again; `place` is the line of the message."""
    number = row.pop("id", None)
    if table == "liquidations":
        return tuple(str(row[name]) for name in ("symbol", "side", "price", "quantity", "time"))
    return (str(row["symbol"]), str(number)) if number is not None else (place,)


def _each_once(rows: Iterable[Row]) -> list[Row]:
    """Return each event once, with its earliest arrival; equal ones within one message are different events."""
    first: dict[Key, Row] = {}
    for row in rows:
        key = row.pop("_key")
        if key not in first or row["available_time"] < first[key]["available_time"]:
            first[key] = row
    return list(first.values())


def _readable(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a file, which need not be text although it was opened as text."""
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise SchemaError(f"the lines are not UTF-8 ({error})") from None


def _split(line: str) -> tuple[int | None, Any]:
    head, _, rest = line.partition(" ")
    if head.isdigit() and rest:
        return int(head), json.loads(rest)
    return None, json.loads(line)


def _stamped(row: Row, arrived: int | None) -> Row:
    if not isinstance(row["symbol"], str):
        raise TypeError(f"symbol {row['symbol']!r}")
    row["symbol"].encode()  # half of a surrogate pair cannot be encoded
    event = pd.Timestamp(int(row.pop("time")), unit="ms", tz="UTC")
    if not EARLIEST <= event < LATEST:
        raise ValueError(f"its time, in the year {event.year}, is not in ms since 1970")
    sent = pd.Timestamp(int(row.pop("sent")), unit="ms", tz="UTC")
    known = max(sent, event) + LAG if arrived is None else pd.Timestamp(arrived, unit="ns", tz="UTC")
    # The clock of the recorder may be behind that of the venue, and nothing is known before it happened.
    return row | {"event_time": event.as_unit("us"), "available_time": max(known, event).as_unit("us")}
