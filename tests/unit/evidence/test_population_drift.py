"""Population drift: what is called drift, what is not, and what is not evaluable."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import BundleError, DataError
from slackwater.evidence.population_drift import population_drift, shares_of
from slackwater.models.training_shares import TrainingShares
from slackwater.report.drift_page import drift_lines, write_drift_figure
from slackwater.storage import json_line

NAMES = [f"f{i}" for i in range(40)]
FAMILIES = ["price"] * 20 + ["funding"] * 20
START = pd.Timestamp("2023-01-01", tz="UTC")


def events(n_days: int, *, seed: int, since: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Ten events per day of forty features whose levels remember the days before."""
    rng, level = np.random.default_rng(seed), np.zeros((n_days, 40))
    for day in range(1, n_days):
        level[day] = 0.9 * level[day - 1] + 0.4 * rng.normal(size=40)
    X = np.repeat(level, 10, axis=0) + rng.normal(size=(10 * n_days, 40))
    times = pd.Series(START + pd.to_timedelta(since + np.repeat(np.arange(n_days), 10), unit="D"))
    return pd.DataFrame(X, columns=NAMES), times


@pytest.fixture(scope="module")
def shares() -> TrainingShares:
    X, times = events(500, seed=1)
    return TrainingShares.of(X, times, FAMILIES)


def test_a_market_that_goes_on_as_before_has_not_drifted(shares: TrainingShares) -> None:
    """Catches a finding that rests on single features: of forty, two lie beyond their bound by chance."""
    found = [population_drift(shares, *events(25, seed=seed, since=600)) for seed in range(100, 120)]
    assert sum(each.drifted for each in found) <= 3
    assert all(each.no_drift.days == 20 for each in found)
    assert np.mean([(each.features["ratio"] > 1).mean() for each in found]) < 0.12


def test_one_feature_in_another_unit_is_drift_and_is_named(shares: TrainingShares) -> None:
    X, times = events(25, seed=100, since=600)
    found = population_drift(shares, X.assign(f7=X["f7"] * 100.0), times)
    assert found.drifted
    assert found.features["feature"].iloc[0] == "f7"
    assert "f7 beyond" in found.sentence
    assert found.families["family"].iloc[0] == "price"


def test_many_features_that_move_a_little_are_drift(shares: TrainingShares) -> None:
    X, times = events(25, seed=100, since=600)
    found = population_drift(shares, X + 0.8, times)
    assert found.drifted
    assert found.to_dict()["n_beyond"] > found.to_dict()["n_beyond_limit"]


def test_a_table_that_is_gone_is_drift(shares: TrainingShares) -> None:
    """Catches an index over known values alone: a feed that ended would look as always."""
    X, times = events(25, seed=100, since=600)
    found = population_drift(shares, X.assign(f30=np.nan), times)
    assert found.drifted
    top = found.features.iloc[0]
    assert (top["feature"], top["missing"], top["missing_in_training"]) == ("f30", 1.0, 0.0)


def test_few_events_are_not_evaluable(shares: TrainingShares) -> None:
    """Catches a sample of a handful of events that is called unchanged."""
    X, times = events(2, seed=100, since=600)
    found = population_drift(shares, X * 100.0, times)
    assert found.drifted is None
    assert found.sentence == "Drift is not evaluable: 20 events on 2 days; it takes 30 events on 3 days."
    assert found.features["bound"].isna().all()
    assert json.loads(json_line(found.to_dict()))["drifted"] is None


def test_a_short_training_is_not_evaluable() -> None:
    found = population_drift(TrainingShares.of(*events(59, seed=1), FAMILIES), *events(30, seed=2, since=100))
    assert found.drifted is None
    assert "training had fewer than 60 days" in found.sentence


def test_families_are_the_means_of_their_features(shares: TrainingShares) -> None:
    found = population_drift(shares, *events(25, seed=100, since=600))
    by_hand = found.features.groupby("family")["psi"].mean()
    assert found.families.set_index("family")["psi"].to_dict() == pytest.approx(by_hand.to_dict())
    assert found.families["n_features"].tolist() == [20, 20]


def test_bundles_without_shares_are_refused_with_what_to_do() -> None:
    with pytest.raises(BundleError, match="export it again with `dvc repro`"):
        shares_of({"features": {"model_features": ["a"]}})


def test_shares_of_other_features_are_refused(shares: TrainingShares) -> None:
    manifest = {"features": {"model_features": NAMES}, "training_shares": shares.to_dict()}
    with pytest.raises(BundleError, match="have 40 columns, not 41"):
        shares_of(manifest)
    assert shares_of({**manifest, "features": {"model_features": NAMES[:-1]}}) == shares


def test_no_event_is_refused(shares: TrainingShares) -> None:
    X, times = events(1, seed=0)
    with pytest.raises(DataError, match="at least one event"):
        population_drift(shares, X[:0], times[:0])


def test_the_page_and_the_figure_show_what_was_measured(shares: TrainingShares, tmp_path) -> None:
    X, times = events(25, seed=100, since=600)
    found = population_drift(shares, X.assign(f7=X["f7"] * 100.0), times)
    lines = list(drift_lines(found, {"within_warm_up": 3, "of_the_training_period": None}, shown=4))
    assert lines[0] == found.sentence
    assert "left out, within warm up: 3" in lines
    assert "left out, of the training period: not known, nothing was left out" in lines
    assert "| f7 | price |" in lines[-1]
    assert len(lines[-1].splitlines()) == 2 + 4
    write_drift_figure(found, tmp_path / "drift.png", synthetic=True, dataset="toy")
    few = population_drift(shares, X[:20], times[:20])
    write_drift_figure(few, tmp_path / "few.png", synthetic=False, dataset="toy")
    for name in ("drift.png", "few.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
