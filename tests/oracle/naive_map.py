"""The liquidation map as anybody would write it: dictionaries, one bin at a time."""

from __future__ import annotations

import math

import numpy as np

from slackwater.liquidity.density import N_LAYERS, REACH, SPAN, STOPS
from slackwater.liquidity.loss_distances import LiquidationDistances
from slackwater.liquidity.stops import STOP_OFFSETS, STOP_SHARE

LOSSES = LiquidationDistances()
DISTANCES = LOSSES.default_log_distances()
SPREAD = 0.02

Bar = tuple[float, float, float, float, float]


def normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def shares(distance: float, width: float) -> dict[int, float]:
    """Return how a loss is spread over the bins away from that of its entry: a normal distribution between two cuts."""
    low, high = max(distance - 3.0 * SPREAD, 0.0), distance + 3.0 * SPREAD
    whole = normal((high - distance) / SPREAD) - normal((low - distance) / SPREAD)
    out = {}
    for away in range(math.ceil(high / width) + 2):
        near, far = (min(max((away + half) * width, low), high) for half in (-0.5, 0.5))
        if near < far:
            out[away] = (normal((far - distance) / SPREAD) - normal((near - distance) / SPREAD)) / whole
    return out


class NaiveMap:
    """Every bin of every layer in a dictionary, decayed and erased one by one."""

    def __init__(self, width: float, decays: list[float], atr: float = math.nan) -> None:
        self.width = width
        self.decays = decays
        self.atr = atr
        self.books: list[list[dict[int, float]]] = [[{} for _ in range(N_LAYERS)] for _ in range(2)]
        self.last = math.nan
        self.too_far = np.zeros((2, N_LAYERS))
        self.centre: int | None = None
        self.half = math.ceil(SPAN / width)
        self.spread = [[shares(abs(d), width) for d in side] for side in DISTANCES]
        self.consumed = np.zeros(2 * N_LAYERS)

    def put(self, side: int, layer: int, b: int, mass: float) -> None:
        if self.is_on_grid(b):
            self.books[side][layer][b] = self.books[side][layer].get(b, 0.0) + mass
        else:
            self.too_far[side, layer] += mass

    def is_on_grid(self, b: int) -> bool:
        assert self.centre is not None
        return self.centre - self.half <= b < self.centre + self.half

    def follow(self, price: float) -> None:
        here = math.floor(price / self.width)
        if self.centre is None or abs(here - self.centre) * self.width > REACH:
            self.centre = here
            for side in range(2):
                for layer in range(N_LAYERS):
                    book = self.books[side][layer]
                    for b in [b for b in book if not self.is_on_grid(b)]:
                        self.too_far[side, layer] += book.pop(b)

    def advance(self, bar: Bar, swings: list[tuple[float, float]]) -> None:
        """Take a bar (low, high, typical, open interest, tilt) with its (swing low, swing high) pairs; log prices."""
        low, high, typical, interest, tilt = bar
        self.follow(typical)
        keep, opened = 1.0, 0.0
        if not math.isnan(interest):
            if not math.isnan(self.last):
                opened = max(interest - self.last, 0.0)
                keep = min(interest / self.last, 1.0)
            self.last = interest
        for side in range(2):
            for layer in range(N_LAYERS):
                self.too_far[side, layer] *= keep * self.decays[layer]
                for b in self.books[side][layer]:
                    self.books[side][layer][b] *= keep * self.decays[layer]
            sign = -1 if side == 0 else 1
            left = opened
            for j, (spread, share) in enumerate(zip(self.spread[side], LOSSES.weights, strict=True)):
                lean = (0.5 * tilt if j < len(LOSSES.weights) // 2 else 0.0) * -sign
                left -= opened * share * (1.0 + lean)
                for away, part in spread.items():
                    for layer in range(STOPS):
                        mass = opened * share * (1.0 + lean) * part
                        self.put(side, layer, math.floor(typical / self.width) + sign * away, mass)
            self.too_far[side, :STOPS] += left
        if opened and self.atr > 0.0:
            mass = opened * STOP_SHARE / (len(STOP_OFFSETS) * len(swings))
            for swing_low, swing_high in swings:
                for offset in STOP_OFFSETS:
                    self.put(0, STOPS, math.floor((swing_low - offset * self.atr) / self.width), mass)
                    self.put(1, STOPS, math.floor((swing_high + offset * self.atr) / self.width), mass)
        for side in range(2):
            for layer in range(N_LAYERS):
                book = self.books[side][layer]
                edge = math.floor((low if side == 0 else high) / self.width)
                crossed = [b for b in book if (b >= edge if side == 0 else b <= edge)]
                self.consumed[side * N_LAYERS + layer] = sum(book.pop(b) for b in crossed)

    def ahead(self, side: int, layer: int, close: float, steps: float) -> dict[int, float]:
        """Return mass by bins away from the price."""
        here = math.floor(close / self.width)
        signed = {(here - b if side == 0 else b - here): m for b, m in self.books[side][layer].items()}
        return {step: m for step, m in signed.items() if 1 <= step <= steps}
