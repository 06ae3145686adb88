"""The live frame: rows of tables go in as they arrive, one frame row per symbol comes out at each bar close."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import BundleError, DataError, OrderError, SchemaError
from slackwater.market.ages import Ages
from slackwater.market.bar_grids import rows_of_symbols
from slackwater.market.bars import BAR_RULE
from slackwater.market.columns import row_time, shown
from slackwater.market.frame_row import FrameRow, is_bar
from slackwater.market.inputs import CLOSE, INPUTS, OTHERS_RETURN
from slackwater.market.joined_feeds import JoinedFeeds, fill_others
from slackwater.market.joins import joins_of
from slackwater.market.schemas import RowReader, refuse_both_kinds_of_liquidations
from slackwater.market.spec import FrameSpec
from slackwater.market.table_feed import PARTS, REMEMBERED_US, TableFeed, has_times_alone, key_of
from slackwater.market.tables import Table
from slackwater.storage import arrays_digest
from slackwater.times import DAY_US, epochs_us, microseconds, timestamp
from slackwater.types import Floats, Ints

__all__ = ["FrameStream"]

_FORMAT: Final = 3
_BAR: Final = INPUTS[:OTHERS_RETURN]
_PRICES: Final = _BAR[:4]


class FrameStream:
    """Assemble the rows of a `MarketFrame` live: `push` what arrives, `close` each bar.

    Its rows equal those of `MarketFrame.from_tables` over all rows pushed so far, to the last bit: both run the
    joins of `slackwater.market.joins`. Symbols appear with their first row; a table that is never pushed leaves its
    inputs NaN. Push the bars of the last 24 h too: breadth and dispersion compare moves of a day.

    Parameters
    ----------
    spec
        Settings of the frame.
    on_symbols
        Called by `close` with the symbols that have a bar, once for each set of them.

    Notes
    -----
    A row counts from its `available_time` on, so history may be pushed before the first close. All bars lie on one
    grid, that of the first one. Values are taken as they are: `slackwater.market.quality` masks whole tables only.

    Examples
    --------
    >>> from datetime import timedelta
    >>> frames = FrameStream(FrameSpec(bar_interval=timedelta(hours=1), decision_lag=timedelta(seconds=5)))
    >>> time = datetime.fromisoformat("2024-01-01T01:00Z")
    >>> stamp = {"symbol": "BTCUSDT", "event_time": time, "available_time": time + timedelta(seconds=2)}
    >>> prices = {"open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0, "volume": 7.0}
    >>> frames.push("bars", stamp | prices | {"open_time": time - timedelta(hours=1)})
    >>> frames.close(time)["BTCUSDT"].values[CLOSE]
    np.float64(101.0)
    """

    def __init__(self, spec: FrameSpec, *, on_symbols: Callable[[Iterable[str]], None] | None = None) -> None:
        self.spec = spec
        self._on_symbols, self._seen = on_symbols, set[frozenset[str]]()
        self._joins = joins_of(spec)
        self._step, self._lag = microseconds(spec.bar_interval), microseconds(spec.decision_lag)
        self._tables = tuple(self._joins)
        self._readers = {table.name: RowReader(table) for table in spec.tables if table.inputs}
        self._feeds: dict[tuple[str, str], TableFeed] = {}
        self._joined: JoinedFeeds | None = None
        self._origin: int | None = None
        self._closed: int | None = None

    # -- rows in ---------------------------------------------------------------------------------------------

    def push(self, table: str, row: Mapping[str, Any]) -> None:
        """Take one row of a canonical table; a row that is refused leaves the stream as it was.

        Parameters
        ----------
        table
            ``"bars"``, or another table of the settings that feeds inputs.
        row
            Its columns; times as timezone-aware `datetime` or `Timestamp`, numbers as float, int, `Decimal` or text
            such as ``"43000.5"``.

        Raises
        ------
        SchemaError
            If there is no such table, the row does not fit it (`slackwater.market.schemas.RowReader`), or
            liquidations come both as events and as totals.
        OrderError
            If a bar or a snapshot is older than the last one of its symbol and table, a row repeats the key of one
            of the last three days, or is older than these, or it became available when the decision that it would
            have been part of was already closed.
        DataError
            If a bar becomes available only after its own decision, is longer or shorter than those of the settings,
            or lies off the grid; SchemaError if its prices are not those of a bar.
        """
        read = self._readers.get(table) if isinstance(table, str) else None
        if read is None:
            known_names = ", ".join(self._joins)
            raise SchemaError(f"there is no table `{shown(table)}` in a live frame; there are bars, {known_names}")
        given = read(row)
        symbol, event, available = given["symbol"], given["event_time"], given["available_time"]
        if self._closed is not None and available <= self._closed + self._lag:
            raise OrderError(
                f"{table}: the row of {symbol} available at {row['available_time']} comes too late, the decision at "
                f"{_text(self._closed + self._lag)} is closed and it would have been part of it; stamp a row "
                "with the time at which it arrived"
            )
        known = self._feeds.get((table, symbol))
        key = self._checked_order(read.table, given, known)
        if table == "bars":
            amounts = tuple([given.get(name, math.nan) for name in _BAR])
            self._check_bar(given, amounts)
        else:
            amounts = self._joins[table].join.amounts_of_row(given)
            if len(amounts) != read.table.width:
                raise SchemaError(
                    f"{table}: the `split` of its join made {len(amounts)} amounts of the row of {symbol}, its inputs "
                    f"take {read.table.width}"
                )
        if known is None:
            refuse_both_kinds_of_liquidations({table, *(name for name, _ in self._feeds)})
            known = self._feeds[table, symbol] = self._new_feed(table)
            self._joined = None
        if table == "bars" and self._origin is None:
            self._origin = event
        known.add((available, event, amounts), key)

    def push_rows(self, table: str, rows: pd.DataFrame) -> None:
        """Take the rows of a table in the order of their event times: all of them or, after an error, none.

        Raises
        ------
        SchemaError, OrderError, DataError
            As `push`, with the number of rows.
        """
        doubled = rows.columns[rows.columns.duplicated()]
        if len(doubled):
            raise SchemaError(f"{shown(table)}: the columns {', '.join(map(shown, doubled))} are there more than once")
        if "event_time" in rows and isinstance(rows["event_time"].dtype, pd.DatetimeTZDtype):
            rows = rows.sort_values("event_time", kind="stable")
        before, origin = self._feeds, self._origin
        self._feeds = {key: feed.copy() if key[0] == table else feed for key, feed in before.items()}
        self._joined = None
        try:
            for row in rows.to_dict("records"):
                self.push(table, row)
        except BaseException as error:
            self._feeds, self._joined, self._origin = before, None, origin
            if isinstance(error, DataError):
                raise type(error)(f"none of {len(rows):,} rows was taken: {error}") from error
            raise

    def warm(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Continue after the last bar of history, as if its rows had been pushed and every bar closed.

        Parameters
        ----------
        tables
            Tables of which `MarketFrame.from_tables` makes a frame. Rows that the last bar does not know yet wait.

        Raises
        ------
        OrderError
            If rows were pushed before.
        """
        if not self.is_new:
            raise OrderError("this frame has begun: rows of history come first")
        closes = epochs_us(tables["bars"]["event_time"])
        origin, closed = int(closes.min()), int(closes.max())
        at_last = set(tables["bars"]["symbol"][closes == closed])
        feeds = {}
        for name, table in tables.items():
            schema = self.spec.table(name)
            for symbol, rows in rows_of_symbols(table).items() if schema is not None else ():
                until = closed + self._lag - (0 if symbol in at_last else self._step)
                feed = feeds[name, symbol] = self._new_feed(name)
                if name == "bars":
                    feed.fill_day(table.iloc[rows], self._step)
                else:
                    feed.fill(self._joins[name], table, rows, until)
        self._feeds, self._joined, self._origin, self._closed = feeds, None, origin, closed

    @property
    def is_new(self) -> bool:
        """Whether no row was pushed and no bar closed yet."""
        return not self._feeds and self._closed is None

    # -- rows out --------------------------------------------------------------------------------------------

    def close(self, event_time: datetime) -> dict[str, FrameRow]:
        """Return the rows of the bars that close at a time, by symbol in the order of their names.

        Call it when ``event_time + decision_lag`` has come. Closes may be skipped; what is older than this one is gone.

        Raises
        ------
        SchemaError
            If the time is naive.
        OrderError
            If it is not newer than the last close, or lies off the grid of bars.
        """
        time = self._close_time(event_time)
        if self._closed is not None and time <= self._closed:
            raise OrderError(f"the close at {event_time} is not newer than the last one, {_text(self._closed)}")
        if self._origin is not None and (time - self._origin) % self._step:
            raise OrderError(f"{event_time} does not lie on {self._grid_text()}")
        if self._joined is None:
            self._joined = JoinedFeeds(self._feeds, self._joins)
        names = self._joined.symbols
        values = np.full((len(names), len(self.spec.inputs)), np.nan)
        before = self._take_bars(time, self._joined, values)
        bars = {names[at]: at for at in before}
        if before:
            fill_others(values, np.array([*before.values()]), np.array([*before]))
        # Without a bar, the next decision still needs what became known within a step before it.
        decision = time + self._lag
        decisions = [decision if at in before else decision - self._step for at in range(len(names))]
        ages = self._joined.advance(decisions, values)
        self._closed = time
        if self._origin is None:
            self._origin = time
        if self._on_symbols is not None and bars and (symbols := frozenset(bars)) not in self._seen:
            self._seen.add(symbols)
            self._on_symbols(symbols)
        stamp, backfilled = timestamp(time), self._backfilled()
        return {
            # Copies: a row that is kept does not keep those of all other symbols.
            symbol: FrameRow(
                symbol, stamp, values[at].copy(), Ages(self._tables, ages[at].copy()), backfilled.get(symbol, ())
            )
            for symbol, at in bars.items()
        }

    def unclosed_before(self, event_time: datetime) -> dict[str, datetime]:
        """Return the symbols of which a bar waits that closes before a time, with the close of the first of them."""
        time = self._close_time(event_time)
        bars = {symbol: feed.pending for (table, symbol), feed in self._feeds.items() if table == "bars"}
        first = {symbol: min((event for _, event, _ in rows), default=time) for symbol, rows in bars.items()}
        return {symbol: timestamp(event) for symbol, event in first.items() if event < time}

    def summary(self) -> pd.DataFrame:
        """Return what is held, one row per symbol and table (`slackwater.scoring.session.Session.record`)."""
        rows = [
            (symbol, table, timestamp(feed.last), len(feed.pending), feed.backfilled)
            for (table, symbol), feed in sorted(self._feeds.items(), key=lambda item: item[0][::-1])
        ]
        return pd.DataFrame(rows, columns=["symbol", "table", "newest", "waiting", "backfilled"])

    @staticmethod
    def _close_time(event_time: datetime) -> int:
        try:
            return row_time(event_time)
        except SchemaError as error:
            raise SchemaError(f"`event_time` {error}") from None

    def _backfilled(self) -> dict[str, tuple[str, ...]]:
        """Return the tables of which every row came from history, by symbol."""
        tables: dict[str, tuple[str, ...]] = {}
        for (table, symbol), feed in self._feeds.items():
            if feed.backfilled:
                tables[symbol] = (*tables.get(symbol, ()), table)
        return tables

    def _take_bars(self, time: int, joined: JoinedFeeds, values: Floats) -> dict[int, float]:
        """Write the bars that close at a time; return their positions with the closes 24 h before; forget older bars.

        Positions ascend, as the symbols do.
        """
        before: dict[int, float] = {}
        for at, feed in joined.bars:
            for _, event, amounts in sorted(feed.pending, key=itemgetter(1)):
                if event == time:
                    values[at, : len(amounts)] = amounts
                    before[at] = self._a_day_before(feed, time)
                if event <= time and len(feed.state):
                    feed.state[self._slot(event)] = event, amounts[CLOSE]
            feed.pending = [row for row in feed.pending if row[1] > time]
        return before

    def _slot(self, time: int) -> int:
        return time // self._step % self.spec.bars_per_day

    def _a_day_before(self, feed: TableFeed, time: int) -> float:
        """Return the close 24 h before a bar of a feed: it stands where that of the bar will."""
        if not len(feed.state):
            return np.nan
        then, close = feed.state[self._slot(time)]
        return float(close) if then == time - DAY_US else np.nan

    # -- checks ----------------------------------------------------------------------------------------------

    def _checked_order(self, table: Table, given: Mapping[str, Any], feed: TableFeed | None) -> str:
        """Return what identifies the row beside its symbol and event time, empty if nothing else does."""
        key, event = key_of(table, given), given["event_time"]
        if feed is None:
            return key
        # Events of several chains or connections may arrive out of order, and each counts; a snapshot or a bar that
        # is older than the last one is of no use any more.
        if event < feed.last and has_times_alone(table):
            raise OrderError(f"{_where(table, given)} is older than the last one, {_text(feed.last)}; leave it out")
        if key and event < feed.last - REMEMBERED_US:
            days = REMEMBERED_US // DAY_US
            raise OrderError(
                f"{_where(table, given)} is more than {days} days older than the last one, {_text(feed.last)}: "
                "whether it repeats another one is not known any more; leave it out"
            )
        if key in feed.keys or (event == feed.last and has_times_alone(table)):
            raise OrderError(f"{_where(table, given)} repeats ({', '.join(table.key)}) of an earlier one; leave it out")
        return key

    def _check_bar(self, given: Mapping[str, Any], amounts: tuple[float, ...]) -> None:
        event, opened, available = given["event_time"], given["open_time"], given["available_time"]
        if event - opened != self._step:
            bars = f"and this frame reads bars of {self.spec.bar_interval}: resample them"
            raise DataError(f"{_where_bar(given)} opened at {_text(opened)}, {bars}")
        if available > event + self._lag:
            raise DataError(
                f"{_where_bar(given)} becomes available only after the decision, at {_text(available)}; "
                "raise `decision_lag` or leave it out"
            )
        if self._origin is not None and (event - self._origin) % self._step:
            raise DataError(f"{_where_bar(given)} does not lie on {self._grid_text()}")
        if not is_bar(amounts[:4]):
            raise SchemaError(f"{_where_bar(given)} is not a bar: {BAR_RULE}, were {list(amounts[:4])}")

    def _grid_text(self) -> str:
        assert self._origin is not None  # noqa: S101 -- asked for only where there is a grid
        return f"the grid of {self._step / 6e7:g}-minute bars that began at {_text(self._origin)}"

    def _new_feed(self, table: str) -> TableFeed:
        return TableFeed(state=np.zeros((self.spec.bars_per_day, 2)) if table == "bars" else self._joins[table].start())

    def _width(self, table: str) -> int:
        return len(_BAR) if table == "bars" else self._joins[table].table.width

    # -- checkpoints -----------------------------------------------------------------------------------------

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays for `slackwater.storage.write_arrays`.

        Every name begins with ``frame/``, so that the state of a `ScoreStream` can be kept in the same file.
        """
        out: dict[str, NDArray[Any]] = {
            "frame/parameters": np.array(self._parameters()),
            "frame/origin": _optional(self._origin),
            "frame/closed": _optional(self._closed),
            "frame/seen": np.array(sorted(" ".join(sorted(symbols)) for symbols in self._seen), dtype=np.str_),
        }
        for (table, symbol), feed in self._feeds.items():
            parts = feed.save(self._width(table))
            out |= {f"frame/{part}/{table}/{symbol}": array for part, array in parts.items()}
        return out | {"frame/digest": np.array(_digest(out))}

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `save_state` returned; arrays of other names are left alone.

        Raises
        ------
        BundleError
            If it was saved with other parameters, or is not a saved state. The present state is as it was.
        """
        if not isinstance(arrays, Mapping) or "frame/parameters" not in arrays:
            raise BundleError("this is not a saved state of a live frame: it lacks `frame/parameters`")
        saved, own = str(arrays["frame/parameters"]), self._parameters()
        if saved != own:
            raise BundleError(
                f"the saved state belongs to a live frame with other parameters, {saved}, and not {own}; push history "
                "instead"
            )
        origin, closed = (_read_optional(arrays, name) for name in ("frame/origin", "frame/closed"))
        feeds: dict[tuple[str, str], TableFeed] = {}
        for name in arrays:
            if name.startswith("frame/last/"):
                table, _, symbol = name.removeprefix("frame/last/").partition("/")
                feeds[table, symbol] = self._read_feed(arrays, table, symbol)
        if str(arrays.get("frame/digest")) != _digest(arrays):
            raise BundleError("the saved state of the live frame is damaged: its values are not those that were saved")
        self._feeds, self._joined, self._origin, self._closed = feeds, None, origin, closed
        # Whoever continues does not repeat what was said: the same rows lead to the same words.
        self._seen = {frozenset(str(symbols).split()) for symbols in arrays.get("frame/seen", ())}

    def _parameters(self) -> str:
        content = {"format": _FORMAT, "inputs": self.spec.inputs, **self.spec.to_dict()}
        return json.dumps(content, sort_keys=True)

    def _read_feed(self, arrays: Mapping[str, NDArray[Any]], table: str, symbol: str) -> TableFeed:
        if self.spec.table(table) is None:
            raise BundleError(f"the saved state names a table `{table}`, which a live frame does not have")
        broken = BundleError(f"the saved state of {symbol} (table {table}) is incomplete or damaged")
        parts = {part: f"frame/{part}/{table}/{symbol}" for part in PARTS}
        if not all(name in arrays for name in parts.values()):
            raise broken
        saved = {part: arrays[name] for part, name in parts.items()}
        feed = self._new_feed(table).load(saved, self._width(table))
        if feed is None:
            raise broken
        return feed


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    names = sorted(name for name in map(str, arrays) if name.startswith("frame/") and name != "frame/digest")
    return arrays_digest("\0".join(names), *(np.asarray(arrays[name]) for name in names))


def _where(table: Table, given: Mapping[str, Any]) -> str:
    return f"{table.name}: the row of {given['symbol']} at {_text(given['event_time'])}"


def _where_bar(given: Mapping[str, Any]) -> str:
    return f"bars: the bar of {given['symbol']} closing at {_text(given['event_time'])}"


def _optional(time: int | None) -> Ints:
    return np.array([] if time is None else [time], dtype=np.int64)


def _read_optional(arrays: Mapping[str, NDArray[Any]], name: str) -> int | None:
    times = np.asarray(arrays[name]) if name in arrays else np.empty(2)
    if times.dtype != np.int64 or times.ndim != 1 or len(times) > 1:
        raise BundleError(f"the saved state of the live frame is damaged: `{name}` is not a time")
    return int(times[0]) if len(times) else None


def _text(time: int) -> str:
    return str(timestamp(time))
