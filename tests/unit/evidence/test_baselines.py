"""Controls that are fitted: those with less to read know less, and permuted labels hold nothing."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from slackwater.evidence.baselines import GATED, control_predictions, gated_controls
from slackwater.metrics.classification import auc
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.training import Trainer, TrainingSet

FAMILIES = {"calm": "volatility", "past": "price", "informed": "funding"}
TRAINER = Trainer(
    validation=WalkForward(min_train=timedelta(days=60), test=timedelta(days=20), embargo=timedelta(days=1)),
    model=ModelParameters(n_estimators=30, learning_rate=0.1),
)


def training() -> TrainingSet:
    rng, n = np.random.default_rng(0), 2_400
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="2h", tz="UTC", unit="us"))
    features = pd.DataFrame(rng.normal(size=(n, 3)), columns=list(FAMILIES)).assign(direction=1.0)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-1.5 * features["informed"]))).astype(np.int8)
    payoff = np.where(np.arange(n) % 9 == 0, np.nan, y)
    fair = np.where(np.isnan(payoff), np.nan, 0.1)
    labels = pd.DataFrame({"symbol": "A", "event_time": times, "label_known_time": times + timedelta(hours=4)})
    labels = labels.assign(y_direction=y, y_hit=y, payoff=payoff, fair_log_odds=fair, weight=1.0, direction=1)
    return TrainingSet(features=features, labels=labels, families=FAMILIES)


def test_what_reads_nothing_knows_nothing() -> None:
    given = training()
    found = gated_controls(given, TRAINER, seed=3)
    assert tuple(found) == GATED
    y = given.labels["y_direction"].to_numpy()
    scores = {name: auc(y[each["row"]], each["p_direction"]) for name, each in found.items()}
    assert scores["logistic"] > 0.75
    for name in ("price_only", "volatility_only", "permuted_labels"):
        assert abs(scores[name] - 0.5) < 0.06, name
    for each in found.values():
        assert each["trade_edge_low"].notna().any()


def test_what_was_fitted_is_not_fitted_again() -> None:
    """Both ways must give one answer: the metrics may not depend on how much else was measured."""
    given = training()
    alone = control_predictions(given, TRAINER, seed=3)
    gated = gated_controls(given, TRAINER, seed=3)
    told: list[str] = []
    reused = control_predictions(given, TRAINER, seed=3, gated=gated, progress=told.append)
    pd.testing.assert_frame_equal(alone, reused)
    assert len(told) == alone["fold"].nunique()  # one fit a fold: volatility alone, of the hits
    y = given.labels["y_direction"].to_numpy()
    assert not (alone["y_permuted"].to_numpy() == y[alone["row"]]).all()
