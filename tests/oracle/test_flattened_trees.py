"""The flattened trees give the bits of LightGBM's own predict, whatever stands in the rows."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slackwater.models.predictor import FlattenedTrees

LIGHTGBM_ZERO = float(np.float32(1e-35))
EXTREMES = np.array(
    [
        *(np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-35, -1e-35, LIGHTGBM_ZERO, -LIGHTGBM_ZERO),
        *(np.nextafter(LIGHTGBM_ZERO, 1), np.nextafter(-LIGHTGBM_ZERO, -1), 1.7e308, -1.7e308, 1e300, -1e300),
    ]
)


def training_rows(rng: np.random.Generator, n_rows: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of every kind: continuous, mostly zero, whole numbers, tiny, huge, constant; some with NaN."""
    X = rng.normal(size=(n_rows, n_features))
    for column, kind in enumerate(rng.integers(0, 7, n_features)):
        if kind == 1:
            X[rng.random(n_rows) < 0.7, column] = 0.0
        elif kind == 2:
            X[:, column] = np.round(X[:, column] * 2)
        elif kind == 3:
            X[:, column] *= 1e-36
        elif kind == 4:
            X[:, column] *= 1e305
        elif kind == 5:
            X[:, column] = 3.0
        if rng.random() < 0.5:
            X[rng.random(n_rows) < 0.2, column] = np.nan
    y = np.nan_to_num(X[:, 0]) + rng.normal(size=n_rows) > 0
    return X, y.astype(float)


def hostile_rows(rng: np.random.Generator, X: np.ndarray, trees: FlattenedTrees, n_rows: int) -> np.ndarray:
    """Training rows in which most values became extremes, thresholds, or the next number beside one."""
    thresholds = np.array([threshold for tree in trees.trees for threshold in tree.threshold] or [0.0])
    pool = np.concatenate([EXTREMES, thresholds, np.nextafter(thresholds, np.inf), np.nextafter(thresholds, -np.inf)])
    rows = X[rng.integers(0, len(X), n_rows)]
    replaced = rng.random(rows.shape) < 0.7
    rows[replaced] = rng.choice(pool, int(replaced.sum()))
    return rows


def assert_same_bits(booster: lightgbm.Booster, rows: np.ndarray) -> FlattenedTrees:
    trees = FlattenedTrees.from_text(booster.model_to_string())
    expected = booster.predict(rows, raw_score=True, num_threads=1)
    np.testing.assert_array_equal(trees.predict_raw(rows), expected)
    by_row = [trees.predict_raw_row(row) for row in rows[:50]]
    np.testing.assert_array_equal(by_row, expected[:50])
    return trees


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(30, 400),
    n_features=st.integers(1, 8),
    parameters=st.fixed_dictionaries(
        {
            "num_leaves": st.integers(2, 40),
            "min_data_in_leaf": st.integers(1, 30),
            "max_bin": st.sampled_from([2, 16, 255]),
            "use_missing": st.booleans(),
            "boosting": st.sampled_from(["gbdt", "dart"]),
            "extra_trees": st.booleans(),
            "learning_rate": st.sampled_from([0.02, 0.5]),
        }
    ),
)
def test_every_bit_is_that_of_lightgbm(seed, n_rows, n_features, parameters):
    """Caught: `<` for `<=`, NaN sent the wrong way in one of the three cases, a child that points into the
    wrong tree, a sum in another order, values within 1e-35 of 0 that LightGBM takes for 0."""
    rng = np.random.default_rng(seed)
    X, y = training_rows(rng, n_rows, n_features)
    always = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    try:
        booster = lightgbm.train({**always, **parameters}, lightgbm.Dataset(X, label=y), num_boost_round=12)
    except lightgbm.basic.LightGBMError as error:
        # LightGBM's own: it estimates the rows of a leaf from rounded sums, and sometimes finds none in it.
        assume("left_count" not in str(error) and "right_count" not in str(error))
        raise
    trees = FlattenedTrees.from_text(booster.model_to_string())
    assert_same_bits(booster, np.concatenate([X, hostile_rows(rng, X, trees, 300)]))


def booster_of(X: np.ndarray, y: np.ndarray, n_trees: int = 5, **parameters: object) -> lightgbm.Booster:
    defaults = {
        "objective": "binary",
        "verbosity": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "num_leaves": 6,
    }
    return lightgbm.train({**defaults, **parameters}, lightgbm.Dataset(X, label=y), num_boost_round=n_trees)


def test_a_tree_of_one_leaf_is_its_value():
    """Caught: a root that is looked up among the nodes, of which such a model has none."""
    X = np.random.default_rng(0).normal(size=(50, 2))
    trees = assert_same_bits(booster_of(X, np.ones(50)), X)
    assert not any(tree.feature for tree in trees.trees)
    assert np.ptp(trees.predict_raw(X)) == 0


