"""A ragged market in canonical tables: missing bars, late rows, ties, feeds that begin late and fall silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

BAR = timedelta(minutes=5)
LAG = timedelta(seconds=5)
CAP = timedelta(seconds=1)
START = pd.Timestamp("2024-01-01", tz="UTC")
SYMBOLS = ("BTC/USDT", "ETHUSDT", "XRPUSDT")
SHORT = {
    "open_interest": timedelta(minutes=11, seconds=5),
    "funding": timedelta(minutes=40),
    "premium_index": timedelta(minutes=7),
    "liquidations": timedelta(minutes=12),
    "liquidation_totals": timedelta(minutes=12),
    "whale_transfers": timedelta(minutes=8),
    "large_trades": timedelta(minutes=9),
    "long_short_ratio": timedelta(minutes=20),
    "depth": timedelta(minutes=6),
    "exchange_flows": timedelta(minutes=9),
}
"""Staleness short enough for feeds to fall silent and come back, and now and then just not yet."""


def ragged_market(seed: int, *, bars: int = 40, totals: bool = False) -> dict[str, pd.DataFrame]:
    """Return tables that `slackwater.market.schemas.validate` passes, each symbol's rows ragged in its own way."""
    rng = np.random.default_rng(seed)
    parts = [_one_symbol(rng, symbol, bars, totals) for symbol in SYMBOLS]
    # The symbols of some tables come interleaved, as they do from a feed.
    out = {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]}
    for name in ("bars", "liquidations", "depth"):
        if name in out:
            out[name] = out[name].sort_values("event_time", kind="stable", ignore_index=True)
    return out


def _one_symbol(rng: np.random.Generator, symbol: str, bars: int, totals: bool) -> dict[str, pd.DataFrame]:
    first, last = int(rng.integers(0, bars // 4)), bars - int(rng.integers(0, bars // 4))
    kept = np.flatnonzero(rng.random(last - first) < 0.8) + first + 1
    if not len(kept):
        kept = np.array([last])
    closes = pd.DatetimeIndex(START + BAR * kept).as_unit("us")
    open_, close = np.exp(rng.normal(size=(2, len(kept))))

    def stamps(count: int, *, distinct: bool) -> dict[str, Any]:
        """Times on a coarse lattice, so that some are equal and some fall on a decision; a silent half hour."""
        seconds = np.sort(rng.integers(-300, bars * 10, count) * 30 + rng.choice([0, 0, 1, 2], count))
        gap = int(rng.integers(0, bars * 300))
        seconds = seconds[(seconds < gap) | (seconds > gap + 1800)]
        if distinct:
            seconds = np.unique(seconds)
        times = pd.DatetimeIndex(START + pd.to_timedelta(seconds, unit="s")).as_unit("us")
        lags = rng.choice([0.0, 2.0, 5.0, 5.000001, 60.0, 600.0, 2400.0], len(times))
        arrivals = pd.DatetimeIndex(times + pd.to_timedelta(lags, unit="s")).as_unit("us")
        return {"symbol": symbol, "event_time": times, "available_time": arrivals}

    def table(count: int, *columns: str, distinct: bool = True, **more: Any) -> pd.DataFrame:
        made = stamps(count, distinct=distinct)
        n = len(made["event_time"])
        made |= {name: rng.lognormal(size=n) for name in columns}
        made |= {name: rng.choice(values, n) for name, values in more.items()}
        return pd.DataFrame(made)

    def bursts() -> pd.DataFrame:
        """Events seconds apart, as a feed with one slot a second shows a cascade."""
        begin = rng.integers(0, bars * 300, 6)
        seconds = np.sort(np.concatenate([b + np.cumsum(rng.integers(0, 3, 20)) for b in begin]))
        times = pd.DatetimeIndex(START + pd.to_timedelta(seconds, unit="s")).as_unit("us")
        n = len(times)
        return pd.DataFrame(
            {
                "symbol": symbol,
                "event_time": times,
                "available_time": times + pd.to_timedelta(rng.choice([0, 5], n), unit="s"),
                "side": rng.choice(["long", "short"], n),
                "price": rng.lognormal(size=n),
                "quantity": rng.lognormal(size=n),
            }
        )

    owners = ["exchange", "wallet", "unknown"]
    whales = table(
        60, "amount", "amount_usd", distinct=False, from_owner_type=owners, to_owner_type=owners, from_owner=["a", None]
    )
    whales = whales.assign(
        chain="chain",
        asset="coin",
        to_owner=None,
        tx_hash=[f"{symbol}-{i}" for i in range(len(whales))],
        log_index=0.0,
        source="test",
    )
    whales["to_owner"] = whales["to_owner"].astype("str")
    rate = table(12, "funding_rate", interval_hours=[1.0, 4.0, 8.0])
    premium = table(60, "premium_index")
    made = {
        "bars": pd.DataFrame(
            {
                "symbol": symbol,
                "event_time": closes,
                "available_time": closes + pd.to_timedelta(rng.integers(0, 6, len(kept)), unit="s"),
                "open_time": closes - BAR,
                "open": open_,
                "high": np.maximum(open_, close) * 1.1,
                "low": np.minimum(open_, close) * 0.9,
                "close": close,
                "volume": rng.lognormal(size=len(kept)),
            }
        ),
        "open_interest": table(40, "open_interest"),
        "funding": rate.assign(funding_rate=rate["funding_rate"] - 1.0),
        "premium_index": premium.assign(premium_index=premium["premium_index"] - 1.0),
        "whale_transfers": whales,
        "large_trades": table(80, "price", "quantity", distinct=False, side=["buy", "sell"]),
        "long_short_ratio": table(30, "top_trader_ratio"),
        "depth": table(60, "bid_quantity_1pct", "ask_quantity_1pct"),
    }
    made["liquidation_totals" if totals else "liquidations"] = (
        table(60, "long_quantity", "short_quantity") if totals else bursts()
    )
    # Drawn last, so that the tables above stay what they were.
    coin = symbol.removesuffix("USDT").removesuffix("/")
    flows = table(90, "netflow_usd", distinct=False, asset=[coin, "USDT", "usdc", "DOGE"], source=["a", "b"])
    flows["bucket_start"] = flows["event_time"] - BAR
    flows["netflow_usd"] -= 1.0
    made["exchange_flows"] = flows.drop_duplicates(["event_time", "asset", "source"], ignore_index=True)
    return made
