"""Models without families or symbols are fitted once: a stage that was stopped goes on after the last of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines._controls import absent_families, rule_rows
from pipelines._refits import KEPT, TOGETHER, Refits, families_together, family_variants, unseen_groups
from slackwater.evidence._intervals import DIFFERENCE_AUC
from slackwater.evidence.left_out import COLUMNS, Variant, findings, without_families
from slackwater.evidence.unseen_symbols import UnseenGroup
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
    return TrainingSet(features=features, labels=labels, families=FAMILIES)


def refits(told: list[str], trainer: Trainer = TRAINER, given: TrainingSet | None = None) -> Refits:
    given = given or training()
    events = given.labels[["symbol", "event_time"]].iloc[-300:].reset_index(drop=True)
    return Refits(training=given, trainer=trainer, events=events, say=told.append)


def groups(again: Refits) -> list[UnseenGroup]:
    return unseen_groups(again.training.labels["symbol"], again)


def accept(predictions: pd.DataFrame) -> np.ndarray:
    return np.ones(300, bool)


def variants(told: list[str], trainer: Trainer = TRAINER, n: int | None = None) -> list[Variant]:
    return list(islice(family_variants(refits(told, trainer), accept), n))


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


def test_a_family_that_cannot_be_left_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caught: the only family, and those that the data do not feed, of which the table said nothing."""
    monkeypatch.chdir(tmp_path)
    (only,) = variants([], trainer=TRAINER.reading(("price",)))
    assert (only.name, only.accepted) == ("price", None)
    assert only.note == "not measured: nothing is left to fit"
    entry = {"name": "x", "role": "model", "available": False}
    features = [
        entry | {"family": "whale_flows"},
        entry | {"family": "price"},
        entry | {"family": "price", "available": True},
        entry | {"family": "triggers", "role": "trigger"},
    ]
    (absent,) = absent_families({"features": features})
    assert (absent.part, absent.name, absent.accepted) == ("family", "whale_flows", None)
    assert absent.note == "not measured: the data feed none of its features"


@pytest.mark.parametrize("funding_known", [True, False])
def test_rules_of_the_gate_help_by_results_with_their_funding_alone(funding_known: bool) -> None:
    row = {"n_trades": 9, "difference_bps": 5.0, "difference_low": 1.0, "difference_high": 9.0, "helps": True}
    rules = [{"rule": "as configured", "toggled": ""}, {"rule": "require_sweep", "toggled": "on"} | row]
    events = pd.DataFrame({"net_r": [0.1, np.nan, 0.2], "funding_known": [True, False, funding_known]})
    (found,) = rule_rows(rules, events)
    assert set(found) == set(COLUMNS)
    assert (found["name"], found["change"], found["funding_known"]) == ("require_sweep", "with it", funding_known)
    note = "funding unknown in 1 of 2 trades: results are before funding"
    assert found["note"] == ("" if funding_known else note)
    assert findings([found]) == {"rule": f"{'Helps' if funding_known else 'Not known'}: require_sweep."}


def row(family: str, sign: int) -> dict:
    bounds = dict(zip(DIFFERENCE_AUC, (2.0 * sign, 2.0 * sign - 1.0, 2.0 * sign + 1.0), strict=True))
    return dict.fromkeys(COLUMNS, np.nan) | {"part": "family", "name": family} | bounds


def test_families_that_cost_nothing_are_left_out_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caught: one of them that is fitted after all, and a row that does not say on what it was chosen."""
    monkeypatch.chdir(tmp_path)
    rows = [row("funding", 1), row("sweeps", 0), row("price", -1)]
    told: list[str] = []
    both = families_together(refits(told), accept, rows)
    assert (both.part, both.name, both.change) == (TOGETHER, "sweeps, price", "without them")
    assert "chosen on these events" in both.part
    assert both.note == "the choice flatters leaving them out"
    assert told == ["without sweeps, price: 1 of 1, done"]
    alone = refits([], given=replace(training(), features=training().features[["informed", "direction"]]))
    expected = without_families(alone.training, alone.trainer, left_out=())
    np.testing.assert_array_equal(both.p, alone.directions(expected))
    one = families_together(refits([]), accept, [row("funding", 1), row("sweeps", 0), row("price", 1)])
    assert (one.name, one.accepted, one.note) == ("sweeps", None, "not measured: its own row stands above")
    none = families_together(refits([]), accept, [row(name, 1) for name in FAMILIES.values()])
    assert (none.name, none.note) == ("none", "not measured: no family that may be left out costs nothing alone")


def test_symbols_are_left_out_once_and_named_where_they_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caught: a symbol that is fitted again after a stop, one without a word where it could not be left out."""
    monkeypatch.chdir(tmp_path)
    (single,) = groups(refits([]))
    assert (single.symbols, single.note) == (("A",), "not applicable: the data set has one symbol")
    given = training()
    two = replace(given, labels=given.labels.assign(symbol=np.where(np.arange(1_200) % 2, "A", "B")))
    (quick,) = unseen_groups(two.labels["symbol"], None)
    assert (quick.symbols, quick.p) == (("A", "B"), None)
    assert quick.note.startswith("not measured: set `evaluation.depth` to `full`")
    told: list[str] = []
    a, b = groups(refits(told, given=two))
    assert [line.partition(":")[0] for line in told] == [f"the model that has not seen {name}" for name in "AB"]
    own = refits([], given=two).events["symbol"].to_numpy()
    for group in (a, b):
        assert (np.isfinite(group.p) == (own == group.symbols[0])).all()
    told.clear()
    again = groups(refits(told, given=two))
    assert all(line.endswith(": fitted before") for line in told)
    np.testing.assert_array_equal(again[0].p, a.p)
    rare = replace(given, labels=given.labels.assign(symbol=np.where(np.arange(1_200) % 40, "A", "B")))
    a, b = groups(refits([], given=rare))
    assert a.note.startswith("not measured: 30 of 1200 events have a label `y_direction`")
    assert b.note == ""
