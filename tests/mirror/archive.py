"""Made-up files in the native formats of the archive; the same name always gives the same bytes.

Everything is a function of time alone, so that a month holds what its days hold.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

SYMBOLS: Final = {"BTCUSDT": 42_000.0, "ETHUSDT": 2_300.0, "BTCUSD_PERP": 42_010.0}
#: Before this day nothing has a header.
HEADERS_FROM: Final = datetime(2022, 8, 11, tzinfo=UTC)
STAMPED_BY_START: Final = datetime(2026, 6, 25, tzinfo=UTC)
#: Days that the archive does not have.
MISSING: Final = frozenset({("metrics", "ETHUSDT", "2024-01-03"), ("bookDepth", "BTCUSDT", "2024-01-02")})
TRADES_A_DAY: Final = 20_000

_PATH: Final = re.compile(
    r"/?data/futures/(?P<market>um|cm)/(?P<period>daily|monthly)/(?P<type>\w+)/(?P<symbol>\w+)/"
    r"(?:(?P<interval>\d+[mh])/)?(?P<name>[\w-]+)\.zip"
)
KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
LIQUIDATIONS = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_fill_quantity,"
    "accumulated_fill_quantity"
)
Floats = npt.NDArray[np.float64]


def archive_file(path: str, *, trades_a_day: int = TRADES_A_DAY) -> bytes | None:
    """Return the bytes of a zip of the archive by its path, or None where there is no such file."""
    found = _PATH.fullmatch(path)
    if found is None or found["symbol"] not in SYMBOLS:
        return None
    stamp = found["name"].removeprefix(f"{found['symbol']}-").removeprefix(f"{found['interval'] or found['type']}-")
    csv = csv_text(found["type"], found["symbol"], found["interval"] or "", stamp, trades_a_day=trades_a_day)
    return None if csv is None else zipped(f"{found['name']}.csv", csv.encode())


@lru_cache(maxsize=400)
def csv_text(kind: str, symbol: str, interval: str, stamp: str, *, trades_a_day: int = TRADES_A_DAY) -> str | None:
    """Return the text of a csv of a day (``2024-01-05``) or a month (``2024-01``)."""
    monthly = len(stamp) == 7
    try:
        start = datetime.fromisoformat(f"{stamp}-01" if monthly else stamp).replace(tzinfo=UTC)
    except ValueError:
        return None
    exists = {
        "fundingRate": monthly,
        "metrics": not monthly,
        "bookDepth": not monthly and not symbol.endswith("_PERP"),
        "liquidationSnapshot": not monthly and symbol.endswith("_PERP"),
    }.get(kind, kind in ("klines", "markPriceKlines", "premiumIndexKlines", "aggTrades"))
    if not exists or (kind, symbol, stamp) in MISSING:
        return None
    days = ((start + timedelta(days=32)).replace(day=1) - start).days if monthly else 1
    if kind == "aggTrades":
        parts = [_trades(symbol, start + timedelta(days=day), trades_a_day) for day in range(days)]
    elif kind == "fundingRate":
        parts = [_funding(start, days)]
    elif kind.lower().endswith("klines"):
        parts = [_klines(kind, symbol, interval, start, days)]
    else:
        make: dict[str, Callable[[str, datetime], str]] = {
            "metrics": _metrics,
            "bookDepth": _depth,
            "liquidationSnapshot": _liquidations,
        }
        parts = [make[kind](symbol, start)]
    headers = {
        "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
        "fundingRate": "calc_time,funding_interval_hours,last_funding_rate",
        "metrics": METRICS,
        "bookDepth": "timestamp,percentage,depth,notional",
        "liquidationSnapshot": LIQUIDATIONS,
    }
    header = headers.get(kind, KLINES) + "\n" if start >= HEADERS_FROM else ""
    return header + "".join(parts)


def zipped(name: str, content: bytes, **options: int) -> bytes:
    """Return a zip with one file, without a clock in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0))
        info.compress_type = options.get("compress_type", zipfile.ZIP_DEFLATED)
        archive.writestr(info, content)
    return buffer.getvalue()


