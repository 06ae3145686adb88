"""The liquidation map against dictionaries of positions, bar by bar."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slackwater.errors import ParameterError
from slackwater.liquidity.density import (
    N_LAYERS,
    map_advance,
    map_bins,
    map_denser,
    map_erase,
    map_look,
    map_slots,
    map_too_far,
)
from slackwater.liquidity.loss_distances import LiquidationDistances
from slackwater.liquidity.stops import add_stops
from slackwater.market.contracts import contract, liquidation_price
from tests.oracle.naive_map import DISTANCES, LOSSES, SPREAD, Bar, NaiveMap

WIDTH = 0.002
BINS = map_bins(WIDTH)
DECAYS = np.array([0.97, 0.995, 0.999, 0.98])
ATR = 0.01
STEPS = np.array([5.0, 17.0, 40.0, 101.0])
LONGS, SHORTS = (rows[0] for rows in LOSSES.shares_by_bin(DISTANCES, bin_width=WIDTH, spread=SPREAD))
SHARES = LOSSES.shares_by_bin(DISTANCES, bin_width=WIDTH, spread=SPREAD).ravel()


def market(n: int, seed: int, drift: float = 0.0) -> list[Bar]:
    rng = np.random.default_rng(seed)
    close = 9.0 + np.cumsum(drift + rng.normal(size=n) * 0.006)
    spread = np.abs(rng.normal(size=(2, n))) * 0.004
    interest = 1e5 * np.exp(np.cumsum(rng.normal(size=n) * 0.01))
    interest[rng.random(n) < 0.05] = np.nan
    return list(zip(close - spread[0], close + spread[1], close, interest, rng.uniform(-1, 1, n), strict=True))


@pytest.mark.parametrize(("seed", "drift"), [(0, 0.0), (1, 0.003), (2, -0.003)])
def test_map_equals_the_naive_one(seed: int, drift: float) -> None:
    """With drift the price leaves the first grid, so recentring is covered too."""
    state = np.zeros(map_slots(WIDTH))
    naive = NaiveMap(WIDTH, DECAYS.tolist(), ATR)
    masses = np.empty(2 * STEPS.size * N_LAYERS)
    pools, most, counts = np.empty(2 * N_LAYERS), np.empty(2 * N_LAYERS), np.empty(N_LAYERS)
    consumed, too_far = np.empty(2 * N_LAYERS), np.empty((2, N_LAYERS))
    compared = 0
    for bar in market(600, seed, drift):
        low, high, close, interest, tilt = bar
        swing_low, swing_high = low - 0.02, high + 0.03
        opened = map_advance(state, 0, BINS, WIDTH, DECAYS, SHARES, close, close, interest, tilt)
        if opened > 0.0:
            add_stops(state, 0, BINS, WIDTH, opened, ATR, swing_low, swing_high, 1)
        map_erase(state, 0, BINS, WIDTH, low, high, consumed)
        naive.advance(bar, [(swing_low, swing_high)])
        np.testing.assert_allclose(consumed, naive.consumed, rtol=1e-9, atol=1e-6)
        map_too_far(state, 0, too_far)
        np.testing.assert_allclose(too_far, naive.too_far, rtol=1e-9, atol=1e-6)
        here = math.floor(close / WIDTH)
        map_look(state, 0, BINS, STEPS, here, 10.0, masses, pools, most)
        for side in range(2):
            for layer in range(N_LAYERS):
                for k, steps in enumerate(STEPS):
                    expected = sum(naive.ahead(side, layer, close, steps).values()) / 10.0
                    found = masses[(side * STEPS.size + k) * N_LAYERS + layer]
                    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)
                ahead = naive.ahead(side, layer, close, STEPS[-1])
                at = side * N_LAYERS + layer
                if max(ahead.values(), default=0.0) > 1e-6:
                    # A tie within rounding may go to either bin.
                    assert ahead[int(pools[at])] == pytest.approx(max(ahead.values()))
                    compared += 1
                else:
                    assert most[at] == 0.0 or ahead
            for layer in range(N_LAYERS):
                other = naive.ahead(1 - side, layer, close, STEPS[-1])
                limit = 1.0001 * most[side * N_LAYERS + layer]
                limits = np.full(N_LAYERS, np.inf)
                limits[layer] = limit if limit > 0.0 else np.inf
                map_denser(state, 0, BINS, here, int(STEPS[-1]), 1 - side, limits, counts)
                scale = state[5 + layer]
                expected_count = sum(m / scale >= limits[layer] for m in other.values())
                assert counts[layer] == (expected_count if limit > 0.0 else 0.0)
    assert compared > 2_000


def test_crossed_levels_are_burnt() -> None:
    """Without the erasure, mass that was liquidated would wait to be liquidated again."""
    state, consumed = np.zeros(map_slots(WIDTH)), np.empty(2 * N_LAYERS)
    masses, pools, most = np.empty(2 * N_LAYERS), np.empty(2 * N_LAYERS), np.empty(2 * N_LAYERS)
    steps, still = np.array([400.0]), np.ones(N_LAYERS)
    for interest in (1000.0, 2000.0):
        map_advance(state, 0, BINS, WIDTH, still, SHARES, 9.0, 9.0, interest, 0.0)
        map_erase(state, 0, BINS, WIDTH, 8.999, 9.001, consumed)
    here = math.floor(9.0 / WIDTH)
    map_look(state, 0, BINS, steps, here, 1.0, masses, pools, most)
    # The bar that opened them crossed the bin of the entry, and the next one below.
    longs, shorts = (pytest.approx(1000.0 * shares.sum()) for shares in (LONGS[1:-2], SHORTS[1:-1]))
    assert masses[1] == longs
    map_advance(state, 0, BINS, WIDTH, still, SHARES, 9.0, 9.0, 2000.0, 0.0)
    map_erase(state, 0, BINS, WIDTH, 8.2, 9.001, consumed)
    map_look(state, 0, BINS, steps, here, 1.0, masses, pools, most)
    assert consumed[1] == longs
    assert masses[1] == 0.0
    assert masses[N_LAYERS + 1] == shorts


def test_a_tiny_scale_is_written_into_the_bins() -> None:
    """After 300 half-lives the factor that stands for all decay would underflow to zero."""
    state, too_far = np.zeros(map_slots(WIDTH)), np.empty((2, N_LAYERS))
    decays = np.full(N_LAYERS, 1e-60)
    masses, pools, most = np.empty(2 * N_LAYERS), np.empty(2 * N_LAYERS), np.empty(2 * N_LAYERS)
    for interest in (1.0, 2.0, 2.0, 3.0, 3.0):
        map_advance(state, 0, BINS, WIDTH, decays, SHARES, 9.0, 9.0, interest, 0.0)
        assert (state[5 : 5 + N_LAYERS] >= 1e-100).all()
    map_look(state, 0, BINS, np.array([400.0]), math.floor(9.0 / WIDTH), 1.0, masses, pools, most)
    map_too_far(state, 0, too_far)
    # A look begins beside the bin of the price.
    assert masses[0] == pytest.approx(1e-60 * LONGS[1:-1].sum())
    assert too_far[0, 0] == pytest.approx(1e-60 * LONGS[0])


def test_what_is_lost_near_the_entry_is_what_was_measured() -> None:
    """17 % of newly opened notional is lost within 10 % of its entry; half of it is too far to be placed."""
    price = np.exp(WIDTH * np.arange(LONGS.size))
    assert SHORTS[:-1][price[:-1] <= 1.1].sum() == pytest.approx(0.17, abs=0.01)
    assert LONGS[::-1][:-1][1.0 / price[:-1] >= 0.9].sum() == pytest.approx(0.17, abs=0.01)
    assert LOSSES.too_far == pytest.approx(0.49)


@pytest.mark.parametrize("spread", [1e-6, 0.005, 0.02, 0.1])
def test_a_spread_moves_mass_and_keeps_it(spread: float) -> None:
    """Catches a kernel cut off at the entry without making up for it, or one that is wider than it says."""
    one = LiquidationDistances(fractions=(0.3,), weights=(0.7,), sizes_usd=(1e5,))
    distance = 0.4
    shares = one.shares_by_bin(np.array([[-distance], [distance]]), bin_width=WIDTH, spread=spread)
    np.testing.assert_allclose(shares.sum(axis=-1), [[1.0, 0.0], [1.0, 0.0]], atol=1e-12)
    np.testing.assert_array_equal(shares[0], shares[1][:, ::-1])
    placed = shares[1, 0, :-1] / 0.7
    away = WIDTH * np.arange(placed.size)
    mean = away @ placed
    assert mean == pytest.approx(distance, abs=WIDTH)
    # Three standard deviations to each side keep 98.7 % of one.
    assert np.sqrt(((away - mean) ** 2) @ placed) == pytest.approx(0.987 * spread, abs=WIDTH)


def test_a_loss_near_the_entry_is_never_a_gain() -> None:
    near = LiquidationDistances(fractions=(0.01,), weights=(0.7,), sizes_usd=(1e5,))
    shares = near.shares_by_bin(np.array([[-0.01], [0.01]]), bin_width=WIDTH, spread=SPREAD)
    assert shares[1, 0, :-1].sum() == pytest.approx(0.7)
    assert shares[1, 0, 0] < shares[1, 0, 1]


def test_losses_follow_the_margin_tiers() -> None:
    """A large position with the same margin is forced out earlier, as its tier says; a small one at the loss itself."""
    btc = contract("binance", "BTCUSDT")
    small = LiquidationDistances(fractions=(0.08,), weights=(1.0,), sizes_usd=(1e5,)).log_distances(btc)
    large = LiquidationDistances(fractions=(0.08,), weights=(1.0,), sizes_usd=(6e7,)).log_distances(btc)
    np.testing.assert_allclose(small[:, 0], np.log([0.92, 1.08]), rtol=1e-9)
    assert small[0, 0] < large[0, 0] < 0.0 < large[1, 0] < small[1, 0]
    margin = 1.0 - 0.92 * (1.0 - 0.004)
    expected = liquidation_price(btc, side=1, entry=1.0, quantity=6e7, leverage=1.0 / margin)
    assert large[0, 0] == pytest.approx(math.log(expected))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fractions": (0.1,)}, "one length"),
        ({"fractions": (0.2, 0.1), "weights": (0.1, 0.1), "sizes_usd": (1.0, 1.0)}, "ascend"),
        ({"fractions": (0.1, 0.2), "weights": (0.7, 0.2), "sizes_usd": (1.0, 1.0)}, "for what is too far, left 0.1"),
        ({"fractions": (0.1, 0.2), "weights": (0.5, 0.6), "sizes_usd": (1.0, 1.0)}, "sum to at most 1"),
        ({"fractions": (1.6,), "weights": (0.5,), "sizes_usd": (1.0,)}, r"must be in \(0, 1\)"),
        ({"fractions": (0.1,), "weights": (0.5,), "sizes_usd": (0.0,)}, "`sizes_usd` must be positive"),
    ],
)
def test_impossible_distances_are_refused(changes: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        LiquidationDistances(**changes)
