"""What a caller of the flattened trees meets: names, shapes, files, and an import that stays light."""

from __future__ import annotations

import pickle
import subprocess
import sys

import lightgbm
import numpy as np
import pandas as pd
import pytest

from slackwater.errors import SchemaError
from slackwater.models.predictor import FlattenedTrees

NAMES = ["return_24h", "funding_acceleration_24h", "whale_inflow_4h"]


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1, "num_leaves": 5}
    data = lightgbm.Dataset(X, label=X[:, 0] > X[:, 1], feature_name=NAMES)
    return lightgbm.train(parameters, data, num_boost_round=4)


@pytest.fixture(scope="module")
def trees(booster) -> FlattenedTrees:
    return FlattenedTrees.from_text(booster.model_to_string())


def test_names_and_counts(trees):
    """Caught: names in another order than the columns."""
    assert trees.feature_names == tuple(NAMES)
    assert (trees.n_features, trees.n_trees) == (3, 4)


def test_the_columns_of_a_frame_must_be_those_of_the_model(trees, booster):
    """Caught: a frame whose columns are in another order, which LightGBM does not see."""
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(20, 3)), columns=NAMES)
    np.testing.assert_array_equal(trees.predict_raw(frame), booster.predict(frame, raw_score=True))
    with pytest.raises(SchemaError, match="order or the number"):
        trees.predict_raw(frame[NAMES[::-1]])
    with pytest.raises(SchemaError, match="order or the number"):
        trees.predict_raw(frame.assign(extra=0.0))
    with pytest.raises(SchemaError, match=r"missing are \['whale_inflow_4h'\]"):
        trees.predict_raw(frame[NAMES[:2]])


def test_a_model_without_names_takes_any_frame():
    """Caught: the names that LightGBM makes up are held against a frame."""
    X = np.random.default_rng(2).normal(size=(100, 2))
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, label=X[:, 0] > 0), num_boost_round=2)
    trees = FlattenedTrees.from_text(booster.model_to_string())
    frame = pd.DataFrame(X, columns=["a", "b"])
    np.testing.assert_array_equal(trees.predict_raw(frame), trees.predict_raw(X))


@pytest.mark.parametrize("shape", [(3,), (5, 2), (5, 4), (2, 3, 1), ()])
def test_matrices_of_another_shape(trees, shape):
    """Caught: a kernel that reads beside the row."""
    with pytest.raises(SchemaError, match=r"`X` must have shape \(n_rows, 3\)"):
        trees.predict_raw(np.zeros(shape))


@pytest.mark.parametrize("shape", [(2,), (4,), (1, 3), (3, 1), ()])
def test_rows_of_another_shape(trees, shape):
    """Caught: a kernel that reads beside the row."""
    with pytest.raises(SchemaError, match=r"`x` must have shape \(3,\)"):
        trees.predict_raw_row(np.zeros(shape))


def test_the_row_is_left_as_it_was(trees):
    """Caught: the caller's array becomes read-only, and the next live row cannot be written into it."""
    row, matrix = np.zeros(3), np.zeros((2, 3))
    assert isinstance(trees.predict_raw_row(row), float)
    trees.predict_raw(matrix)
    row[0] = matrix[0, 0] = 1.0


def test_rows_scored_in_another_process(trees):
    """Caught: state that does not survive pickling, as between the workers of a pool."""
    rows = np.random.default_rng(3).normal(size=(10, 3))
    copy = pickle.loads(pickle.dumps(trees))  # noqa: S301
    np.testing.assert_array_equal(copy.predict_raw(rows), trees.predict_raw(rows))


def test_scoring_imports_neither_lightgbm_nor_scikit_learn():
    """Caught: an import at the top of a module that costs a live scorer seconds."""
    program = (
        "import sys; import slackwater.models.predictor, slackwater.models.calibration as c; "
        "c.calibrator_from_dict({'method': 'sigmoid', 'slope': 1.0, 'intercept': 0.0, 'slope_variance': 0.0, "
        "'covariance': 0.0, 'intercept_variance': 0.0}).log_odds_low(0.0); "
        "print([m for m in ('lightgbm', 'sklearn', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
