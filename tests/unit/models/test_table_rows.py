"""Models that are fitted on rows of a table: the same as on a copy of them, without the copy."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, SchemaError
from slackwater.models import classifier, logistic
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.logistic import RankLogistic
from slackwater.models.mean import MeanModel
from slackwater.models.table_rows import TableRows, fit_model
from tests.toys import ToyModel

NAMES = [f"x{i}" for i in range(6)]
TAKEN = ["x4", "x0", "x1", "x5"]


def _table(n: int = 3_000) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(n, len(NAMES)))
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    values[rng.uniform(size=n) < 0.995, 5] = 0.0  # no split of this column has enough rows on both sides
    return pd.DataFrame(values, columns=NAMES)


def _given(rows: TableRows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    y = (np.nan_to_num(rows.taken()[:, 1]) + rng.normal(size=len(rows)) > 0.0).astype(np.int8)
    return y, rng.uniform(0.1, 2.0, len(rows)), rng.normal(0.0, 0.3, len(rows))


def _rows(n: int = 4_000) -> TableRows:
    """Return rows of which some repeat and some are missing, as those of a target of shares."""
    return TableRows.of(_table(), TAKEN, np.sort(np.random.default_rng(2).integers(0, 3_000, n)))


MODELS: dict[str, Callable[[], Any]] = {
    "lightgbm": lambda: ReversalClassifier(n_estimators=20),
    "logistic": lambda: RankLogistic(),
    "mean": lambda: MeanModel([ReversalClassifier(n_estimators=10), RankLogistic()]),
}


@pytest.mark.parametrize("binned_by", [500, 50_000])
@pytest.mark.parametrize("kind", MODELS)
def test_the_model_is_the_same_as_on_a_copy_of_the_rows(
    kind: str, binned_by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_BINNED_BY", binned_by)
    rows = _rows()
    y, weight, base = _given(rows)
    whole = MODELS[kind]().fit(rows.frame(), y, weight, init_score=base)
    streamed = MODELS[kind]().fit_rows(rows, y, weight, init_score=base)
    assert streamed.to_text() == whole.to_text()
    assert (streamed.decision_function(rows.frame()) == whole.decision_function(rows.frame())).all()


def test_what_scikit_learn_keeps_of_the_columns_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_BINNED_BY", 500)
    rows = _rows()
    y, weight, _ = _given(rows)
    model = ReversalClassifier(n_estimators=5).fit_rows(rows, y == 1, weight)
    assert model.feature_names_in_.tolist() == TAKEN
    assert (model.n_features_in_, model.classes_.tolist()) == (4, [False, True])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(_table()[NAMES[:4]])


@pytest.mark.parametrize(("kind", "error"), [("lightgbm", ValueError), ("logistic", DataError)])
@pytest.mark.parametrize("binned_by", [500, 50_000])
def test_infinity_is_refused(
    kind: str, error: type[Exception], binned_by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_BINNED_BY", binned_by)
    table = _table()
    table.loc[2_900, "x5"] = np.inf
    rows = TableRows.of(table, TAKEN, np.arange(3_000))
    y, weight, base = _given(rows)
    with pytest.raises(error, match="infinity"):
        MODELS[kind]().fit_rows(rows, y, weight, init_score=base)


def test_bad_input_is_refused_where_rows_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_BINNED_BY", 500)
    rows = _rows()
    y, weight, base = _given(rows)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ReversalClassifier().fit_rows(rows, y[1:], weight[1:])
    with pytest.raises(ValueError, match="sample_weight"):
        ReversalClassifier().fit_rows(rows, y, weight[1:])
    with pytest.raises(ValueError, match="Negative values"):
        ReversalClassifier().fit_rows(rows, y, -weight)
    with pytest.raises(DataError, match="init_score"):
        ReversalClassifier().fit_rows(rows, y, weight, init_score=base[1:])
    with pytest.raises(DataError, match="two classes"):
        ReversalClassifier().fit_rows(rows, np.ones(len(rows)), weight)
    named = TableRows.of(_table().rename(columns={"x0": "a b"}), ["a b"], np.arange(3_000))
    with pytest.raises(SchemaError, match="a b"):
        ReversalClassifier().fit_rows(named, *_given(TableRows.of(_table(), TAKEN, np.arange(3_000)))[:2])


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(SchemaError, match="lacks the columns x7, x9"):
        TableRows.of(_table(), ["x0", "x7", "x9"], np.arange(5))
    with pytest.raises(DataError, match="n_features >= 1"):
        RankLogistic().fit_rows(TableRows.of(_table(), [], np.arange(5)), np.arange(5) % 2)


def test_rows_are_binned_by_the_threads_of_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caught: LightGBM told to use all threads while another fit of the process has one, which ends the process."""
    monkeypatch.setattr(classifier, "_BINNED_BY", 500)
    given: list[dict[str, Any]] = []
    whole = lightgbm.Dataset._init_from_sample

    def seen(self: lightgbm.Dataset, *args: Any) -> lightgbm.Dataset:
        given.append(self.get_params())
        return whole(self, *args)

    monkeypatch.setattr(lightgbm.Dataset, "_init_from_sample", seen)
    rows = _rows()
    y, weight, _ = _given(rows)
    ReversalClassifier(n_estimators=2, n_jobs=1, min_child_samples=77).fit_rows(rows, y, weight)
    (parameters,) = given
    assert (parameters["num_threads"], parameters["min_data_in_leaf"]) == (1, 77)
    assert parameters["bin_construct_sample_cnt"] == 500


