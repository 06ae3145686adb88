"""Trees that several workers fit together: real workers on the loopback interface, of which one is killed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.models import classifier, distributed
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.distributed import DistributedClassifier
from slackwater.models.kinds import new_model
from slackwater.models.parameters import ModelParameters
from slackwater.models.predictor import FlattenedTrees
from slackwater.models.table_rows import TableRows
from slackwater.parallel import run_tasks, use_workers
from slackwater.types import Floats
from tests.dask_cluster import Cluster
from tests.small_bundle import TRAINER, training_set

TREES = {"n_estimators": 60, "learning_rate": 0.05, "subsample": 1.0}
COLUMNS = 12


def rows(n: int, seed: int = 0) -> tuple[Floats, Floats, Floats, Floats]:
    """Features with a signal, some of them unknown; outcomes; weights; log-odds to start from."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, COLUMNS))
    y = (X[:, 0] - 0.5 * X[:, 1] * X[:, 2] + rng.logistic(size=n) > 0.0).astype(float)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, y, rng.uniform(0.5, 1.5, n), rng.normal(0.0, 0.1, n)


def fitted(model: ReversalClassifier, n: int = 4_000) -> ReversalClassifier:
    X, y, weight, base = rows(n)
    return model.fit(X, y, weight, init_score=base)


def log_loss(model: ReversalClassifier, X: Floats, y: Floats) -> Floats:
    return np.asarray(-np.log(model.predict_proba(X)[np.arange(len(y)), y.astype(int)]))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        made.add_worker()
        made.add_worker()
        made.wait_for_workers()
        yield made


@pytest.fixture(autouse=True)
def nothing_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_given_up", set())


def test_two_workers_fit_as_well_as_one_process(cluster: Cluster) -> None:
    """Catches a worker that sees other times or columns, lost weights, and log-odds that start elsewhere."""
    told: list[str] = []
    with use_workers(cluster.address, tell=told.append):
        together = fitted(DistributedClassifier(**TREES))
    alone = fitted(ReversalClassifier(**TREES))
    assert not told
    X, y, _, _ = rows(4_000, seed=1)
    worse = log_loss(together, X, y) - log_loss(alone, X, y)
    assert worse.std() > 0.0  # each of them has chosen bins from its own rows
    assert abs(worse.mean()) < worse.std() / np.sqrt(len(worse))
    assert log_loss(together, X, y).mean() < 0.66


def test_rows_that_are_streamed_are_spread_as_those_of_a_matrix(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a worker without its share, and a fallback that cannot read the rows again."""
    monkeypatch.setattr(classifier, "_BINNED_BY", 500)
    X, y, weight, base = rows(4_000)
    given = TableRows(X, [f"Column_{at}" for at in range(COLUMNS)], np.arange(4_000))
    told: list[str] = []
    with use_workers(cluster.address, tell=told.append):
        together = DistributedClassifier(**TREES).fit_rows(given, y, weight, init_score=base)
        assert not told
        distributed._given_up.add(distributed.require_cluster().address)
        left = DistributedClassifier(**TREES).fit_rows(given, y, weight, init_score=base)
    alone = ReversalClassifier(**TREES).fit_rows(given, y, weight, init_score=base)
    assert left.to_text() == alone.to_text()
    new, happened, _, _ = rows(4_000, seed=1)
    table = pd.DataFrame(new, columns=given.columns)
    assert -np.log(together.predict_proba(table)[np.arange(4_000), happened.astype(int)]).mean() < 0.66


def test_the_text_of_the_trees_is_that_of_any_other_and_names_no_machine(cluster: Cluster) -> None:
    with use_workers(cluster.address):
        model = fitted(DistributedClassifier(**TREES))
    text = model.to_text()
    assert "127.0.0.1" not in text
    assert "time_out" not in text
    X, _, _, _ = rows(100, seed=2)
    trees = FlattenedTrees.from_text(text)
    np.testing.assert_array_equal(trees.predict_raw(X), model.decision_function(X))


def test_a_worker_that_is_killed_in_mid_fit_leaves_the_fit_to_one_process(tmp_path: Path) -> None:
    """Catches a fit that waits for a lost worker for ever, as LightGBM does, and a fallback without a word."""
    told: list[str] = []
    with Cluster(tmp_path / "cluster") as cluster:
        workers = [cluster.add_worker(), cluster.add_worker()]
        cluster.wait_for_workers()
        with use_workers(cluster.address, tell=told.append):
            many = {**TREES, "n_estimators": 3_000}
            fitted(DistributedClassifier(**TREES))  # both have imported LightGBM
            threading.Timer(1.0, workers[0].kill).start()
            model = fitted(DistributedClassifier(**many))
            assert len(told) == 1
            # Whichever is noticed first: the loss, or the error of the worker that is left.
            assert re.search("was lost during a fit of all workers|failed to fit together", told[0])
            assert "this process fits alone from here on" in told[0]
            assert model.to_text() == fitted(ReversalClassifier(**many)).to_text()
            assert fitted(DistributedClassifier(**TREES)).to_text() == fitted(ReversalClassifier(**TREES)).to_text()
            assert len(told) == 1


def test_a_fit_that_takes_too_long_is_left_to_one_process(tmp_path: Path) -> None:
    told: list[str] = []
    many = {**TREES, "n_estimators": 1_000}
    parameters = ModelParameters(**many, engine="dask", fit_time_limit=timedelta(milliseconds=1))
    with Cluster(tmp_path / "cluster") as cluster:  # its own: the workers go on with what they were asked
        cluster.add_worker()
        cluster.add_worker()
        cluster.wait_for_workers()
        with use_workers(cluster.address, tell=told.append):
            model = new_model(parameters)
            assert isinstance(model, DistributedClassifier)
            made = fitted(model)
    assert made.to_text() == fitted(ReversalClassifier(**many)).to_text()
    assert len(told) == 1
    assert "longer than `model.fit_time_limit`" in told[0]


def test_folds_are_fitted_one_after_the_other_by_all_workers(cluster: Cluster) -> None:
    """Catches two fits at once, which wait for each other for ever, and folds that are sent to a worker each."""
    training, _ = training_set()
    trainer = replace(TRAINER, model=replace(TRAINER.model, engine="dask"))
    told: list[str] = []
    with use_workers(cluster.address, tell=told.append):
        together = trainer.predict_out_of_fold(training)
    alone = TRAINER.predict_out_of_fold(training)
    assert not told
    assert together["row"].equals(alone["row"])
    assert not together["raw_direction"].equals(alone["raw_direction"])
    assert together["raw_direction"].corr(alone["raw_direction"]) > 0.5


def in_a_task(n: int) -> str:
    return fitted(DistributedClassifier(**TREES), n).to_text()


def test_what_it_needs_is_named(cluster: Cluster) -> None:
    with use_workers("2"), pytest.raises(ParameterError, match=r"`model.engine` is dask: name a Dask cluster"):
        fitted(DistributedClassifier(**TREES))
    with use_workers(cluster.address), pytest.raises(ParameterError, match="would wait for each other"):
        list(run_tasks(in_a_task, {"one": 1_000}))
    with pytest.raises(ParameterError, match="`engine` must be local for kind logistic"):
        replace(ModelParameters(kind="logistic"), engine="dask")
