"""The recorded prices of one symbol: where an order meets them, how a position ends, what funding it pays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
from numba import njit

from slackwater.errors import MissingDataError, OrderError, SchemaError
from slackwater.trading.costs import funding_payment
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import EXIT_REASONS

__all__ = ["PathExit", "PricePath", "microseconds", "price_paths", "walk_to_exit"]

_PRICES = ["open", "high", "low", "close"]
_TIME, _TARGET, _STOP, _LIQUIDATION = (EXIT_REASONS.index(name) for name in ("time", "target", "stop", "liquidation"))


def microseconds(duration: timedelta) -> int:
    """Return a duration in whole microseconds, the resolution of every time in the project."""
    return duration // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathExit:
    """How a position ended: close of the exit bar (microseconds since 1970), market price, reason."""

    time_us: int
    price: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricePath:
    """Bars and funding settlements of one symbol as arrays.

    Parameters
    ----------
    open_time, close_time
        int64, microseconds since 1970 (UTC), rising, shape (n,).
    open, high, low, close
        float64, USDT, shape (n,).
    settlement_time, funding_rate
        int64 and float64, shape (m,): settled rates, fraction of notional.
    """

    open_time: np.ndarray
    close_time: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    settlement_time: np.ndarray
    funding_rate: np.ndarray

    def first_bar_from(self, time_us: int) -> int:
        """Return the first bar that opens at or after a moment; the number of bars if there is none."""
        return int(np.searchsorted(self.open_time, time_us, side="left"))

    def price_at(self, time_us: int) -> float:
        """Return the open of the bar in progress: a price that was known at that moment."""
        return float(self.open[np.searchsorted(self.open_time, time_us, side="right") - 1])

    def exit_of(self, plan: TradePlan, *, entry_bar: int, horizon: timedelta) -> PathExit:
        """Walk a plan from its entry bar to its exit; a liquidation ends at the bankruptcy price."""
        end = self.first_bar_from(int(self.open_time[entry_bar]) + microseconds(horizon))
        code, bar, price = walk_to_exit(
            self.open,
            self.high,
            self.low,
            self.close,
            entry_bar,
            end,
            plan.side,
            plan.stop,
            plan.target,
            plan.liquidation_price,
        )
        if code == _LIQUIDATION:
            price = plan.bankruptcy_price
        return PathExit(time_us=int(self.close_time[bar]), price=float(price), reason=EXIT_REASONS[code])

    def funding_usd(self, *, side: int, quantity: float, start_us: int, end_us: int) -> float:
        """Return the funding that a position pays at the settlements in (start, end], USDT."""
        first, last = np.searchsorted(self.settlement_time, [start_us, end_us], side="right")
        return math.fsum(
            funding_payment(
                side=side,
                notional_usd=quantity * self.price_at(int(self.settlement_time[index])),
                funding_rate=float(self.funding_rate[index]),
            )
            for index in range(first, last)
        )


def price_paths(path: pd.DataFrame, funding: pd.DataFrame | None, symbols: Iterable[str]) -> dict[str, PricePath]:
    """Split the canonical tables into the paths of some symbols.

    Parameters
    ----------
    path
        symbol, open_time, event_time (close), open, high, low, close.
    funding
        symbol, event_time, funding_rate; None where there is no funding.
    symbols
        Those wanted.

    Raises
    ------
    SchemaError
        If a column is missing, times are naive, a price is not positive and finite, a bar's high is below or
        its low above its other prices, a bar closes before it opens, or a funding rate is not finite.
    OrderError
        If times repeat or run backwards within a symbol.
    MissingDataError
        If a symbol has no bars.
    """
    _require_columns("path", path, ["symbol", "open_time", "event_time", *_PRICES])
    rates = pd.DataFrame({"symbol": [], "event_time": [], "funding_rate": []}) if funding is None else funding
    _require_columns("funding", rates, ["symbol", "event_time", "funding_rate"])
    paths = {}
    for symbol in sorted(set(symbols)):
        bars = path[path["symbol"] == symbol]
        if bars.empty:
            known = ", ".join(map(str, path["symbol"].unique()))
            raise MissingDataError(f"table path holds no bars of {symbol}; it holds {known or 'nothing'}")
        settled = rates[rates["symbol"] == symbol]
        open_time = _rising_times("path", symbol, bars, "open_time")
        close_time = _rising_times("path", symbol, bars, "event_time")
        _check_bars(symbol, bars, open_time, close_time)
        funding_rate = settled["funding_rate"].to_numpy(dtype="float64")
        _refuse(symbol, "funding", settled, ~np.isfinite(funding_rate), "a funding rate that is not finite")
        paths[symbol] = PricePath(
            open_time=open_time,
            close_time=close_time,
            **{name: np.ascontiguousarray(bars[name].to_numpy(dtype="float64")) for name in _PRICES},
            settlement_time=_rising_times("funding", symbol, settled, "event_time"),
            funding_rate=funding_rate,
        )
    return paths


@njit(cache=True)
def walk_to_exit(
    open_: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    first: int,
    end: int,
    side: int,
    stop: float,
    target: float,
    liquidation: float,
) -> tuple[int, int, float]:
    """Walk one position down its path.

    Parameters
    ----------
    open_, high, low, close
        Path bars, float64, shape (n,).
    first, end
        Entry bar, which counts, and the bar after the last that opens within the horizon.
    side
        +1 long, -1 short.
    stop, target, liquidation
        Prices.

    Returns
    -------
    code, bar, price
        Position in `EXIT_REASONS`, exit bar, market price of the exit (for a liquidation: where it was
        triggered).

    Notes
    -----
    In each bar, in this order: the open beyond the liquidation price, the open beyond the stop (filled
    there), the nearer of stop and liquidation price touched, the target touched (filled at the target, never
    better).
    """
    signed_stop, signed_target, signed_liquidation = side * stop, side * target, side * liquidation
    for bar in range(first, end):
        opening = side * open_[bar]
        worst = low[bar] if side > 0 else -high[bar]
        best = high[bar] if side > 0 else -low[bar]
        if opening <= signed_liquidation:
            return _LIQUIDATION, bar, open_[bar]
        if opening <= signed_stop:
            return _STOP, bar, open_[bar]
        if worst <= max(signed_stop, signed_liquidation):
            if signed_liquidation > signed_stop:
                return _LIQUIDATION, bar, liquidation
            return _STOP, bar, stop
        if best >= signed_target:
            return _TARGET, bar, target
    return _TIME, end - 1, close[end - 1]


def _require_columns(table: str, rows: pd.DataFrame, columns: list[str]) -> None:
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise SchemaError(f"table {table} lacks the columns {', '.join(missing)}")


def _rising_times(table: str, symbol: str, rows: pd.DataFrame, column: str) -> np.ndarray:
    if rows.empty:
        return np.empty(0, dtype="int64")
    times = rows[column]
    if getattr(times.dt, "tz", None) is None:
        raise SchemaError(f"table {table}, column {column}: times must have a time zone")
    moments = times.dt.as_unit("us").astype("int64").to_numpy()
    backwards = np.append(False, np.diff(moments) <= 0)
    if backwards.any():
        raise OrderError(
            f"table {table}, column {column}: times of {symbol} repeat or run backwards at rows "
            f"{rows.index[backwards][:3].tolist()}"
        )
    return moments


def _check_bars(symbol: str, bars: pd.DataFrame, open_time: np.ndarray, close_time: np.ndarray) -> None:
    open_, high, low, close = (bars[name].to_numpy(dtype="float64") for name in _PRICES)
    sound = np.isfinite(open_) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close) & (low > 0)
    _refuse(symbol, "path", bars, ~sound, "a price that is not positive and finite")
    crossed = (high < np.maximum(open_, close)) | (low > np.minimum(open_, close))
    _refuse(symbol, "path", bars, crossed, "a high below or a low above its other prices")
    _refuse(symbol, "path", bars, close_time <= open_time, "a close that is not after its open")


def _refuse(symbol: str, table: str, rows: pd.DataFrame, bad: np.ndarray, what: str) -> None:
    if bad.any():
        raise SchemaError(f"table {table}: {symbol} has {what} at rows {rows.index[bad][:3].tolist()}")
