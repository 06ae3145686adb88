"""The labels table, and a label from outside the library in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.times import DAY_US, epochs_us, timestamps
from slackwater.trading.price_path import PricePath, price_paths
from tests.small_market import DECISION_LAG, small_market

BAR = timedelta(hours=1)


@dataclass(frozen=True)
class HigherInTwoDays:
    """A toy label, written as a user would: whether the price is higher two days after the event."""

    name: str = "y_higher"
    wait: int = 2 * DAY_US
    values: int | None = None

    def compute(self, events: pd.DataFrame, paths: Mapping[str, PricePath]) -> tuple[Any, Any]:
        values, times = [], []
        for symbol, time_us in zip(events["symbol"], epochs_us(events["event_time"]), strict=True):
            path = paths[symbol]
            first, last = path.first_bar_from(time_us), path.first_bar_from(time_us + self.wait)
            known = last < len(path.open)
            values.append(float(path.open[last] > path.open[first]) if known else np.nan)
            times.append(time_us + self.wait)
        return values[: self.values], timestamps(np.array(times, dtype=np.int64))


@pytest.fixture(scope="module")
def market() -> tuple[pd.DataFrame, dict[str, PricePath]]:
    tables = small_market(days=60, interval=BAR, seed=7)
    frame = MarketFrame.from_tables(tables, FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
    return FeatureEngine(default_families(BAR)).transform(frame), price_paths(tables["bars"], tables["funding"])


def table(market: tuple[pd.DataFrame, dict[str, PricePath]], *extra: Any) -> pd.DataFrame:
    options = {"horizon": timedelta(hours=12), "decision_lag": DECISION_LAG, "fine_bar_interval": BAR}
    return build_labels(*market, trade=TradeRules(), extra=extra, **options)[0]


def test_a_label_is_known_when_its_last_part_is(market: tuple[pd.DataFrame, dict[str, PricePath]]) -> None:
    """Catches a known time without the time exit of the trade, and a label that is used before it was known."""
    plain, extended = table(market), table(market, HigherInTwoDays())
    assert len(plain) > 50
    assert plain["label_known_time"].equals(plain[["label_end_time", "trade_end_time"]].max(axis=1))
    pd.testing.assert_frame_equal(extended[plain.columns[:-1]], plain[plain.columns[:-1]])
    assert extended["y_higher"].isin([0.0, 1.0]).mean() > 0.9
    assert (extended["label_known_time"] == extended["event_time"] + timedelta(days=2)).all()


@pytest.mark.parametrize(
    ("label", "error", "named"),
    [
        (HigherInTwoDays(name="y_hit"), ParameterError, r"already has \['y_hit'\]"),
        (HigherInTwoDays(values=3), ParameterError, "one value and one time per event"),
        (HigherInTwoDays(wait=0), DataError, "`y_higher` must be known after its event"),
    ],
)
def test_a_label_that_cannot_be_is_refused(
    market: tuple[pd.DataFrame, dict[str, PricePath]], label: Any, error: type[Exception], named: str
) -> None:
    """Catches a column that is overwritten, rows that do not match, and a label known before its event."""
    with pytest.raises(error, match=named):
        table(market, label)