def test_many_fits_at_once_end_well() -> None:
    """Caught: a segmentation fault of two folds in two threads; here in a process of its own."""
    script = Path(__file__).with_name("fits_in_threads.py")
    subprocess.run([sys.executable, str(script)], check=True, timeout=120, cwd=Path(__file__).parents[3])


def test_a_fit_that_a_class_has_changed_is_not_passed_over() -> None:
    class Own(RankLogistic):
        def fit(self, X: Any, y: Any, sample_weight: Any = None, *, init_score: Any = None) -> RankLogistic:
            seen.append(X.shape)
            return super().fit(X, y, sample_weight, init_score=init_score)

    seen: list[tuple[int, int]] = []
    rows = _rows(200)
    y, weight, _ = _given(rows)
    fit_model(Own(), rows, y, weight, init_score=None)
    assert seen == [(200, 4)]


def test_a_model_that_takes_no_rows_gets_a_table() -> None:
    seen: list[Any] = []

    class Seeing(ToyModel):
        def fit(self, X: Any, y: Any, sample_weight: Any, *, init_score: Any = None) -> ToyModel:
            seen.append(X)
            return super().fit(X, y, sample_weight, init_score=init_score)

    rows = _rows(200)
    y, weight, _ = _given(rows)
    fit_model(Seeing(), rows, y, weight, init_score=None)
    pd.testing.assert_frame_equal(seen[0], _table().iloc[rows.rows][TAKEN], check_index_type=False)


@pytest.mark.parametrize(("kind", "most"), [("lightgbm", 0.4), ("logistic", 1.5)])
def test_rows_are_not_held_again(kind: str, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python's own memory: the bins of LightGBM, a byte per value, are outside of it.
    monkeypatch.setattr(classifier, "_BINNED_BY", 1_000)
    monkeypatch.setattr(logistic, "_BLOCK", 4_096)
    rng = np.random.default_rng(0)
    columns = [f"x{i}" for i in range(60)]
    table = pd.DataFrame(rng.normal(size=(100_000, 60)), columns=columns)
    rows = TableRows.of(table, columns, np.arange(100_000))
    y, weight, base = _given(rows)
    model = MODELS[kind]()
    model.fit_rows(rows, y, weight, init_score=base)  # what is imported and compiled once is not counted
    tracemalloc.start()
    try:
        MODELS[kind]().fit_rows(rows, y, weight, init_score=base)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * table.to_numpy().nbytes
