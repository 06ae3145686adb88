"""Streaming primitives against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.operators import (
    COVERAGE,
    ewm_update,
    extreme_slots,
    extreme_update,
    ring_get,
    ring_put,
    totals_add,
    totals_known,
    totals_over,
    totals_push,
    totals_slots,
)

VALUES = st.lists(st.floats(-1e3, 1e3) | st.just(float("nan")), min_size=1, max_size=120).map(np.array)
WINDOWS = st.integers(1, 20)


@settings(deadline=None)
@given(VALUES, WINDOWS)
def test_extreme_is_the_rolling_maximum_of_what_is_known(values: np.ndarray, window: int) -> None:
    state = np.zeros(2 * extreme_slots(window))
    top = [extreme_update(state, 0, window, i, v, 1.0) for i, v in enumerate(values)]
    low = [extreme_update(state, extreme_slots(window), window, i, v, -1.0) for i, v in enumerate(values)]
    rolling = pd.Series(values).rolling(window, min_periods=1)
    np.testing.assert_array_equal(top, rolling.max())
    np.testing.assert_array_equal(low, rolling.min())


@settings(deadline=None)
@given(VALUES, st.floats(0.01, 0.99))
def test_ewm_is_that_of_pandas(values: np.ndarray, weight: float) -> None:
    state = np.zeros(2)
    streamed = [ewm_update(state, 0, weight, v) for v in values]
    expected = pd.Series(values).ewm(alpha=weight, adjust=True, ignore_na=True).mean()
    np.testing.assert_allclose(streamed, expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(VALUES, WINDOWS)
def test_totals_are_rolling_sums_and_counts(values: np.ndarray, window: int) -> None:
    size = 21
    state = np.zeros(totals_slots(2, size))
    sums, known = [], []
    for i, value in enumerate(values):
        if not np.isnan(value):
            totals_add(state, 0, 1, value)
        totals_push(state, 0, 2, size, i, not np.isnan(value))
        sums.append(totals_over(state, 0, 2, size, i, 1, window))
        known.append(totals_known(state, 0, 2, size, i, window))
    filled = pd.Series(np.nan_to_num(values))
    expected = filled.rolling(window).sum().where(np.arange(len(values)) >= window)
    np.testing.assert_allclose(sums, expected, atol=1e-7)
    present = pd.Series(~np.isnan(values)).rolling(window).sum()
    np.testing.assert_array_equal(known, (present >= COVERAGE * window) & (np.arange(len(values)) >= window))


@settings(deadline=None)
@given(VALUES, st.integers(0, 19))
def test_ring_remembers(values: np.ndarray, lag: int) -> None:
    state = np.zeros(20)
    seen = []
    for i, value in enumerate(values):
        ring_put(state, 0, 20, i, value)
        seen.append(ring_get(state, 0, 20, i, lag))
    np.testing.assert_array_equal(seen, pd.Series(values).shift(lag))
