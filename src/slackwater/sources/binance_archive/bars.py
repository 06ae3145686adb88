"""Bars of trades, of the mark price and of the premium index."""

from __future__ import annotations

from typing import Final

import numpy as np

from slackwater.sources.binance_archive.csv_rows import Columns, Layout
from slackwater.sources.binance_archive.screening import Screening
from slackwater.sources.intervals import INTERVALS
from slackwater.times import microseconds

__all__ = ["BARS", "contract_usd", "parse_bars", "parse_mark_price", "parse_premium_index"]

BARS: Final = Layout(
    {
        "open_time": "time",
        "open": "number",
        "high": "number",
        "low": "number",
        "close": "number",
        "volume": "number",
        "close_time": "time",
        "quote_volume": "number",
        "count": "number",
        "taker_buy_volume": "number",
        "taker_buy_quote_volume": "number",
        "ignore": "unused",
    }
)
_PRICES: Final = ("open", "high", "low", "close")
#: Prices and amounts are rounded, so that their quotient may leave the range of the bar by this share.
_ROUNDING: Final = 1e-3


def contract_usd(symbol: str) -> float:
    """Return the size of a coin-margined contract in USD: 100 for bitcoin, 10 for the others."""
    return 100.0 if symbol.startswith("BTCUSD_") else 10.0


def parse_bars(rows: Columns, screening: Screening) -> Columns:
    """Return bars of trades with volumes in coin, stamped by their close.

    In coin-margined files volumes count contracts, and the quote volume is in coin.

    Raises
    ------
    SchemaError
        If open and close, or the volumes, are swapped, or too many rows cannot be used.
    """
    coin_margined = screening.file.market == "cm"
    bars = _stamped(rows, screening)
    coin, taker = ("quote_volume", "taker_buy_quote_volume") if coin_margined else ("volume", "taker_buy_volume")
    volumes = ("volume", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume")
    bars = screening.finite(bars, (*_PRICES, coin))
    bars = _plausible(bars, screening)
    for name in (taker, "count"):
        screening.note(bars, np.isnan(bars[name]), "blank_value", f"{name} is blank: unknown in these bars")
    bars = screening.mask(bars, np.logical_or.reduce([np.isinf(bars[name]) for name in volumes]), "unreadable")
    negative = np.logical_or.reduce([bars[name] < 0.0 for name in volumes])
    bars = screening.in_order(screening.mask(bars, negative, "negative_volume"))
    other = bars["volume"] * contract_usd(screening.file.symbol) if coin_margined else bars["quote_volume"]
    _refuse_swapped_prices(bars, screening)
    traded = bars[coin] > 0.0
    mean_price = np.divide(other, bars[coin], out=bars["close"].copy(), where=traded)
    # Contracts are whole and quantities rounded, so that little volume does not determine the mean price.
    outside = (mean_price < bars["low"] * (1.0 - _ROUNDING)) | (mean_price > bars["high"] * (1.0 + _ROUNDING))
    outside &= np.maximum(other, bars[coin] * bars["close"]) > 1000.0
    bars = screening.mask(bars, outside, "volume_mismatch", "quote volume / volume is not a price of the bar")
    too_much = bars[taker] > bars[coin] * (1.0 + 1e-9)
    bars = screening.mask(bars, too_much, "taker_above_volume", "takers bought more than was traded")
    bars = screening.once(bars, ("event_time",))
    return {
        "event_time": bars["event_time"],
        "open_time": bars["open_time"],
        **{name: bars[name] for name in _PRICES},
        "volume": bars[coin],
        "taker_buy_volume": bars[taker],
        "trade_count": bars["count"],
    }


def parse_mark_price(rows: Columns, screening: Screening) -> Columns:
    """Return bars of the mark price, stamped by their close."""
    bars = _plausible(screening.finite(_stamped(rows, screening), _PRICES), screening)
    bars = screening.once(screening.in_order(bars), ("event_time",))
    return {name: bars[name] for name in ("event_time", "open_time", *_PRICES)}


def parse_premium_index(rows: Columns, screening: Screening) -> Columns:
    """Return the premium index at the close of each bar, a fraction of the index price."""
    bars = screening.finite(_stamped(rows, screening), _PRICES)
    absurd = np.logical_or.reduce([np.abs(bars[name]) > 0.5 for name in _PRICES])
    bars = screening.mask(bars, absurd, "impossible_premium", "a premium above one half is a price, not a fraction")
    bars = screening.mask(bars, _open(bars), "ohlc_violation", "high and low do not enclose open and close")
    bars = screening.once(screening.in_order(bars), ("event_time",))
    return {"event_time": bars["event_time"], "premium_index": bars["close"]}


def _stamped(rows: Columns, screening: Screening) -> Columns:
    """Return the rows with `event_time`, the close of the bar; rows of another length than the interval are masked."""
    interval = microseconds(INTERVALS[screening.file.interval])
    bars = rows | {"event_time": rows["open_time"] + interval}
    bars = screening.inside_period(bars, 0)
    # The close time is a millisecond, or a microsecond, before the next bar opens.
    left = bars["event_time"] - bars["close_time"]
    wrong = (left < 0) | (left > 1000) | (bars["open_time"] % interval != 0)
    return screening.mask(bars, wrong, "wrong_span", f"open and close time are not those of {screening.file.interval}")


def _plausible(bars: Columns, screening: Screening) -> Columns:
    wrong = np.logical_or.reduce([bars[name] <= 0.0 for name in _PRICES])
    bars = screening.mask(bars, wrong, "impossible_price", "a price is zero or negative")
    return screening.mask(bars, _open(bars), "ohlc_violation", "high and low do not enclose open and close")


def _open(bars: Columns) -> np.ndarray:
    top = np.maximum(bars["open"], bars["close"])
    bottom = np.minimum(bars["open"], bars["close"])
    return (bars["high"] < top) | (bars["low"] > bottom)


def _refuse_swapped_prices(bars: Columns, screening: Screening) -> None:
    """Raise if open and close are swapped: an open is near the close before it, not the other way around."""
    if len(bars["open"]) < 100:
        return
    forwards = np.abs(np.log(bars["open"][1:] / bars["close"][:-1]))
    backwards = np.abs(np.log(bars["close"][1:] / bars["open"][:-1]))
    if forwards.mean() > 2.0 * backwards.mean():
        raise screening.refuse("open and close are swapped")
