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
from slackwater.labels.outcomes import LabelReport
from slackwater.labels.table import build_labels, weighted
from slackwater.labels.trades import TradeRules
from slackwater.labels.weights import average_uniqueness
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


def table(market: tuple[pd.DataFrame, dict[str, PricePath]], *extra: Any, **changes: Any) -> pd.DataFrame:
    return built(market, *extra, **changes)[0]


def built(
    market: tuple[pd.DataFrame, dict[str, PricePath]], *extra: Any, **changes: Any
) -> tuple[pd.DataFrame, LabelReport]:
    options = {"horizon": timedelta(hours=12), "decision_lag": DECISION_LAG, "fine_bar_interval": BAR}
    return build_labels(*market, trade=TradeRules(), extra=extra, **(options | changes))


def test_a_label_is_known_when_its_last_part_is(market: tuple[pd.DataFrame, dict[str, PricePath]]) -> None:
    """Catches a known time without the time exit of the trade, and a label that is used before it was known."""
    plain, extended = table(market), table(market, HigherInTwoDays())
    assert len(plain) > 50
    assert plain["label_known_time"].equals(plain[["label_end_time", "trade_end_time"]].max(axis=1))
    pd.testing.assert_frame_equal(extended[plain.columns[:-1]], plain[plain.columns[:-1]])
    assert extended["y_higher"].isin([0.0, 1.0]).mean() > 0.9
    assert (extended["label_known_time"] == extended["event_time"] + timedelta(days=2)).all()


def test_reported_horizons_stand_beside_the_headline(market: tuple[pd.DataFrame, dict[str, PricePath]]) -> None:
    """Catches a headline that moves with what is reported, and an unknown outcome that is filled in."""
    hours = [1, 4, 12, 24 * 20]
    plain = table(market)
    labels, report = built(market, horizons=[timedelta(hours=each) for each in hours])
    pd.testing.assert_frame_equal(labels[plain.columns], plain)
    names = ("code", "label_end_time", "log_return", "y_direction", "weight", "train_weight")
    assert set(labels) - set(plain) == {f"{name}_{horizon}" for name in names for horizon in ("4h", "20d")}
    assert labels["y_direction_4h"].isin([0.0, 1.0]).all()
    last_close = timestamps(np.array([path.close_time[-1] for path in market[1].values()])).max()
    late = plain["entry_time"] + timedelta(days=20) > last_close
    assert late.any()
    for name in names:
        assert labels[f"{name}_20d"].isna().equals(late.rename(f"{name}_20d")), name
    known = labels[labels["weight_4h"].notna()]
    own = average_uniqueness(known, symbol_correlation=0.0, end="label_end_time_4h")
    np.testing.assert_array_equal(known["weight_4h"], own)
    assert (own > known["weight"]).any()
    # 1 h on bars of 1 h would be decided by ties.
    assert report.left_out == ("horizon 1h: on bars of 1h nearly every touch is a tie",)
    counts = {each.horizon: each for each in report.horizons}
    assert list(counts) == [timedelta(hours=each) for each in hours[1:]]
    assert counts[timedelta(days=20)].beyond_path_end == late.sum() == len(plain) - counts[timedelta(days=20)].labelled
    assert all(each.labelled == each.reversals + each.continuations + each.time_outs for each in report.horizons)
    reached = plain["code"] == 1
    assert (plain["time_to_reversal"].notna() == reached).all()
    assert (plain["time_to_reversal"][reached] * pd.Timedelta(hours=1) <= timedelta(hours=12)).all()


def test_a_horizon_longer_than_the_data_is_named(market: tuple[pd.DataFrame, dict[str, PricePath]]) -> None:
    """Catches a horizon that is silently empty, and a headline that ends the run without what to do."""
    labels, report = built(market, horizons=[timedelta(days=90)])
    assert report.left_out == ("horizon 90d: it ends after the data, or at a gap, for every event",)
    assert not [name for name in labels if name.endswith("_90d")]
    said = r"at the horizon 90d on fine bars of 60\.0 days \(.*beyond path end: \d+\): .* shorter `labels.horizon`"
    with pytest.raises(DataError, match=said):
        table(market, horizon=timedelta(days=90))


def test_rows_that_only_trade_take_no_weight_from_those_that_train() -> None:
    """Catches fits that change because more bars are scored, and rows of both groups that count twice."""
    times = pd.date_range("2024-01-01", periods=6, freq="1h", tz="UTC", unit="us")
    labels = pd.DataFrame({"symbol": "A", "event_time": times, "label_end_time": times + pd.Timedelta("6h")})
    trains = np.array([True, False, True, False, True, False])
    apart = weighted(labels.assign(trains=trains), symbol_correlation=0.0)
    alone = weighted(labels[trains], symbol_correlation=0.0)
    np.testing.assert_array_equal(apart["train_weight"][trains], alone["weight"])
    assert apart["train_weight"][~trains].isna().all()
    np.testing.assert_array_equal(apart["weight"], weighted(labels, symbol_correlation=0.0)["weight"])
    assert apart["weight"].sum() == pytest.approx(11 / 6)  # eleven hours of labels of six hours


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
