"""Rows of canonical tables from raw messages: the same for a live feed and for the replay of its record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeAlias

import pandas as pd

from slackwater.errors import SchemaError
from slackwater.feed import polled, record
from slackwater.feed.bars import BarKeeper, Candle
from slackwater.feed.bars import Final as FinalBar
from slackwater.feed.events import LargeTrades, Seen
from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Print, Quality
from slackwater.feed.readers import READERS
from slackwater.feed.readers.reader import Told
from slackwater.feed.record import Raw
from slackwater.feed.settings import FeedSettings
from slackwater.market.bars import BAR_RULE, impossible_bars
from slackwater.times import EARLIEST, MINUTE_US, epoch_us, microseconds, timestamp

__all__ = ["Assembly", "Need", "replay"]

Item: TypeAlias = FeedRow | FeedFault | Print

_AHEAD_MS: Final = 1_000
_BEHIND_MS: Final = 60_000
_FUTURE: Final = MINUTE_US
_EARLIEST: Final = epoch_us(EARLIEST)


class Need(NamedTuple):
    """Bars of a table and symbol to be requested, by their opens in microseconds."""

    table: str
    symbol: str
    opens: tuple[int, ...]


class Assembly:
    """Maker of rows from raw messages, one by one, in the order in which they were received.

    Parameters
    ----------
    settings
        Settings of the feed.
    contract_sizes
        Coins per contract by canonical symbol.
    start_ns
        Time at which the feed began, in nanoseconds since 1970.
    clock_error
        How far the clock may be off beside a second, as the faster clock of a replay is.

    Attributes
    ----------
    counts : Counter
        Rows and updates by stream and quality; ``"ignored"``: updates of bars that changed nothing.
    followed : set
        Symbols of which every trade is passed on.
    origin : dict
        What it was made with beside the settings, as plain values for a record.
    """

    def __init__(
        self,
        settings: FeedSettings,
        contract_sizes: Mapping[str, float],
        start_ns: int,
        *,
        clock_error: timedelta = timedelta(0),
    ) -> None:
        self.settings = settings
        self.reader = READERS[settings.venue]
        self.sizes = dict(contract_sizes)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.followed: set[str] = set()
        self.origin: dict[str, Any] = {
            "start_ns": start_ns,
            "contract_sizes": self.sizes,
            "clock_error_ms": clock_error // timedelta(milliseconds=1),
        }
        self._error_ms = self.origin["clock_error_ms"]
        self._symbols = {self.reader.venue.instrument(name): name for name in settings.symbols}
        self._tables = {microseconds(length): name for name, length in settings.bar_tables.items()}
        self._lag = microseconds(settings.decision_lag)
        self.keepers = {
            (name, symbol): BarKeeper(length, self._known(name, symbol, start_ns, length))
            for length, name in self._tables.items()
            for symbol in settings.symbols
        }
        self._seen: dict[tuple[str, str], Seen] = {}
        self._large = {
            symbol: LargeTrades(settings.large_trades, settings.trade_sizes.get(symbol)) for symbol in settings.symbols
        }
        self._newest: dict[tuple[str, str], int] = {
            (table, symbol): epoch_us(time) for (table, symbol), time in settings.since.items()
        }
        self._price: dict[str, float] = {}
        self._unmarked: set[str] = set()
        self._told: set[Hashable] = set()
        self._told_once: set[Hashable] = set()
        self._on_heard: Callable[[str, str, int], None] = lambda stream, symbol, time: None

    def _known(self, table: str, symbol: str, start_ns: int, length: int) -> int:
        """Return the open of the newest bar that is known already, or that was over when the feed began."""
        since = self.settings.since.get((table, symbol))
        return start_ns // 1000 // length * length - length if since is None else epoch_us(since) - length

    def listen(self, on_heard: Callable[[str, str, int], None]) -> None:
        """Have a function called with stream, symbol and nanoseconds since 1970 whenever a stream has sent data."""
        self._on_heard = on_heard

    def last_price(self, symbol: str) -> float | None:
        """Return the price of the newest trade or candle, USDT; None if there was none."""
        return self._price.get(symbol)

    def last_trade(self, symbol: str) -> int | None:
        """Return the time of the newest trade in microseconds; None if there was none."""
        seen = self._seen.get(("trades", symbol))
        return None if seen is None or seen.newest < 0 else seen.newest

    # -- raw messages in, rows out ---------------------------------------------------------------------------

    def take(self, raw: Raw) -> list[Item]:
        """Return what follows from a raw message; what cannot be read is a fault."""
        out: list[Item] = []
        try:
            out += self._made(raw)
        except Exception as error:  # whatever a message holds, the reader of the connection lives on
            reason = f"{type(error).__name__}: {error}"
            if raw.stream == record.WEBSOCKET and self.reader.has_liquidations:
                self._unmarked.update(self.settings.symbols)  # it may have been a liquidation
            out.append(self._fault(raw, FaultKind.UNREADABLE, raw.stream, "", f"cannot be read ({reason:.200})"))
        out += self._final_bars(raw)
        out += self._marks(raw)
        for item in out:
            if isinstance(item, FeedRow):
                self.counts[item.table, item.quality.value] += 1
        return out

    def _made(self, raw: Raw) -> Iterator[Item]:
        if raw.stream == record.WEBSOCKET:
            yield from self._of_websocket(raw)
        elif raw.stream == record.CONNECTED:
            for keeper in self.keepers.values():
                keeper.reconnected()
            self._told.clear()
        elif raw.stream == record.LOST:
            yield self._fault(raw, FaultKind.DISCONNECTED, "", "", str(raw.message))
        elif raw.stream == record.GAP:
            self._unmarked.update(self.settings.symbols)
        elif raw.stream == record.FAILED:
            yield from self._given_up(raw)
        elif raw.stream == "rest trades":
            yield from self._of_trades_answer(raw)
        elif raw.stream == f"rest {polled.DEPTH}":
            yield from self._of_book(raw)
        elif raw.stream.startswith("rest "):
            yield from self._of_answer(raw, raw.stream.removeprefix("rest "))

    def _of_websocket(self, raw: Raw) -> Iterator[Item]:
        repeated: Counter[Hashable] = Counter()
        for told in self.reader.read(raw.message, self.sizes):
            symbol = self._symbols.get(told.instrument, told.instrument)
            if symbol not in self._large:
                continue  # a channel of all symbols has others too
            self._on_heard(told.stream, symbol, raw.receive_ns)
            yield from self._of_stamps(raw, told, symbol)
            if isinstance(told.content, Candle):
                table = self._tables.get(told.content.interval)
                _require_time(raw, told.content.opened, told.content.interval)
                if impossible_bars(told.content.values):
                    raise ValueError(f"it is not a bar: {BAR_RULE}")
                if table is not None:
                    self._price[symbol] = told.content.values["close"]
                    self.keepers[table, symbol].take(told.content)
            elif told.stream == "liquidations":
                yield from self._liquidation(raw, symbol, told.content, Quality.LIVE, repeated)
            else:
                yield from self._trade(raw, symbol, told.content, Quality.LIVE)

    def _of_stamps(self, raw: Raw, told: Told, symbol: str) -> Iterator[Item]:
        """Yield a fault, once per connection, if the stamp of a message contradicts the clock."""
        behind = raw.receive_ns // 1_000_000 - told.stamp
        late = bool(told.sent) and behind > _BEHIND_MS + self._error_ms
        if not (late or -behind > _AHEAD_MS + self._error_ms):
            return
        if ("clock", told.stream, symbol) not in self._told:
            self._told.add(("clock", told.stream, symbol))
            text = f"its messages are stamped {abs(behind) / 1000:,.1f} s {'before' if late else 'after'} their arrival"
            yield self._fault(raw, FaultKind.CLOCK, told.stream, symbol, text)

    # -- bars ------------------------------------------------------------------------------------------------

    def needs(self, now_ns: int) -> list[Need]:
        """Return the bars that should be there and are not."""
        wait = microseconds(self.settings.proof_wait)
        opens = {place: keeper.overdue(now_ns // 1000, wait) for place, keeper in self.keepers.items()}
        return [Need(*place, tuple(missing)) for place, missing in opens.items() if missing]

    def any_due(self, now_ns: int) -> bool:
        """Return whether a bar waits for others before it, and its decision is due: a tick passes it on."""
        return any(keeper.any_due(now_ns // 1000, self._lag) for keeper in self.keepers.values())

    def _final_bars(self, raw: Raw) -> Iterator[Item]:
        now = raw.receive_ns // 1000
        for (table, symbol), keeper in self.keepers.items():
            missing = len(keeper.missing)
            for bar in keeper.release(now, self._lag):
                if len(keeper.missing) > missing:
                    text = f"{len(keeper.missing)} bars before {timestamp(bar.opened)} lack at its decision"
                    yield self._fault(raw, FaultKind.GAP, table, symbol, text)
                missing = len(keeper.missing)
                yield self._bar_row(table, symbol, bar, keeper.interval, now)
            self.counts[table, "ignored"] += keeper.ignored
            keeper.ignored = 0

    def _bar_row(self, table: str, symbol: str, bar: FinalBar, interval: int, now: int) -> FeedRow:
        closed = bar.opened + interval
        available = max(now, closed)
        quality = bar.quality
        self._price.setdefault(symbol, bar.values["close"])
        if quality is Quality.LIVE and available > closed + self._lag:
            quality = Quality.LATE
        stamp = {"symbol": symbol, "event_time": timestamp(closed), "available_time": timestamp(available)}
        return FeedRow(table, {**stamp, "open_time": timestamp(bar.opened), **bar.values}, quality)

    def _given_up(self, raw: Raw) -> Iterator[Item]:
        table, symbol, opens, reason = (raw.message[name] for name in ("table", "symbol", "opens", "reason"))
        if table not in ("bars", "fine_bars"):
            yield self._fault(raw, FaultKind.REFUSED, table, symbol, reason)
            return
        for opened in opens:
            self.keepers[table, symbol].give_up(opened)
        text = f"{len(opens)} bars from {timestamp(opens[0])} stay missing: {reason}"
        yield self._fault(raw, FaultKind.GAP, table, symbol, text)

    # -- answers ---------------------------------------------------------------------------------------------

    def _of_answer(self, raw: Raw, table: str) -> Iterator[Item]:
        symbol, now = raw.message["symbol"], raw.receive_ns // 1000
        is_bars = table in ("bars", "fine_bars")
        rows, findings = polled.rows_of_answer(
            self.reader.venue,
            table,
            symbol,
            raw.message["answer"],
            size=self.sizes.get(symbol, 1.0),
            interval=self.settings.bar_tables.get(table, self.settings.finest),
            now=now,
        )
        for finding in findings:
            if (told := (table, symbol, finding.rule, finding.start)) not in self._told:
                self._told.add(told)
                yield self._fault(raw, FaultKind.UNREADABLE, table, symbol, str(finding))
        if is_bars:
            keeper = self.keepers[table, symbol]
            quality = Quality.BACKFILLED if self.reader.marks_closed else Quality.POLLED
            for row in rows:
                values = {name: value for name, value in row.items() if not isinstance(value, (str, pd.Timestamp))}
                keeper.fill(FinalBar(epoch_us(row["open_time"]), values, quality))
        elif table == "liquidations":
            yield from self._polled_liquidations(raw, symbol, rows)
        else:
            yield from self._snapshots(raw, table, symbol, rows)

    def _snapshots(self, raw: Raw, table: str, symbol: str, rows: Iterable[dict[str, Any]]) -> Iterator[Item]:
        """Yield the rows that are newer than those before: a range that is requested overlaps the one before."""
        for row in rows:
            time = epoch_us(row["event_time"])
            if time > self._newest.get((table, symbol), -(2**62)):
                self._newest[table, symbol] = time
                yield FeedRow(table, {**row, "available_time": _later(raw, time)}, Quality.POLLED)

    def _polled_liquidations(self, raw: Raw, symbol: str, rows: Iterable[dict[str, Any]]) -> Iterator[Item]:
        repeated: Counter[Hashable] = Counter()
        for row in rows:
            event = {**row, "time": epoch_us(row["event_time"]) // 1000}
            for item in self._liquidation(raw, symbol, event, Quality.POLLED, repeated):
                if isinstance(item, FeedRow) and item.quality.usable:  # ranges overlap
                    yield item

    def _of_book(self, raw: Raw) -> Iterator[Item]:
        symbol = raw.message["symbol"]
        row = polled.depth_row(symbol, raw.message["answer"], raw.receive_ns // 1000)
        if isinstance(row, polled.NoDepth):
            if row.kind is FaultKind.CROSSED_BOOK or (symbol, row.kind) not in self._told:
                self._told.add((symbol, row.kind))  # a book that is shallow stays so
                yield self._fault(raw, row.kind, polled.DEPTH, symbol, row.reason)
        else:
            yield FeedRow(polled.DEPTH, row, Quality.POLLED)

    # -- events ----------------------------------------------------------------------------------------------

    def _liquidation(
        self, raw: Raw, symbol: str, event: Mapping[str, Any], quality: Quality, repeated: Counter[Hashable]
    ) -> Iterator[Item]:
        """Yield a liquidation; equal ones within one message are different ones, equal ones of two are repetitions."""
        time = _require_time(raw, int(event["time"]) * 1000)
        values = {name: event[name] for name in ("side", "price", "quantity")}
        if not values["quantity"]:
            return  # an event of quantity zero is none
        _positive(values["price"], "price")
        _positive(values["quantity"], "quantity")
        key = (time, *map(str, values.values()))
        repeated[key] += 1
        dropped = self._seen_of("liquidations", symbol).judge((key, repeated[key]), time)
        row = {"symbol": symbol, "event_time": timestamp(time), "available_time": _later(raw, time), **values}
        yield FeedRow("liquidations", row, dropped or quality)

    def _trade(self, raw: Raw, symbol: str, event: Mapping[str, Any], quality: Quality) -> Iterator[Item]:
        price, quantity = _positive(event["price"], "price"), _positive(event["quantity"], "quantity")
        time = _require_time(raw, int(event["time"]) * 1000)
        # Aggregated trades are numbered apart: the number is the last word of the id.
        key = str(event["id"]).rpartition(" ")[2]
        dropped = self._seen_of("trades", symbol).judge(key, time)
        if dropped is not None:
            self.counts["trades", dropped.value] += 1
            return
        self.counts["trades", quality.value] += 1
        if time >= self._seen_of("trades", symbol).newest:
            self._price[symbol] = price
        if symbol in self.followed:
            yield Print(symbol, time, price, quantity)
        is_large = self._large[symbol].add(time, price * quantity)
        if self._large[symbol].warming and ("warming", symbol) not in self._told_once:
            self._told_once.add(("warming", symbol))
            text = f"none is known until the rule has seen {self.settings.large_trades.warm_up}; `trade_sizes` helps"
            yield self._fault(raw, FaultKind.GAP, "large_trades", symbol, text)
        if is_large:
            row = {"symbol": symbol, "event_time": timestamp(time), "available_time": _later(raw, time)}
            row |= {"side": event["side"], "price": price, "quantity": quantity}
            yield FeedRow("large_trades", row, quality)

    def _of_trades_answer(self, raw: Raw) -> Iterator[Item]:
        """Yield the large ones of the trades since the last one that was seen, or a fault if they begin later."""
        symbol, trades = raw.message["symbol"], raw.message["answer"]
        seen = self._seen_of("trades", symbol)
        last, reaches = seen.newest, any(str(trade["id"]) in seen for trade in trades)
        for trade in trades:
            yield from self._trade(raw, symbol, trade, Quality.BACKFILLED)
        if last > 0 and not reaches:
            oldest = timestamp(min((int(trade["time"]) * 1000 for trade in trades), default=raw.receive_ns // 1000))
            text = f"trades between {timestamp(last)} and {oldest} are missing: the venue's answer does not reach back"
            yield self._fault(raw, FaultKind.GAP, "trades", symbol, text)
        if not raw.message["complete"]:
            text = f"trades from {timestamp(seen.newest)} to now may be missing: there are too many to request"
            yield self._fault(raw, FaultKind.GAP, "trades", symbol, text)

    def _marks(self, raw: Raw) -> Iterator[Item]:
        """Yield rows without a quantity: nobody has seen what was liquidated. They need a price, and wait for one."""
        for symbol in sorted(self._unmarked & self._price.keys()):
            self._unmarked.discard(symbol)
            time = timestamp(raw.receive_ns // 1000)
            row = {"symbol": symbol, "event_time": time, "available_time": time, "side": "long"}
            row |= {"price": self._price[symbol], "quantity": float("nan")}
            yield FeedRow("liquidations", row, Quality.GAP)

    def _seen_of(self, stream: str, symbol: str) -> Seen:
        return self._seen.setdefault((stream, symbol), Seen())

    def _fault(self, raw: Raw, kind: FaultKind, stream: str, symbol: str, text: str) -> FeedFault:
        where = " ".join(part for part in (self.settings.venue, symbol, stream) if part)
        return FeedFault(kind, timestamp(raw.receive_ns // 1000), stream, symbol, f"{where}: {text}")


def replay(settings: FeedSettings, raws: Iterable[Raw]) -> Iterator[Item]:
    """Yield the rows, and the faults that follow from messages, which a feed made of its raw messages.

    Parameters
    ----------
    settings
        Settings of the feed that recorded them.
    raws
        Raw messages from the beginning of a feed on, such as those of `slackwater.feed.record.read_raw`; those of one
        that was started again may follow.

    Raises
    ------
    SchemaError
        If they do not begin where a feed began, or are of another venue.
    """
    assembly = None
    for raw in raws:
        if raw.venue != settings.venue:
            raise SchemaError(f"the record has messages of {raw.venue}, and the settings are of {settings.venue}")
        if assembly is None or _begins_another(raw, assembly):
            assembly = _made_again(settings, raw)
        yield from assembly.take(raw)


def _begins_another(raw: Raw, assembly: Assembly) -> bool:
    """Return whether a feed that was started again goes on with the record of the one before."""
    return raw.stream == record.CONNECTED and raw.message != assembly.origin


def _made_again(settings: FeedSettings, raw: Raw) -> Assembly:
    try:
        origin = raw.message
        error = timedelta(milliseconds=origin["clock_error_ms"])
        return Assembly(settings, origin["contract_sizes"], origin["start_ns"], clock_error=error)
    except (TypeError, KeyError) as problem:
        raise SchemaError(f"the record must begin where a feed began, and begins with `{raw.stream}`") from problem


def _require_time(raw: Raw, time: int, interval: int = 1) -> int:
    """Return a time in microseconds if it can be one of an event that was just received, or of the open of a bar.

    A time in the future would make everything after it look old.
    """
    if not _EARLIEST <= time <= raw.receive_ns // 1000 + _FUTURE:
        raise ValueError(f"its time, {time / 1e6:.3f} s since 1970, is not before that of its arrival")
    if time % interval:
        raise ValueError(f"the bar that opens {time / 1e6:.3f} s since 1970 is not one of {interval / 6e7:g} minutes")
    return time


def _positive(value: Any, name: str) -> float:
    if not 0.0 < float(value) < math.inf:
        raise ValueError(f"its {name} is {value!r}")
    return float(value)


def _later(raw: Raw, time: int) -> pd.Timestamp:
    """Return when a row was known: nothing is known before it happened."""
    return timestamp(max(raw.receive_ns // 1000, time))
