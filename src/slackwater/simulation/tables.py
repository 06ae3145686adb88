"""Canonical tables from the arrays of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from slackwater.market.tables import LAGS
from slackwater.simulation.minute_step import LATENT, SNAPSHOT_MINUTES, MarketRun
from slackwater.simulation.parameters import MarketParameters
from slackwater.storage import SYNTHETIC
from slackwater.times import MINUTE_US, microseconds

__all__ = ["DEFAULT_LAGS", "Columns", "columns_of_run", "stack_tables", "truth_of_run", "venue_feed"]

#: Column name to values, all of the same length.
Columns = dict[str, npt.NDArray[np.generic]]

_TABLES = (
    "fine_bars",
    "mark_price",
    "open_interest",
    "funding",
    "premium_index",
    "liquidations",
    "large_trades",
    "whale_transfers",
    "depth",
)
DEFAULT_LAGS: Mapping[str, timedelta] = {name: LAGS[name] for name in _TABLES}
"""Availability lags of the simulated tables: the usual ones."""

#: Chain of a coin, and mean seconds from the decision to move coins to the block that holds them.
CHAINS = {"BTC": ("bitcoin", 900.0), "ETH": ("ethereum", 20.0), "SOL": ("solana", 2.0), "XRP": ("ripple", 5.0)}
ETHEREUM = CHAINS["ETH"]
QUOTES = ("USDT", "USDC", "USD")
EXCHANGES = np.array(["binance", "bybit", "coinbase", "kraken", "okx"], dtype=object)
WALLET = "unknown"

PRICES = ("open", "high", "low", "close")
#: Names of the sides by their codes.
SIDES = {"liquidations": ("long", "short"), "large_trades": ("sell", "buy")}


def columns_of_run(
    symbol: str, run: MarketRun, parameters: MarketParameters, *, first_minute: int
) -> dict[str, Columns]:
    """Return the tables of one symbol as columns, without `symbol` and `available_time`.

    Parameters
    ----------
    symbol : str
        Name of the perpetual.
    run : MarketRun
        History of its market.
    parameters : MarketParameters
        Parameters with start price and tick.
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
        "fine_bars": _path(run, parameters, opens),
        "mark_price": _mark_price(run, parameters, opens),
        "open_interest": {
            "event_time": _time(snapshots),
            "open_interest": run.interest[SNAPSHOT_MINUTES - 1 :: SNAPSHOT_MINUTES, 0].copy(),
        },
        "funding": {
            "event_time": _time(first_minute + run.funding[:, 0].astype(np.int64) + 1),
            "funding_rate": run.funding[:, 1].copy(),
            "interval_hours": run.funding[:, 2].copy(),
        },
        "premium_index": {"event_time": _time(snapshots), "premium_index": run.premium},
        "liquidations": _liquidations(run, parameters, first_minute),
        "large_trades": _large_trades(run, parameters, first_minute),
        "whale_transfers": _whale_transfers(symbol, run, parameters, first_minute),
        "depth": {
            "event_time": _time(snapshots),
            "bid_quantity_1pct": run.depth[:, 0].copy(),
            "ask_quantity_1pct": run.depth[:, 1].copy(),
            "bid_quantity_5pct": run.depth[:, 2].copy(),
            "ask_quantity_5pct": run.depth[:, 3].copy(),
        },
    }


def truth_of_run(run: MarketRun, parameters: MarketParameters, *, first_minute: int) -> dict[str, Columns]:
    """Return the truth, which participants cannot see, as columns: the latent state, and every liquidation."""
    snapshots = first_minute + SNAPSHOT_MINUTES * (1 + np.arange(len(run.latent), dtype=np.int64))
    latent: Columns = {"event_time": _time(snapshots)}
    latent |= {name: run.latent[:, place].copy() for place, name in enumerate(LATENT)}
    return {"latent": latent, "liquidations": _liquidations(run, parameters, first_minute)}


def venue_feed(liquidations: Columns, cap: timedelta) -> Columns:
    """Return the published liquidations: the last one per slot of `cap`, whatever its side.

    Slots begin at whole multiples of `cap` since 1970. Binance does so with a cap of one second.
    """
    slots = liquidations["event_time"].view(np.int64) // microseconds(cap)
    last = np.append(slots[1:] != slots[:-1], True) if len(slots) else np.zeros(0, dtype=bool)
    return {name: values[last] for name, values in liquidations.items()}


