"""A SYNTHETIC market just long enough to check feature families on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd

from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family
from slackwater.market.bars import resample_bars
from slackwater.simulation.market import simulate
from slackwater.simulation.request import MarketRequest

__all__ = ["feature_check_market"]

_START = datetime(2023, 1, 1, tzinfo=UTC)


def feature_check_market(
    families: Sequence[Family], bar_interval: timedelta, *, seed: int = 1
) -> dict[str, pd.DataFrame]:
    """Return canonical tables of two symbols: the warm-up of the families, and two weeks or two thousand bars more."""
    more = max(timedelta(days=14), 2_000 * bar_interval)
    days = -(-(FeatureEngine(families).warm_up + more) // timedelta(days=1))
    request = MarketRequest(symbols=["BTCUSDT", "ETHUSDT"], start=_START, end=_START + timedelta(days=days), seed=seed)
    tables = dict(simulate(request).tables)
    tables["bars"] = resample_bars(tables.pop("fine_bars"), bar_interval)
    tables.pop("mark_price", None)
    return tables
