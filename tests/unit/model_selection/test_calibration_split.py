"""Head and tail: their sizes, the purge against a plain loop, and times that cannot be used."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import OrderError, ParameterError, SchemaError
from slackwater.model_selection.calibration_split import calibration_split

HOURS = pd.date_range("2024-01-01", periods=10, freq="h", tz="UTC")


def test_without_times_the_last_rows_are_the_tail():
    """Caught: a tail at the start, of another size, or one that overlaps the head."""
    head, tail = calibration_split(10, fraction=0.2)
    assert head.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert tail.tolist() == [8, 9]


@pytest.mark.parametrize(("n_rows", "fraction", "n_tail"), [(1, 0.2, 0), (3, 0.2, 1), (7, 0.5, 4), (5, 0.99, 5)])
def test_sizes_are_rounded(n_rows, fraction, n_tail):
    """Caught: rows lost between head and tail."""
    head, tail = calibration_split(n_rows, fraction=fraction)
    assert (len(head), len(tail)) == (n_rows - n_tail, n_tail)


@settings(deadline=None, max_examples=100)
@given(
    gaps_minutes=st.lists(st.integers(0, 90), min_size=1, max_size=40),
    horizon_minutes=st.lists(st.integers(0, 300), min_size=40, max_size=40),
    embargo_minutes=st.integers(0, 120),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_the_purge_is_that_of_a_plain_loop(gaps_minutes, horizon_minutes, embargo_minutes, unit):
    """Caught: an embargo with the wrong sign, a row too many at equality, microseconds taken for nanoseconds."""
    n_rows = len(gaps_minutes)
    events = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.cumsum(gaps_minutes), unit="min")
    ends = events + pd.to_timedelta(horizon_minutes[:n_rows], unit="min")
    embargo = timedelta(minutes=embargo_minutes)
    head, tail = calibration_split(
        n_rows,
        fraction=0.3,
        embargo=embargo,
        event_times=events.as_unit(unit),
        label_end_times=pd.Series(ends.as_unit("us"), index=range(5, 5 + n_rows)),
    )
    expected = [row for row in range(n_rows - len(tail)) if len(tail) == 0 or ends[row] + embargo <= events[tail[0]]]
    assert head.tolist() == expected
    assert tail.tolist() == list(range(n_rows - len(tail), n_rows))


@pytest.mark.parametrize(
    "as_given",
    [
        lambda times: times,
        lambda times: pd.Series(times, index=range(100, 110)),
        lambda times: times.to_numpy(),
        lambda times: list(times),
        lambda times: list(times.to_pydatetime()),
    ],
)
def test_times_may_come_in_any_form(as_given):
    """Caught: an index that is aligned by label, and forms that are refused for no reason."""
    head, _ = calibration_split(
        10, fraction=0.2, event_times=as_given(HOURS), label_end_times=as_given(HOURS + timedelta(hours=3))
    )
    assert head.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("events", "ends", "error", "message"),
    [
        (HOURS, None, ParameterError, "together"),
        (None, HOURS, ParameterError, "together"),
        (HOURS[::-1], HOURS + timedelta(days=1), OrderError, "backwards, did at row 1"),
        (HOURS, HOURS - timedelta(seconds=1), OrderError, "`label_end_times` must not lie before.*row 0"),
        (HOURS[:9], HOURS, SchemaError, "`event_times` must be 10 times"),
        (HOURS, HOURS.insert(3, pd.NaT)[:10], SchemaError, "`label_end_times` must be 10 times.* 1 NaT"),
        (HOURS, HOURS.tz_localize(None), SchemaError, "time zone"),
        (np.arange(10), HOURS, SchemaError, "`event_times` must be datetimes, was int64"),
        (HOURS, HOURS.astype(str), SchemaError, "`label_end_times` must be datetimes, was str"),
    ],
)
def test_times_that_cannot_be_used(events, ends, error, message):
    """Caught: a purge that silently does nothing because its times mean nothing."""
    with pytest.raises(error, match=message):
        calibration_split(10, fraction=0.2, event_times=events, label_end_times=ends)
