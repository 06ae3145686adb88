"""Models without a family are fitted once: a stage that was stopped goes on after the last of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines._controls import KEPT, family_variants
from slackwater.evidence.left_out import Variant
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.training import Trainer, TrainingSet

FAMILIES = {"informed": "funding", "noise": "sweeps", "past": "price"}
TRAINER = Trainer(
    validation=WalkForward(min_train=timedelta(days=60), test=timedelta(days=20), embargo=timedelta(days=1)),
    model=ModelParameters(n_estimators=5),
)


def training() -> TrainingSet:
    rng, n = np.random.default_rng(0), 1_200
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="2h", tz="UTC", unit="us"))
    features = pd.DataFrame(rng.normal(size=(n, 3)), columns=list(FAMILIES)).assign(direction=1.0)
    y = rng.integers(0, 2, n).astype(float)
    labels = pd.DataFrame({"symbol": "A", "event_time": times, "label_known_time": times + timedelta(hours=4)})
    labels = labels.assign(y_direction=y, payoff=y, fair_log_odds=0.0, weight=1.0, trains=True, direction=1)
    return TrainingSet(features=features, labels=labels)


def variants(told: list[str], trainer: Trainer = TRAINER, n: int | None = None) -> list[Variant]:
    given = training()
    events = given.labels[["symbol", "event_time"]].iloc[-300:].reset_index(drop=True)
    made = family_variants(
        given, trainer, FAMILIES, events, lambda predictions: np.ones(len(events), bool), told.append
    )
    return list(islice(made, n))


def test_what_was_fitted_before_a_stop_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    whole = variants(told)
    assert [variant.name for variant in whole] == ["funding", "sweeps", "price"]
    assert [line.partition(",")[0] for line in told] == [
        "without funding: 1 of 3",
        "without sweeps: 2 of 3",
        "without price: 3 of 3",
    ]
    for path in KEPT.glob("*"):
        path.unlink()
    variants([], n=1)  # stopped after the first
    told = []
    again = variants(told)
    assert told[0] == "without funding: fitted before"
    assert [line.partition(",")[0] for line in told[1:]] == ["without sweeps: 1 of 2", "without price: 2 of 2"]
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one.p, other.p)
        assert len(one.p) == 300
        assert np.isfinite(one.p).all()


def test_what_was_fitted_with_other_settings_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caught: a digest without the settings, and files of earlier runs that stay for ever."""
    monkeypatch.chdir(tmp_path)
    variants([])
    before = set(KEPT.glob("*"))
    told: list[str] = []
    variants(told, trainer=replace(TRAINER, model=replace(TRAINER.model, num_leaves=4)))
    assert not any("before" in line for line in told)
    after = set(KEPT.glob("*"))
    assert len(after) == 3
    assert before.isdisjoint(after)
