"""Plans, scores and bars for tests of paper trading, near 50,000 USDT."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd

from slackwater.journal.event import Origin
from slackwater.market.contracts import venue_contracts
from slackwater.paper.broker import Broker
from slackwater.paper.position import Bar
from slackwater.times import MINUTE_US, SECOND_US, epoch_us
from slackwater.trading.account import Account
from slackwater.trading.decision import TradePlan
from slackwater.trading.drawdown_control import TrackRecord
from slackwater.trading.gate import Gate
from slackwater.trading.rules import EntryRules, SizingRules
from tests.trading import AT_LEVELS, SOUND_SCORE, score_of

START = pd.Timestamp("2024-03-01 07:00", tz="UTC")
START_US = epoch_us(START)
ORIGIN = Origin(account="paper", synthetic=True, bundle_sha="0" * 64)
HORIZON = timedelta(hours=12)
LATENCY = timedelta(milliseconds=500)
ARRIVES = START_US + SECOND_US // 2
_RANGES = [name for name in SOUND_SCORE if name.startswith("distance_to_")]
GATE = Gate(
    contracts=venue_contracts("binance"),
    entry=EntryRules(probability_threshold=0.0),
    bracket=AT_LEVELS,
    rules=SizingRules(min_expectancy=None, kelly_fraction=None),
    horizon=HORIZON,
)


def plan_of(side: int = 1, symbol: str = "BTCUSDT", at: pd.Timestamp = START, **changes: Any) -> TradePlan:
    """A plan of the real gate for an entry at 50,000 USDT."""
    times = {"event_time": at - timedelta(seconds=5), "available_time": at}
    names = {name: name.replace("high", "HIGH").replace("low", "high").replace("HIGH", "low") for name in _RANGES}
    ranges = {name: SOUND_SCORE[name if side > 0 else names[name]] for name in _RANGES}
    score = score_of(**SOUND_SCORE | ranges | {"symbol": symbol, "direction": -side} | times | changes)
    account = Account(equity=10_000.0, record=TrackRecord.start(10_000.0, at))
    decision = GATE.decide(score, account, now=at)
    assert isinstance(decision, TradePlan), decision
    return decision


def broker_of(equity: float = 10_000.0) -> Broker:
    return Broker(
        equity=equity,
        start_us=START_US,
        contracts=GATE.contracts,
        latency=LATENCY,
        horizon=HORIZON,
        origin=ORIGIN,
    )


def bar_of(minute: int, open_: float, high: float, low: float, close: float) -> Bar:
    """The bar of a minute since `START`."""
    opened = START_US + minute * MINUTE_US
    return Bar(opened, opened + MINUTE_US, open_, high, low, close)


__all__ = ["ARRIVES", "GATE", "HORIZON", "LATENCY", "ORIGIN", "START", "START_US", "bar_of", "broker_of", "plan_of"]
