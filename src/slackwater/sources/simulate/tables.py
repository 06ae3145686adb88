"""From the arrays of a run to the canonical tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from slackwater.sources.simulate.funding import INTERVAL_MINUTES
from slackwater.sources.simulate.minute_step import SNAPSHOT_MINUTES, MarketRun
from slackwater.sources.simulate.parameters import MarketParameters

__all__ = ["DEFAULT_LAGS", "columns_of_run", "stack_tables"]

#: Column name to values, all of the same length.
Columns = dict[str, npt.NDArray[np.generic]]

#: From the venue's stamp to the earliest moment at which one could know the row.
DEFAULT_LAGS: Mapping[str, timedelta] = {
    "path": timedelta(seconds=2),
    "open_interest": timedelta(minutes=5, seconds=30),
    "funding": timedelta(seconds=60),
    "premium_index": timedelta(seconds=2),
    "liquidations": timedelta(seconds=5),
    "whale_transfers": timedelta(minutes=10),
    "depth": timedelta(seconds=2),
}

CHAINS = {"BTC": "bitcoin", "ETH": "ethereum", "SOL": "solana", "XRP": "ripple"}
QUOTES = ("USDT", "USDC", "USD")
EXCHANGES = np.array(["binance", "bybit", "coinbase", "kraken", "okx"], dtype=object)
WALLET = "unknown"

MICROSECONDS_PER_MINUTE = 60_000_000


def columns_of_run(
    symbol: str, run: MarketRun, parameters: MarketParameters, *, first_minute: int
) -> dict[str, Columns]:
    """Return the tables of one symbol as columns, without `symbol` and `available_time`.

    Parameters
    ----------
    symbol : str
        Name of the perpetual.
    run : MarketRun
        What its market did.
    parameters : MarketParameters
        Its start price and tick.
    first_minute : int
        Open time of the first row, in minutes since 1970 UTC.

    Returns
    -------
    dict of str to dict of str to ndarray
        Table name to column name to values, sorted by `event_time`.
    """
    minutes = len(run.volume)
    opens = first_minute + np.arange(minutes, dtype=np.int64)
    snapshots = opens[SNAPSHOT_MINUTES - 1 :: SNAPSHOT_MINUTES] + 1
    return {
        "path": _path(run, parameters, opens),
        "open_interest": {
            "event_time": _time(snapshots),
            "open_interest": run.interest[SNAPSHOT_MINUTES - 1 :: SNAPSHOT_MINUTES, 0].copy(),
        },
        "funding": {
            "event_time": _time(first_minute + run.funding[:, 0].astype(np.int64) + 1),
            "funding_rate": run.funding[:, 1].copy(),
            "interval_hours": np.full(len(run.funding), INTERVAL_MINUTES / 60.0),
        },
        "premium_index": {"event_time": _time(snapshots), "premium_index": run.premium},
        "liquidations": _liquidations(run, parameters, first_minute),
        "whale_transfers": _whale_transfers(symbol, run, parameters, first_minute),
        "depth": {
            "event_time": _time(snapshots),
            "bid_quantity_1pct": run.depth[:, 0].copy(),
            "ask_quantity_1pct": run.depth[:, 1].copy(),
        },
    }


def stack_tables(parts: Mapping[str, dict[str, Columns]], *, lags: Mapping[str, timedelta]) -> dict[str, pd.DataFrame]:
    """Stack the symbols' columns into tables sorted by symbol and event time.

    Parameters
    ----------
    parts : Mapping of str to dict
        Symbol to what `columns_of_run` returned. It is emptied column by column, so that no second copy of the
        whole market is ever held.
    lags : Mapping of str to timedelta
        Table name to lag of `available_time` behind `event_time`.

    Returns
    -------
    dict of str to DataFrame
        The canonical tables.
    """
    symbols = sorted(parts)
    tables = {}
    for name in list(parts[symbols[0]]):
        pieces = [parts[symbol].pop(name) for symbol in symbols]
        codes = np.repeat(np.arange(len(symbols)), [len(piece["event_time"]) for piece in pieces])
        table: dict[str, Any] = {"symbol": _labels(codes, symbols)}
        for column in list(pieces[0]):
            values = np.concatenate([piece.pop(column) for piece in pieces])
            if column == "side":
                table[column] = _labels(values, ["long", "short"])
            elif values.dtype.kind == "M":
                table[column] = pd.DatetimeIndex(values, tz="UTC")
            elif values.dtype.kind == "O":
                table[column] = pd.array(values, dtype="str")
            else:
                table[column] = values
        lag = np.timedelta64(lags[name] // timedelta(microseconds=1), "us")
        table["available_time"] = table["event_time"] + lag
        leading = [each for each in ("symbol", "open_time", "event_time", "available_time") if each in table]
        tables[name] = pd.DataFrame({each: table.pop(each) for each in leading} | table, copy=False)
    return tables


def _labels(codes: npt.NDArray[np.integer], names: Sequence[str]) -> Any:
    """Return names by code as a pandas array of str, without a Python object a row."""
    return pd.array(list(names), dtype="str").take(codes)


def _path(run: MarketRun, parameters: MarketParameters, opens: npt.NDArray[np.int64]) -> Columns:
    columns: Columns = {"open_time": _time(opens), "event_time": _time(opens + 1)}
    for place, name in enumerate(("open", "high", "low", "close")):
        columns[name] = _price(run, parameters, run.log_price[:, place])
    return columns | {"volume": run.volume, "taker_buy_volume": run.taker_buy_volume}


def _liquidations(run: MarketRun, parameters: MarketParameters, first_minute: int) -> Columns:
    milliseconds = np.floor(run.orders[:, 1] * 1000.0).astype(np.int64)
    stamps = (first_minute + run.orders[:, 0].astype(np.int64)) * 60_000 + milliseconds
    order = np.argsort(stamps, kind="stable")
    rows = run.orders[order]
    return {
        "event_time": (stamps[order] * 1000).view("datetime64[us]"),
        "side": rows[:, 2].astype(np.int8),
        "price": _price(run, parameters, rows[:, 3]),
        "quantity": rows[:, 4].copy(),
    }


def _whale_transfers(symbol: str, run: MarketRun, parameters: MarketParameters, first_minute: int) -> Columns:
    rows = run.transfers
    asset = symbol
    for quote in QUOTES:
        asset = asset.removesuffix(quote)
    minutes = first_minute + rows[:, 0].astype(np.int64) + 1
    keys = zip(minutes.tolist(), rows[:, 3].tolist(), strict=True)
    hashes = [sha256(f"{symbol}/{minute}/{amount!r}".encode()) for minute, amount in keys]
    exchange = EXCHANGES[[each.digest()[0] % len(EXCHANGES) for each in hashes]]
    leaves_exchange = rows[:, 1] > 0.0
    return {
        "event_time": _time(minutes),
        "chain": np.full(len(rows), CHAINS.get(asset, "ethereum"), dtype=object),
        "asset": np.full(len(rows), asset or symbol, dtype=object),
        "amount": rows[:, 3].copy(),
        "amount_usd": rows[:, 3] * _price(run, parameters, rows[:, 2]),
        "from_owner": np.where(leaves_exchange, exchange, WALLET),
        "from_owner_type": np.where(leaves_exchange, "exchange", "wallet").astype(object),
        "to_owner": np.where(leaves_exchange, WALLET, exchange),
        "to_owner_type": np.where(leaves_exchange, "wallet", "exchange").astype(object),
        "tx_hash": np.array([each.hexdigest() for each in hashes], dtype=object),
        "log_index": np.zeros(len(rows), dtype=np.int64),
        "source": np.full(len(rows), "simulated", dtype=object),
    }


def _price(run: MarketRun, parameters: MarketParameters, log_price: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return prices on the tick, at least one tick: the run's first open is the start price."""
    decimals = int(parameters.price_decimals)
    prices = np.round(parameters.start_price * np.exp(log_price - run.log_price[0, 0]), decimals)
    return np.maximum(prices, round(10.0**-decimals, decimals))


def _time(minutes: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    return (minutes * MICROSECONDS_PER_MINUTE).view("datetime64[us]")
