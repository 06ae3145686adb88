"""Recorded prices of one symbol: the fill of an order, the exit of a position, and the funding that it pays."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from slackwater.errors import MissingDataError, OrderError, SchemaError
from slackwater.market.bars import BAR_RULE, impossible_bars
from slackwater.times import DAY_US, SECOND_US, epochs_us, microseconds, timestamp
from slackwater.trading.costs import funding_payment
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import EXIT_REASONS, ClosedTrade
from slackwater.types import Bools, Floats, Ints

__all__ = [
    "BAR_COLUMNS",
    "FUNDING_COLUMNS",
    "MARK_COLUMNS",
    "Exit",
    "PricePath",
    "price_paths",
    "walk_to_exit",
]

_PRICES = ("open", "high", "low", "close")
_MARK_PRICES = ("open", "high", "low")
_OF_BARS = ("open_time", "close_time", *_PRICES, *(f"mark_{name}" for name in _MARK_PRICES))
BAR_COLUMNS = ("symbol", "open_time", "event_time", *_PRICES)
FUNDING_COLUMNS = ("symbol", "event_time", "funding_rate")
MARK_COLUMNS = ("symbol", "open_time", *_MARK_PRICES)
_STAMP_TOLERANCE_US = SECOND_US  # some venues stamp a close one millisecond before the next open
_TIME, _TARGET, _STOP, _LIQUIDATION = (EXIT_REASONS.index(name) for name in ("time", "target", "stop", "liquidation"))


class Exit(NamedTuple):
    """The end of a position.

    Parameters
    ----------
    reason
        Of `EXIT_REASONS`.
    time_us
        When it is known: the close of the exit bar, or the open after a halt; microseconds since 1970.
    price
        Market price, USDT.
    held_us, gone_us
        The position was open up to `held_us` for certain, and no longer after `gone_us`. They differ by the exit bar
        where the exit lies within it, and are its open where the position was closed at its first print.
    """

    reason: str
    time_us: int
    price: float
    held_us: int
    gone_us: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricePath:
    """Fine bars and funding settlements of one symbol as arrays, checked once.

    Parameters
    ----------
    symbol
        For messages.
    open_time, close_time
        int64, microseconds since 1970 (UTC), rising, shape (n,), n > 0.
    open, high, low, close
        float64, USDT, shape (n,): last trades. Orders are filled on them, and stops triggered.
    mark_open, mark_high, mark_low
        float64, USDT, shape (n,): the mark price, which triggers liquidations and values funding. The last
        trades themselves where no mark price is recorded: their wicks are longer, so that errs on the side of
        more liquidations.
    settlement_time, funding_rate
        int64 and float64, shape (m,): settled rates, fraction of notional, at any interval.

    Raises
    ------
    SchemaError
        If a price is not positive and finite, a bar's high is below or its low above its other prices, a bar closes
        before it opens, or a funding rate is not finite.
    OrderError
        If times repeat or run backwards.
    """

    symbol: str
    open_time: Ints
    close_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    mark_open: Floats
    mark_high: Floats
    mark_low: Floats
    settlement_time: Ints
    funding_rate: Floats

    def __post_init__(self) -> None:
        for table, column, times in (
            ("fine_bars", "open_time", self.open_time),
            ("fine_bars", "event_time", self.close_time),
            ("funding", "event_time", self.settlement_time),
        ):
            _require_rising(times, table, column, self.symbol)
        impossible = impossible_bars({name: getattr(self, name) for name in _PRICES})
        self._refuse("fine_bars", self.open_time, impossible, f"a row that is not a bar ({BAR_RULE})")
        inverted = self.close_time <= self.open_time
        self._refuse("fine_bars", self.open_time, inverted, "a close that is not after its open")
        marked = _usable(self.mark_open) & _usable(self.mark_high) & _usable(self.mark_low)
        self._refuse("mark_price", self.open_time, ~marked, "a price that is not positive and finite")
        unknown = ~np.isfinite(self.funding_rate)
        self._refuse("funding", self.settlement_time, unknown, "a funding rate that is not finite")

    def _refuse(self, table: str, times: Ints, bad: Bools, what: str) -> None:
        if bad.any():
            first = [str(timestamp(int(time))) for time in times[bad][:3]]
            raise SchemaError(f"table {table}: {self.symbol} has {what} at {', '.join(first)}")

    def first_bar_from(self, time_us: int) -> int:
        """Return the first bar that opens at or after a time; the number of bars if there is none."""
        return int(self.open_time.searchsorted(time_us, side="left"))

    def between(self, start_us: int, end_us: int) -> PricePath:
        """Return a copy of the bars that open from a time on, up to the first that opens at or after another one.

        It has the settlements within and the ones next to them. A position that is opened at `start_us`, with its time
        exit at `end_us`, ends on it as on the whole path.
        """
        bars = slice(self.first_bar_from(start_us), self.first_bar_from(end_us) + 1)
        first, last = int(self.open_time[bars.start]), int(self.close_time[min(bars.stop, len(self.close_time)) - 1])
        before = int(self.settlement_time.searchsorted(first, side="right")) - 1
        after = int(self.settlement_time.searchsorted(last + _STAMP_TOLERANCE_US, side="right"))
        settled = slice(max(before, 0), after + 1)
        # Copies: a part of an array keeps the whole of it in memory.
        parts = {name: getattr(self, name)[bars].copy() for name in _OF_BARS}
        parts |= {name: getattr(self, name)[settled].copy() for name in ("settlement_time", "funding_rate")}
        return replace(self, **parts)

    def mark_at(self, time_us: int) -> float:
        """Return the mark price at the open of the bar in progress: known at that time."""
        return float(self.mark_open[self.open_time.searchsorted(time_us, side="right") - 1])

    def hold(
        self, plan: TradePlan, *, entry_bar: int, horizon: timedelta, without: Collection[str] = ()
    ) -> ClosedTrade:
        """Walk a plan from the open of its entry bar to its exit.

        Parameters
        ----------
        plan
            Its stop, target and liquidation price end the trade, or its time exit does.
        entry_bar
            Counts like any other.
        horizon
            From the open of the entry bar to the time exit.
        without
            Levels that do not end the trade: ``stop``, ``target``, ``liquidation_price``.

        Notes
        -----
        A liquidation ends at the bankruptcy price: the margin is lost. So does a fill beyond it, whatever triggered the
        order: the venue's insurance bears the rest.

        Funding is paid at the settlements that the position lived to see; where the exit bar does not show which those
        were, the worse is assumed (`funding_usd`). It comes out of the account. A position whose funding has used up
        the equity that it was planned on is liquidated in that bar, at the worst of the mark and of the exit that the
        bar would have brought; and one that ends with less than nothing because of funding is recorded as liquidated,
        however it ended.
        """
        found = self.exit(
            side=plan.side,
            stop=-plan.side * math.inf if "stop" in without else plan.stop,
            target=plan.side * math.inf if "target" in without else plan.target,
            liquidation_price=(-plan.side * math.inf if "liquidation_price" in without else plan.liquidation_price),
            entry_bar=entry_bar,
            horizon=horizon,
        )
        entry_us, exit_us = int(self.open_time[entry_bar]), found.time_us
        reason, price = found.reason, found.price
        if reason == "liquidation" or plan.side * price < plan.side * plan.bankruptcy_price:
            reason, price = "liquidation", plan.bankruptcy_price
        held_us, gone_us = found.held_us, found.gone_us
        spent = self._spent_by_funding(plan, entry_us, gone_us)
        if spent is not None:
            closes_us, mark = spent
            worst = plan.side * mark if closes_us < exit_us else min(plan.side * mark, plan.side * price)
            price = plan.side * max(worst, plan.side * plan.bankruptcy_price)
            reason, exit_us = "liquidation", min(closes_us, exit_us)
            held_us, gone_us = min(held_us, exit_us), min(gone_us, exit_us)
        trade = ClosedTrade(
            plan=plan,
            entry_time=timestamp(entry_us),
            exit_time=timestamp(exit_us),
            exit_price=price,
            exit_reason=reason,
            funding_usd=self.funding_usd(
                side=plan.side, quantity=plan.quantity, start_us=entry_us, end_us=held_us, gone_us=gone_us
            ),
            held_until=timestamp(held_us),
            gone_after=timestamp(gone_us),
            funding_known=self.funding_known(entry_us, gone_us),
        )
        ruined = trade.funding_usd > 0.0 and plan.equity + trade.net_usd < 0.0
        return replace(trade, exit_reason="liquidation") if ruined else trade

    def _spent_by_funding(self, plan: TradePlan, start_us: int, end_us: int) -> tuple[int, float] | None:
        """Return the close of the bar in which funding paid has left no equity, and the mark then; None if none has."""
        between = self._settlements(start_us, end_us)
        settled = self.settlement_time[between]
        mark = self.mark_open[self.open_time.searchsorted(settled, side="right") - 1]
        paid = np.cumsum(plan.side * plan.quantity * self.funding_rate[between] * mark)
        costs = plan.notional_usd * (plan.costs.fee_fraction + plan.costs.entry_slippage)
        equity = plan.equity - costs + plan.side * plan.quantity * (mark - plan.entry) - paid
        broke = np.flatnonzero((paid > 0.0) & (equity <= 0.0))
        if not broke.size:
            return None
        bar = int(np.searchsorted(self.close_time + _STAMP_TOLERANCE_US, settled[broke[0]], side="right"))
        return int(self.close_time[bar]), float(mark[broke[0]])

    def exit(
        self, *, side: int, stop: float, target: float, liquidation_price: float, entry_bar: int, horizon: timedelta
    ) -> Exit:
        """Return how a position ends.

        A time exit that falls into a halt is filled at the open after it, for better or worse. A liquidation price
        of 0 (long) or infinity (short) is never reached.
        """
        expiry = int(self.open_time[entry_bar]) + microseconds(horizon)
        end = self.first_bar_from(expiry)
        prices = (self.open, self.high, self.low, self.close, self.mark_open, self.mark_high, self.mark_low)
        code, bar, price = walk_to_exit(*prices, entry_bar, end, int(side), stop, target, liquidation_price)
        open_us, exit_us = int(self.open_time[bar]), int(self.close_time[bar])
        if code == _TIME and exit_us < expiry - _STAMP_TOLERANCE_US and end < len(self.open):
            price, exit_us = self.open[end], int(self.open_time[end])
            if side * self.mark_open[end] <= side * liquidation_price:
                code = _LIQUIDATION
            elif side * price <= side * stop:
                code = _STOP
            held_us = gone_us = exit_us
        elif code == _TIME:
            held_us = gone_us = exit_us
        else:
            first = side * self.open[bar]
            at_open = first <= side * stop or first > side * target
            at_open |= side * self.mark_open[bar] <= side * liquidation_price
            held_us, gone_us = open_us, open_us if at_open else exit_us
        return Exit(EXIT_REASONS[code], exit_us, float(price), held_us, gone_us)

    def funding_usd(
        self,
        *,
        side: int,
        quantity: float,
        start_us: int,
        end_us: int,
        gone_us: int | None = None,
        rates: Floats | None = None,
    ) -> float:
        """Return the funding that a position pays at the settlements in (start, end], USDT.

        Where the position ended between `end_us` and `gone_us`, it has also seen none, some or all of the settlements
        between them, whichever costs most: a payment that it may have escaped is charged, a receipt is not credited.
        Times that differ by less than a second are equal: venues stamp closes and settlements some milliseconds off.
        """
        rates = self.funding_rate if rates is None else rates
        paid = [
            funding_payment(
                side=side,
                notional_usd=quantity * self.mark_at(int(self.settlement_time[index])),
                funding_rate=float(rates[index]),
            )
            for index in range(*self._settlements(start_us, end_us if gone_us is None else gone_us).indices(len(rates)))
        ]
        certain = len(self.settlement_time[self._settlements(start_us, end_us)])
        return max(math.fsum(paid[:count]) for count in range(certain, len(paid) + 1))

    def funding_known(self, start_us: int, end_us: int) -> bool:
        """Return whether the settled rates cover a span: nowhere in it are they further apart than a day."""
        first = int(self.settlement_time.searchsorted(start_us, side="right")) - 1
        last = int(self.settlement_time.searchsorted(end_us, side="left"))
        around = self.settlement_time[max(first, 0) : last + 1]
        return bool(around.size) and bool(np.all(np.diff([start_us, *around, end_us]) <= DAY_US))

    def _settlements(self, start_us: int, end_us: int) -> slice:
        """Return the settlements in (start, end]: the one place that compares their times with other ones."""
        first, last = (
            self.settlement_time.searchsorted(us + _STAMP_TOLERANCE_US, side="left") for us in (start_us, end_us)
        )
        return slice(int(first), int(last))


def price_paths(
    fine_bars: pd.DataFrame,
    funding: pd.DataFrame | None = None,
    symbols: Iterable[str] | None = None,
    *,
    mark: pd.DataFrame | None = None,
) -> dict[str, PricePath]:
    """Return the path of each symbol in the canonical tables.

    Parameters
    ----------
    fine_bars
        symbol, open_time, event_time (close), open, high, low, close.
    funding
        symbol, event_time, funding_rate; None where there is no funding.
    symbols
        Symbols wanted; None: all.
    mark
        Bars of the mark price: symbol, open_time, open, high, low. None, and bars that it lacks: the last trades stand
        in.

    Raises
    ------
    SchemaError
        If a column is missing, times are naive, or `PricePath` refuses a value.
    OrderError
        If times repeat or run backwards within a symbol.
    MissingDataError
        If a symbol has no bars.
    """
    _require_columns("fine_bars", fine_bars, BAR_COLUMNS)
    rates = pd.DataFrame({name: [] for name in FUNDING_COLUMNS}) if funding is None else funding
    _require_columns("funding", rates, FUNDING_COLUMNS)
    if mark is not None:
        _require_columns("mark_price", mark, MARK_COLUMNS)
    paths = {}
    for symbol in sorted(set(fine_bars["symbol"].unique() if symbols is None else symbols)):
        bars = fine_bars[fine_bars["symbol"] == symbol]
        if bars.empty:
            known = ", ".join(map(str, fine_bars["symbol"].unique()))
            raise MissingDataError(f"table fine_bars holds no bars of {symbol}; it holds {known or 'nothing'}")
        settlements = rates[rates["symbol"] == symbol]
        open_time = _times("fine_bars", bars, "open_time")
        last = {name: bars[name].to_numpy(dtype="float64") for name in _PRICES}
        paths[symbol] = PricePath(
            symbol=symbol,
            open_time=open_time,
            close_time=_times("fine_bars", bars, "event_time"),
            **last,
            **_marks(symbol, mark, open_time, last),
            settlement_time=_times("funding", settlements, "event_time"),
            funding_rate=settlements["funding_rate"].to_numpy(dtype="float64"),
        )
    return paths


def _marks(symbol: str, mark: pd.DataFrame | None, open_time: Ints, last: dict[str, Floats]) -> dict[str, Floats]:
    """Return the mark price of every bar, the last trades where it is not recorded."""
    marks = {f"mark_{name}": last[name] for name in _MARK_PRICES}
    bars = None if mark is None else mark[mark["symbol"] == symbol]
    if bars is None or bars.empty:
        return marks
    marked = _times("mark_price", bars, "open_time")
    _require_rising(marked, "mark_price", "open_time", symbol)
    at = np.minimum(np.searchsorted(marked, open_time), len(marked) - 1)
    known = marked[at] == open_time
    for name in _MARK_PRICES:
        marks[f"mark_{name}"] = np.where(known, bars[name].to_numpy(dtype="float64")[at], last[name])
    return marks


@njit(cache=True, nogil=True)
def walk_to_exit(
    open_: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    mark_open: np.ndarray,
    mark_high: np.ndarray,
    mark_low: np.ndarray,
    first: int,
    end: int,
    side: int,
    stop: float,
    target: float,
    liquidation: float,
) -> tuple[int, int, float]:
    """Walk one position along its path to its exit (method, section 6.7).

    Parameters
    ----------
    open_, high, low, close
        Fine bars, float64, shape (n,).
    mark_open, mark_high, mark_low
        Mark price of the same bars.
    first, end
        Entry bar, which counts, and the bar after the last that opens within the horizon.
    side
        +1 long, -1 short.
    stop, target, liquidation
        Prices.

    Returns
    -------
    code, bar, price
        Position in `EXIT_REASONS`, exit bar, market price of the exit (for a liquidation: where it was triggered).
    """
    signed_stop, signed_target, signed_liquidation = side * stop, side * target, side * liquidation
    for bar in range(first, end):
        worst = low[bar] if side > 0 else -high[bar]
        best = high[bar] if side > 0 else -low[bar]
        marked = mark_low[bar] if side > 0 else -mark_high[bar]
        if side * mark_open[bar] <= signed_liquidation:
            return _LIQUIDATION, bar, mark_open[bar]
        if side * open_[bar] <= signed_stop:
            return _STOP, bar, open_[bar]
        # The first print lies beyond the target: the resting order is filled before anything else can happen.
        if side * open_[bar] > signed_target:
            return _TARGET, bar, target
        if marked <= signed_liquidation and signed_liquidation > signed_stop:
            return _LIQUIDATION, bar, liquidation
        if worst <= signed_stop:
            return _STOP, bar, stop
        if marked <= signed_liquidation:
            return _LIQUIDATION, bar, liquidation
        if best > signed_target:
            return _TARGET, bar, target
    return _TIME, end - 1, close[end - 1]


def _require_columns(table: str, rows: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise SchemaError(f"table {table} lacks the columns {', '.join(missing)}")


def _times(table: str, rows: pd.DataFrame, column: str) -> Ints:
    if rows.empty:
        return np.empty(0, dtype="int64")
    if getattr(rows[column].dt, "tz", None) is None:
        raise SchemaError(f"table {table}, column {column}: times must have a time zone")
    return epochs_us(rows[column])


def _require_rising(times: Ints, table: str, column: str, symbol: str) -> None:
    backwards = np.flatnonzero(np.diff(times) <= 0) + 1
    if backwards.size:
        first = [str(timestamp(int(time))) for time in times[backwards[:3]]]
        raise OrderError(
            f"table {table}, column {column}: times of {symbol} repeat or run backwards at {', '.join(first)}"
        )


def _usable(prices: Floats) -> Bools:
    return np.isfinite(prices) & (prices > 0.0)
