"""One ordinary long setup on BTCUSDT, to be changed one number at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from slackwater.trading.drawdown_control import TrackRecord
from slackwater.trading.score import MarketContext, Score
from tests.trading import changed

EVENT_TIME = pd.Timestamp("2024-03-01 12:00", tz="UTC")


@pytest.fixture
def make_score() -> Callable[..., Score]:
    """A score after a fall of which every number is sound; arguments replace fields."""
    base = Score(
        symbol="BTCUSDT",
        event_time=EVENT_TIME,
        available_time=EVENT_TIME + pd.Timedelta("5s"),
        direction=-1,
        p_direction=0.62,
        p_hit=0.4,
        context=MarketContext(
            close=50_000.0,
            volatility_daily=0.03,
            atr_1h=0.006,
            distance_to_high_24h=0.05,
            distance_to_low_24h=0.02,
            distance_to_high_72h=0.08,
            distance_to_low_72h=0.03,
            volume_24h=20_000.0,
            depth_bid_1pct=300.0,
            depth_ask_1pct=400.0,
        ),
        trade_edge=0.9,
        trade_edge_low=0.7,
    )

    def make(**changes: Any) -> Score:
        return changed(base, **changes)

    return make


@pytest.fixture
def make_record() -> Callable[..., TrackRecord]:
    """The record of an account of 100,000 USDT without a past; arguments replace fields."""
    base = TrackRecord.start(100_000.0, EVENT_TIME)

    def make(**changes: Any) -> TrackRecord:
        return replace(base, **changes)

    return make
