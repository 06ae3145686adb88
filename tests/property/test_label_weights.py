"""Weights of overlapping labels on any table of them (method, section 1.5)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from slackwater.labels.weights import average_uniqueness

seeds = st.integers(0, 2**32 - 1)
correlations = st.floats(0.0, 1.0)
examples = settings(deadline=None, max_examples=50)


def random_labels(seed: int) -> pd.DataFrame:
    """Up to 120 labels of up to five symbols, over a time in which many overlap."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 120))
    start = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 10_000, n), unit="min")
    return pd.DataFrame(
        {
            "symbol": rng.choice(list("ABCDE")[: rng.integers(1, 6)], n),
            "event_time": start,
            "label_end_time": start + pd.to_timedelta(rng.integers(1, 2_000, n), unit="min"),
        }
    )


def each_symbol_alone(table: pd.DataFrame) -> NDArray[np.float64]:
    """Average uniqueness as it is without any other symbol, one running integral per symbol."""
    weight = np.empty(len(table))
    for rows in table.groupby("symbol").indices.values():
        start, end = (table[name].iloc[rows].astype("int64").to_numpy() for name in ("event_time", "label_end_time"))
        edges = np.unique(np.concatenate((start, end)))
        running = np.searchsorted(np.sort(start), edges[:-1], side="right") - np.searchsorted(
            np.sort(end), edges[:-1], side="right"
        )
        share = np.where(running > 0, 1.0 / np.maximum(running, 1), 0.0)
        integral = np.concatenate(([0.0], np.cumsum(share * np.diff(edges))))
        covered = integral[np.searchsorted(edges, end)] - integral[np.searchsorted(edges, start)]
        weight[rows] = np.minimum(covered / (end - start), 1.0)
    return weight


@examples
@given(seed=seeds)
def test_without_correlation_other_symbols_change_no_bit(seed: int) -> None:
    """Fails if labels of other symbols leave a trace where they do not count."""
    table = random_labels(seed)
    np.testing.assert_array_equal(average_uniqueness(table, symbol_correlation=0.0), each_symbol_alone(table))


@examples
@given(seed=seeds)
def test_one_symbol_split_in_two_that_move_as_one_is_the_symbol(seed: int) -> None:
    """Fails if two symbols of correlation 1 are not pooled."""
    table = random_labels(seed)
    halves = np.where(np.arange(len(table)) % 2, "A", "B")
    split = average_uniqueness(table.assign(symbol=halves), symbol_correlation=1.0)
    np.testing.assert_allclose(split, average_uniqueness(table.assign(symbol="A")), rtol=1e-9)


@examples
@given(seed=seeds, correlation=correlations)
def test_names_of_symbols_and_order_of_rows_change_nothing(seed: int, correlation: float) -> None:
    """Fails if a symbol counts for more because it comes first."""
    table = random_labels(seed)
    weight = average_uniqueness(table, symbol_correlation=correlation)
    order = np.random.default_rng(seed).permutation(len(table))
    renamed = table.assign(symbol=table["symbol"].map(dict(zip("ABCDE", "DAECB", strict=True)))).iloc[order]
    np.testing.assert_array_equal(average_uniqueness(renamed, symbol_correlation=correlation), weight[order])


@examples
@given(seed=seeds, one=correlations, other=correlations)
def test_more_correlation_is_less_uniqueness(seed: int, one: float, other: float) -> None:
    """Fails if a weight leaves (0, 1], or correlation adds to it."""
    table = random_labels(seed)
    low, high = (average_uniqueness(table, symbol_correlation=each) for each in sorted((one, other)))
    assert (high > 0.0).all()
    assert (low <= 1.0).all()
    assert (high <= low * (1.0 + 1e-9)).all()
