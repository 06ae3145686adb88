"""What a family adds to price is found where something was put, and is an interval around zero where nothing was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.family_gains import family_gains
from slackwater.evidence.resampling import Resampling
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.training import Trainer, TrainingSet
from slackwater.times import DAY

FAMILIES = {"past": "price", "informed": "funding", "noise": "sweeps"}
TRAINER = Trainer(
    validation=WalkForward(min_train=60 * DAY, test=20 * DAY, embargo=DAY),
    model=replace(ModelParameters(), n_estimators=40, learning_rate=0.1),
)
RESAMPLING = Resampling(draws=200, mean_block=5 * DAY, seed=0)


@pytest.fixture(scope="module")
def training() -> TrainingSet:
    """Three thousand events over 250 days whose direction a feature of the family `funding` says in part."""
    rng, n = np.random.default_rng(0), 3_000
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="2h", tz="UTC"))
    features = pd.DataFrame(rng.normal(size=(n, 3)), columns=list(FAMILIES))
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-features["informed"]))).astype(np.float64)
    labels = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "label_known_time": times + timedelta(hours=4)})
    labels = labels.assign(y_direction=y, weight=1.0, trains=True, trades=np.arange(n) % 2 == 0, direction=1)
    return TrainingSet(features=features.assign(direction=1.0), labels=labels, families=FAMILIES)


def test_only_the_family_that_holds_something_adds_to_price(training: TrainingSet) -> None:
    told: list[str] = []
    found = family_gains(training, TRAINER, resampling=RESAMPLING, progress=told.append)
    assert set(found) == {"traded", "every"}
    for rows in found.values():
        assert abs(rows["auc"] - 0.5) < 0.06
        assert set(rows["gains"]) == {"funding", "sweeps", "all"}
        funding, noise = rows["gains"]["funding"], rows["gains"]["sweeps"]
        assert funding["low"] > 0.1
        assert noise["low"] < 0.0 < noise["high"] or abs(noise["difference"]) < 0.02
        assert rows["features"] == {"price": 1, "funding": 1, "sweeps": 1, "all": 2}
    assert found["traded"]["n"] * 2 == found["every"]["n"]
    assert told[0] == "funding: 1 features beside 1 of price"


def test_price_alone_is_compared_with_nothing(training: TrainingSet) -> None:
    found = family_gains(training, TRAINER.reading(("price",)), resampling=RESAMPLING)
    assert found["every"]["gains"] == {}
