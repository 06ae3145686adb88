"""Flattened trees against ``Booster.predict`` in the same run: one live row, and a matrix.

Run ``pytest benchmarks/bench_predictor.py --benchmark-enable -s``. The table groups the two ways of scoring the same
rows; the line that is printed gives their ratio from interleaved calls, which a busy machine slows down alike.
Nothing is asserted about time; that the scores are equal is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pytest

from slackwater.models.predictor import FlattenedTrees

N_FEATURES = 60


class Model(NamedTuple):
    """The same trees twice."""

    booster: lightgbm.Booster
    trees: FlattenedTrees
    X: np.ndarray


@pytest.fixture(scope="module", params=[(250, 8), (300, 31)], ids=lambda p: f"{p[0]} trees x {p[1]} leaves")
def model(request: pytest.FixtureRequest) -> Model:
    n_trees, num_leaves = request.param
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3_000, N_FEATURES))
    X[rng.random(X.shape) < 0.02] = np.nan
    y = np.nan_to_num(X[:, 0]) + 4 * rng.normal(size=len(X)) > 0
    parameters = {
        "objective": "binary",
        "num_leaves": num_leaves,
        "learning_rate": 0.02,
        "min_data_in_leaf": 20,
        "num_threads": 1,
        "verbosity": -1,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, label=y), num_boost_round=n_trees)
    trees = FlattenedTrees.from_text(booster.model_to_string())
    expected = booster.predict(X, raw_score=True, num_threads=1)
    np.testing.assert_array_equal(trees.predict_raw(X), expected)
    np.testing.assert_array_equal([trees.predict_raw_row(row) for row in X[:200]], expected[:200])
    return Model(booster, trees, X)


def microseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e3


def report_ratio(what: str, flattened: list[float], booster: list[float]) -> None:
    (ours, ours_p99), (theirs, theirs_p99) = (np.percentile(times, [50, 99]) for times in (flattened, booster))
    print(
        f"\n{what}: flattened p50 {ours:.1f} µs, p99 {ours_p99:.1f} µs; "
        f"Booster.predict p50 {theirs:.1f} µs, p99 {theirs_p99:.1f} µs; ratio {theirs / ours:.1f}"
    )


def test_ratio_of_one_row(model: Model) -> None:
    flattened, booster = [], []
    for i in range(2_000):
        row = model.X[i].copy()
        matrix = row[None, :]
        flattened.append(microseconds(lambda row=row: model.trees.predict_raw_row(row)))
        booster.append(microseconds(lambda m=matrix: model.booster.predict(m, raw_score=True, num_threads=1)))
    report_ratio("one row", flattened, booster)


def test_ratio_of_a_matrix(model: Model) -> None:
    flattened, booster = [], []
    for _ in range(15):
        flattened.append(microseconds(lambda: model.trees.predict_raw(model.X)))
        booster.append(microseconds(lambda: model.booster.predict(model.X, raw_score=True, num_threads=1)))
    report_ratio(f"{len(model.X):,} rows", flattened, booster)


@pytest.mark.benchmark(group="one row")
@pytest.mark.parametrize("way", ["flattened", "booster"])
def test_one_row(benchmark: Any, model: Model, way: str) -> None:
    row = model.X[7].copy()
    if way == "flattened":
        benchmark(model.trees.predict_raw_row, row)
    else:
        benchmark(model.booster.predict, row[None, :], raw_score=True, num_threads=1)


@pytest.mark.benchmark(group="load the model text")
def test_load(benchmark: Any, model: Model) -> None:
    text = model.booster.model_to_string()
    assert benchmark(FlattenedTrees.from_text, text).n_trees == model.trees.n_trees
