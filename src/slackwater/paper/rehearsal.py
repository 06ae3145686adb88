"""A decision without effect, before the first one that counts.

Compiled code is loaded when it is first called. Without this the first decision of a process would wait for that.
"""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pandas as pd

from slackwater.errors import SlackwaterError
from slackwater.paper.desk import Desk
from slackwater.scoring.feature_rows import predict_rows
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.times import DAY_US, timestamp
from slackwater.trading.account import Account
from slackwater.trading.score import MarketContext

__all__ = ["rehearse"]

_PRICE: Final = 100.0
_CONTEXT: Final = MarketContext(
    close=_PRICE,
    volatility_daily=0.05,
    atr_1h=0.005 * _PRICE,
    distance_to_high_24h=0.02,
    distance_to_low_24h=0.02,
    distance_to_high_72h=0.04,
    distance_to_low_72h=0.04,
    volume_24h=1e6,
    depth_bid_1pct=1e5,
    depth_ask_1pct=1e5,
    swept_extreme_distance_above=0.01,
    swept_extreme_distance_below=0.01,
    pool_distance_above=0.02,
    pool_distance_below=0.02,
    trend_efficiency_72h=0.0,
)
"""A market in which a trade is sized, so that all of the gate is loaded."""


def rehearse(desk: Desk) -> None:
    """Score an invented bar with a session of its own, and have the gate decide on it.

    Nothing of the desk changes, and rules from outside, which may remember what they were asked, are not asked.

    Parameters
    ----------
    desk
        Desk whose scorer and gate are asked.
    """
    scorer, symbol = desk.session.scorer, desk.session.symbols[0]
    close = timestamp(desk.settings.start_us // DAY_US * DAY_US)
    with warnings.catch_warnings(), suppress(SlackwaterError):  # what fails here fails, and is told of, when it counts
        warnings.simplefilter("ignore")  # the universe of one symbol is not that of the models
        session = Session(scorer, [symbol])
        session.push("bars", _bar(symbol, close, scorer))
        score = session.close(close)[symbol]
        predict_rows(scorer, pd.DataFrame({name: [math.nan] for name in scorer.feature_names}).assign(direction=1.0))
        certain = replace(
            score, direction=-1, context=_CONTEXT, p_direction=0.9, p_hit=0.9, trade_edge=2.0, trade_edge_low=1.0
        )
        replace(desk.gate, extra_rules=()).decide(certain, Account(equity=desk.settings.equity))


def _bar(symbol: str, close: datetime, scorer: ReversalScorer) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close"), _PRICE)
    times = {"open_time": close - scorer.spec.bar_interval, "event_time": close, "available_time": close}
    return {"symbol": symbol, **times, **prices, "volume": 1.0}
