"""Purged splits against pairwise comparison of every training label with every test label."""

from datetime import timedelta

import numpy as np
import pytest

from slackwater.model_selection.walk_forward import PurgedWalkForward

HOUR = np.timedelta64(1, "h")


def random_labels(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Clustered events of several symbols with labels of very different lengths, in random order."""
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 400 * 24, n // 6)
    event = np.datetime64("2023-01-01", "us") + np.concatenate(
        [rng.choice(clusters, n // 2), rng.integers(0, 400 * 24, n - n // 2)]
    ).astype("timedelta64[h]")
    length = np.where(rng.random(n) < 0.05, rng.integers(24, 600, n), rng.integers(1, 25, n))
    order = rng.permutation(n)
    return event[order], (event + length * HOUR)[order]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("embargo_hours", [0, 48])
def test_no_label_reaches_a_tested_one_and_no_clean_row_is_lost(seed: int, embargo_hours: int) -> None:
    """Fails on one leaked label, on one clean row dropped, and on a test row that is missed or tested twice."""
    event, end = random_labels(seed, 600)
    min_train, test_length = timedelta(days=120), timedelta(days=30)
    splitter = PurgedWalkForward(
        event_times=event,
        label_end_times=end,
        embargo=timedelta(hours=embargo_hours),
        min_train=min_train,
        test=test_length,
    )
    embargo = embargo_hours * HOUR
    block_start = event.min() + np.timedelta64(min_train)
    tested: list[int] = []
    for train, test in splitter.split(np.zeros((600, 1))):
        # 0 overlaps, pair by pair: no label that trains is alive, or in its embargo, when a tested one
        # begins.
        assert not (end[train][:, None] + embargo >= event[test][None, :]).any()
        assert (event[test] >= block_start).all()
        assert (event[test] < block_start + np.timedelta64(test_length)).all()
        clean = {i for i in range(600) if end[i] + embargo < block_start}
        assert set(train.tolist()) == clean
        tested += test.tolist()
        block_start += np.timedelta64(test_length)
    later = np.flatnonzero(event >= event.min() + np.timedelta64(min_train))
    assert sorted(tested) == later.tolist()
