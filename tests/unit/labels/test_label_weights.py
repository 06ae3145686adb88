import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, OrderError, ParameterError, SchemaError
from slackwater.labels.weights import average_uniqueness, effective_n


def labels(*spans: tuple[str, int, int]) -> pd.DataFrame:
    """(symbol, first hour, last hour) of each label."""
    zero = pd.Timestamp("2024-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "symbol": [symbol for symbol, _, _ in spans],
            "event_time": [zero + pd.Timedelta(hours=start) for _, start, _ in spans],
            "label_end_time": [zero + pd.Timedelta(hours=end) for _, _, end in spans],
        }
    )


def test_a_label_alone_weighs_one() -> None:
    """Fails if touching spans count as overlapping: (0, 4] and (4, 8] share no moment."""
    assert average_uniqueness(labels(("A", 0, 4), ("A", 4, 8), ("A", 9, 10))).tolist() == [1.0, 1.0, 1.0]


def test_overlap_counts_only_while_it_lasts() -> None:
    """Fails if the concurrency at the start, or its maximum, is taken for the whole span."""
    weights = average_uniqueness(labels(("A", 0, 4), ("A", 2, 4)))
    np.testing.assert_allclose(weights, [(2 * 1 + 2 * 0.5) / 4, 0.5])


def test_three_at_once() -> None:
    """Fails if concurrency saturates at two."""
    np.testing.assert_allclose(average_uniqueness(labels(*[("A", 0, 5)] * 3)), 1 / 3)


def test_symbols_that_move_on_their_own_do_not_overlap_one_another() -> None:
    """Fails if symbols are pooled."""
    assert average_uniqueness(labels(("A", 0, 4), ("B", 0, 4), ("C", 1, 3))).tolist() == [1.0, 1.0, 1.0]


def test_a_label_of_another_symbol_counts_by_the_correlation() -> None:
    """Fails if others count wholly or not at all, or while they do not last: A alone, then beside B, then B alone."""
    table = labels(("A", 0, 4), ("B", 2, 10))
    beside = 1 / 1.5
    np.testing.assert_allclose(
        average_uniqueness(table, symbol_correlation=0.5), [(2 + 2 * beside) / 4, (2 * beside + 6) / 8]
    )


def test_the_end_may_be_that_of_another_horizon() -> None:
    """Fails if the span of the headline weighs the labels of every horizon."""
    table = labels(("A", 0, 4), ("A", 3, 5))
    ends = table["event_time"] + pd.Timedelta(hours=1)
    assert average_uniqueness(table.assign(label_end_time_1h=ends), end="label_end_time_1h").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("correlation", [-0.1, 1.1, np.nan])
def test_refuses_a_correlation_that_is_none(correlation: float) -> None:
    """Fails if a negative correlation makes labels more than unique."""
    with pytest.raises(ParameterError, match="symbol_correlation"):
        average_uniqueness(labels(("A", 0, 4)), symbol_correlation=correlation)


def test_order_and_index_of_the_rows_do_not_matter() -> None:
    """Fails if weights come back sorted by time, or are aligned on an index with gaps."""
    table = labels(("A", 0, 4), ("B", 1, 9), ("A", 2, 6), ("A", 5, 7), ("B", 3, 4))
    table.index = [7, 3, 3, 1, 0]
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_array_equal(average_uniqueness(table)[order], average_uniqueness(table.iloc[order]))


def test_no_label_no_weight() -> None:
    """Fails if an empty table crashes a data set without events."""
    assert average_uniqueness(labels(("A", 0, 4)).iloc[:0]).size == 0


def test_effective_n_is_the_sum() -> None:
    """Fails if the weights are normalised first (the sum is then the count), or Kish's formula is used."""
    assert effective_n([0.5, 0.25, 0.25]) == 1.0


@pytest.mark.parametrize("weights", [[0.5, np.nan], [0.0], [1.5], [-0.1]])
def test_effective_n_refuses_what_is_no_uniqueness(weights: list[float]) -> None:
    """Fails if weights that were normalised to a mean of one, or are missing, pass as uniqueness."""
    with pytest.raises(DataError, match="weights"):
        effective_n(weights)


def test_refuses_labels_that_end_before_they_begin() -> None:
    """Fails if a swapped pair of columns gives silent nonsense."""
    with pytest.raises(OrderError, match="end after"):
        average_uniqueness(labels(("A", 4, 4)))


def test_refuses_a_missing_column_and_naive_times() -> None:
    """Fails if the message names neither table nor column."""
    with pytest.raises(SchemaError, match="label_end_time"):
        average_uniqueness(labels(("A", 0, 1)).drop(columns="label_end_time"))
    naive = labels(("A", 0, 1))
    with pytest.raises(SchemaError, match=r"labels\.event_time"):
        average_uniqueness(naive.assign(event_time=naive["event_time"].dt.tz_localize(None)))
