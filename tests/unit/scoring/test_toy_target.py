"""A label with a model of its own, from outside the library: trained, stored, and scored through public seams alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import slackwater as sw
from slackwater.errors import BundleError
from slackwater.models.calibration import IdentityCalibrator
from slackwater.models.targets import TARGETS, Target
from slackwater.models.training import TrainingSet
from tests.small_bundle import TRAINER, make_bundle, market, training_set


class ToyModel:
    """Log-odds of the share of ones: the smallest model there is."""

    text_format: ClassVar[str] = "toy"

    def __init__(self, constant: float = 0.0) -> None:
        self.constant = constant
        self.calibrator_ = IdentityCalibrator()

    def fit(self, X: Any, y: Any, sample_weight: Any, **_: Any) -> ToyModel:
        share = float(np.average(y, weights=sample_weight))
        self.constant = float(np.log(share / (1.0 - share)))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        return np.full(len(X), self.constant)

    predict_raw = decision_function

    def to_text(self) -> str:
        return json.dumps(self.constant)

    @classmethod
    def from_text(cls, text: str) -> ToyModel:
        return cls(json.loads(text))


TOY = Target(name="toy", column="y_toy", model=ToyModel)


def test_a_target_from_outside_is_trained_stored_and_scored(tmp_path: Path) -> None:
    """Catches a step that names its targets instead of looping over those of the trainer or of the bundle."""
    training, _ = training_set()
    y_toy = (training.labels["log_return"].abs() > training.labels["log_return"].abs().median()).astype(np.int8)
    training = TrainingSet(features=training.features, labels=training.labels.assign(y_toy=y_toy))
    trainer = replace(TRAINER, targets=(*TARGETS, TOY))
    out = replace(trainer, targets=(TOY,)).predict_out_of_fold(training)
    assert out["p_toy"].between(0.0, 1.0, inclusive="neither").all()

    bundle = make_bundle(tmp_path / "scorer", trainer, training)
    with pytest.raises(BundleError, match=r"toy.txt has the format 'toy'.*readers"):
        sw.ReversalScorer.load(bundle)
    scorer = sw.ReversalScorer.load(bundle, readers={"toy": ToyModel.from_text})
    scores = scorer.score(market())
    events = scores["direction"] != 0
    assert scores.loc[events, "p_toy"].to_numpy() == pytest.approx(y_toy.mean(), abs=0.1)
    assert scores.loc[~events, "p_toy"].isna().all()
    assert scores.loc[events, "p_direction"].notna().all()
    with pytest.raises(sw.ParameterError, match=r"must be one of \['direction', 'hit', 'trade'\], was 'toy'"):
        scorer.explain(scores[events].iloc[0], model="toy")
