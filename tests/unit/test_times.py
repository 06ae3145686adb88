"""Times and durations in microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.times import DAY, DAY_US, epoch_us, epochs_us, microseconds, require_times_us, timestamp, timestamps

NOON = 1_704_110_400_000_000  # 2024-01-01T12:00Z


@pytest.mark.parametrize(
    "time",
    [
        pd.Timestamp("2024-01-01T12:00Z"),
        pd.Timestamp("2024-01-01T12:00Z").as_unit("s"),
        datetime(2024, 1, 1, 12, tzinfo=UTC),
        datetime(2024, 1, 1, 18, tzinfo=timezone(timedelta(hours=6))),
    ],
)
def test_one_time_has_one_count_whatever_its_unit_and_zone(time: datetime) -> None:
    """Catches nanoseconds taken for microseconds, and a zone that is ignored."""
    assert epoch_us(time) == NOON
    assert timestamp(NOON) == time


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_columns_of_any_unit_have_the_same_counts(unit: str) -> None:
    """Catches `astype(int64)` on a column that is not in microseconds."""
    times = pd.Series(pd.to_datetime(["2024-01-01T12:00:00Z", "1969-12-31T23:59:59Z"])).dt.as_unit(unit)
    assert epochs_us(times).tolist() == [NOON, -1_000_000]
    assert require_times_us(times, name="x").tolist() == [NOON, -1_000_000]
    back = timestamps(epochs_us(times))
    assert str(back.dtype) == "datetime64[us, UTC]"
    assert (back == times.array).all()


def test_numbers_and_missing_times_are_refused() -> None:
    """Catches counts of unknown unit, and NaT, which is a number in an int64 array."""
    with pytest.raises(ParameterError, match="`x` must hold datetime64"):
        require_times_us(np.array([1, 2]), name="x")
    with pytest.raises(DataError, match=r"`x` must hold no missing time; rows \[1\]"):
        require_times_us(pd.Series([timestamp(0), pd.NaT]), name="x")


def test_durations_round_down_to_whole_microseconds() -> None:
    """Catches a day of another length."""
    assert microseconds(DAY) == DAY_US == 86_400_000_000
