"""Shares by family and partial dependence of a model of which it is known what it reads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.attribution import family_shares, partial_dependence
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.readers import READERS
from slackwater.models.targets import ExplainedModel

FAMILIES = {"funding_acceleration_z": "funding", "whale_accumulation_24h": "whale_flows", "noise": "price"}


@pytest.fixture(scope="module")
def fitted() -> tuple[ExplainedModel, pd.DataFrame]:
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(3_000, 3)), columns=list(FAMILIES)).assign(direction=1.0)
    log_odds = 2.0 * features["funding_acceleration_z"] - 0.7 * features["whale_accumulation_24h"]
    y = (rng.random(3_000) < 1.0 / (1.0 + np.exp(-log_odds))).astype(int)
    model = ReversalClassifier(n_estimators=60, learning_rate=0.1).fit(features, y)
    read = READERS[ReversalClassifier.text_format](model.to_text())
    assert isinstance(read, ExplainedModel)
    return read, features


def test_shares_follow_what_was_planted(fitted: tuple[ExplainedModel, pd.DataFrame]) -> None:
    rows = family_shares(*fitted, FAMILIES)
    assert [row["family"] for row in rows[:2]] == ["funding", "whale_flows"]
    for share in ("gain_share", "shap_share"):
        assert sum(row[share] for row in rows) == pytest.approx(1.0)
    assert rows[0]["shap_share"] > 0.6
    assert {row["family"]: row["n_features"] for row in rows} == {**dict.fromkeys(FAMILIES.values(), 1), "direction": 1}


def test_dependence_rises_and_falls_as_planted(fitted: tuple[ExplainedModel, pd.DataFrame]) -> None:
    found = partial_dependence(*fitted)
    assert set(found) == {"funding_acceleration_z", "whale_accumulation_24h"}
    up, down = found["funding_acceleration_z"], found["whale_accumulation_24h"]
    assert (up["family"], down["family"]) == ("funding acceleration", "whale flows")
    assert up["log_odds"][-1] - up["log_odds"][0] > 2.0
    assert down["log_odds"][0] - down["log_odds"][-1] > 0.5
    assert np.mean(up["log_odds"]) == pytest.approx(0.0, abs=1e-12)
    assert up["value"] == sorted(up["value"])
