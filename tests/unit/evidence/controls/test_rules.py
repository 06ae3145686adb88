"""Rules without a model take the side that they name, and one that looks ahead is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.evidence.controls.rules import FUNDING_THRESHOLD, PLAYBOOK, EntryRule, buy_after_fall

CROWDED_LONG = {
    "funding_acceleration_z": 2.5,
    "open_interest_change_z_24h": 1.2,
    "trend_efficiency_72h": 0.05,
    "sweep_age_above": 3.0,
    "sweep_age_below": 72.0,
}
CROWDED_SHORT = CROWDED_LONG | {
    "funding_acceleration_z": -2.5,
    "trend_efficiency_72h": -0.05,
    "sweep_age_above": 72.0,
    "sweep_age_below": 3.0,
}


def bars(n: int, interval: timedelta = timedelta(hours=1), symbol: str = "A") -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=n, freq=interval, tz="UTC", unit="us")
    return pd.DataFrame({"symbol": symbol, "event_time": times})


def side_of(rule: EntryRule, **values: float) -> float:
    found = rule.entries(bars(1).assign(**values))
    return float(found["side"].iloc[0]) if len(found) else 0.0


def test_the_crowd_that_pays_is_faded() -> None:
    """Positive funding means that longs pay shorts: the crowd is long, and the rule sells."""
    assert side_of(FUNDING_THRESHOLD, funding_rate_z=2.1) == -1.0
    assert side_of(FUNDING_THRESHOLD, funding_rate_z=-2.1) == 1.0
    assert side_of(FUNDING_THRESHOLD, funding_rate_z=1.9) == 0.0
    assert side_of(PLAYBOOK, **CROWDED_LONG) == -1.0
    assert side_of(PLAYBOOK, **CROWDED_SHORT) == 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("funding_acceleration_z", 1.9),
        ("open_interest_change_z_24h", 0.9),
        ("open_interest_change_z_24h", np.nan),
        ("trend_efficiency_72h", 0.2),
        ("trend_efficiency_72h", -0.2),
        ("sweep_age_above", 25.0),
    ],
)
def test_the_playbook_needs_every_condition(name: str, value: float) -> None:
    rows = bars(2).assign(**CROWDED_LONG)
    rows.loc[0, name] = value
    assert PLAYBOOK.entries(rows)["event_time"].tolist() == [rows["event_time"][1]]


def test_what_a_rule_lacks_is_named() -> None:
    assert PLAYBOOK.lacking(bars(2).assign(**CROWDED_LONG)) == ""
    assert (
        PLAYBOOK.lacking(bars(2).assign(**CROWDED_LONG | {"open_interest_change_z_24h": np.nan})) == "no open interest"
    )
    assert FUNDING_THRESHOLD.lacking(bars(2)) == "no funding"


def planted(side: Callable[[pd.DataFrame], np.ndarray]) -> EntryRule:
    return EntryRule(name="planted", sentence="", needs={"close": "bars"}, side=side)


def test_a_rule_that_knows_the_extreme_of_the_next_day_is_refused() -> None:
    """The leak of an entry a day before the event, at the price that the event will reach: nothing else would show."""
    rng = np.random.default_rng(0)
    rows = pd.concat(
        [bars(400).assign(close=100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 400)))) for _ in range(1)],
        ignore_index=True,
    )

    def before_the_low(table: pd.DataFrame) -> np.ndarray:
        ahead = table["close"][::-1].rolling(24, min_periods=24).min()[::-1].shift(-1)
        return np.where(ahead < 0.95 * table["close"], -1.0, 0.0)

    def after_the_low(table: pd.DataFrame) -> np.ndarray:
        return np.where(table["close"] < 0.95 * table["close"].rolling(24).max(), 1.0, 0.0)

    def the_whole_sample(table: pd.DataFrame) -> np.ndarray:
        return np.where(table["close"] < table["close"].quantile(0.1), 1.0, 0.0)

    for leak in (before_the_low, the_whole_sample):
        assert (leak(rows) != 0.0).any()
        with pytest.raises(DataError, match="looks ahead"):
            planted(leak).entries(rows)
    assert len(planted(after_the_low).entries(rows))


def test_a_rule_cannot_read_what_it_does_not_declare() -> None:
    with pytest.raises(KeyError):
        planted(lambda table: table["net_r"].to_numpy()).entries(bars(3).assign(close=1.0, net_r=1.0))


@pytest.mark.parametrize("sides", [[1.0, 0.5, 0.0], [1.0, 0.0], [np.nan, 0.0, 0.0]])
def test_what_is_not_a_side_is_refused(sides: list[float]) -> None:
    with pytest.raises(ParameterError, match="planted"):
        planted(lambda table: np.array(sides)).entries(bars(3).assign(close=1.0))


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_a_fall_of_three_percent_is_bought_once(minutes: int) -> None:
    """Caught: a window that is not 15 minutes, a fall across a gap, and an entry at every bar of one fall."""
    interval = timedelta(minutes=minutes)
    rule = buy_after_fall(interval)
    assert isinstance(rule, EntryRule)
    step, n = 15 // minutes, 60 * 24 // minutes
    rows = bars(n, interval).assign(close=100.0)
    fell = n // 3
    rows.loc[fell : fell + step - 1, "close"] = 96.9  # back at the old price when the window has passed
    found = rule.entries(rows)
    assert found["event_time"].tolist() == [rows["event_time"][fell]]
    assert found["side"].tolist() == [1.0]
    rows.loc[fell : fell + step - 1, "close"] = 97.1
    assert rule.entries(rows).empty
    rows.loc[fell:, "close"] = 90.0
    across = rows.drop(index=range(fell - 3 * step, fell))
    assert rule.entries(across).empty
    two = pd.concat([rows, rows.assign(symbol="B")], ignore_index=True)
    assert rule.entries(two)["symbol"].tolist() == ["A", "B"]


def test_coarse_bars_cannot_show_a_fall_of_a_quarter_of_an_hour() -> None:
    assert buy_after_fall(timedelta(hours=1)) == "cannot be evaluated on 1h bars"
    assert buy_after_fall(timedelta(minutes=10)) == "cannot be evaluated on 10m bars"
