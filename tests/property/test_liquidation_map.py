"""The liquidation map keeps all that was opened, whatever the market, and knows no currency."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.liquidity.density import (
    _CENTRE,
    N_LAYERS,
    STOPS,
    map_advance,
    map_bins,
    map_erase,
    map_slots,
    map_too_far,
)
from slackwater.liquidity.loss_distances import LiquidationDistances
from slackwater.liquidity.zones import map_read

WIDTH = 0.005
BINS = map_bins(WIDTH)
LOSSES = LiquidationDistances()
MOVES = st.lists(st.floats(-0.3, 0.3, allow_subnormal=False), min_size=1, max_size=40)


def shares(spread: float) -> np.ndarray:
    return LOSSES.shares_by_bin(LOSSES.default_log_distances(), bin_width=WIDTH, spread=spread).ravel()


def walked(moves: list[float], seed: int, spread: float, start: float = 9.0) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the state after a walk of prices under a growing open interest, what was erased, and what was opened."""
    rng = np.random.default_rng(seed)
    state, gone, erased = np.zeros(map_slots(WIDTH)), np.empty(2 * N_LAYERS), np.zeros(2 * N_LAYERS)
    interest, opened, close = 1000.0, 0.0, start
    still = np.ones(N_LAYERS)
    for move in (0.0, *moves):
        entry, close = close, close + move
        tilt = rng.uniform(-1.0, 1.0)
        opened += map_advance(state, 0, BINS, WIDTH, still, shares(spread), close, entry, interest, tilt)
        low, high = min(entry, close) - rng.uniform(0.0, 0.01), max(entry, close) + rng.uniform(0.0, 0.01)
        map_erase(state, 0, BINS, WIDTH, low, high, gone)
        erased += gone
        interest += rng.exponential(100.0)
    return state, erased, opened


@given(moves=MOVES, seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.002, 0.02, 0.08]))
@settings(max_examples=60, deadline=None)
def test_all_that_was_opened_is_somewhere(moves: list[float], seed: int, spread: float) -> None:
    """In a bin, erased, or too far: catches what falls off the grid, is clipped, or moved there by a tilt."""
    state, erased, opened = walked(moves, seed, spread)
    mass, too_far = np.empty((2, N_LAYERS, BINS)), np.empty((2, N_LAYERS))
    map_read(state, 0, BINS, int(state[_CENTRE]) - BINS // 2, mass)
    map_too_far(state, 0, too_far)
    kept = mass.sum(axis=2) + too_far + erased.reshape(2, N_LAYERS)
    np.testing.assert_allclose(kept[:, :STOPS], opened, rtol=1e-12, atol=1e-9)
    assert (mass >= 0.0).all()
    assert (too_far >= 0.0).all()


@given(
    steps=st.lists(st.integers(-60, 60), min_size=1, max_size=40),
    seed=st.integers(0, 2**32 - 1),
    bins=st.integers(-400, 400),
)
@settings(max_examples=30, deadline=None)
def test_the_unit_of_the_price_does_not_matter(steps: list[int], seed: int, bins: int) -> None:
    """The map of a market quoted in other units, by a factor of whole bins, is the same one moved."""
    # Closes lie in the middle of a bin: an edge may round to either side.
    moves = [step * WIDTH for step in steps]
    here, there = (walked(moves, seed, 0.02, start=(1800.5 + b) * WIDTH)[0] for b in (0, bins))
    assert there[_CENTRE] - here[_CENTRE] == bins
    both = np.empty((2, 2, N_LAYERS, BINS))
    for state, mass in zip((here, there), both, strict=True):
        map_read(state, 0, BINS, int(state[_CENTRE]) - BINS // 2, mass)
    np.testing.assert_allclose(both[1], both[0], rtol=1e-9, atol=1e-9)