def stack_tables(
    parts: Mapping[str, dict[str, Columns]], *, lags: Mapping[str, timedelta] | None
) -> dict[str, pd.DataFrame]:
    """Stack the symbols' columns into tables sorted by symbol and event time.

    Parameters
    ----------
    parts : Mapping of str to dict
        Symbol to what `columns_of_run` returned. It is emptied column by column, so that no second copy of the
        whole market is ever held.
    lags : Mapping of str to timedelta, or None
        Table name to lag of `available_time` behind `event_time`. None: the truth, which never becomes available.

    Returns
    -------
    dict of str to DataFrame
        The tables, with the mark `slackwater.storage.SYNTHETIC`.
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
                table[column] = _labels(values, SIDES[name])
            elif values.dtype.kind == "M":
                table[column] = pd.DatetimeIndex(values, tz="UTC")
            elif values.dtype.kind == "O":
                table[column] = pd.array(values, dtype="str")
            else:
                table[column] = values
        if lags is not None:
            table["available_time"] = table["event_time"] + np.timedelta64(
                lags[name] // timedelta(microseconds=1), "us"
            )
        leading = [each for each in ("symbol", "open_time", "event_time", "available_time") if each in table]
        tables[name] = pd.DataFrame({each: table.pop(each) for each in leading} | table, copy=False)
        tables[name].attrs[SYNTHETIC] = True
    return tables


def _labels(codes: npt.NDArray[np.integer], names: Sequence[str]) -> Any:
    """Return names by code as a pandas array of str, without one Python object per row."""
    return pd.array(list(names), dtype="str").take(codes)


def _path(run: MarketRun, parameters: MarketParameters, opens: npt.NDArray[np.int64]) -> Columns:
    columns: Columns = {"open_time": _time(opens), "event_time": _time(opens + 1)}
    columns |= {name: _price(run, parameters, run.log_price[:, place]) for place, name in enumerate(PRICES)}
    return columns | {"volume": run.volume, "taker_buy_volume": run.taker_buy_volume, "trade_count": run.trades}


def _mark_price(run: MarketRun, parameters: MarketParameters, opens: npt.NDArray[np.int64]) -> Columns:
    columns: Columns = {"open_time": _time(opens), "event_time": _time(opens + 1)}
    for place, name in enumerate(PRICES):
        columns[name] = _price(run, parameters, run.log_price[:, place] + run.mark_gap)
    return columns


def _liquidations(run: MarketRun, parameters: MarketParameters, first_minute: int) -> Columns:
    stamps = _milliseconds(run.orders, first_minute)
    order = np.argsort(stamps, kind="stable")
    rows = run.orders[order]
    return {
        "event_time": (stamps[order] * 1000).view("datetime64[us]"),
        "side": rows[:, 2].astype(np.int8),
        "price": _price(run, parameters, rows[:, 3]),
        "quantity": rows[:, 4].copy(),
    }


def _large_trades(run: MarketRun, parameters: MarketParameters, first_minute: int) -> Columns:
    rows = run.large_trades
    return {
        "event_time": (_milliseconds(rows, first_minute) * 1000).view("datetime64[us]"),
        "side": (rows[:, 2] > 0.0).astype(np.int8),
        "price": _price(run, parameters, rows[:, 3]),
        "quantity": rows[:, 4].copy(),
    }


def _milliseconds(rows: npt.NDArray[np.float64], first_minute: int) -> npt.NDArray[np.int64]:
    """Return the stamps, since 1970, of events whose first columns are the row of a minute and seconds into it."""
    return (first_minute + rows[:, 0].astype(np.int64)) * 60_000 + np.floor(rows[:, 1] * 1000.0).astype(np.int64)


def _whale_transfers(symbol: str, run: MarketRun, parameters: MarketParameters, first_minute: int) -> Columns:
    """Return the transfers whose block was found before the run ends, in the order of the blocks."""
    rows = run.transfers
    asset = symbol
    for quote in QUOTES:
        asset = asset.removesuffix(quote)
    chain, block_seconds = CHAINS.get(asset, ETHEREUM)
    minutes = first_minute + rows[:, 0].astype(np.int64) + 1
    keys = zip(minutes.tolist(), rows[:, 3].tolist(), strict=True)
    digests = [sha256(f"{symbol}/{minute}/{amount!r}".encode()).digest() for minute, amount in keys]
    # A hash replaces a generator, because it gives the same values in a longer run.
    uniform = np.array([(int.from_bytes(each[:6], "big") + 1) / 2**48 for each in digests])
    blocks = minutes * 60 + np.ceil(-block_seconds * np.log(uniform)).astype(np.int64)
    order = np.argsort(blocks, kind="stable")
    order = order[blocks[order] <= 60 * (first_minute + len(run.volume))]
    rows, digests = rows[order], [digests[place] for place in order]
    exchange = EXCHANGES[[each[6] % len(EXCHANGES) for each in digests]]
    leaves_exchange = rows[:, 1] > 0.0
    return {
        "event_time": (blocks[order] * 1_000_000).view("datetime64[us]"),
        "chain": np.full(len(rows), chain, dtype=object),
        "asset": np.full(len(rows), asset or symbol, dtype=object),
        "amount": rows[:, 3].copy(),
        "amount_usd": rows[:, 3] * _price(run, parameters, rows[:, 2]),
        "from_owner": np.where(leaves_exchange, exchange, WALLET),
        "from_owner_type": np.where(leaves_exchange, "exchange", "wallet").astype(object),
        "to_owner": np.where(leaves_exchange, WALLET, exchange),
        "to_owner_type": np.where(leaves_exchange, "wallet", "exchange").astype(object),
        "tx_hash": np.array([each.hex() for each in digests], dtype=object),
        "log_index": np.zeros(len(rows), dtype=np.int64),
        "source": np.full(len(rows), "simulated", dtype=object),
    }


def _price(run: MarketRun, parameters: MarketParameters, log_price: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return prices on the tick, at least one tick: the run's first open is the start price."""
    decimals = int(parameters.price_decimals)
    prices = np.round(parameters.start_price * np.exp(log_price - run.log_price[0, 0]), decimals)
    return np.maximum(prices, round(10.0**-decimals, decimals))


def _time(minutes: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    return (minutes * MINUTE_US).view("datetime64[us]")
