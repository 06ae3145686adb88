"""Every feature of a fixed market, as a digest per family: a change of any value of any column must be meant."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import numpy as np
import pytest

from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from tests.small_market import DECISION_LAG, small_market

INTERVAL = timedelta(minutes=30)
GOLDEN = {
    "volatility": "40b40b24855414ad",
    "price": "ebabf12af64dc002",
    "regime": "c08cf300df8b2488",
    "open_interest": "32a81dc21797ddce",
    "funding": "256ccf34e5a75600",
    "liquidations": "be1701aafe8c9c9c",
    "liquidation_density": "68daf17deaf8538c",
    "sweeps": "239339b88221b1e8",
    "whale_flows": "4356486c7603043b",
    "exchange_flows": "5b8cfff158d6c651",
    "order_flow": "61cc0446d17e45ea",
    "triggers": "555512f40b4b3e27",
}


def golden_market() -> MarketFrame:
    """Three symbols with every table; bars of one and open interest of another are missing for two days."""
    tables = small_market(("BTCUSDT", "ETHUSDT", "SOLUSDT"), days=45)
    for name, rows in (("bars", range(1_200, 1_296)), ("open_interest", range(3_000, 3_096))):
        tables[name] = tables[name].drop(index=rows).reset_index(drop=True)
    return MarketFrame.from_tables(tables, FrameSpec(bar_interval=INTERVAL, decision_lag=DECISION_LAG))


def digest(values: np.ndarray) -> str:
    """Sha256 of values rounded to a millionth of the largest of their column: the last bits differ by processor."""
    largest = np.nanmax(np.abs(values), axis=0)
    step = 10.0 ** (np.floor(np.log10(np.where(largest > 0.0, largest, 1.0))) - 6)
    rounded = np.where(np.isnan(values), -(2**62), np.rint(np.nan_to_num(values) / step)).astype("<i8")
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]


FAMILIES = default_families(
    INTERVAL,
    # The half-lives of the shipped map need 90 days of history.
    liquidation_density={"half_lives": (timedelta(hours=6), timedelta(days=1), timedelta(days=3))},
)


@pytest.fixture(scope="module")
def features():
    return FeatureEngine(FAMILIES).transform(golden_market())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_values_of_a_family_are_those_of_the_record(features, family):
    """Catches a kernel, a window or a row position that changed although nobody meant it to."""
    names = [feature.name for feature in family.features()]
    flows = [name for name in names if name.startswith("exchange_")]
    for record, columns in ((family.name, [n for n in names if n not in flows]), ("exchange_flows", flows)):
        if columns:
            assert digest(features[columns].to_numpy(np.float64)) == GOLDEN[record]
