"""The whole way from a venue to a data set: fetched, written, read again, cleaned, joined."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slackwater.market.frame import MarketFrame
from slackwater.market.schemas import validate
from slackwater.market.spec import FrameSpec
from slackwater.sources.fetch import fetch
from slackwater.sources.http import Politeness
from slackwater.sources.request import FetchRequest
from slackwater.storage import read_json, read_tables
from tests.venues.natives import NATIVES
from tests.venues.server import Habits, VenueServer, running

pytest.importorskip("ccxt", reason="the extra `exchange` is not installed")

NOW = datetime(2026, 11, 20, 12, 2, 10, tzinfo=UTC)
QUICK = Politeness(attempts=4, first_wait=0.01, longest_wait=0.02)


@pytest.mark.parametrize("venue", sorted(NATIVES))
def test_from_a_venue_to_a_market_frame(venue: str, tmp_path: Path) -> None:
    """Catches a table that is written and cannot be read, and an absence that nobody is told of."""
    now = round(NOW.timestamp() * 1000)
    habits = Habits(listed=now - 20 * 86_400_000, now=now)
    request = FetchRequest(
        venue=venue, symbols=["BTCUSDT"], start=NOW - timedelta(days=3), end=NOW, interval="1h", source="exchange"
    )
    faults = {2: "500", 5: "reset", 7: "429"}
    with running(VenueServer(NATIVES[venue](habits), faults=faults.get, now=now)) as server:
        manifest = fetch(request, tmp_path / "out", mirror=server.url, politeness=QUICK, now=NOW)
    assert read_json(tmp_path / "out" / "fetch.json") == manifest
    tables = read_tables(tmp_path / "out")
    assert set(tables) == set(manifest["tables"])
    assert set(tables) | set(manifest["absent"]) == set(request.wanted)
    for name, table in tables.items():
        validate(table, name)
        assert manifest["tables"][name]["rows"] == len(table)
    frame = MarketFrame.from_tables(
        {"bars": tables["fine_bars"], **{name: table for name, table in tables.items() if name != "fine_bars"}},
        FrameSpec(bar_interval=timedelta(hours=1), decision_lag=timedelta(seconds=5)),
    )
    assert len(frame.table) == 72
    known = {"open_interest", "funding_rate", "volume"}
    assert known <= frame.available
    assert ("top_trader_ratio" in frame.available) == (venue != "bybit")
    assert ("liquidated_long" in frame.available) == (venue == "gate")
