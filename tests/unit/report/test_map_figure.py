"""The picture of the map: it is drawn, for every layer and for data that lack something."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from slackwater.errors import MissingDataError, ParameterError
from slackwater.evidence.map_history import MapHistory, replay
from slackwater.features.chosen_families import default_families
from slackwater.liquidity.density import STOPS
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.report.map_figure import _densest_beyond, write_map_figure
from slackwater.report.pools_table import print_pools
from tests.small_market import DECISION_LAG, small_market

BAR = timedelta(minutes=30)


@cache
def history() -> MapHistory:
    tables = small_market(("BTCUSDT",), days=45, interval=BAR)
    frame = MarketFrame.from_tables(
        {name: tables[name] for name in ("bars", "open_interest", "liquidations")},
        FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG),
    )
    return replay(frame, default_families(BAR), "BTCUSDT", span=timedelta(days=4))


def without(*columns: str) -> MapHistory:
    bars = history().bars.copy()
    bars[list(columns)] = np.nan
    return replace(history(), bars=bars)


@pytest.mark.parametrize("layer", ["fast", "middle", "slow", "stops"])
def test_every_layer_is_drawn(tmp_path: Path, layer: str) -> None:
    path = tmp_path / "map.png"
    write_map_figure(history(), path, layer=layer, synthetic=True, dataset="small")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert 40_000 < len(content) < 3_000_000


def test_the_same_map_gives_the_same_bytes_and_the_origin_shows(tmp_path: Path) -> None:
    for name, synthetic in (("a", True), ("b", True), ("c", False)):
        write_map_figure(history(), tmp_path / name, synthetic=synthetic)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_what_is_unknown_is_said_and_not_a_crash(tmp_path: Path) -> None:
    """bybit_1h has no liquidations; another set may lack open interest, and the stage must still write its picture."""
    bare = replace(without("liquidated_long", "liquidated_short", "open_interest"), mass=0.0 * history().mass)
    write_map_figure(bare, tmp_path / "bare.png", synthetic=False)
    assert (tmp_path / "bare.png").stat().st_size > 20_000
    with pytest.raises(MissingDataError, match="no open interest is known"):
        bare.pools(layers=["middle"])
    with pytest.raises(MissingDataError, match="daily range"):
        without("atr_1d").pools(layers=["middle"])


@pytest.mark.parametrize("place", [0.03, 0.085, 0.12, -0.12])
def test_the_densest_line_of_the_picture_has_a_label(place: float) -> None:
    """Pools are looked for within 10 % of the price; a brighter line beyond stayed without a label."""
    close, width = np.log(history().bars["close"].iloc[-1]), history().bin_width
    side, first = (0 if place < 0 else 1), int(close / width) - 300
    mass = np.zeros((1, 2, 4, 600), dtype=np.float32)
    mass[0, side, 1, int((close + place) / width) - first] = 9.0
    mass[0, side, 1, int((close + np.sign(place) * 0.06) / width) - first] = 4.0
    one = replace(history(), mass=mass, first_bin=first, rows=history().rows[-1:])
    apart = _densest_beyond(one, "middle", np.ones(600, dtype=bool))
    assert [row["side"] for row in apart] == ([] if abs(place) < 0.1 else [("below", "above")[side]])
    assert all(abs(np.log1p(row["distance_fraction"]) - place) < 2 * width for row in apart)


def test_an_unknown_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="`layer` must be one of fast, middle, slow, stops"):
        write_map_figure(history(), tmp_path / "map.png", layer="nearest", synthetic=True)
    assert not list(tmp_path.iterdir())


def test_pools_are_listed_from_the_highest_to_the_lowest() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    pools = history().pools(layers=["middle", "stops"])
    print_pools(history(), pools, synthetic=True, console=console)
    lines = console.export_text().splitlines()
    assert "SYNTHETIC" in lines[0]
    rows = [line.split("│") for line in lines if line.startswith("│")]
    prices = [float(row[2].replace(",", "")) for row in rows]
    assert prices == sorted(prices, reverse=True)
    assert [row[1].strip() for row in rows].count("price") == 1
    assert len(rows) == len(pools) + 1


def test_what_is_too_far_for_the_map_is_printed() -> None:
    """Half of what is opened has no place on the grid: a table without it would pass over that in silence."""
    console = Console(width=100, record=True, file=io.StringIO())
    far = history().too_far[:, :STOPS]
    assert (far > 0.0).all()
    # The longer the memory, the more is too far.
    assert (np.diff(far, axis=1) > 0.0).all()
    print_pools(history(), history().pools(layers=["middle"]), synthetic=True, console=console)
    assert f"24h {100.0 * far[0, 0]:.0f} and {100.0 * far[1, 0]:.0f}, 7d" in console.export_text()
