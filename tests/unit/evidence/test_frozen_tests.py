"""Counting frozen tests: every test is a look, every bundle a trial, and a bundle is one trial however often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slackwater.errors import SchemaError
from slackwater.evidence.frozen_tests import FrozenTests
from slackwater.evidence.trial_ledger import append_trial, read_trials


def returns(*net_r: float | None) -> dict[str, Any]:
    return {"start": "2024-01-01", "net_r": list(net_r)}


def line(bundle: str, *net_r: float, data_sha256: str = "d", dataset: str = "mine") -> dict[str, Any]:
    groups = {"known": {"n_events": 9, "returns": returns(*net_r)}, "unseen": None}
    return {"bundle_sha256": bundle, "dataset": dataset, "data_sha256": data_sha256, "groups": groups}


def recorded(*rows: dict[str, Any]) -> FrozenTests:
    return FrozenTests.of(rows, bundle_sha256="own", dataset="mine", data_sha256="d")


def test_the_first_test_is_alone() -> None:
    found = recorded()
    assert (found.number, found.bundles, found.returns("known", returns(0.1))) == (1, 1, None)
    assert found.sentence == "This is test 1 on these data, of 1 different bundle."


def test_every_test_is_counted_and_every_bundle_once() -> None:
    """Caught: a bundle that is a further trial with each repetition, or one that is forgotten."""
    found = recorded(line("own", 0.5), line("a", 0.1), line("a", 0.1), line("b", 0.2))
    assert (found.number, found.bundles) == (5, 3)
    assert found.sentence == "This is test 5 on these data, of 3 different bundles."
    assert np.allclose(found.returns("known", returns(0.3)), [[0.3, 0.1, 0.2]])


def test_overlapping_data_have_the_same_name_or_the_same_events() -> None:
    """Caught: a look that is forgotten because the directory was renamed, or because the period was another one."""
    renamed, other_period = line("a", 0.1, dataset="old name"), line("b", 0.2, data_sha256="later")
    elsewhere, nameless = line("c", 0.3, dataset="another", data_sha256="other"), {"bundle_sha256": "e"}
    found = recorded(renamed, other_period, elsewhere, nameless)
    assert (found.number, found.bundles) == (4, 4)
    assert found.returns("known", returns(0.0)).shape == (1, 3)  # nothing is known of the nameless one


def test_a_bundle_is_compared_by_its_test_on_the_same_events() -> None:
    rows = [line("a", 0.1), line("a", 0.9, data_sha256="later")]
    assert np.allclose(recorded(*rows).returns("known", returns(0.3)), [[0.3, 0.1]])


def test_a_group_without_events_counts_and_has_no_returns() -> None:
    found = recorded(line("a", 0.1), {"dataset": "mine"}, {"dataset": "mine"})
    assert found.bundles == 4  # lines without a bundle are one each
    assert found.returns("unseen", returns(0.3)) is None


@pytest.mark.parametrize(
    "groups", [{"known": {"returns": {"start": "never"}}}, {"known": {"returns": 1}}, "known", [1]]
)
def test_damaged_returns_of_a_group_are_named(tmp_path: Path, groups: object) -> None:
    """Caught: returns of a frozen test that nobody checks, and that end in a traceback later."""
    ledger = tmp_path / "frozen_tests.jsonl"
    append_trial(line("a", 0.1), ledger)
    with ledger.open("a") as file:
        file.write(json.dumps({"dataset": "mine", "groups": groups}) + "\n")
    with pytest.raises(SchemaError, match="line 2: `returns` must hold the day `start`"):
        read_trials(ledger)
