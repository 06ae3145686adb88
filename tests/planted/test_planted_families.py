"""The command `check-features` over the example, and over a copy of it that looks ahead."""

from __future__ import annotations

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from examples.my_features import PressureFamily
from slackwater.cli import app
from slackwater.features.chosen_families import families_needed
from slackwater.features.mutants import check_family
from tests.planted.leaky_features import LeakyFamily
from tests.small_market import small_market

INTERVAL = timedelta(minutes=30)


@pytest.fixture(scope="module")
def market():
    return small_market(days=30)


def test_the_example_keeps_the_contract_and_every_mutant_of_it_is_caught(market) -> None:
    report = check_family(families_needed(PressureFamily, INTERVAL), market, cuts=8)
    assert {check: found for check, found in report.checks.items() if found} == {}
    assert {mutant.name: mutant.caught for mutant in report.mutants} == dict.fromkeys(
        (
            "inputs of `bars` one bar ahead",
            "inputs of `premium_index` one bar ahead",
            "a later row of `premium_index` under an earlier stamp",
            "`premium_index` stamped one bar early",
            "centred window over the outputs",
        ),
        True,
    )
    assert report.passed


def test_a_kernel_that_reads_beyond_its_row_is_caught_by_column_and_bar(market) -> None:
    report = check_family(families_needed(LeakyFamily, INTERVAL), market, cuts=4)
    assert {check for check, found in report.checks.items() if found} >= {"memory", "parity", "prefix_invariance"}
    found = report.checks["prefix_invariance"]["last_move"]
    assert found.symbol in ("BTCUSDT", "ETHUSDT")
    assert found.event_time is not None
    assert found.found != found.expected
    assert not report.passed


@pytest.mark.parametrize(
    ("family", "status", "said"),
    [
        ("examples.my_features:PressureFamily", 0, "the family keeps the contract"),
        ("tests.planted.leaky_features:LeakyFamily", 1, "last_move: live differs from history"),
    ],
)
def test_the_command_says_so_and_its_status_follows(family: str, status: int, said: str) -> None:
    options = ["--set", "windows=1h,2h", "--bar-minutes", "30", "--cuts", "4"]
    result = CliRunner().invoke(app, ["check-features", family, *options])
    assert result.exit_code == status, result.output
    assert said in result.output
    assert "SYNTHETIC" in result.output
    assert "first BTCUSDT at 20" in result.output or status == 0
