"""Tables of numbers that kernels read by name."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from slackwater.market.contracts import contract
from slackwater.trading.costs import CostModel
from slackwater.trading.rules import BracketRules, SizingRules


def test_a_table_has_every_setting_under_its_name() -> None:
    """Catches a setting that a kernel reads under the name of another, and one that is off and reads as zero."""
    rules = SizingRules(risk_fraction=0.003, leverage_cap=7, kelly_fraction=None)
    (row,) = rules.numbers
    assert rules.numbers.dtype.names == tuple(SizingRules.__dataclass_fields__)
    assert (row["risk_fraction"], row["leverage_cap"], row["depth_fraction"]) == (0.003, 7.0, 0.02)
    assert math.isnan(row["kelly_fraction"])
    assert {rules.numbers.dtype[name] for name in rules.numbers.dtype.names} == {np.dtype(np.float64)}
    assert CostModel(latency=timedelta(seconds=54)).numbers[0]["latency_days"] == 54 / 86_400


def test_a_table_is_kept_and_belongs_to_one_object() -> None:
    """Catches rules that were replaced and still trade by the numbers of the old ones."""
    rules = BracketRules(stop_sd=1.0)
    assert rules.numbers is rules.numbers
    for other in (replace(rules, stop_sd=2.0), replace(copy.copy(rules), stop_sd=2.0)):
        assert (other.numbers[0]["stop_sd"], rules.numbers[0]["stop_sd"]) == (2.0, 1.0)
    assert (copy.deepcopy(rules), hash(rules), repr(rules)) == (rules, hash(BracketRules()), repr(BracketRules()))


@pytest.mark.parametrize(
    ("venue", "fee", "on_entry_value", "keeps_tier"),
    [("binance", 0.0, 0.0, 0.0), ("gate", 0.0005, 0.0, 0.0), ("okx", 0.0005, 0.0, 1.0)],
)
def test_a_contract_has_a_row_per_tier(venue: str, fee: float, on_entry_value: float, keeps_tier: float) -> None:
    """Catches the tiers of another order, and the form of another venue."""
    facts = contract(venue, "BTCUSDT")
    table = facts.numbers
    assert table["notional_cap_usd"].tolist() == [tier.notional_cap_usd for tier in facts.tiers]
    assert table["deduction_usd"].tolist() == [tier.deduction_usd for tier in facts.tiers]
    assert set(table["liquidation_fee"]) == {fee}
    assert set(table["margin_on_entry_value"]) == {on_entry_value}
    assert set(table["keeps_tier_of_entry"]) == {keeps_tier}
    assert set(table["min_quantity"]) == {facts.min_quantity}
