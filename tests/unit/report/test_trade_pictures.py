"""Trades in words: sides, exits, the best and the worst result."""

from __future__ import annotations

import pandas as pd

from slackwater.report.page.trade_pictures import range_of_results, sides_and_ends


def test_sides_ends_and_results_are_those_of_the_trades() -> None:
    """Catches sides that are mixed up, and a worst trade that is called the best."""
    trades = pd.DataFrame(
        {
            "symbol": ["BTCUSDT", "ETHUSDT", "BTCUSDT"],
            "side": [1, -1, 1],
            "exit_reason": ["stop", "target", "stop"],
            "net_r": [-1.0, 0.5, float("nan")],
            "entry_time": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"], utc=True),
        }
    )
    assert sides_and_ends(trades) == "2 long (▲) and 1 short (▼), ended 2 by stop, 1 by target"
    assert range_of_results(trades) == (
        "3 trades, from -1.00 R (BTCUSDT, 2024-01-01) to 0.500 R (ETHUSDT, 2024-01-02)."
    )
