"""The committed answers of the campaigns stand for the parameters of today."""

from __future__ import annotations

from campaigns.null_gate import GOAL, OUT, SEEDS, parameters_digest
from pipelines._closure import ROOT
from slackwater.config import load_params
from slackwater.storage import read_json


def test_the_null_of_the_worth_rule_is_that_of_these_parameters() -> None:
    """A change of the recipe or of the rule leaves an answer to another question: run `make campaigns` again."""
    answer = read_json(OUT)
    assert answer["parameters_sha256"] == parameters_digest(load_params(ROOT / "params.yaml"))
    assert sum(market["signal"] == 0.0 for market in answer["markets"]) == len(SEEDS)
    assert answer["worst_share"] <= GOAL
