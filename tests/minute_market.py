"""A market of one-minute bars in all tables that a mock venue serves, small enough to be checked by eye."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-03-01T00:00Z")
MINUTE = timedelta(minutes=1)


def minute_market(minutes: int = 30, symbols: tuple[str, ...] = ("BTCUSDT",), start: pd.Timestamp = START):
    """Bars, mark price, premium, open interest, funding, depth and liquidations (one per minute) of symbols."""
    out: dict[str, list[pd.DataFrame]] = {}
    for number, symbol in enumerate(symbols):
        steps = np.arange(minutes)
        opened = start + pd.to_timedelta(steps, unit="min")
        closed = opened + MINUTE
        price = 40_000.0 / 10**number * (1.0 + 0.001 * np.sin(steps / 3.0 + number))
        close = np.round(np.append(price[1:], price[-1]), 2)
        price = np.round(price, 2)
        prices = {"open": price, "high": np.maximum(price, close) + 5.0, "low": np.minimum(price, close) - 5.0}
        stamp = {"symbol": symbol, "event_time": closed, "available_time": closed + timedelta(seconds=2)}
        bars = {**stamp, "open_time": opened, **prices, "close": close}
        fives = closed[closed.minute % 5 == 0]
        eights = pd.date_range(start.floor("D") - timedelta(hours=16), closed[-1], freq="8h")
        tables = {
            "bars": {
                **bars,
                "volume": 4.0 + steps,
                "taker_buy_volume": 1.0 + steps / 2,
                "trade_count": 40.0 + steps,
            },
            "mark_price": bars,
            "premium_index": {**stamp, "premium_index": 1e-4 * np.sin(steps)},
            "open_interest": {**_stamp(symbol, fives, 30), "open_interest": 50_000.0 + np.arange(len(fives))},
            "funding": {**_stamp(symbol, eights, 60), "funding_rate": 1e-4, "interval_hours": 8.0},
            "depth": {
                **stamp,
                "bid_quantity_1pct": 100.0 + steps,
                "ask_quantity_1pct": 90.0 + steps,
                "bid_quantity_5pct": 500.0 + steps,
                "ask_quantity_5pct": 400.0 + steps,
            },
            "liquidations": {
                **_stamp(symbol, opened + timedelta(seconds=20), 1),
                "side": np.where(steps % 2, "long", "short"),
                "price": price,
                "quantity": 0.5 * (1.0 + steps),
            },
        }
        for name, columns in tables.items():
            out.setdefault(name, []).append(pd.DataFrame(columns))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in out.items()}


def _stamp(symbol: str, times: pd.DatetimeIndex, lag: int) -> dict[str, object]:
    return {"symbol": symbol, "event_time": times, "available_time": times + timedelta(seconds=lag)}
