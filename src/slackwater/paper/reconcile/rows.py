"""Rows that an account had and history has not, the other way round, later, or with other values."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import pandas as pd

from slackwater.feed.items import Quality
from slackwater.market.inputs import INPUT_TABLES
from slackwater.market.schemas import SCHEMAS
from slackwater.paper.reconcile.differences import Cause
from slackwater.paper.reconcile.replayed import Replayed, SeenRow
from slackwater.times import epoch_us, timestamp

__all__ = ["RowDifference", "RowDifferences", "row_differences"]

_TIMES: Final = ("event_time", "available_time", "open_time")


class RowDifference(NamedTuple):
    """Row of a symbol that differs: when it happened (microseconds since 1970), its table, and how."""

    time_us: int
    table: str
    symbol: str
    cause: Cause
    text: str


class RowDifferences:
    """Differing rows, found by table, symbol and time.

    Parameters
    ----------
    found
        The differences.
    """

    def __init__(self, found: Iterable[RowDifference]) -> None:
        self._held: dict[tuple[str, str, bool], list[RowDifference]] = {}
        for each in sorted(found):
            self._held.setdefault((each.table, each.symbol, each.cause is Cause.LATE), []).append(each)

    def before(self, symbol: str, time_us: int, tables: Collection[str]) -> RowDifference | None:
        """Return the last differing row of some tables up to a time; None if there is none.

        It is one of the symbol, or of another one if it has none, as some features are means over all. Rows whose
        values differ or that lack come before those that were late only.
        """
        for own, late in ((True, False), (True, True), (False, False), (False, True)):
            places = (place for place in self._held if place[0] in tables and (place[1] == symbol) == own)
            known = [each for place in places if place[2] == late for each in self._last(place, time_us)]
            if known:
                return max(known)
        return None

    def _last(self, place: tuple[str, str, bool], time_us: int) -> list[RowDifference]:
        held = self._held[place]
        at = bisect.bisect_right(held, time_us, key=lambda each: each.time_us)
        return held[at - 1 : at]


def row_differences(
    account: Replayed, reference: Mapping[str, pd.DataFrame], lag_us: int, step_us: int
) -> RowDifferences:
    """Compare the rows that an account took with those of history.

    Parameters
    ----------
    account
        Its inputs.
    reference
        Canonical tables of history.
    lag_us, step_us
        Decision lag, and length of a bar, in microseconds.
    """
    found: list[RowDifference] = []
    for name in INPUT_TABLES:
        if name == "depth":
            found += _books(account, reference.get(name), lag_us, step_us)
            continue
        ours = {_key(name, each.row): each for each in account.rows.get(name, [])}
        table = reference.get(name)
        theirs: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        if table is not None:
            known = table["available_time"]
            live = table[(known > timestamp(account.start_us)) & (known <= timestamp(account.end_us))]
            theirs = {_key(name, row): row for row in live.to_dict("records")}
        held = _held(account, name)
        for key, row in theirs.items():
            if key not in ours and key not in held:
                found.append(_of(name, row, Cause.MISSING, "never came"))
        for key, seen in ours.items():
            found += _compared(name, seen, theirs.get(key), lag_us, step_us)
    return RowDifferences(found)


def _books(account: Replayed, table: pd.DataFrame | None, lag_us: int, step_us: int) -> Iterator[RowDifference]:
    """Yield the decisions at which the book was another: a book is read at some moment, and has no key."""
    if table is None:
        return
    live = table[table["available_time"] <= timestamp(account.end_us)].to_dict("records")
    theirs = {(row["symbol"], _first_decision(epoch_us(row["available_time"]), lag_us, step_us)): row for row in live}
    rows = account.rows.get("depth", [])
    ours = {(each.row["symbol"], _first_decision(each.known_us, lag_us, step_us)): each.row for each in rows}
    first = -(-(account.start_us - lag_us) // step_us)
    columns = [column.name for column in SCHEMAS["depth"].columns if column.name not in _TIMES]
    for key in {*theirs, *ours}:
        if key[1] < first:
            continue
        one, other = ours.get(key, {}), theirs.get(key, {})
        if not all(_same(one.get(column), other.get(column)) for column in columns):
            how = "was another than in history" if one and other else ("was not read" if other else "is not in history")
            yield _of("depth", one or other, Cause.BOOK, how)


def _held(account: Replayed, name: str) -> set[tuple[Any, ...]]:
    """Return the keys of rows that the account began with."""
    table = account.history.get(name)
    if table is None:
        return set()
    late = table[table["event_time"] > timestamp(account.start_us - 3 * 86_400_000_000)]
    return {_key(name, row) for row in late.to_dict("records")}


def _compared(
    name: str, seen: SeenRow, theirs: Mapping[str, Any] | None, lag_us: int, step_us: int
) -> list[RowDifference]:
    if theirs is None:
        why = "marks a time in which nobody listened" if seen.quality is Quality.GAP else "is not in history"
        return [_of(name, seen.row, Cause.MISSING, why)]
    # A column that history does not have at all says nothing.
    columns = [column.name for column in SCHEMAS[name].columns if column.name not in _TIMES and column.name in theirs]
    other = [column for column in columns if not _same(seen.row.get(column), theirs.get(column))]
    if other:
        values = ", ".join(f"{each} {seen.row.get(each)!r:.24} and not {theirs.get(each)!r:.24}" for each in other[:2])
        return [_of(name, seen.row, Cause.RESTATED, f"came with {values}")]
    published = epoch_us(theirs["available_time"])
    # It matters only which decision was the first to know the row.
    if _first_decision(seen.known_us, lag_us, step_us) != _first_decision(published, lag_us, step_us):
        late = (seen.known_us - published) / 1e6
        return [_of(name, seen.row, Cause.LATE, f"came {abs(late):.1f} s {'later' if late > 0 else 'earlier'}")]
    return []


def _first_decision(known_us: int, lag_us: int, step_us: int) -> int:
    return -(-(known_us - lag_us) // step_us)


def _key(name: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what identifies a row: the key of its table, or all of its columns where it has none."""
    key = SCHEMAS[name].key or tuple(column.name for column in SCHEMAS[name].columns)
    parts = (row.get(column) for column in key if column != "available_time")
    return tuple(epoch_us(part) if isinstance(part, pd.Timestamp) else _plain(part) for part in parts)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _same(one: Any, other: Any) -> bool:
    return bool(_plain(one) == _plain(other))


def _of(name: str, row: Mapping[str, Any], cause: Cause, how: str) -> RowDifference:
    time = row["event_time"]
    return RowDifference(epoch_us(time), name, str(row["symbol"]), cause, f"the row of {name} at {time} {how}")
