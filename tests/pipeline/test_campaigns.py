"""The committed results of the campaigns hold for the present parameters, and the documents show these results."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaigns import daily_liquidations, population_drift, promotions, real_study, simulated_market, stylised_facts
from campaigns.default_run import over_markets, parameters_digest
from pipelines._closure import ROOT
from slackwater.config import Params, load_params
from slackwater.errors import DataError
from slackwater.storage import read_json, write_report
from tests.small_run import inside, make_small_run


def test_the_pipeline_finds_in_the_simulated_market_what_was_put_there() -> None:
    """A change of the market, of the features or of the trainer makes the result obsolete."""
    answer = read_json(simulated_market.OUT)
    assert answer["parameters_sha256"] == parameters_digest(load_params(ROOT / "params.yaml"))
    assert len(answer["markets"]) == len(list(simulated_market.markets()))
    assert simulated_market.shortfalls(answer) == []
    assert simulated_market.page(answer) in (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_the_verdict_finds_no_edge_where_there_is_none() -> None:
    answer = read_json(promotions.OUT)
    assert answer["parameters_sha256"] == parameters_digest(load_params(ROOT / "params.yaml"))
    assert [promotions.settings(row) for row in answer["markets"]] == list(promotions.markets())
    assert all(row["counted"] == row["trials"] >= 20 for row in answer["markets"])
    assert not [line for line in promotions.shortfalls(answer) if "without" in line]
    assert promotions.page(answer) in (ROOT / "docs" / "method.md").read_text(encoding="utf-8")


def test_the_verdict_finds_an_edge_where_there_is_one() -> None:
    assert promotions.shortfalls(read_json(promotions.OUT)) == []


def test_the_luckiest_of_many_trials_on_a_random_market_is_not_eligible(tmp_path: Path) -> None:
    """The campaign itself on real tables of a market without any edge, so small that it takes seconds."""
    root = make_small_run(tmp_path, *promotions.STAGES)
    with inside(root):
        found = promotions.luckiest(root)
    assert found["counted"] == found["trials"] == 21
    assert found["verdict"] != "eligible"
    assert {"deflated_sharpe", "overfitting_probability"} <= {*found["failed"], *found["unknown"]}
    assert found["n_trades"] > 0


@pytest.mark.parametrize("signal", [0.0, 1.0])
def test_a_promotion_that_is_false_or_lacks_is_named(signal: float) -> None:
    """Catches a criterion that holds whatever was measured."""
    answer = read_json(promotions.OUT)
    rows = promotions.of_group(answer, *promotions.GROUPS[2 if signal else 0])
    for row in rows[: len(promotions.EDGES) - promotions.FEWEST_TRUE + 1]:
        row["verdict"] = "paper_only" if signal else "eligible"
    said = "markets of three years with signal 1" if signal else "markets without a signal"
    assert any(said in line for line in promotions.shortfalls(answer))


def test_the_stylised_facts_hold_at_three_signals() -> None:
    answer = read_json(stylised_facts.OUT)
    assert answer["parameters_sha256"] == stylised_facts.market_digest(load_params(ROOT / "params.yaml"))
    assert [market["signal"] for market in answer["markets"]] == list(stylised_facts.SIGNALS)
    assert all(market["holds"] for market in answer["markets"])


@pytest.mark.parametrize("campaign", [daily_liquidations, real_study])
def test_the_page_of_evidence_shows_what_was_measured(campaign: Any) -> None:
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert campaign.page(read_json(campaign.OUT)) in page


def test_reports_of_another_run_are_not_taken_for_those_of_the_last(tmp_path: Path) -> None:
    """Catches a table whose rows are of two data sets, and a simulated market among real ones."""
    root = make_small_run(tmp_path, "configure")
    (root / "reports").mkdir(exist_ok=True)
    for name in real_study.REPORTS:
        write_report({"dataset": "small", "synthetic": True}, root / "reports" / f"{name}.json")
    with pytest.raises(DataError, match="small is SYNTHETIC"):
        real_study.measured(root)
    write_report({"dataset": "other", "synthetic": False}, root / "reports" / "metrics.json")
    with pytest.raises(DataError, match="the reports are of other, the last run of small"):
        real_study.measured(root)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda a: a["markets"][0]["pooled"].update(auc=0.5 + 4 * a["markets"][0]["pooled"]["standard_error"]),
            "standard errors off",
        ),
        (lambda a: [each["pooled"].update(auc=0.48) for each in a["markets"] if each["signal"] == 0.0], "the mean AUC"),
        (lambda a: a["markets"][10]["direction_flag"].update(over_it_low=0.01), "beats the flag"),
        (lambda a: [each["pooled"].update(auc=0.4) for each in a["markets"] if each["signal"] == 0.7], "AUC by signal"),
        (lambda a: a["markets"][0]["trade_rule"].update(share=0.06), "pass the rule of expected value"),
        (lambda a: a["direction"].update(beyond=a["direction"]["beyond_by_chance"] + 1), "too far from .5"),
        (lambda a: [each.update(whale_share_of_gain=0.0) for each in a["markets"][-2:]], "whales by whale signal"),
    ],
)
def test_a_result_that_misses_a_criterion_is_named(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    """Catches a criterion that holds whatever was measured."""
    answer = read_json(simulated_market.OUT)
    spoil(answer)
    assert any(said in line for line in simulated_market.shortfalls(answer))


def measured_or_stopped(_: Params, market: dict[str, Any]) -> dict[str, Any]:
    """Stop at the market whose file says so; count what is measured."""
    if (root := Path(market["root"])).joinpath(f"stop {market['seed']}").exists():
        raise OSError("stopped")
    root.joinpath(f"{market['seed']} at {time.monotonic_ns()}").touch()
    return {"twice": 2 * market["seed"]}


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Catches hours of work that a stop loses, and results of other code that are kept."""
    markets = [{"seed": seed, "root": str(tmp_path)} for seed in range(4)]
    (tmp_path / "stop 2").touch()

    def found() -> list[int]:
        rows = over_markets(measured_or_stopped, markets, code=Path(__file__), out=tmp_path / "out.json", describe=str)
        return [row["twice"] for row in rows]

    with pytest.raises(OSError, match="stopped"):
        found()
    (tmp_path / "stop 2").unlink()
    assert found() == [0, 2, 4, 6]
    assert len(list(tmp_path.glob("0 at *"))) == len(list(tmp_path.glob("1 at *"))) == 1
    assert not (tmp_path / "out.partial.json").exists()


def test_the_document_shows_how_often_population_drift_is_found_where_there_is_none() -> None:
    """Catches a rule that finds drift in a market without any, and a document of another measurement."""
    answer = read_json(population_drift.OUT)
    assert answer["synthetic"] is True
    assert population_drift.page(answer) in (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
    assert all(row["own bound"] < 0.05 and row["drifted"] < 0.1 for row in answer["samples"])
