"""A label with a model of its own, from outside the library: trained, stored, and scored through public seams alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import slackwater as sw
from slackwater.errors import BundleError
from slackwater.models.targets import TARGETS, Target
from slackwater.models.training import TrainingSet
from tests.small_bundle import TRAINER, make_bundle, market, training_set
from tests.toys import ToyModel

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
