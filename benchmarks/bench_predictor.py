"""Flattened trees and LightGBM in the same run: one live row, a matrix, and loading the model.

Run ``make bench``, or ``pytest benchmarks/bench_predictor.py -s`` for this part. The calls take turns, so that a busy
machine slows both alike. The scores are asserted equal; times are not.
"""

from __future__ import annotations

from typing import NamedTuple

import lightgbm
import numpy as np
import pytest

from benchmarks.record import Recorder, cpu_seconds, microseconds
from slackwater.models.predictor import FlattenedTrees

N_FEATURES = 60
GOALS = {"250 trees x 8 leaves": 1.2, "300 trees x 31 leaves": 1.4}
"""How many times as fast as LightGBM many rows should be."""
PEER = f"lightgbm {'.'.join(lightgbm.__version__.split('.')[:2])} Booster.predict, one thread"


class Model(NamedTuple):
    """The same trees twice."""

    name: str
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
    return Model(f"{n_trees} trees x {num_leaves} leaves", booster, trees, X)


def test_one_row(record: Recorder, model: Model) -> None:
    ours, theirs = [], []
    for i in range(2_000):
        row = model.X[i].copy()
        matrix = row[None, :]
        ours.append(microseconds(lambda row=row: model.trees.predict_raw_row(row)))
        theirs.append(microseconds(lambda m=matrix: model.booster.predict(m, raw_score=True, num_threads=1)))
    p50, p99 = np.percentile(ours, [50, 99])
    record(name=f"score one row, {model.name}: p50", value=p50, unit="µs", at_least=False)
    record(name=f"score one row, {model.name}: p99", value=p99, unit="µs", at_least=False)
    record(
        name=f"score one row, {model.name}: flattened trees against LightGBM",
        value=float(np.median(theirs)) / p50,
        unit="times as fast",
        peer=PEER,
    )


def test_matrix(record: Recorder, model: Model) -> None:
    taken = cpu_seconds(
        {
            "ours": lambda: model.trees.predict_raw(model.X),
            "theirs": lambda: model.booster.predict(model.X, raw_score=True, num_threads=1),
        },
        repetitions=15,
    )
    record(
        name=f"score {len(model.X):,} rows, {model.name}: flattened trees against LightGBM",
        value=taken["theirs"] / taken["ours"],
        unit="times as fast",
        goal=GOALS[model.name],
        peer=PEER,
    )


def test_load(record: Recorder, model: Model) -> None:
    text = model.booster.model_to_string()
    assert FlattenedTrees.from_text(text).n_trees == model.trees.n_trees
    taken = cpu_seconds({"ours": lambda: FlattenedTrees.from_text(text)}, repetitions=5)
    record(name=f"load a model, {model.name}", value=1e3 * taken["ours"], unit="CPU ms", at_least=False)
