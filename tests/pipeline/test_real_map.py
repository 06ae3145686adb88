"""The scorecard of the liquidation map on real liquidations, where they are at hand under ``data/external``."""

from __future__ import annotations

import pytest
import yaml

from pipelines._closure import ROOT
from slackwater.config import resolve
from slackwater.evidence.map_scorecard import map_scorecard
from slackwater.features.chosen_families import default_families
from slackwater.market.frame import MarketFrame
from slackwater.market.quality.detectors import clean_tables
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.own_files.kinds import sources_of

NAME = "binance_1h_2024_summer"
DIRECTORY = ROOT / "data" / "external" / NAME
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DIRECTORY.is_dir(), reason=f"data/external/{NAME} is not linked (see the README)"),
]


def test_the_scorecard_runs_on_real_liquidations() -> None:
    """The column map, the hourly grid and the totals of liquidations reach the scorecard; controls stay at 1.

    The lift of the map itself is a finding (docs/liquidation_map.md), not something to insist on.
    """
    params = resolve(yaml.safe_load((ROOT / "params.yaml").read_text()) | {"dataset": NAME})
    market = params.market
    files = sources_of(params.dataset.model_dump()["tables"])
    raw = read_directory(DIRECTORY, files, lags=market.lags, symbols=params.dataset.symbols).tables
    assert "long_short_ratio" not in raw
    tables, _ = clean_tables(raw, venue=params.dataset.venue, spacing={"bars": market.bar_interval})
    frame = MarketFrame.from_tables(tables, market.spec)
    families = default_families(market.bar_interval, **params.features.model_dump())
    card = map_scorecard([frame], families, draws=200, mean_block=params.evaluation.mean_block)
    assert card["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert card["days"] > 30
    assert card["snapshots"] > 2_000
    assert 0.2 < card["liquidated"]["at_no_new_extreme_share"] < 0.8
    for name in ("uniform", "distance_only"):
        assert card["controls"][name]["lift"] == pytest.approx(1.0, abs=0.05)
    for found in card["layers"].values():
        assert 0.5 < found["low"] < found["lift"] < found["high"] < 2.0
