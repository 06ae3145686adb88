"""The logistic regression and the mean of models: against scikit-learn, from text to the last bit, and hostile text."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from slackwater.errors import BundleError, DataError, ParameterError, SchemaError
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.kinds import new_model
from slackwater.models.logistic import RankLogistic
from slackwater.models.mean import MeanModel, ReadMean
from slackwater.models.parameters import ModelParameters


def events(n_rows: int = 900, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(np.exp(2.0 * rng.normal(size=(n_rows, 4))), columns=["a", "b", "c", "direction"])
    X["direction"] = np.sign(rng.normal(size=n_rows))
    y = (np.log(X["a"]) - 0.5 * np.log(X["b"]) + 2.0 * rng.normal(size=n_rows) > 0.3).to_numpy(np.int8)
    X = X.mask(rng.random(X.shape) < 0.05)
    X["never"] = np.nan
    return X, y, rng.uniform(0.2, 1.0, n_rows)


def test_the_fit_is_that_of_scikit_learn_on_the_same_scores():
    """Caught: a penalty on the intercept, weights that are lost, a fit that stops early."""
    X, y, weight = events()
    model = RankLogistic(c=0.02).fit(X, y, weight)
    scores = RankLogistic(c=0.02).fit(X, y, weight)
    ones = np.ones(len(scores.feature_names))
    scores._coefficients, scores._intercept = ones, 0.0
    oracle = LogisticRegression(C=0.02, tol=1e-10, max_iter=1_000)
    oracle.fit(scores.contributions(X)[:, :-1], y, sample_weight=weight)
    expected = oracle.decision_function(scores.contributions(X)[:, :-1])
    np.testing.assert_allclose(model.decision_function(X), expected, atol=1e-6)


def test_neither_units_nor_tails_matter():
    """Caught: a column that is scaled by its mean, which a single wick moves."""
    X, y, _ = events()
    other = X.assign(a=1e6 * X["a"] ** 3)
    np.testing.assert_allclose(
        RankLogistic().fit(other, y).decision_function(other), RankLogistic().fit(X, y).decision_function(X), atol=0.05
    )
    far = X.assign(a=1e300)
    model = RankLogistic().fit(X, y)
    np.testing.assert_array_equal(
        model.decision_function(far), model.decision_function(X.assign(a=float(X["a"].max())))
    )


def test_log_odds_to_start_from_are_not_learned_again():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8_000, 2))
    offset = 1.5 * X[:, 0]
    y = rng.random(8_000) < expit(offset - X[:, 1])
    told, untold = (RankLogistic(c=1.0).fit(X, y, init_score=start).contributions(X) for start in (offset, None))
    assert np.abs(told[:, 0]).max() < 0.3 < 1.0 < np.abs(untold[:, 0]).max()
    assert np.corrcoef(told[:, 1], -X[:, 1])[0, 1] > 0.95


@pytest.mark.parametrize("kind", ["logistic", "mean"])
def test_a_text_scores_what_was_fitted_row_by_row(kind):
    """Caught: numbers rounded on the way, live rows that differ in the last bit, infinite values that fail."""
    X, y, weight = events()
    model = new_model(ModelParameters(kind=kind, n_estimators=20, min_child_samples=10)).fit(
        X, y, weight, init_score=None
    )
    read = {"logistic": RankLogistic, "mean": ReadMean}[kind].from_text(model.to_text())
    rows = X.to_numpy().copy()
    rows[0], rows[1, 0], rows[2, 1] = np.nan, np.inf, -np.inf
    raw = read.predict_raw(rows)
    np.testing.assert_array_equal(read.predict_raw(X), model.decision_function(X))
    assert [float(read.predict_raw(row[None])[0]) for row in rows[:50]] == raw[:50].tolist()
    assert np.isfinite(raw).all()
    assert read.feature_names == tuple(X.columns)
    np.testing.assert_allclose(read.contributions(rows[3:]).sum(axis=1), raw[3:], atol=1e-9)
    with pytest.raises(SchemaError, match="order"):
        read.predict_raw(X[X.columns[::-1]])


def test_the_mean_is_that_of_its_members():
    X, y, weight = events()
    trees = ReversalClassifier(n_estimators=20, min_child_samples=10)
    lines = RankLogistic()
    mean = MeanModel([trees, lines]).fit(X, y, weight)
    np.testing.assert_array_equal(
        mean.decision_function(X), (trees.decision_function(X) + lines.decision_function(X)) / 2
    )
    with pytest.raises(ParameterError, match="2 to 16 models, were 1"):
        MeanModel([trees])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.ones(900)}, "both 0 and 1"),
        ({"y": np.arange(900) % 3}, "nothing else"),
        ({"y": np.arange(899) % 2}, "`y` must be 900"),
        ({"sample_weight": np.full(900, -1.0)}, ">= 0"),
        ({"sample_weight": np.full(900, np.nan)}, "`sample_weight` must be 900 finite"),
        ({"init_score": np.full(900, np.inf)}, "`init_score` must be 900 finite"),
        ({"X": np.full((900, 2), np.inf)}, "row 0, column 0"),
        ({"X": np.zeros(900)}, "shape"),
        ({"X": np.resize([-1e308, 1e308, 0.0], (900, 2))}, "too far for its differences"),
        ({"init_score": np.where(np.arange(900) % 2, 1e6, -1e6)}, "no row tells the coefficients"),
    ],
)
def test_rows_that_cannot_be_used(change, message):
    X, y, weight = events()
    given = {"X": X, "y": y, "sample_weight": weight, "init_score": None} | change
    with pytest.raises(DataError, match=message):
        RankLogistic().fit(given["X"], given["y"], given["sample_weight"], init_score=given["init_score"])


def test_a_model_that_was_not_fitted_says_so():
    """Caught: a bare AttributeError."""
    model, X = RankLogistic(), np.zeros((1, 1))
    for use in (lambda: model.decision_function(X), lambda: model.contributions(X), model.importance, model.to_text):
        with pytest.raises(DataError, match="call `fit` first"):
            use()


@pytest.mark.parametrize("missing", [0, 450])
def test_a_missing_value_counts_as_the_median(missing):
    """Caught: a missing value that adds another score than that of the middle row, from text too."""
    X, y, _ = events()
    model = RankLogistic.from_text(RankLogistic(c=1.0).fit(X, y).to_text())
    row = X.iloc[[missing]].assign(a=np.nan)
    assert model.contributions(row)[0, 0] == 0.0
    median = model.decision_function(row.assign(a=float(X["a"].median())))
    np.testing.assert_allclose(model.decision_function(row), median, atol=0.01)


@pytest.mark.parametrize("c", [0.0, -1.0, np.inf, np.nan, "1", True])
def test_an_impossible_penalty_is_refused(c):
    with pytest.raises(ParameterError, match="`c` must be finite and > 0"):
        RankLogistic(c=c)


def text_of(**changes: object) -> str:
    column = {"name": "a", "coefficient": 0.5, "knots": [0.0, 1.0], "scores": [-0.6, 0.6]}
    top = {"c": 0.003, "intercept": 0.1}
    top |= {key: value for key, value in changes.items() if key in top}
    return json.dumps(top | {"columns": [column | {k: v for k, v in changes.items() if k not in top}]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "[" * 100_000,
        '{"c": 1.0, "c": 2.0, "intercept": 0.0, "columns": []}',
        '{"c": 1.0, "intercept": 0.0, "columns": []}',
        '{"c": 1.0, "intercept": 0.0, "columns": {}}',
        '{"c": 1.0, "intercept": 0.0, "columns": [7]}',
        '{"c": 1.0, "intercept": 0.0}',
        text_of(intercept="0"),
        text_of(intercept=True),
        text_of(intercept=10**400),
        text_of().replace("0.1", "1e999"),
        text_of().replace("0.1", "NaN"),
        text_of(c=0.0),
        text_of(name=""),
        text_of(name=7),
        text_of(coefficient=None),
        text_of(knots=[1.0, 0.0]),
        text_of(knots=[1.0, 1.0]),
        text_of(knots=[0.0]),
        text_of(knots=[-1.7e308, 1.7e308]),
        text_of(knots=["0", "1"]),
        text_of(knots="01"),
        text_of(scores=[0.6, -0.6]),
        text_of(scores=[-0.6, 1e6]),
        text_of(knots=list(range(500)), scores=list(np.linspace(-2, 2, 500))),
        text_of(hidden=1),
        '{"c": 1, "intercept": 0, "columns": ['
        + ", ".join(['{"name": "a", "coefficient": 0, "knots": [], "scores": []}'] * 2)
        + "]}",
    ],
)
def test_hostile_text_is_refused(text):
    """Caught: an exception of another kind, and numbers that a compiled loop would walk out of its arrays with."""
    assert RankLogistic.from_text(text_of()).predict_raw([[0.5]]).tolist() == [0.1]
    with pytest.raises(BundleError, match="logistic model"):
        RankLogistic.from_text(text)


def test_every_cut_of_a_text_is_refused():
    X, y, weight = events(200)
    model = MeanModel([ReversalClassifier(n_estimators=3, min_child_samples=10), RankLogistic()]).fit(X, y, weight)
    text = model.to_text().rstrip()
    for length in np.random.default_rng(0).integers(0, len(text) - 1, 60):
        with pytest.raises(BundleError, match="mean of models"):
            ReadMean.from_text(text[:length])


LINES = RankLogistic().fit(*events(100)[:2]).to_text()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"members": []},
        {"members": [{"format": "logistic", "text": LINES}]},
        {"members": [{"format": "logistic", "text": LINES}] * 17},
        {"members": [{"format": "logistic", "text": LINES}, {"format": "logistic", "text": text_of()}]},
        {"members": [{"format": "logistic", "text": LINES}, {"format": "lightgbm", "text": LINES}]},
        {"members": [{"format": "logistic", "text": LINES}, {"format": "mean", "text": LINES}]},
        {"members": [{"format": "logistic", "text": LINES}, {"format": ["logistic"], "text": LINES}]},
        {"members": [{"format": "logistic", "text": LINES}, {"format": "logistic", "text": None}]},
        {"members": [{"format": "logistic", "text": LINES}, {"format": "logistic", "text": LINES, "more": 1}]},
        {"members": [{"format": "logistic", "text": LINES}] * 2, "weights": [1, 2]},
    ],
)
def test_a_hostile_mean_is_refused(content):
    with pytest.raises(BundleError, match="mean of models"):
        ReadMean.from_text(json.dumps(content))