def checksum(content: bytes, name: str) -> bytes:
    """Return what the archive publishes beside a file."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def price(symbol: str, minute: Floats) -> Floats:
    """Return a price, smooth from minute to minute, by minutes since 1970."""
    swing = 0.02 * np.sin(minute / 700.0) + 0.01 * np.sin(minute / 97.0) + 0.001 * np.sin(minute * 1.7)
    return np.round(SYMBOLS[symbol] * np.exp(swing), 2)


def _uniform(number: npt.NDArray[np.int64], salt: int) -> Floats:
    """Return numbers in (0, 1), without a state: the same number always gives the same one."""
    mixed = (number.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def _csv(columns: dict[str, object]) -> str:
    return pd.DataFrame(columns).to_csv(index=False, header=False, lineterminator="\n")


def _klines(kind: str, symbol: str, interval: str, start: datetime, days: int) -> str:
    step = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}[interval]
    minutes = int(start.timestamp()) // 60 + np.arange(0, days * 1440, step, dtype=np.int64)
    opens, closes = price(symbol, minutes.astype(float)), price(symbol, (minutes + step).astype(float))
    high = np.round(np.maximum(opens, closes) * (1.0 + 0.0005 * _uniform(minutes, 1)), 2)
    low = np.round(np.minimum(opens, closes) * (1.0 - 0.0005 * _uniform(minutes, 2)), 2)
    coin_margined = symbol.endswith("_PERP")
    traded = kind == "klines"
    coin = np.round(-np.log(_uniform(minutes, 3)) * 5.0 * step + 0.5, 3)
    taker = np.round(coin * _uniform(minutes, 4), 3)
    if kind == "premiumIndexKlines":
        opens, closes = 2e-4 * np.sin(minutes / 300.0), 2e-4 * np.sin((minutes + step) / 300.0)
        high, low = np.maximum(opens, closes) + 1e-5, np.minimum(opens, closes) - 1e-5
        opens, high, low, closes = (np.round(each, 8) for each in (opens, high, low, closes))
    usd = coin * (high + low) / 2.0 / (100.0 if coin_margined else 1.0)
    first, second = (np.maximum(np.round(usd), 1.0), coin) if coin_margined else (coin, usd)
    if coin_margined:
        second = first * 100.0 / ((high + low) / 2.0)
        taker = second * _uniform(minutes, 4)
    zero = np.zeros(len(minutes))
    usd, first, second, taker = (np.round(each, 8 if coin_margined else 4) for each in (usd, first, second, taker))
    return _csv(
        {
            "open_time": minutes * 60_000,
            "open": opens,
            "high": high,
            "low": low,
            "close": closes,
            "volume": first if traded else zero,
            "close_time": (minutes + step) * 60_000 - 1,
            "quote_volume": second if traded else zero,
            "count": (_uniform(minutes, 5) * 900).astype(int) + 1 if traded else zero,
            "taker_buy_volume": (np.round(first * taker / second) if coin_margined else taker) if traded else zero,
            "taker_buy_quote_volume": (taker if coin_margined else np.round(taker * closes, 4)) if traded else zero,
            "ignore": zero.astype(int),
        }
    )


def _funding(start: datetime, days: int) -> str:
    hours = int(start.timestamp()) // 3600 + np.arange(0, days * 24, 8, dtype=np.int64)
    jitter = (_uniform(hours, 6) * 20).astype(int)
    rate = np.round(1e-4 * np.sin(hours / 50.0), 8)
    return _csv({"calc_time": hours * 3_600_000 + jitter, "hours": 8, "rate": rate})


def _metrics(symbol: str, start: datetime) -> str:
    fives = int(start.timestamp()) // 300 + np.arange(1, 289, dtype=np.int64)
    coin_margined = symbol.endswith("_PERP")
    by_start = coin_margined or start >= STAMPED_BY_START
    interest = np.round(80_000.0 + 5_000.0 * np.sin(fives / 40.0), 3)
    value = interest * price(symbol, fives * 5.0)
    labels = pd.to_datetime((fives - by_start) * 300, unit="s").strftime("%Y-%m-%d %H:%M:%S")
    frame = pd.DataFrame({"create_time": labels, "symbol": symbol})
    frame["interest"] = np.round(value / 100.0) if coin_margined else interest
    frame["value"] = np.round(value / price(symbol, fives * 5.0), 8) if coin_margined else value
    for salt, name in enumerate(("top_accounts", "top", "all", "taker")):
        ratio = np.round(1.0 + 0.5 * np.sin(fives / (30.0 + salt)), 8)
        frame[name] = '""' if coin_margined and name != "taker" else ratio.astype(str)
    if start.day % 2:  # rows of some days come in no order
        frame = frame.iloc[np.argsort(_uniform(fives, 7), kind="stable")]
    lines = frame.astype(str).agg(",".join, axis=1)
    return "\n".join(lines) + "\n"


def _depth(symbol: str, start: datetime) -> str:
    halves = int(start.timestamp()) // 30 + np.arange(2, 2880, dtype=np.int64)
    bands = np.array([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5])
    labels = pd.to_datetime(halves * 30 + 3, unit="s").strftime("%Y-%m-%d %H:%M:%S")
    quantity = np.round((200.0 + 100.0 * _uniform(halves, 8))[:, None] * np.abs(bands)[None, :], 3)
    names = [f"{band:.2f}" if start.year >= 2024 else str(band) for band in bands]
    prices = price(symbol, halves / 2.0)
    return _csv(
        {
            "timestamp": np.repeat(labels, len(bands)),
            "percentage": np.tile(names, len(halves)),
            "depth": quantity.ravel(),
            "notional": np.round(quantity * prices[:, None], 2).ravel(),
        }
    )


def _trades(symbol: str, day: datetime, many: int) -> str:
    place = np.arange(many, dtype=np.int64)
    number = int(day.timestamp()) // 86_400 * many + place
    step = 86_400_000 // many
    time = int(day.timestamp()) * 1000 + place * step + (_uniform(number, 9) * step).astype(np.int64)
    prices = price(symbol, time / 60_000.0)
    quantity = np.round(np.exp(3.0 * (_uniform(number, 10) - 0.5) + 2.0 * (_uniform(number, 11) - 0.5)), 3)
    quantity = np.where(_uniform(number, 12) < 0.01, np.round(quantity * 20.0, 3), quantity)
    if symbol.endswith("_PERP"):
        quantity = np.ceil(quantity * 400.0)
    return _csv(
        {
            "id": number,
            "price": prices,
            "quantity": quantity,
            "first": number * 3,
            "last": number * 3 + 2,
            "time": time,
            "maker": np.where(_uniform(number, 13) < 0.5, "true", "false"),
        }
    )


def _liquidations(symbol: str, day: datetime) -> str:
    many = 60
    place = np.arange(many, dtype=np.int64)
    number = int(day.timestamp()) // 86_400 * many + place
    step = 86_400_000 // many
    time = int(day.timestamp()) * 1000 + place * step + (_uniform(number, 14) * step).astype(np.int64)
    prices = price(symbol, time / 60_000.0)
    contracts = (_uniform(number, 15) * 500).astype(int) + 1
    text = _csv(
        {
            "time": time,
            "side": np.where(_uniform(number, 16) < 0.5, "SELL", "BUY"),
            "type": "LIMIT",
            "force": "IOC",
            "original": contracts,
            "price": np.round(prices * 1.003, 1),
            "average": prices,
            "status": "FILLED",
            "last": contracts,
            "filled": contracts,
        }
    )
    return "".join(f"{line}\n{line}\n" for line in text.splitlines())
