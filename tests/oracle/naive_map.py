"""The liquidation map as anybody would write it: dictionaries, one bin at a time."""

from __future__ import annotations

import math

import numpy as np

from slackwater.liquidity.density import N_LAYERS, STOPS
from slackwater.liquidity.loss_distances import LiquidationDistances
from slackwater.liquidity.stops import STOP_OFFSETS, STOP_SHARE

LOSSES = LiquidationDistances()
DISTANCES = LOSSES.default_log_distances()

Bar = tuple[float, float, float, float, float]


class NaiveMap:
    """Every bin of every layer in a dictionary, decayed and erased one by one."""

    def __init__(self, width: float, decays: list[float], atr: float = math.nan) -> None:
        self.width = width
        self.decays = decays
        self.atr = atr
        self.books: list[list[dict[int, float]]] = [[{} for _ in range(N_LAYERS)] for _ in range(2)]
        self.last = math.nan
        self.consumed = np.zeros(2 * N_LAYERS)

    def put(self, side: int, layer: int, price: float, mass: float) -> None:
        b = math.floor(price / self.width)
        self.books[side][layer][b] = self.books[side][layer].get(b, 0.0) + mass

    def advance(self, bar: Bar, swings: list[tuple[float, float]]) -> None:
        """Take a bar (low, high, typical, open interest, tilt) with its (swing low, swing high) pairs; log prices."""
        low, high, typical, interest, tilt = bar
        keep, opened = 1.0, 0.0
        if not math.isnan(interest):
            if not math.isnan(self.last):
                opened = max(interest - self.last, 0.0)
                keep = min(interest / self.last, 1.0)
            self.last = interest
        for side in range(2):
            for layer in range(N_LAYERS):
                for b in self.books[side][layer]:
                    self.books[side][layer][b] *= keep * self.decays[layer]
            for j, (distance, share) in enumerate(zip(DISTANCES[side], LOSSES.weights, strict=True)):
                lean = (0.5 * tilt if j < len(LOSSES.weights) // 2 else 0.0) * (1 if side == 0 else -1)
                for layer in range(STOPS):
                    self.put(side, layer, typical + distance, opened * share * (1.0 + lean))
        if opened and self.atr > 0.0:
            mass = opened * STOP_SHARE / (len(STOP_OFFSETS) * len(swings))
            for swing_low, swing_high in swings:
                for offset in STOP_OFFSETS:
                    self.put(0, STOPS, swing_low - offset * self.atr, mass)
                    self.put(1, STOPS, swing_high + offset * self.atr, mass)
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
