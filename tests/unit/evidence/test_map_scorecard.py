"""The scorecard of the map: a map that is right, maps that know nothing, and a future that must not matter."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError
from slackwater.evidence.crossings import attribute
from slackwater.evidence.map_history import close_after_busiest_day, map_engine, replay, stretches, walk
from slackwater.evidence.map_scorecard import map_scorecard, scorecard_of
from slackwater.evidence.map_snapshots import Bands, MapSnapshots, take_snapshots
from slackwater.features.chosen_families import default_families
from slackwater.features.family import Family
from slackwater.liquidity.density import N_LAYERS
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE
from slackwater.market.spec import FrameSpec
from slackwater.report.map_page import scorecard_markdown
from tests.small_market import DECISION_LAG, small_market

LAYERS = ("24h", "7d", "30d", "stops")
HOUR_US = 3_600_000_000
BANDS = Bands()
BAR = timedelta(minutes=30)


def planted(knowledge: float, *, seed: int = 0, days: int = 120, symbol: str = "BTCUSDT") -> MapSnapshots:
    """Snapshots of a map whose mass sets what is liquidated, to a degree."""
    rng = np.random.default_rng(seed)
    n = 24 * days
    mass = rng.exponential(size=(n, N_LAYERS, 2, BANDS.last)).astype(np.float32) * 1e-3
    mean = knowledge * mass[:, 1] + (1.0 - knowledge) * 1e-3
    realised = mean * rng.exponential(size=mean.shape) * (1.0 + np.arange(BANDS.last))
    realised[rng.random(realised.shape) < 0.3] = np.nan
    return MapSnapshots(
        symbol=symbol,
        times=1_700_000_000_000_000 + HOUR_US * np.arange(n),
        mass=mass,
        same_distance=np.roll(mass, 168, axis=0),
        same_price=np.roll(mass, 1, axis=0),
        interest_growth=rng.normal(size=n),
        realised=realised,
        liquidated=2.0,
        at_new_extremes=1.5,
        within_bands=1.0,
        unknown=0,
    )


def test_a_map_that_is_right_has_a_lift_and_one_that_is_shuffled_has_none() -> None:
    """A lift that came from distance, from the time or from how ties fall would show in the other layers too."""
    card = scorecard_of([planted(1.0), planted(1.0, seed=1, symbol="ETHUSDT")], LAYERS, bands=BANDS, draws=200)
    right = card["layers"]["7d"]
    # The mean of the top fifth of an exponential is 1 + ln 5.
    assert right["lift"] == pytest.approx(1.0 + np.log(5.0), rel=0.05)
    assert right["low"] > 2.0
    assert right["minus_placebo_same_distance"]["low"] > 1.0
    assert right["place_alone"]["low"] > 2.0
    assert right["rank_correlation"]["low"] > 0.3
    assert right["regression"]["t"] > 10.0
    assert right["by_symbol"].keys() == {"BTCUSDT", "ETHUSDT"}
    blind = [card["layers"]["24h"], right["placebo_same_distance"], right["placebo_same_price"]]
    for found in (*blind, *card["controls"].values()):
        assert found["lift"] == pytest.approx(1.0, abs=0.05)
        assert found["low"] < 1.02
        assert found["high"] > 0.98
    assert abs(card["layers"]["24h"]["rank_correlation"]["value"]) < 0.02
    assert card["liquidated"]["at_no_new_extreme_share"] == pytest.approx(0.25)


def test_distance_alone_gives_no_lift_however_much_it_matters() -> None:
    """Near bands hold more in both: pooled over distances any map would look right."""
    taken = planted(0.0)
    scale = np.exp(-0.3 * np.arange(BANDS.last))
    near = replace(taken, mass=(taken.mass * scale).astype(np.float32), realised=taken.realised * scale)
    card = scorecard_of([near], LAYERS, bands=BANDS, draws=100)
    assert card["layers"]["7d"]["lift"] == pytest.approx(1.0, abs=0.05)


def test_a_map_that_knows_how_much_and_not_where_has_no_lift_of_place() -> None:
    """Leverage that comes and goes everywhere at once lifts all bands together; that is no map."""
    taken = planted(0.0)
    amount = np.random.default_rng(5).exponential(size=len(taken.times))
    same = np.broadcast_to(amount[:, None, None, None] * 1e-3, taken.mass.shape).astype(np.float32)
    found = scorecard_of(
        [replace(taken, mass=same, realised=taken.realised * amount[:, None, None])], LAYERS, bands=BANDS, draws=100
    )["layers"]["7d"]
    assert found["lift"] > 2.0
    assert found["place_alone"]["lift"] == pytest.approx(1.0, abs=0.1)


def test_too_few_blocks_give_no_interval_and_too_few_rows_no_score() -> None:
    card = scorecard_of([planted(1.0, days=40)], LAYERS, bands=BANDS, draws=100)
    assert np.isnan(card["layers"]["7d"]["low"])
    assert card["layers"]["7d"]["lift"] > 2.0
    assert "skipped" in scorecard_of([planted(1.0, days=2)], LAYERS, bands=BANDS, draws=100)


def test_the_sums_by_day_give_what_all_entries_together_give() -> None:
    """Symbols that begin and end on other days, one of them with no band that is scored, and days without any entry."""
    one, none = planted(1.0), planted(1.0, days=2, symbol="NEWUSDT")
    one.realised[30 * 24 : 40 * 24] = np.nan
    later = planted(0.5, seed=1, days=60, symbol="ETHUSDT")
    later = replace(later, times=later.times + 90 * 24 * HOUR_US)
    card = scorecard_of([one, none, later], LAYERS, bands=BANDS, draws=50)
    rows = pd.concat([entries(each, layer=1) for each in (one, later)], ignore_index=True)
    by_band = rows.groupby(["symbol", "band"])
    dense = by_band["mass"].rank() > by_band["mass"].transform("size") - np.floor(
        BANDS.top * by_band["mass"].transform("size")
    )
    lifts = rows[dense].groupby(["symbol", "band"])["realised"].mean() / by_band["realised"].mean()
    found = card["layers"]["7d"]
    assert found["lift"] == pytest.approx(lifts.mean(), rel=1e-12)
    assert found["by_symbol"] == pytest.approx(lifts.groupby("symbol").mean().to_dict(), rel=1e-12)
    correlations = by_band[["mass", "realised"]].corr("spearman").xs("mass", level=2)["realised"]
    assert found["rank_correlation"]["value"] == pytest.approx(correlations.mean(), rel=1e-9)
    x, y = np.log(1e4 * rows["mass"] + 0.1), np.log1p(1e4 * rows["realised"])
    keys = [rows["symbol"], rows["band"]]
    x, y = (values - values.groupby(keys).transform("mean") for values in (x, y))
    slope = (x * y).sum() / (x * x).sum()
    meat = ((x * (y - slope * x)).groupby(rows["day"]).sum() ** 2).sum()
    days, n, k = rows["day"].nunique(), len(rows), len(lifts) + 1
    error = np.sqrt(days / (days - 1) * (n - 1) / (n - k) * meat) / (x * x).sum()
    assert found["regression"] == pytest.approx({"slope": slope, "t": slope / error}, rel=1e-9)
    assert (card["observations"], card["bands"]) == (len(rows), len(lifts))
    assert card["days"] == rows["day"].max() - rows["day"].min() + 1
    assert card["symbols"] == ["BTCUSDT", "NEWUSDT", "ETHUSDT"]


def entries(taken: MapSnapshots, *, layer: int) -> pd.DataFrame:
    """Return one row per snapshot, side and band that was crossed."""
    which, side, band = np.nonzero(~np.isnan(taken.realised))
    rows = {
        "symbol": taken.symbol,
        "day": taken.times[which] // (24 * HOUR_US),
        "band": band,
        "mass": taken.mass[which, layer, side, band].astype(float),
        "realised": taken.realised[which, side, band],
    }
    return pd.DataFrame(rows)[(band >= BANDS.first) & ~np.isnan(taken.same_price[which, 0, side, band])]


def test_the_order_of_symbols_does_not_matter_and_one_is_held_at_a_time() -> None:
    held: list[weakref.ref[MapSnapshots]] = []

    def taken(names: tuple[str, ...]) -> Iterator[MapSnapshots]:
        held.clear()
        for name in names:
            assert all(each() is None for each in held), "the snapshots of a symbol are held when the next one comes"
            # A constant map: ties alone decide.
            snapshots = planted(1.0, seed=len(name), symbol=name)
            snapshots = replace(snapshots, mass=np.full_like(snapshots.mass, 1e-3))
            held.append(weakref.ref(snapshots))
            yield snapshots
            del snapshots

    names = ("BTCUSDT", "ETHUSDTX")
    cards = [scorecard_of(taken(each), LAYERS, bands=BANDS, draws=50) for each in (names, names[::-1])]
    for layer in LAYERS:
        one, other = (card["layers"][layer] for card in cards)
        assert one["lift"] == pytest.approx(other["lift"], rel=1e-12)
        assert one["by_symbol"] == other["by_symbol"]
        assert np.isnan(one["regression"]["slope"]), "what is left of the mean of a constant map is rounding"


def test_ties_fall_otherwise_in_every_symbol() -> None:
    """Catches chances that all symbols share, by which the luck of a constant map would not average out."""
    one = planted(1.0)
    one = replace(one, mass=np.full_like(one.mass, 1e-3))
    card = scorecard_of([one, replace(one, symbol="ETHUSDT")], LAYERS, bands=BANDS, draws=50)
    lifts = card["layers"]["7d"]["by_symbol"]
    assert lifts["BTCUSDT"] != pytest.approx(lifts["ETHUSDT"], rel=1e-6)


def attributed(low: list[float], high: list[float], longs: list[float]) -> tuple[np.ndarray, np.ndarray]:
    n = len(low)
    realised, totals = np.empty((1, 2, 6)), np.empty((1, 3))
    shorts = np.zeros(n)
    attribute(
        np.zeros(n),
        np.array(high),
        np.array(low),
        np.array(longs),
        shorts,
        np.array([0]),
        n - 1,
        0.0025,
        realised,
        totals,
    )
    return realised, totals


def test_liquidations_go_to_the_prices_that_their_bar_was_the_first_to_cross() -> None:
    """The bar of the snapshot does not count, a bar without a new extreme gives nothing to any band."""
    realised, totals = attributed([-9.0, -0.005, -0.004, -0.010], [9.0, 0.0, 0.001, 0.0], [99.0, 4.0, 5.0, 6.0])
    np.testing.assert_allclose(realised[0, 0], [2.0, 2.0, 3.0, 3.0, np.nan, np.nan])
    assert np.isnan(realised[0, 1]).all()
    np.testing.assert_allclose(totals[0], [15.0, 10.0, 10.0])


def test_a_band_that_is_not_crossed_whole_is_not_observed() -> None:
    realised, _ = attributed([0.0, -0.006], [0.0, 0.0], [0.0, 6.0])
    np.testing.assert_allclose(realised[0, 0], [2.5, 2.5, np.nan, np.nan, np.nan, np.nan])


def test_an_unknown_bar_within_the_horizon_leaves_the_snapshot_out() -> None:
    realised, totals = attributed([0.0, -0.006, np.nan], [0.0, 0.0, np.nan], [0.0, 6.0, 1.0])
    assert np.isnan(realised).all()
    assert np.isnan(totals).all()


@cache
def families() -> tuple[Family, ...]:
    hours = [timedelta(hours=h) for h in (12, 24, 48)]
    return default_families(BAR, liquidation_density={"half_lives": tuple(hours)})


def frame_of(**change: pd.DataFrame | None) -> MarketFrame:
    tables = small_market(("BTCUSDT",), days=45, interval=BAR)
    wanted = {name: change.get(name, tables[name]) for name in ("bars", "open_interest", "liquidations")}
    present = {name: table for name, table in wanted.items() if table is not None}
    return MarketFrame.from_tables(present, FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))


def test_the_future_does_not_reach_a_snapshot_nor_what_lies_beyond_the_horizon_its_outcome() -> None:
    """Cut the data at C: maps up to C stay, and so do outcomes of snapshots that end by C."""
    tables = small_market(("BTCUSDT",), days=45, interval=BAR)
    whole = take_snapshots(frame_of(), families(), "BTCUSDT", BANDS)
    cut = tables["bars"]["event_time"].iloc[1_500]
    changed = {}
    for name in ("bars", "open_interest", "liquidations"):
        table = tables[name].copy()
        later = table["event_time"] > cut
        for column in {"open", "high", "low", "close", "open_interest", "quantity"} & set(table):
            table.loc[later, column] *= 1.37
        changed[name] = table
    other = take_snapshots(frame_of(**changed), families(), "BTCUSDT", BANDS)
    seen = whole.times <= cut.value // 1_000
    ended = whole.times <= (cut - BANDS.horizon).value // 1_000
    assert 100 < ended.sum() < seen.sum() < len(whole.times)
    for name in ("mass", "same_distance", "same_price", "interest_growth"):
        np.testing.assert_array_equal(getattr(whole, name)[seen], getattr(other, name)[seen])
    np.testing.assert_array_equal(whole.realised[ended], other.realised[ended])
    assert not np.array_equal(whole.mass[~seen], other.mass[~seen])


def test_the_placebo_is_the_map_of_a_week_before() -> None:
    taken = take_snapshots(frame_of(), families(), "BTCUSDT", BANDS)
    week = 7 * 24
    assert (np.diff(taken.times) == HOUR_US).all()
    np.testing.assert_array_equal(taken.same_distance[week:], taken.mass[:-week])
    assert not np.array_equal(taken.same_price[week:], taken.mass[:-week])
    assert taken.mass.max() > 0.0


def test_data_without_liquidations_or_open_interest_are_skipped_with_the_reason() -> None:
    card = map_scorecard([frame_of(liquidations=None)], families())
    assert card == {"skipped": "the data have no liquidations"}
    assert scorecard_markdown(card) == "not scored: the data have no liquidations"
    assert map_scorecard([frame_of(liquidations=None, open_interest=None)], families()) == {
        "skipped": "the data have no liquidations and no open interest"
    }


def test_without_any_symbol_there_is_nothing_to_skip() -> None:
    """Catches a missing table that is called a lack of liquidations."""
    with pytest.raises(MissingDataError, match="no bars to score"):
        map_scorecard([], families())


def test_frames_of_one_symbol_each_are_scored_as_one_frame_of_all() -> None:
    """Catches a score that needs all symbols in memory, or takes the symbols of a part for all."""
    names = ("bars", "open_interest", "liquidations")
    tables = small_market(("BTCUSDT", "ETHUSDT"), days=45, interval=BAR)
    spec = FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG)
    settings = {"draws": 100, "mean_block": timedelta(days=2), "bands": Bands(fewest=50)}
    one = map_scorecard([MarketFrame.from_tables({n: tables[n] for n in names}, spec)], families(), **settings)
    parts = (
        MarketFrame.from_tables({n: tables[n][tables[n]["symbol"] == symbol] for n in names}, spec)
        for symbol in ("BTCUSDT", "ETHUSDT")
    )
    assert map_scorecard(parts, families(), **settings) == one
    with_and_without = [
        MarketFrame.from_tables({n: tables[n][tables[n]["symbol"] == symbol] for n in given}, spec)
        for symbol, given in (("BTCUSDT", names), ("ETHUSDT", names[:2]))
    ]
    assert "skipped" not in map_scorecard(with_and_without, families(), **settings)
    assert one["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_neither_a_frame_nor_its_snapshots_are_held_when_the_next_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a history that adds up in memory, symbol by symbol."""
    frames_held: list[weakref.ref[MarketFrame]] = []
    snapshots_held: list[weakref.ref[MapSnapshots]] = []

    def frames() -> Iterator[MarketFrame]:
        for symbols in (("BTCUSDT", "ETHUSDT"), ("SOLUSDT",)):
            assert all(each() is None for each in frames_held)
            tables = small_market(symbols, days=2, interval=BAR)
            frame = MarketFrame.from_tables(tables, FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG))
            frames_held.append(weakref.ref(frame))
            yield frame
            del frame

    def take(_frame: MarketFrame, _families: tuple[Family, ...], symbol: str, _bands: Bands) -> MapSnapshots:
        assert all(each() is None for each in snapshots_held)
        snapshots = planted(1.0, symbol=symbol)
        snapshots_held.append(weakref.ref(snapshots))
        return snapshots

    monkeypatch.setattr("slackwater.evidence.map_scorecard.take_snapshots", take)
    card = map_scorecard(frames(), families(), draws=50)
    assert card["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert (len(frames_held), len(snapshots_held)) == (2, 3)


def test_the_table_shows_every_layer_and_control() -> None:
    card = map_scorecard([frame_of()], families(), draws=100, mean_block=timedelta(days=2), bands=Bands(fewest=50))
    text = scorecard_markdown(card)
    assert text.count("half-life") == 3
    for row in ("stops", "uniform", "distance only", "open interest only"):
        assert f"| {row} |" in text
    lengths = {line.count("|") for line in text.splitlines()}
    assert len(lengths) == 1


def test_the_replay_ends_at_the_moment_and_is_erased_where_the_price_was() -> None:
    frame = frame_of()
    at = frame.table["event_time"].iloc[1_400]
    seen = replay(frame, families(), "BTCUSDT", at=at + timedelta(minutes=7), span=timedelta(days=3))
    assert seen.times[-1] == seen.bars["event_time"].iloc[-1] == at
    assert seen.bars["close"].iloc[-1] == frame.values[1_400, CLOSE]
    edges = seen.last.edges
    for row, mass in zip(seen.rows, seen.mass, strict=True):
        bar = seen.bars.iloc[row]
        assert mass[0, :, edges[:-1] >= bar["low"]].sum() == 0.0
        assert mass[1, :, edges[1:] <= bar["high"]].sum() == 0.0
    assert seen.mass[-1, 0].sum() > 0.0
    assert seen.mass[-1, 1].sum() > 0.0


def test_stretches_of_bars_give_what_the_live_engine_gives_bar_by_bar() -> None:
    """Catches a replay whose map or sweeps are not those of a bar at a time, also across a gap."""
    bars = small_market(("BTCUSDT",), days=45, interval=BAR)["bars"]
    frame = frame_of(bars=bars.drop(index=range(1_500, 1_505)).reset_index(drop=True))
    engine = map_engine(families(), sweeps=True)
    rows = {place: (out.copy(), state.copy()) for place, _, out, state in walk(engine, frame, "BTCUSDT")}
    ends = [*range(700, 2_100, 37), 1_502, len(frame.table) - 1]
    begin = 0
    for end, out, state in stretches(engine, frame, "BTCUSDT", sorted(ends)):
        own = [rows[place][0] for place in range(begin, end + 1) if place in rows]
        np.testing.assert_array_equal(out, np.array(own).reshape(out.shape))
        if end in rows:
            np.testing.assert_array_equal(state, rows[end][1])
        begin = end + 1


def test_a_replay_to_a_moment_is_that_of_data_that_end_there() -> None:
    tables = small_market(("BTCUSDT",), days=45, interval=BAR)
    at = tables["bars"]["event_time"].iloc[1_400]
    cut = {n: tables[n][tables[n]["available_time"] <= at + DECISION_LAG] for n in ("bars", "open_interest")}
    whole = replay(frame_of(), families(), "BTCUSDT", at=at, span=timedelta(days=3))
    short = replay(frame_of(**cut), families(), "BTCUSDT", span=timedelta(days=3))
    np.testing.assert_array_equal(whole.mass, short.mass)


def test_the_close_after_busiest_day_follows_the_largest_liquidations() -> None:
    tables = small_market(("BTCUSDT",), days=45, interval=BAR)
    liquidations = tables["liquidations"].copy()
    row = len(liquidations) * 2 // 3
    liquidations.loc[row, "quantity"] = 1e6
    frame = frame_of(liquidations=liquidations)
    at = close_after_busiest_day(frame, "BTCUSDT", after=timedelta(days=2), window=timedelta(days=10))
    late = at - liquidations["event_time"].iloc[row]
    assert timedelta(days=1) < late < timedelta(days=4)
