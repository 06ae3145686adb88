"""Every feature of every family against every check of the contract."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import pandas as pd
import pytest

from slackwater.features import checks
from slackwater.features.engine import FeatureEngine, default_families
from slackwater.market.frame import MarketFrame
from tests.small_market import DECISION_LAG, small_market

INTERVAL = timedelta(minutes=30)
ENGINE = FeatureEngine(default_families(INTERVAL))


@cache
def tables() -> dict[str, pd.DataFrame]:
    """Two symbols, and a hole of two days in the bars of the first."""
    market = small_market()
    bars = market["bars"]
    market["bars"] = bars.drop(index=range(1_900, 1_996)).reset_index(drop=True)
    return market


def frame_of(market: dict[str, pd.DataFrame]) -> MarketFrame:
    return MarketFrame.from_tables(market, bar_interval=INTERVAL, decision_lag=DECISION_LAG)


def build(market: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return ENGINE.transform(frame_of(market))


CHECKS = {
    "finite": lambda: checks.check_finite(ENGINE, frame_of(tables())),
    "parity": lambda: checks.check_parity(ENGINE, frame_of(tables())),
    "prefix_invariance": lambda: checks.check_prefix_invariance(build, tables(), decision_lag=DECISION_LAG),
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
    """The checks compare numbers, not columns of NaN: every feature is known on most warm rows."""
    warm = build(tables()).iloc[-500:]
    assert warm[ENGINE.names].notna().mean().min() > 0.95


def test_every_kernel_output_is_described() -> None:
    """A family whose list is shorter than what its kernel writes would shift every later feature by one column."""
    assert len(ENGINE.names) == len(set(ENGINE.names))
    for family in ENGINE.families:
        assert all(f.formula and f.unit and f.inputs for f in family.features())


def test_hourly_bars_keep_parity() -> None:
    """Windows are durations: other bars must not need other code."""
    hourly = FeatureEngine(default_families(timedelta(hours=1)))
    market = small_market(("BTCUSDT",), interval=timedelta(hours=1), days=45)
    frame = MarketFrame.from_tables(market, bar_interval=timedelta(hours=1), decision_lag=DECISION_LAG)
    assert checks.check_parity(hourly, frame) == {}
