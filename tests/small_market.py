"""A small random market in canonical tables: every input alive, nothing predictable, made in milliseconds."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-01-01", tz="UTC")
DECISION_LAG = timedelta(seconds=5)


def small_market(
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
    *,
    days: int = 60,
    interval: timedelta = timedelta(minutes=30),
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Return canonical tables of a random walk with bursts of volatility."""
    parts = [_one_symbol(symbol, days, interval, seed + i) for i, symbol in enumerate(symbols)]
    return {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]}


def _one_symbol(symbol: str, days: int, interval: timedelta, seed: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    n = int(timedelta(days=days) / interval)
    opens = START + interval * np.arange(n)
    closes = pd.DatetimeIndex(opens + interval).as_unit("us")
    sd = 0.003 * np.exp(0.4 * np.sin(np.arange(n) / 200.0) + 0.2 * rng.normal(size=n))
    close = 20_000.0 * np.exp(np.cumsum(rng.standard_t(4, size=n) * sd))
    open_ = np.r_[20_000.0, close[:-1]]
    wick = np.abs(rng.normal(size=(2, n))) * sd
    volume = rng.gamma(2.0, 50.0, n)
    bars = {
        "open_time": closes - interval,
        "open": open_,
        "high": np.maximum(open_, close) * np.exp(wick[0]),
        "low": np.minimum(open_, close) * np.exp(-wick[1]),
        "close": close,
        "volume": volume,
        "taker_buy_volume": volume * rng.beta(5.0, 5.0, n),
    }
    stamps = closes[:: int(timedelta(hours=8) / interval)]
    moments = START + pd.to_timedelta(np.sort(rng.integers(0, days * 86_400, size=40 * days)), unit="s")
    events = pd.DatetimeIndex(moments).as_unit("us")
    k = len(events)
    to_exchange = rng.random(k) < 0.5

    def table(times: pd.DatetimeIndex, lag: str, **columns: object) -> pd.DataFrame:
        known = {"symbol": symbol, "event_time": times, "available_time": times + pd.Timedelta(lag)}
        return pd.DataFrame(known | columns)

    made = {
        "bars": table(closes, "2s", **bars),
        "open_interest": table(closes, "330s", open_interest=1e5 * np.exp(np.cumsum(rng.normal(size=n) * 3e-3))),
        "funding": table(
            stamps,
            "60s",
            funding_rate=1e-4 * rng.standard_normal(len(stamps)),
            interval_hours=np.full(len(stamps), 8.0),
        ),
        "premium_index": table(closes, "2s", premium_index=1e-4 * rng.standard_normal(n)),
        "liquidations": table(
            events,
            "5s",
            side=rng.choice(["long", "short"], k),
            price=np.full(k, 20_000.0),
            quantity=0.1 + rng.pareto(1.5, k),
        ),
        "whale_transfers": table(
            events,
            "10min",
            chain="chain",
            asset=symbol.removesuffix("USDT"),
            amount=1.0 + rng.pareto(1.5, k),
            amount_usd=np.full(k, 1e6),
            from_owner="a",
            from_owner_type=np.where(to_exchange, "wallet", "exchange"),
            to_owner="b",
            to_owner_type=np.where(to_exchange, "exchange", "wallet"),
            tx_hash=[f"{symbol}-{i}" for i in range(k)],
            log_index=np.zeros(k),
            source="test",
        ),
        "depth": table(
            closes, "2s", bid_quantity_1pct=rng.gamma(5.0, 10.0, n), ask_quantity_1pct=rng.gamma(5.0, 10.0, n)
        ),
    }
    # Drawn last, so that the tables above stay what they were.
    trades = pd.DatetimeIndex(events + pd.to_timedelta(rng.integers(1, 600, k), unit="s")).as_unit("us").sort_values()
    made["large_trades"] = table(
        trades,
        "2s",
        side=rng.choice(["buy", "sell"], k),
        price=np.full(k, 20_000.0),
        quantity=5.0 + rng.pareto(1.5, k),
    )
    ratio = np.exp(0.3 * np.sin(np.arange(n) / 50.0) + 0.1 * rng.normal(size=n))
    made["long_short_ratio"] = table(closes, "330s", top_trader_ratio=ratio)
    ends = pd.DatetimeIndex(np.repeat(START + pd.to_timedelta(np.arange(1, days * 24 + 1), unit="h"), 2)).as_unit("us")
    made["exchange_flows"] = table(
        ends,
        "1h",
        bucket_start=ends - pd.Timedelta("1h"),
        asset=np.tile([symbol.removesuffix("USDT"), "USDT"], len(ends) // 2),
        netflow_usd=1e6 * rng.standard_t(3, size=len(ends)),
        source="test",
    )
    return made
