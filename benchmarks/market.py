"""A synthetic market in frame rows: random, with every input alive, so that no kernel takes an empty branch.

Volatility clusters, wicks stick out, open interest wanders, funding settles every eight hours, and liquidations, whales
and large trades are zero in most bars and come in bursts.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUTS

BAR = timedelta(minutes=5)
STEP_US = int(BAR / timedelta(microseconds=1))
START = pd.Timestamp("2024-01-01", tz="UTC")
FIRST_US = int(START.value // 1_000) + STEP_US
"""Close of the first bar."""


def wander(rng: np.random.Generator, size: tuple[int, int], memory: float) -> NDArray[np.float64]:
    """Return autoregressive series of unit variance, one per row."""
    return lfilter([np.sqrt(1.0 - memory**2)], [1.0, -memory], rng.standard_normal(size), axis=1)


def synthetic_values(symbols: int, bars: int, seed: int = 0) -> NDArray[np.float64]:
    """Return five-minute rows, shape (symbols, bars, inputs)."""
    rng = np.random.default_rng(seed)
    size = (symbols, bars)
    sd = 0.0015 * np.exp(0.5 * wander(rng, size, 0.995) + 0.2 * rng.standard_normal(size))
    moves = rng.standard_t(4, size) * sd
    close = 20_000.0 * np.exp(np.cumsum(moves, axis=1))
    open_ = np.concatenate([np.full((symbols, 1), 20_000.0), close[:, :-1]], axis=1)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.standard_normal(size)) * 0.7 * sd)
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.standard_normal(size)) * 0.7 * sd)
    volume = rng.gamma(2.0, 50.0, size) * (1.0 + np.abs(moves) / sd)
    hours = (START.value / 3.6e12 + np.arange(1, bars + 1) * (BAR / timedelta(hours=1)))[None, :]
    settled = np.broadcast_to(np.floor(hours / 8.0 + 1e-9), size)
    rates = 1e-4 + 1e-4 * wander(rng, (symbols, bars // 96 + 2), 0.9)
    own_return = np.log(close / open_)
    others = max(symbols - 1, 1)
    burst = (np.abs(moves) > 2.5 * sd) | (rng.random(size) < 0.02)
    liquidated = np.where(burst, volume * rng.exponential(0.02, size), 0.0)
    estimate = liquidated * rng.uniform(1.05, 2.0, size)

    def sparse(share: float, scale: float) -> NDArray[np.float64]:
        return np.where(rng.random(size) < share, scale * (1.0 + rng.pareto(1.5, size)), 0.0)

    columns = {
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "taker_buy_volume": volume * rng.beta(5.0, 5.0, size),
        "others_return": (own_return.sum(axis=0) - own_return) / others,
        "others_absolute_return": (np.abs(own_return).sum(axis=0) - np.abs(own_return)) / others,
        "others_breadth": rng.uniform(-1.0, 1.0, size),
        "market_dispersion": rng.uniform(0.0, 0.05, size),
        "open_interest": 1e5 * np.exp(0.2 * wander(rng, size, 0.9999) + np.cumsum(3e-5 * rng.standard_normal(size), 1)),
        # The latest snapshot that was published by the decision, 5m30s after its stamp.
        "open_interest_time_hours": np.broadcast_to(hours - 2.0 * (BAR / timedelta(hours=1)), size),
        "funding_rate": np.take_along_axis(rates, (settled - settled[:, :1]).astype(int), axis=1),
        "funding_interval_hours": np.full(size, 8.0),
        "funding_time_hours": 8.0 * settled,
        "premium_index": 1e-4 * wander(rng, size, 0.98),
        "liquidated_long": np.where(moves < 0.0, liquidated, 0.0),
        "liquidated_short": np.where(moves >= 0.0, liquidated, 0.0),
        "liquidated_long_estimate": np.where(moves < 0.0, estimate, 0.0),
        "liquidated_short_estimate": np.where(moves >= 0.0, estimate, 0.0),
        "whale_to_exchange": sparse(0.02, 50.0),
        "whale_from_exchange": sparse(0.02, 50.0),
        "large_buy": sparse(0.1, 10.0),
        "large_sell": sparse(0.1, 10.0),
        "top_trader_ratio": np.exp(0.3 * wander(rng, size, 0.99)),
        "depth_bid_1pct": rng.gamma(5.0, 10.0, size),
        "depth_ask_1pct": rng.gamma(5.0, 10.0, size),
        "exchange_netflow_coin_usd": 1e6 * wander(rng, size, 0.9),
        "exchange_netflow_stable_usd": 1e6 * wander(rng, size, 0.9),
    }
    return np.stack([columns[name] for name in INPUTS], axis=-1)


def synthetic_frame(values: NDArray[np.float64]) -> MarketFrame:
    """Return the rows as a frame."""
    symbols, bars, width = values.shape
    table = pd.DataFrame(values.reshape(-1, width), columns=list(INPUTS))
    closes = pd.DatetimeIndex(START + BAR * np.arange(1, bars + 1)).as_unit("us")
    times = closes[np.tile(np.arange(bars), symbols)]
    table.insert(0, "symbol", pd.Series(np.repeat([f"S{i:02d}USDT" for i in range(symbols)], bars), dtype="str"))
    table.insert(1, "event_time", times)
    table.insert(2, "available_time", times + timedelta(seconds=5))
    return MarketFrame(table, bar_interval=BAR, available=frozenset(INPUTS))
