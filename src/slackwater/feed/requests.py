"""The requests of a feed: bars that its streams lack, tables without a stream, trades of a lost connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from slackwater.clock import Clock
from slackwater.errors import SourceError
from slackwater.feed import polled, record
from slackwater.feed.assembly import Assembly, Need
from slackwater.feed.client import is_of_ccxt, is_of_the_network, words_of
from slackwater.feed.items import FaultKind
from slackwater.times import microseconds, timestamp

__all__ = ["Requests"]

_TRADES: Final = 1000
_TRADE_PAGES: Final = 50
_LONGEST_WAIT: Final = 30.0


class Requests:
    """Requests of a feed through a client, which may be replaced while they are on their way.

    Parameters
    ----------
    assembly
        What the answers go to, and what is asked which bars lack.
    polls
        Tables to request at regular times.
    take, fault
        Functions that take a raw message, and a fault.
    clock
        Function that returns the clock to wait by.

    Attributes
    ----------
    client : ccxt.async_support.Exchange or None
        Client to ask; None while there is none.
    markets : dict
        Its market by canonical symbol.
    """

    def __init__(
        self,
        assembly: Assembly,
        polls: list[polled.Poll],
        *,
        take: Callable[[str, Any], None],
        fault: Callable[[FaultKind, str, str, str], None],
        clock: Callable[[], Clock],
    ) -> None:
        self.client: Any = None
        self.markets: dict[str, dict[str, Any]] = {}
        self._assembly, self._polls = assembly, polls
        self._settings, self._venue = assembly.settings, assembly.reader.venue
        self._take, self._fault, self._clock = take, fault, clock
        self._asked: set[tuple[str, str]] = set()
        self._polled: dict[tuple[str, str], int] = {}
        self._answered: dict[tuple[str, str], int] = {}
        self._fruitless: Counter[tuple[str, str]] = Counter()

    def due(self, now_ns: int) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield the requests that are due."""
        client = self.client
        if client is None:
            return
        now = now_ns // 1000
        for need in self._assembly.needs(now_ns):
            if (need.table, need.symbol) not in self._asked:
                yield self._missing_bars(client, need)
        for poll in self._polls:
            for symbol in self._settings.symbols:
                due = poll.due(now)
                if self._polled.get((poll.table, symbol)) != due and (poll.table, symbol) not in self._asked:
                    self._polled[poll.table, symbol] = due
                    yield self._poll(client, poll, symbol, now)

    async def _missing_bars(self, client: Any, need: Need) -> None:
        table, symbol, opens = need
        interval = self._settings.bar_tables[table]
        ask = polled.address(self._venue, table, symbol, opens[0], opens[-1], interval)
        await self._ask(client, table, symbol, ask, opens)

    async def _poll(self, client: Any, poll: polled.Poll, symbol: str, now: int) -> None:
        if poll.table == polled.DEPTH:
            await self._book(client, symbol)
            return
        first = self._first(poll, symbol, now)
        ask = polled.address(self._venue, poll.table, symbol, first, now, self._settings.finest)
        await self._ask(client, poll.table, symbol, ask, ())

    def _first(self, poll: polled.Poll, symbol: str, now: int) -> int:
        """Return the start of the range to request: what was not answered before is requested now."""
        # Some rows are stamped by the start of a period that was not over then.
        unanswered = self._answered.get((poll.table, symbol), now) - microseconds(poll.every)
        first = min(now - microseconds(poll.reach), unanswered)
        longest = polled.longest_range(self._venue, poll.table, self._settings.finest)
        if longest is not None and now - first > longest:
            text = f"rows between {timestamp(first)} and {timestamp(now - longest)} are missing: too many to request"
            self._fault(FaultKind.GAP, poll.table, symbol, text)
            return now - longest
        return first

    def answered_since(self, table: str, time_ns: int) -> bool:
        """Return whether a table of every symbol was answered after a time in nanoseconds since 1970."""
        return all(self._answered.get((table, symbol), 0) * 1000 > time_ns for symbol in self._settings.symbols)

    async def _ask(
        self, client: Any, table: str, symbol: str, ask: tuple[str, dict[str, Any]], opens: tuple[int, ...]
    ) -> None:
        """Request rows, again while the network fails, and pass the answer on."""
        self._asked.add((table, symbol))
        asked_at = self._clock().now_ns() // 1000
        try:
            answer = await self._patiently(client, ask, table, symbol)
            if answer is None:
                return  # the client was replaced meanwhile: what still lacks is requested from the new one
            self._answered[table, symbol] = asked_at
            self._take(f"rest {table}", {"symbol": symbol, "answer": answer})
            await self._wait_for_bars(table, symbol, opens)
        except SourceError as error:
            content = {"table": table, "symbol": symbol, "opens": opens, "reason": str(error)}
            self._take(record.FAILED, content)
        finally:
            self._asked.discard((table, symbol))

    async def _wait_for_bars(self, table: str, symbol: str, opens: tuple[int, ...]) -> None:
        """Wait before bars are requested again that no answer had, longer each time; give up after some.

        A venue writes a bar some time after its close, and what it has lost never comes.
        """
        if not opens:
            return
        still = {(need.table, need.symbol): set(need.opens) for need in self._assembly.needs(self._clock().now_ns())}
        if not set(opens) <= still.get((table, symbol), set()):
            self._fruitless[table, symbol] = 0  # others are on the next page
            return
        self._fruitless[table, symbol] += 1
        if self._fruitless[table, symbol] >= self._settings.attempts:
            self._fruitless[table, symbol] = 0
            raise SourceError(f"{self._settings.attempts} answers of the venue do not have them")
        await self._clock().sleep(min(2.0 ** (self._fruitless[table, symbol] - 1), _LONGEST_WAIT))

    async def _patiently(self, client: Any, ask: tuple[str, dict[str, Any]], table: str, symbol: str) -> Any:
        """Return the answer to a request; None if its client was closed meanwhile."""
        method, params = ask
        for attempt in range(self._settings.attempts):
            try:
                return await getattr(client, method)(params)
            except Exception as error:
                if client is not self.client:
                    return None
                if not is_of_ccxt(error):
                    raise
                if not is_of_the_network(error):
                    raise SourceError(f"the venue refuses the request: {words_of(error)}") from None
                self._fault(FaultKind.REFUSED, table, symbol, f"try {attempt + 1}: {words_of(error)}")
                await self._clock().sleep(min(2.0**attempt, _LONGEST_WAIT))
        raise SourceError(f"no answer in {self._settings.attempts} tries")

    async def _book(self, client: Any, symbol: str) -> None:
        market = self.markets[symbol]
        limit = polled.LEVELS[self._settings.venue]
        try:
            book = await client.fetch_order_book(market["symbol"], limit)
        except Exception as error:
            if client is not self.client:
                return  # it was closed meanwhile
            if not is_of_ccxt(error):
                raise
            self._fault(FaultKind.REFUSED, polled.DEPTH, symbol, words_of(error))  # the next one is due soon
            return
        size = self._assembly.sizes[symbol]
        sides = {side: [[level[0], level[1] * size] for level in book[side]] for side in ("bids", "asks")}
        self._take(f"rest {polled.DEPTH}", {"symbol": symbol, "answer": sides})

    async def missed_trades(self, symbol: str) -> None:
        """Request the trades of a symbol since the last one that was seen, up to now, page by page."""
        client = self.client
        last, until = self._assembly.last_trade(symbol) or 0, self._clock().now_ns() // 1_000_000
        found: dict[str, dict[str, Any]] = {}
        since, complete = last // 1000, False
        try:
            for _ in range(_TRADE_PAGES):
                page = await client.fetch_trades(self.markets[symbol]["symbol"], since, _TRADES)
                before = len(found)
                found |= {str(each["id"]): each for each in page}
                since = max((each["timestamp"] for each in page), default=until)
                if since >= until or len(found) == before:
                    complete = len(page) < _TRADES or since >= until
                    break
        except Exception as error:
            if client is self.client and not is_of_ccxt(error):
                raise
            text = f"trades since {timestamp(last)} are missing: {words_of(error)}"
            self._fault(FaultKind.GAP, "trades", symbol, text)
        size = self._assembly.sizes[symbol]
        answer = [
            {
                "id": number,
                "time": each["timestamp"],
                "side": each["side"],
                "price": each["price"],
                "quantity": each["amount"] * size,
            }
            for number, each in sorted(found.items(), key=lambda item: item[1]["timestamp"])
        ]
        self._take("rest trades", {"symbol": symbol, "answer": answer, "complete": complete})
