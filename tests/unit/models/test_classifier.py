"""The classifier: its trees, its parameters, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from slackwater.errors import DataError, ParameterError, SchemaError
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.predictor import FlattenedTrees

N_ROWS = 800


def events(n_rows: int = N_ROWS, n_columns: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns))
    y = rng.random(n_rows) < expit(1.5 * X[:, 0] - X[:, 1])
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y.astype(np.int8)


def quick(**parameters: object) -> ReversalClassifier:
    return ReversalClassifier(
        **{"n_estimators": 20, "min_child_samples": 10, "learning_rate": 0.1, "n_jobs": 1, **parameters}
    )


def test_weights_reach_the_trees():
    """Caught: overlapping events that count in full, because the weights are checked and then forgotten."""
    X, y = events()
    reversals_count_double = np.where(y == 1, 1.0, 0.5)
    plain = quick().fit(X, y).decision_function(X)
    weighted = quick().fit(X, y, reversals_count_double).decision_function(X)
    assert (weighted - plain).mean() == pytest.approx(np.log(2.0), abs=0.15)


def test_log_odds_to_start_from_are_not_part_of_the_model():
    """Caught: an offset that is ignored, in which case the trees learn it again, or one that is returned with them."""
    X, y = events(4_000)
    offset = np.where(y == 1, 3.0, -3.0)
    told = quick().fit(X, y, init_score=offset).decision_function(X)
    assert np.abs(told).max() < 0.5 < np.abs(quick().fit(X, y).decision_function(X)).max()
    for wrong in (offset[:-1], np.where(np.arange(4_000) == 7, np.nan, offset)):
        with pytest.raises(DataError, match="`init_score` must be 4000 finite numbers"):
            quick().fit(X, y, init_score=wrong)


def test_flattened_trees_score_what_was_fitted():
    """Caught: a model text that the light scorer of the bundle cannot read, or column names that are lost."""
    X, y = events()
    frame = pd.DataFrame(X, columns=[f"feature_{i}h" for i in range(X.shape[1])])
    model = quick().fit(frame, y)
    trees = FlattenedTrees.from_text(model.booster_.model_to_string())
    assert trees.feature_names == tuple(frame.columns)
    np.testing.assert_array_equal(trees.predict_raw(frame), model.decision_function(frame))


def test_parameters_reach_lightgbm():
    """Caught: a parameter that is stored but never used."""
    X, y = events()
    model = ReversalClassifier(
        n_estimators=7,
        num_leaves=5,
        learning_rate=0.3,
        min_child_samples=33,
        colsample_bytree=0.6,
        subsample=0.8,
        subsample_freq=2,
        reg_lambda=4.0,
        n_jobs=1,
    ).fit(X, y)
    text = model.booster_.model_to_string()
    for line in (
        "[num_leaves: 5]",
        "[learning_rate: 0.3]",
        "[min_data_in_leaf: 33]",
        "[feature_fraction: 0.6]",
        "[bagging_fraction: 0.8]",
        "[bagging_freq: 2]",
        "[lambda_l2: 4]",
        "[num_threads: 1]",
        "[deterministic: 1]",
        "[force_row_wise: 1]",
        "[bin_construct_sample_cnt: 50000]",
        "[objective: binary]",
    ):
        assert line in text
    assert model.booster_.num_trees() == 7


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads():
    """Caught: a bundle whose hash changes from run to run, or from machine to machine."""
    X, y = events(2_000)
    first, again, one_thread, other = (
        quick(n_estimators=5, random_state=seed, n_jobs=n_jobs).fit(X, y)
        for seed, n_jobs in ((0, 2), (0, 2), (0, 1), (1, 2))
    )
    text = first.booster_.model_to_string()
    assert again.booster_.model_to_string() == text
    assert one_thread.booster_.model_to_string() == text.replace("[num_threads: 2]", "[num_threads: 1]")
    assert other.booster_.model_to_string() != text


def test_importances_are_shares_of_the_gain():
    """Caught: counts of splits in place of gain, and a division by zero where no tree has a split."""
    X, y = events()
    model = quick().fit(X, y)
    gain = model.booster_.feature_importance("gain")
    np.testing.assert_allclose(model.feature_importances_, gain / gain.sum())
    assert model.feature_importances_.argmax() == 0
    constant = quick().fit(np.ones((100, 3)), np.arange(100) % 2)
    assert constant.feature_importances_.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("classes", [("continuation", "reversal"), (-1, 1), (False, True)])
def test_labels_come_back_as_they_were_given(classes):
    """Caught: 0 and 1 for the user's own labels."""
    X, y = events()
    labels = np.array(classes)[y]
    model = quick().fit(X, labels)
    assert model.classes_.tolist() == list(classes)
    assert set(model.predict(X).tolist()) == set(classes)
    assert model.score(X, labels) > 0.7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_estimators", 0),
        ("n_estimators", 2.5),
        ("n_estimators", True),
        ("num_leaves", 1),
        ("learning_rate", 0.0),
        ("learning_rate", 1.01),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("min_child_samples", 0),
        ("colsample_bytree", 0.0),
        ("colsample_bytree", 1.01),
        ("subsample", 0.0),
        ("subsample", "0.5"),
        ("subsample_freq", -1),
        ("reg_lambda", -1.0),
    ],
)
def test_parameters_out_of_range(name, value):
    """Caught: a value that LightGBM would clip, or that would only be noticed in the numbers."""
    X, y = events(100)
    with pytest.raises(
        ParameterError, match=f"`{name}` must be .*was {value!r}".replace("(", r"\(").replace(")", r"\)")
    ):
        quick(**{name: value}).fit(X, y)


def test_what_cannot_be_learned_from():
    """Caught: infinity that LightGBM would bin in silence, a third class, and a single one."""
    X, y = events()
    infinite = X.copy()
    infinite[5, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        quick().fit(infinite, y)
    with pytest.raises(ValueError, match="infinity"):
        quick().fit(X, y).predict_proba(infinite)
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        quick().fit(X, np.arange(N_ROWS) % 3)
    with pytest.raises(DataError, match="had 1 class"):
        quick().fit(X, np.ones(N_ROWS))


def test_it_works_in_a_grid_search():
    """Caught: parameters that cannot be cloned or set from outside."""
    X, y = events()
    search = GridSearchCV(quick(), {"num_leaves": [2, 8]}, cv=TimeSeriesSplit(2), scoring="neg_log_loss").fit(X, y)
    assert search.best_estimator_.get_params()["min_child_samples"] == 10
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


def test_lightgbm_is_told_to_be_quiet(capfd):
    """Caught: hundreds of lines of LightGBM's own in the output of a walk-forward."""
    quick().fit(*events())
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("name", ["ret[5m]", "a b", "x:y", "{z}", 'q"', "a,b", ""])
def test_a_name_that_lightgbm_cannot_keep_is_named(name: str) -> None:
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["b", name])
    with pytest.raises(SchemaError, match="must be renamed"):
        ReversalClassifier(n_estimators=1).fit(X, X["b"] > 0)
