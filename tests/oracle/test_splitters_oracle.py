"""Purged splits against pairwise comparison of every training label with every tested one, on 1,000 random cases."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest

from slackwater.errors import DataError
from slackwater.model_selection.combinatorial import CombinatorialPurgedCV
from slackwater.model_selection.symbols import LeaveOneSymbolOut
from slackwater.model_selection.walk_forward import PurgedWalkForward

HOUR = np.timedelta64(1, "h")
PARTS = range(10)


def random_labels(rng: np.random.Generator, n: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Clustered events of several symbols with labels of very different lengths, in random order."""
    clusters = rng.integers(0, days * 24, max(1, n // 6))
    event = np.datetime64("2023-01-01", "us") + np.concatenate(
        [rng.choice(clusters, n // 2), rng.integers(0, days * 24, n - n // 2)]
    ).astype("timedelta64[h]")
    length = np.where(rng.random(n) < 0.05, rng.integers(24, 600, n), rng.integers(1, 25, n))
    order = rng.permutation(n)
    return event[order], (event + length * HOUR)[order]


def touches(event: np.ndarray, end: np.ndarray, embargo: np.timedelta64) -> np.ndarray:
    """Return for each pair of rows whether the labels overlap, or come within the embargo of one another."""
    return (event[:, None] <= end[None, :] + embargo) & (event[None, :] <= end[:, None] + embargo)


@pytest.mark.parametrize("part", PARTS)
def test_walk_forward_trains_on_every_clean_row_and_on_no_other(part: int) -> None:
    """Fails on one leaked label, on one clean row dropped, and on a test row that is missed or tested twice."""
    for seed in range(100 * part, 100 * part + 100):
        rng = np.random.default_rng(seed)
        event, end = random_labels(rng, int(rng.integers(40, 140)), days=200)
        min_train, length = timedelta(days=int(rng.integers(30, 90))), timedelta(days=int(rng.integers(5, 40)))
        embargo = timedelta(hours=int(rng.choice([0, 5, 48])))
        max_train = timedelta(days=int(rng.integers(10, 120))) if seed % 2 else None
        splitter = PurgedWalkForward(
            event_times=event,
            label_end_times=end,
            embargo=embargo,
            min_train=min_train,
            max_train=max_train,
            test=length,
            min_train_rows=1,
        )
        found = list(splitter.split(event)) if splitter.get_n_splits() else []
        wide, begin = np.timedelta64(embargo), event.min() + np.timedelta64(min_train)
        tested: list[list[int]] = []
        while begin <= event.max():
            test = [i for i, at in enumerate(event) if begin <= at < begin + np.timedelta64(length)]
            train = [
                i
                for i in range(event.size)
                if end[i] + wide < begin and (max_train is None or event[i] >= begin - np.timedelta64(max_train))
            ]
            if train and test:
                assert found[len(tested)][0].tolist() == train, seed
                assert found[len(tested)][1].tolist() == test, seed
                assert not touches(event, end, wide)[np.ix_(train, test)].any(), seed
                tested.append(test)
            begin += np.timedelta64(length)
        assert len(found) == len(tested), seed


@pytest.mark.parametrize("part", PARTS)
def test_combinatorial_splits_train_on_every_clean_row_and_on_no_other(part: int) -> None:
    """Fails on one overlap on either side, on one clean row dropped, and on a path that is not the whole history."""
    refused = 0
    for seed in range(100 * part, 100 * part + 100):
        rng = np.random.default_rng(seed)
        event, end = random_labels(rng, int(rng.integers(40, 140)), days=int(rng.integers(60, 400)))
        n_groups = int(rng.integers(2, 7))
        n_tested = int(rng.integers(1, n_groups))
        embargo = timedelta(hours=int(rng.choice([0, 5, 48])))
        splitter = CombinatorialPurgedCV(
            event_times=event,
            label_end_times=end,
            embargo=embargo,
            n_groups=n_groups,
            n_test_groups=n_tested,
            min_train_rows=1,
        )
        touching = touches(event, end, np.timedelta64(embargo))
        try:
            found = list(splitter.split(event))
        except DataError:  # everything touches the test set
            refused += 1
            continue
        assert len(found) == len(list(combinations(range(n_groups), n_tested))), seed
        for train, test in found:
            clean = np.flatnonzero(~touching[:, test].any(axis=1))
            assert train.tolist() == clean.tolist(), seed
        check_paths(splitter.paths(), found, event, seed)
    assert refused < 20


def check_paths(paths: np.ndarray, found: list[tuple[np.ndarray, np.ndarray]], event: np.ndarray, seed: int) -> None:
    """Every row is predicted on every path by a split that tests it, every tested row is used once, times are whole."""
    tests = np.zeros((len(found), event.size), dtype=int)
    for number, (_, test) in enumerate(found):
        tests[number, test] = 1
    used = np.zeros_like(tests)
    for path in paths:
        used[path, np.arange(event.size)] += 1
    assert np.array_equal(used, tests), seed
    for at in np.unique(event):
        rows = np.flatnonzero(event == at)
        assert (tests[:, rows] == tests[:, rows[:1]]).all(), seed


def test_one_symbol_left_out_keeps_the_purge_of_the_splitter() -> None:
    """Fails if a row of the tested symbol trains, or another symbol trains on the cascade that is tested."""
    rng = np.random.default_rng(0)
    event, end = random_labels(rng, 600, days=400)
    symbols = rng.choice(["A", "B", "C"], 600)
    inner = CombinatorialPurgedCV(event_times=event, label_end_times=end, embargo=timedelta(days=2))
    touching = touches(event, end, np.timedelta64(2, "D"))
    found = list(LeaveOneSymbolOut(symbols, splitter=inner).split(event))
    assert len(found) == 3 * inner.get_n_splits()
    for train, test in found:
        (left_out,) = set(symbols[test])
        assert left_out not in symbols[train]
        assert not touching[np.ix_(train, test)].any()
    for number, (train, test) in enumerate(inner.split(event)):
        of_split = found[3 * number : 3 * number + 3]
        assert np.array_equal(np.sort(np.concatenate([own for _, own in of_split])), test)
        assert set(np.concatenate([others for others, _ in of_split])) == set(train)
