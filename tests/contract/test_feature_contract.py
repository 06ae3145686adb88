"""Every feature of every family against every check of the contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pandas as pd
import pytest

from slackwater.features import checks
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUTS
from slackwater.market.spec import FrameSpec
from tests.small_market import DECISION_LAG, small_market

INTERVAL = timedelta(minutes=30)
ENGINE = FeatureEngine(default_families(INTERVAL))
DAYS = 150
"""The liquidation map is warm after 105 days; what is left is for the checks to choose from."""


@cache
def tables() -> dict[str, pd.DataFrame]:
    """Two symbols, and a hole of two days in the bars of the first."""
    market = small_market(days=DAYS)
    bars = market["bars"]
    market["bars"] = bars.drop(index=range(1_000, 1_096)).reset_index(drop=True)
    return market


def frame_of(market: dict[str, pd.DataFrame]) -> MarketFrame:
    return MarketFrame.from_tables(market, FrameSpec(bar_interval=INTERVAL, decision_lag=DECISION_LAG))


def build(market: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return ENGINE.transform(frame_of(market))


CHECKS = {
    "finite": lambda: checks.check_finite(ENGINE, frame_of(tables())),
    "parity": lambda: checks.check_parity(ENGINE, frame_of(tables())),
    # More cuts than by default: some fall on rows where the liquidation map is not warm yet.
    "prefix_invariance": lambda: checks.check_prefix_invariance(build, tables(), decision_lag=DECISION_LAG, cuts=60),
    "warm_up": lambda: checks.check_warm_up(ENGINE, frame_of(tables())),
    "sign_symmetry": lambda: checks.check_sign_symmetry(ENGINE, frame_of(tables())),
    "price_scale": lambda: checks.check_price_scale(ENGINE, frame_of(tables())),
    "saved_state": lambda: checks.check_saved_state(ENGINE, frame_of(tables())),
    "absent_tables": lambda: checks.check_absent_tables(build, ENGINE, tables()),
}


@cache
def violations(check: str) -> dict[str, str]:
    return CHECKS[check]()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("family", [family.name for family in ENGINE.families])
def test_family_keeps_the_contract(family: str, check: str) -> None:
    own = {f.name for f in ENGINE.features if f.family == family}
    assert {name: why for name, why in violations(check).items() if name in own} == {}


def test_the_contract_is_not_empty() -> None:
    """The checks compare numbers that move, not columns of NaN: every feature is known on most warm rows.

    Only a feature whose formula says when it is unknown may be unknown more often.
    """
    features = build(tables())
    warm = features[features["event_time"] >= features["event_time"].min() + ENGINE.warm_up + timedelta(days=2)]
    assert warm["symbol"].nunique() == 2
    share = {
        f.name: (warm[f.name].notna().mean(), 0.05 if "unknown if" in f.formula else 0.95) for f in ENGINE.features
    }
    assert {name: known for name, (known, least) in share.items() if not known > least} == {}
    assert [name for name in ENGINE.names if not warm[name].std() > 0.0] == []


@pytest.mark.parametrize("family", ENGINE.families, ids=lambda f: f.name)
def test_family_describes_its_outputs(family: Family) -> None:
    for feature in family.features():
        assert feature.formula, feature.name
        assert feature.unit, feature.name
        assert feature.known, feature.name
        assert feature.inputs, feature.name
        assert {*feature.inputs, *feature.refined_by} <= set(INPUTS), feature.name
        assert not {*feature.inputs} & {*feature.refined_by}, feature.name


@pytest.mark.parametrize("family", ENGINE.families, ids=lambda f: f.name)
def test_the_two_of_a_pair_point_at_each_other(family: Family) -> None:
    own = {f.name: f for f in family.features()}
    assert [name for name, f in own.items() if (f.symmetry == "pair") != (f.partner != "")] == []
    for name, one in own.items():
        if one.symmetry == "pair":
            other = own[one.partner]
            assert other.partner == name
            assert other.name != name
            # What is true of the one is true of the other, mirrored.
            assert replace(one, name="", partner="", formula="") == replace(other, name="", partner="", formula="")


def test_every_kernel_output_is_described() -> None:
    """A family whose list is shorter than what its kernel writes would shift every later feature by one column."""
    assert len(ENGINE.names) == len(set(ENGINE.names))
    assert all(f.family == family.name for family in ENGINE.families for f in family.features())
    # One that is described but never written would stay what it was: unknown.
    assert build(tables())[ENGINE.names].notna().any().all()


def test_hourly_bars_keep_parity() -> None:
    """Windows are durations: other bars must not need other code."""
    hourly = FeatureEngine(default_families(timedelta(hours=1)))
    market = small_market(interval=timedelta(hours=1), days=DAYS)
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=timedelta(hours=1), decision_lag=DECISION_LAG))
    assert hourly.transform(frame)[hourly.names].notna().any().all()
    assert checks.check_parity(hourly, frame) == {}
