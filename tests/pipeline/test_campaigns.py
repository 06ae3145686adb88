"""The committed answers of the campaigns stand for the parameters of today, and the documents show these answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from campaigns import null_gate, simulated_market, stylised_facts
from campaigns.default_recipe import parameters_digest
from campaigns.null_gate import GOAL, SEEDS
from pipelines._closure import ROOT
from slackwater.config import load_params
from slackwater.storage import read_json


def test_the_null_of_the_worth_rule_is_that_of_these_parameters() -> None:
    """A change of the recipe or of the rule leaves an answer to another question: run `make campaigns` again."""
    answer = read_json(null_gate.OUT)
    assert answer["parameters_sha256"] == parameters_digest(load_params(ROOT / "params.yaml"))
    assert sum(market["signal"] == 0.0 for market in answer["markets"]) == len(SEEDS)
    assert answer["worst_share"] <= GOAL


def test_the_pipeline_finds_in_the_simulated_market_what_was_put_there() -> None:
    """A change of the market, of the features or of the recipe leaves an answer to another question."""
    answer = read_json(simulated_market.OUT)
    assert answer["parameters_sha256"] == parameters_digest(load_params(ROOT / "params.yaml"))
    assert len(answer["markets"]) == len(list(simulated_market.markets()))
    assert simulated_market.shortfalls(answer) == []
    assert simulated_market.page(answer) in (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_the_stylised_facts_hold_at_three_signals() -> None:
    answer = read_json(stylised_facts.OUT)
    assert answer["parameters_sha256"] == parameters_digest(load_params(ROOT / "params.yaml"))
    assert [market["signal"] for market in answer["markets"]] == list(stylised_facts.SIGNALS)
    assert all(market["holds"] for market in answer["markets"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: m[0]["pooled"].update(auc=0.5 + 4 * m[0]["pooled"]["standard_error"]), "standard errors off"),
        (lambda m: [each["pooled"].update(auc=0.48) for each in m if each["signal"] == 0.0], "the mean AUC"),
        (lambda m: m[10]["direction_flag"].update(over_it_low=0.01), "beats the flag"),
        (lambda m: [each["pooled"].update(auc=0.4) for each in m if each["signal"] == 0.7], "AUC by signal"),
        (lambda m: [each.update(whale_share_of_gain=0.0) for each in m[-2:]], "whales by whale signal"),
    ],
)
def test_an_answer_that_falls_short_is_named(spoil: Callable[[list[Any]], object], said: str) -> None:
    """Fails where a criterion of the campaign holds whatever was measured."""
    answer = read_json(simulated_market.OUT)
    spoil(answer["markets"])
    assert any(said in line for line in simulated_market.shortfalls(answer))