def test_columns_without_information_make_constant_trees():
    """Caught: models whose training found no split at all are refused or misread."""
    X = np.ones((60, 3))
    assert_same_bits(booster_of(X, np.arange(60) % 3 == 0), np.array([[np.nan, np.inf, -np.inf], [1.0, 2.0, 3.0]]))


@pytest.mark.parametrize("num_leaves", [2, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 300])
def test_a_tree_fits_its_words(num_leaves):
    """Caught: a leaf that is lost where one word of leaves ends, a word too small, a subtree that spans several."""
    rng = np.random.default_rng(num_leaves)
    X = rng.normal(size=(1_500, 5))
    X[rng.random(X.shape) < 0.1] = np.nan
    booster = booster_of(X, rng.random(1_500) < 0.5, num_leaves=num_leaves, min_data_in_leaf=1, n_trees=3)
    trees = assert_same_bits(booster, np.concatenate([X, rng.normal(size=(500, 5))]))
    assert max(len(tree.leaf_value) for tree in trees.trees) == num_leaves


@pytest.mark.parametrize("n_rows", [0, 1, 7, 8, 9, 16, 1_000])
def test_every_row_of_every_block_is_scored(n_rows):
    """Caught: rows lost or scored twice where one block of rows ends and the next begins."""
    rng = np.random.default_rng(1)
    X, y = training_rows(rng, 400, 4)
    booster = booster_of(X, y)
    rows = rng.normal(size=(n_rows, 4))
    scored = FlattenedTrees.from_text(booster.model_to_string()).predict_raw(rows)
    assert scored.shape == (n_rows,)
    if n_rows:
        np.testing.assert_array_equal(scored, booster.predict(rows, raw_score=True))


@pytest.mark.parametrize(
    "threshold",
    [-1e-35, -LIGHTGBM_ZERO, -1e-36, -5e-324, -0.0, 0.0, 5e-324, 1e-36, LIGHTGBM_ZERO, 1.1e-35, -1.1e-35],
)
@pytest.mark.parametrize("decision_type", [0, 2, 8, 10])
def test_thresholds_beside_zero(threshold, decision_type):
    """Caught: a split within 1e-35 of zero, where LightGBM first makes 0 of the value and then compares."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(100, 1))
    text = booster_of(X, X[:, 0] > 0, n_trees=1, num_leaves=2).model_to_string()
    lines = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    text = text.replace(f"threshold={lines['threshold']}", f"threshold={threshold!r}")
    text = text.replace(f"decision_type={lines['decision_type']}", f"decision_type={decision_type}")
    start, end = text.index("Tree=0"), text.index("end of trees")
    text = text.replace(f"tree_sizes={lines['tree_sizes']}", f"tree_sizes={end - start}")
    around = [np.nextafter(v, s) for v in EXTREMES if np.isfinite(v) for s in (-np.inf, np.inf)]
    rows = np.concatenate([EXTREMES, around])[:, None]
    assert_same_bits(lightgbm.Booster(model_str=text), rows)


def test_a_model_cut_to_its_first_trees():
    """Caught: `best_iteration` of early stopping, for which LightGBM writes only the first trees."""
    rng = np.random.default_rng(3)
    X, y = training_rows(rng, 300, 4)
    booster = booster_of(X, y, n_trees=9)
    for n_trees in (1, 4, 9):
        trees = FlattenedTrees.from_text(booster.model_to_string(num_iteration=n_trees))
        assert trees.n_trees == n_trees
        expected = booster.predict(X, raw_score=True, num_iteration=n_trees)
        np.testing.assert_array_equal(trees.predict_raw(X), expected)


def test_scores_do_not_depend_on_how_the_rows_lie_in_memory():
    """Caught: strides that the kernel ignores, and read-only arrays that pandas hands out."""
    rng = np.random.default_rng(4)
    X, y = training_rows(rng, 300, 6)
    booster = booster_of(X, y)
    trees = FlattenedTrees.from_text(booster.model_to_string())
    expected = booster.predict(X, raw_score=True)
    frozen = X.copy()
    frozen.flags.writeable = False
    padded = np.full((600, 12), 7.0)
    padded[::2, ::2] = X
    for rows in (np.asfortranarray(X), frozen, padded[::2, ::2], X[::-1][::-1], X.tolist()):
        np.testing.assert_array_equal(trees.predict_raw(rows), expected)
        assert [trees.predict_raw_row(row) for row in rows[:5]] == expected[:5].tolist()
    single = X.astype(np.float32)
    np.testing.assert_array_equal(trees.predict_raw(single), booster.predict(single, raw_score=True))


def test_saved_files_score_like_their_booster(tmp_path):
    """Caught: a difference between the file and the string, such as line ends or a last line."""
    rng = np.random.default_rng(5)
    X, y = training_rows(rng, 300, 4)
    booster = booster_of(X, y)
    booster.save_model(tmp_path / "model.txt")
    trees = FlattenedTrees.from_text((tmp_path / "model.txt").read_text())
    np.testing.assert_array_equal(trees.predict_raw(X), booster.predict(X, raw_score=True))
