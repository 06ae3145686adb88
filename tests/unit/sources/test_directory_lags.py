"""Lags of tables that a reader from Python does not give."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from slackwater.market.tables import LAGS
from slackwater.sources.own_files.directory import read_directory


@pytest.mark.parametrize("lags", [None, {}, {"funding": timedelta(hours=1)}])
def test_a_table_without_a_lag_has_its_own(tmp_path: Path, lags: dict[str, timedelta] | None) -> None:
    """Catches a bare KeyError for a table that was not named."""
    rows = [f"BTCUSDT,2024-01-01T0{h}:00:00Z,2024-01-01T0{h + 1}:00:00Z,1,2,1,2,3,1" for h in range(8)]
    header = "symbol,open_time,event_time,open,high,low,close,volume,taker_buy_volume"
    (tmp_path / "bars.csv").write_text("\n".join([header, *rows]) + "\n")
    bars = read_directory(tmp_path, lags=lags).tables["bars"]
    assert set(bars["available_time"] - bars["event_time"]) == {LAGS["bars"]}
