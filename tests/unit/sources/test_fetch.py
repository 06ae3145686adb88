"""Fetching from a venue's own interface into a directory, as from the archive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slackwater.market.schemas import validate
from slackwater.sources.fetch import datasets_entry, fetch, summary
from slackwater.sources.http import Politeness
from slackwater.sources.request import FetchRequest
from slackwater.storage import read_tables, sha256_of
from tests.venues.natives import NATIVES
from tests.venues.server import Habits, VenueServer, running

pytest.importorskip("ccxt", reason="the extra `exchange` is not installed")

NOW = datetime(2026, 11, 20, 12, 2, 10, tzinfo=UTC)
LISTED = round((NOW - timedelta(days=30)).timestamp() * 1000)


@pytest.mark.parametrize("venue", sorted(NATIVES))
def test_a_venue_fills_a_directory_and_again_the_same_bytes(venue: str, tmp_path: Path) -> None:
    """Fails if the two sources leave different kinds of directories behind."""
    request = FetchRequest(
        venue=venue,
        symbols=["BTCUSDT"],
        start=NOW - timedelta(days=2),
        end=NOW,
        tables=["fine_bars", "funding", "depth"],
        interval="5m",
        source="exchange",
    )
    habits = Habits(listed=LISTED, now=round(NOW.timestamp() * 1000))
    quick = Politeness(attempts=3, first_wait=0.01, longest_wait=0.02)
    with running(VenueServer(NATIVES[venue](habits))) as server:
        manifest = fetch(request, tmp_path / "out", mirror=server.url, politeness=quick, now=NOW)
        first = {name: table["sha256"] for name, table in manifest["tables"].items()}
        again = fetch(request, tmp_path / "out", mirror=server.url, politeness=quick, now=NOW)
    assert sorted(first) == ["fine_bars", "funding"]
    assert {name: table["sha256"] for name, table in again["tables"].items()} == first
    for name, table in read_tables(tmp_path / "out").items():
        assert len(validate(table, name)) == manifest["tables"][name]["rows"]
        assert sha256_of(tmp_path / "out" / f"{name}.parquet") == first[name]
    assert manifest["request"]["source"] == "exchange"
    assert manifest["absent"]["depth"]
    assert any(line.startswith("depth") and "absent" in line for line in summary(manifest))
    assert f"venue: {venue}" in datasets_entry(manifest, tmp_path / "out")
