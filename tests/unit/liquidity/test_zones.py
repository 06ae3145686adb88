"""Reading the liquidation map back: hand-made maps whose pools are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slackwater.errors import ParameterError
from slackwater.liquidity import density
from slackwater.liquidity.density import N_LAYERS, STOPS, map_add, map_bins, map_erase, map_slots
from slackwater.liquidity.zones import MapView, map_bands, map_read

WIDTH = 0.001
BINS = map_bins(WIDTH)
AT = 3
PRICE = 50_000.0
HERE = math.log(PRICE)
ATR = 0.03
INTEREST = 1_000.0


def empty_map() -> np.ndarray:
    """A map that began under the price; the scale of its layers is not 1, as after a while."""
    state = np.zeros(AT + map_slots(WIDTH))
    state[AT + density._STARTED] = 1.0
    state[AT + density._CENTRE] = math.floor(HERE / WIDTH)
    state[AT + density._TOP_LONG], state[AT + density._BOTTOM_SHORT] = -1, BINS
    state[AT + density._SCALES : AT + density._SCALES + N_LAYERS] = (0.5, 0.25, 2.0, 0.1)
    return state


def put(state: np.ndarray, side: int, distance: float, mass: float, layer: int = 1) -> None:
    map_add(state, AT, BINS, WIDTH, side, HERE + distance, layer, mass)


def view_of(state: np.ndarray) -> MapView:
    return MapView.of_state(
        state, AT, bin_width=WIDTH, open_interest=INTEREST, low=PRICE * math.exp(-0.2), high=PRICE * math.exp(0.2)
    )


def test_pools_lie_where_the_mass_was_put() -> None:
    """A scale, a side or an edge off by one would show in price, mass or rank."""
    state = empty_map()
    for side, distance, mass in ((0, -0.031, 20.0), (0, -0.062, 5.0), (1, 0.044, 40.0)):
        put(state, side, distance, mass)
    put(state, 1, 0.08, 7.0, layer=STOPS)
    pools = view_of(state).pools(price=PRICE, atr_day=ATR)
    middle = pools[pools["layer"] == "middle"]
    assert middle["side"].tolist() == ["below", "below", "above"]
    np.testing.assert_allclose(np.log(middle["price"] / PRICE), [-0.031, -0.062, 0.044], atol=WIDTH)
    np.testing.assert_allclose(middle["mass_fraction"], [0.02, 0.005, 0.04], rtol=1e-12)
    np.testing.assert_allclose(middle["distance_atr"], np.array([-0.031, -0.062, 0.044]) / ATR, atol=WIDTH / ATR)
    assert middle["rank"].tolist() == [2, 3, 1]
    assert (middle["low"] < middle["price"]).all()
    assert (middle["price"] < middle["high"]).all()
    assert pools.loc[pools["layer"] == "stops", "mass_fraction"].tolist() == pytest.approx([0.007])
    assert set(pools["layer"]) == {"middle", "stops"}


def test_neighbours_are_one_pool_and_what_is_apart_is_two() -> None:
    state = empty_map()
    for distance in (-0.030, -0.031, -0.032, -0.060, -0.061):
        put(state, 0, distance, 10.0)
    pools = view_of(state).pools(price=PRICE, atr_day=ATR, layers=["middle"])
    assert pools["mass_fraction"].tolist() == pytest.approx([0.03, 0.02])
    assert np.log(pools["high"] / pools["low"]).tolist() == pytest.approx([3 * WIDTH, 2 * WIDTH])


def test_a_rank_does_not_depend_on_how_many_are_shown() -> None:
    """The table kept five pools of a side and the picture four: one pool had two ranks."""
    state = empty_map()
    for k in range(7):
        put(state, 0, -0.01 - 0.012 * k, 20.0 - k)
        put(state, 1, 0.01 + 0.012 * k, 5.0 - 0.5 * k)
    view = view_of(state)
    ranks = {}
    for most in (1, 2, 4, 5, 20):
        pools = view.pools(price=PRICE, atr_day=ATR, layers=["middle"], most=most)
        for pool in pools.itertuples():
            assert ranks.setdefault(round(pool.price, 3), pool.rank) == pool.rank
    every = view.pools(price=PRICE, atr_day=ATR, layers=["middle"], most=20)
    assert sorted(every["rank"]) == list(range(1, 15))


def test_the_densest_line_of_a_side_is_always_listed() -> None:
    """The brightest line of the picture had no label where wider pools held more."""
    state = empty_map()
    for k in range(3):
        for step in range(4):
            put(state, 0, -0.02 - 0.02 * k - 0.001 * step, 4.0)
    put(state, 0, -0.085, 9.0)
    for most in (0, 1, 2, 3):
        pools = view_of(state).pools(price=PRICE, atr_day=ATR, layers=["middle"], most=most)
        assert len(pools) == most + 1
        assert math.log(pools["price"].min() / PRICE) == pytest.approx(-0.085, abs=WIDTH)
    assert len(view_of(state).pools(price=PRICE, atr_day=ATR, layers=["middle"], most=4)) == 4


def test_dust_and_what_is_out_of_reach_are_no_pools() -> None:
    state = empty_map()
    put(state, 0, -0.03, 10.0)
    put(state, 0, -0.06, 0.1)
    put(state, 0, -0.15, 50.0)
    pools = view_of(state).pools(price=PRICE, atr_day=ATR, layers=["middle"])
    assert pools["mass_fraction"].tolist() == pytest.approx([0.01])


def test_an_erased_side_is_empty() -> None:
    """Burnt fuel that were still listed would send a trader to levels that are gone."""
    state = empty_map()
    put(state, 0, -0.03, 10.0)
    put(state, 1, 0.03, 10.0)
    map_erase(state, AT, BINS, WIDTH, HERE - 0.05, HERE, np.empty(2 * N_LAYERS))
    view = view_of(state)
    assert view.mass[0].sum() == 0.0
    assert view.pools(price=PRICE, atr_day=ATR)["side"].tolist() == ["above"]
    assert view.table()["side"].tolist() == ["above"]


def test_the_table_names_layer_side_and_edges() -> None:
    state = empty_map()
    put(state, 1, 0.02, 3.0)
    put(state, 0, -0.02, 2.0, layer=0)
    table = view_of(state).table()
    assert table[["layer", "side"]].to_numpy().tolist() == [["fast", "below"], ["middle", "above"]]
    assert table["mass_fraction"].tolist() == pytest.approx([0.002, 0.003])
    for row, distance in zip(table.itertuples(), (-0.02, 0.02), strict=True):
        assert row.low <= PRICE * math.exp(distance) < row.high


def test_bands_hold_what_the_bins_hold() -> None:
    """A band that missed or repeated a bin that its border cuts would lose or gain mass."""
    rng = np.random.default_rng(0)
    state = empty_map()
    for distance in rng.uniform(0.001, 0.09, 300):
        put(state, 0, -distance, rng.exponential(), layer=int(rng.integers(N_LAYERS)))
        put(state, 1, distance, rng.exponential(), layer=int(rng.integers(N_LAYERS)))
    bands = np.empty((2, N_LAYERS, 44))
    map_bands(state, AT, BINS, WIDTH, HERE, 0.0025, bands)
    bins = np.empty((2, N_LAYERS, 400))
    first = math.floor(HERE / WIDTH) - 200
    map_read(state, AT, BINS, first, bins)
    np.testing.assert_allclose(bands.sum(axis=2), bins.sum(axis=2), rtol=1e-9)
    # Nine bands of 25 bp above the price reach 225 bp: whole bins, and shares of the two at the borders.
    edges = (first + np.arange(401)) * WIDTH
    inside = np.clip(np.minimum(edges[1:], HERE + 0.0225) - np.maximum(edges[:-1], HERE), 0.0, None) / WIDTH
    np.testing.assert_allclose(bands[1, 1, :9].sum(), (bins[1, 1] * inside).sum(), rtol=1e-9)


def test_a_map_that_never_began_is_empty_and_not_garbage() -> None:
    state = np.ones(AT + map_slots(WIDTH))
    state[AT] = 0.0
    bands, bins = np.full((2, N_LAYERS, 4), np.nan), np.full((2, N_LAYERS, 4), np.nan)
    map_bands(state, AT, BINS, WIDTH, HERE, 0.0025, bands)
    map_read(state, AT, BINS, 0, bins)
    assert bands.sum() == bins.sum() == 0.0


def test_bad_arguments_are_named() -> None:
    view = view_of(empty_map())
    with pytest.raises(ParameterError, match="there are no layers"):
        view.pools(price=PRICE, atr_day=ATR, layers=["nearest"])
    with pytest.raises(ParameterError, match="`price` and `atr_day` must be positive"):
        view.pools(price=PRICE, atr_day=math.nan)
    with pytest.raises(ParameterError, match="`open_interest` must be positive"):
        MapView.of_state(empty_map(), AT, bin_width=WIDTH, open_interest=0.0, low=1.0, high=2.0)
