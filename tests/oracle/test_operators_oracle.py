"""Streaming primitives against pandas and numpy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.operators import (
    COVERAGE,
    MAD_TO_SD,
    MEAN_DEVIATION_TO_SD,
    blocks_size,
    ewm_update,
    highs_age,
    highs_push,
    highs_slots,
    highs_top,
    moments_update,
    moments_z,
    ranked_push,
    ranked_slots,
    ranked_z,
    ring_get,
    ring_put,
    ring_size,
    totals_add,
    totals_before,
    totals_cover,
    totals_push,
    totals_since,
    totals_slots,
)

KNOWN = st.floats(-1e3, 1e3).map(lambda x: round(x, 6))
VALUES = st.lists(KNOWN | st.just(float("nan")), min_size=1, max_size=120).map(np.array)
WINDOWS = st.integers(1, 20)


LONG = st.lists(st.integers(-5, 5).map(float) | st.just(float("nan")), min_size=1, max_size=400).map(np.array)


@settings(deadline=None)
@given(LONG, st.lists(st.integers(1, 150), min_size=1, max_size=3))
def test_tops_are_the_rolling_maxima_of_what_is_known(values: np.ndarray, windows: list[int]) -> None:
    """Windows beyond a block, ties within and across blocks, and stretches of nothing."""
    longest = max(windows)
    mask, blocks_mask = ring_size(longest) - 1, blocks_size(longest) - 1
    at, tops = 0, highs_slots(longest)
    state = np.zeros(tops + 2 * len(windows))
    found = np.empty((len(windows), len(values)))
    for i, value in enumerate(values):
        highs_push(state, at, mask, blocks_mask, i, value)
        for j, window in enumerate(windows):
            found[j, i] = highs_top(state, at, mask, blocks_mask, window, i, tops + 2 * j)
            age = highs_age(state, i, tops + 2 * j)
            held = values[max(0, i - window + 1) : i + 1][::-1]
            if np.isnan(held).all():
                assert np.isnan(age)
            else:
                assert age == np.nanargmax(held)
    for j, window in enumerate(windows):
        np.testing.assert_array_equal(found[j], pd.Series(values).rolling(window, min_periods=1).max())


@settings(deadline=None)
@given(VALUES, st.floats(0.01, 0.99))
def test_ewm_is_that_of_pandas(values: np.ndarray, weight: float) -> None:
    state = np.zeros(2)
    streamed = [ewm_update(state, 0, weight, v) for v in values]
    expected = pd.Series(values).ewm(alpha=weight, adjust=True, ignore_na=True).mean()
    np.testing.assert_allclose(streamed, expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(VALUES, st.floats(0.01, 0.99))
def test_z_is_that_of_the_weighted_moments_before(values: np.ndarray, weight: float) -> None:
    state = np.zeros(3)
    for i, value in enumerate(values):
        if np.isnan(value):
            moments_update(state, 0, weight, value)
            continue
        z = moments_z(state, 0, value)
        before = values[:i][~np.isnan(values[:i])]
        if before.size == 0:
            assert np.isnan(z)
        else:
            weights = (1.0 - weight) ** np.arange(before.size)[::-1]
            mean = np.average(before, weights=weights)
            variance = np.average(before**2, weights=weights) - mean**2
            if variance > 1e-6 * np.average(before**2, weights=weights):
                np.testing.assert_allclose(z, (value - mean) / np.sqrt(variance), rtol=1e-4, atol=1e-6)
        moments_update(state, 0, weight, value)


def test_z_of_what_never_varied() -> None:
    state = np.zeros(3)
    for _ in range(5):
        moments_update(state, 0, 0.3, 7.0)
    assert moments_z(state, 0, 7.0) == 0.0
    assert np.isnan(moments_z(state, 0, 7.5))


@settings(deadline=None)
@given(st.lists(KNOWN, min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 12))
def test_ranked_z_is_that_of_the_median_and_its_deviation(values: list[float], size: int, least: int) -> None:
    state = np.zeros(ranked_slots(size))
    for i, value in enumerate(values):
        z = ranked_z(state, 0, size, least, value)
        held = np.array(values[max(0, i - size) : i])
        if held.size < least:
            assert np.isnan(z)
        else:
            median = np.median(held)
            deviations = np.abs(held - median)
            spread = max(MAD_TO_SD * np.median(deviations), 0.5 * MEAN_DEVIATION_TO_SD * deviations.mean())
            if spread > 0.0:
                np.testing.assert_allclose(z, (value - median) / spread, rtol=1e-9, atol=1e-9)
            else:
                assert z == 0.0 if value == median else np.isnan(z)
        ranked_push(state, 0, size, value)


@settings(deadline=None)
@given(VALUES, WINDOWS)
def test_totals_are_rolling_sums_and_counts(values: np.ndarray, window: int) -> None:
    mask = ring_size(20) - 1
    state = np.zeros(totals_slots(2, 20))
    sums, known = [], []
    for i, value in enumerate(values):
        if not np.isnan(value):
            totals_add(state, 0, 1, value)
        totals_push(state, 0, 2, mask, i, not np.isnan(value))
        before = totals_before(0, 2, mask, i, window)
        sums.append(totals_since(state, 0, before, 1))
        known.append(totals_cover(state, 0, before, window))
    enough = np.arange(len(values)) >= window
    filled = pd.Series(np.nan_to_num(values))
    np.testing.assert_allclose(sums, filled.rolling(window).sum().where(enough, 0.0), atol=1e-7)
    present = pd.Series(~np.isnan(values)).rolling(window).sum()
    np.testing.assert_array_equal(known, (present >= COVERAGE * window) & enough)


def test_totals_lose_no_digits_to_what_has_left_the_window() -> None:
    """One absurd amount, or years of small ones, would eat the digits of all later sums."""
    mask = ring_size(8) - 1
    state = np.zeros(totals_slots(1, 8))
    for i in range(200):
        totals_add(state, 0, 0, 1e15 if i == 50 else 0.1)
        totals_push(state, 0, 1, mask, i, True)
    before = totals_before(0, 1, mask, 199, 8)
    assert abs(totals_since(state, 0, before, 0) - 0.8) < 1e-12


@settings(deadline=None)
@given(VALUES, st.integers(0, 19))
def test_ring_remembers(values: np.ndarray, lag: int) -> None:
    mask = ring_size(19) - 1
    state = np.zeros(mask + 1)
    seen = []
    for i, value in enumerate(values):
        ring_put(state, 0, mask, i, value)
        seen.append(ring_get(state, 0, mask, i, lag))
    np.testing.assert_array_equal(seen, pd.Series(values).shift(lag))
