"""The liquidation map against a dictionary of positions, bar by bar."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slackwater.errors import ParameterError
from slackwater.liquidity.density import LossDistances, map_advance, map_bins, map_look, map_slots

WIDTH = 0.002
DECAY = 0.995
DISTANCES = LossDistances()


def market(n: int, seed: int, drift: float = 0.0) -> list[tuple[float, float, float, float, float]]:
    rng = np.random.default_rng(seed)
    close = 9.0 + np.cumsum(drift + rng.normal(size=n) * 0.006)
    spread = np.abs(rng.normal(size=(2, n))) * 0.004
    interest = 1e5 * np.exp(np.cumsum(rng.normal(size=n) * 0.01))
    interest[rng.random(n) < 0.05] = np.nan
    return list(zip(close - spread[0], close + spread[1], close, interest, rng.uniform(-1, 1, n), strict=True))


class NaiveMap:
    """Every bin in a dictionary, decayed and erased one by one."""

    def __init__(self) -> None:
        self.sides: list[dict[int, float]] = [{}, {}]
        self.last = math.nan

    def advance(self, low: float, high: float, typical: float, interest: float, tilt: float) -> None:
        keep = DECAY
        opened = 0.0
        if not math.isnan(interest):
            if not math.isnan(self.last):
                opened = max(interest - self.last, 0.0)
                keep *= min(interest / self.last, 1.0)
            self.last = interest
        for side in self.sides:
            for b in side:
                side[b] *= keep
        for side, (book, offsets) in enumerate(zip(self.sides, DISTANCES.log_distances(), strict=True)):
            for j, (offset, weight) in enumerate(zip(offsets, DISTANCES.weights, strict=True)):
                lean = (0.5 * tilt if j < len(offsets) // 2 else 0.0) * (1 if side == 0 else -1)
                b = math.floor((typical + offset) / WIDTH)
                book[b] = book.get(b, 0.0) + opened * weight * (1.0 + lean)
        self.sides[0] = {b: m for b, m in self.sides[0].items() if b < math.floor(low / WIDTH)}
        self.sides[1] = {b: m for b, m in self.sides[1].items() if b > math.floor(high / WIDTH)}

    def mass(self, side: int, close: float, reach: float) -> float:
        here = math.floor(close / WIDTH)
        steps = round(reach / WIDTH)
        signed = ((here - b if side == 0 else b - here, m) for b, m in self.sides[side].items())
        return sum(m for step, m in signed if 1 <= step <= steps)


@pytest.mark.parametrize(("seed", "drift"), [(0, 0.0), (1, 0.003), (2, -0.003)])
def test_map_equals_the_naive_one(seed: int, drift: float) -> None:
    """With drift the price leaves the first grid, so recentring is covered too."""
    bins = map_bins(WIDTH)
    state = np.zeros(map_slots(WIDTH))
    naive = NaiveMap()
    reaches = np.array([0.02, 0.05, 0.2])
    out = np.empty(2 * len(reaches) + 2)
    distances, weights = DISTANCES.log_distances().ravel(), np.array(DISTANCES.weights)
    for low, high, close, interest, tilt in market(600, seed, drift):
        map_advance(state, 0, bins, WIDTH, DECAY, distances, weights, low, high, close, interest, tilt)
        naive.advance(low, high, close, interest, tilt)
        map_look(state, 0, bins, WIDTH, close, reaches, out)
        expected = [naive.mass(side, close, reach) for side in (0, 1) for reach in reaches]
        np.testing.assert_allclose(out[:6], expected, rtol=1e-9, atol=1e-6)


def test_crossed_levels_are_burnt() -> None:
    """Without the erasure, mass that was liquidated would wait to be liquidated again."""
    bins, state = map_bins(WIDTH), np.zeros(map_slots(WIDTH))
    distances, weights = DISTANCES.log_distances().ravel(), np.array(DISTANCES.weights)
    reaches, out = np.array([0.4]), np.empty(4)
    for interest in (1000.0, 2000.0):
        map_advance(state, 0, bins, WIDTH, 1.0, distances, weights, 8.999, 9.001, 9.0, interest, 0.0)
    map_look(state, 0, bins, WIDTH, 9.0, reaches, out)
    assert out[0] == pytest.approx(1000.0 * sum(DISTANCES.weights))
    map_advance(state, 0, bins, WIDTH, 1.0, distances, weights, 8.5, 9.001, 9.0, 2000.0, 0.0)
    map_look(state, 0, bins, WIDTH, 9.0, reaches, out)
    assert out[0] == 0.0
    assert out[1] == pytest.approx(1000.0 * sum(DISTANCES.weights))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fractions": (0.1,)}, "one length"),
        ({"fractions": (0.1, 0.2), "weights": (0.5, 0.6)}, "sum to at most 1"),
        ({"fractions": (0.6,), "weights": (0.5,)}, r"must be in \(0, 0.5\)"),
    ],
)
def test_impossible_distances_are_refused(changes: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        LossDistances(**changes)
