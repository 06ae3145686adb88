"""The liquidation map alone, all 60 outputs: the kernel and numpy, bar by bar.

Run ``make bench``, or ``pytest benchmarks/bench_liquidation_map.py -s`` for this part. The rows hold the intermediates
that the map needs (log prices, true ranges) before the clock starts, and the output was written to before: the first
touch of fresh memory costs several times the arithmetic. The outputs are asserted equal; times are not asserted.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from benchmarks.market import BAR, FIRST_US, STEP_US, synthetic_values
from benchmarks.record import Recorder, cpu_seconds
from slackwater.features.intermediates import ATR_DAY, ATR_HOUR, FIRST_EXTRA, LOG_CLOSE, LOG_HIGH, LOG_LOW, TIME_HOURS
from slackwater.features.liquidation_density import LiquidationDensityFamily
from slackwater.features.rows import read_row
from slackwater.features.volatility import VolatilityFamily
from slackwater.liquidity.density import N_LAYERS, REACH, STOPS, map_bins
from slackwater.liquidity.stops import STOP_OFFSETS, STOP_SHARE
from slackwater.market.inputs import OPEN_INTEREST, OPEN_INTEREST_TIME_HOURS, TAKER_BUY_VOLUME, VOLUME
from slackwater.operators import decay_per_bar

FAMILY = LiquidationDensityFamily(bar_interval=BAR)
VOLATILITY = VolatilityFamily(bar_interval=BAR)
WARM = int(FAMILY.warm_up / BAR)
advance, advance_volatility = FAMILY.advance, VOLATILITY.advance


@njit
def run(state, constants, rows, out):  # type: ignore[no-untyped-def]
    for i in range(rows.shape[0]):
        advance(state, constants, rows[i], out[i])


@njit
def measure(state, constants, values, first, step, rows, out):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        read_row(values[i], first + i * step, rows[i])
        advance_volatility(state, constants, rows[i], out)


class NumpyMap:
    """The map of one symbol in numpy: all layers of a side are one array, and whatever can wait is done for all bars.

    A bar costs a handful of array operations: decay, add, erase, cumulative sums, the densest bin, and how many bins
    of the other side hold as much. The places of all bars are worked out before, ratios and distances after.
    """

    def __init__(self, family: LiquidationDensityFamily, rows: NDArray[np.float64]) -> None:
        self.family = family
        width = family.bin_width
        low, high, close = rows[:, LOG_LOW], rows[:, LOG_HIGH], rows[:, LOG_CLOSE]
        typical = (high + low + close) / 3.0
        at = np.arange(len(rows))
        age = (rows[:, TIME_HOURS] - rows[:, OPEN_INTEREST_TIME_HOURS]) * (timedelta(hours=1) / BAR)
        opened_at = np.maximum(at - (age + 0.5).astype(int), 0)
        tilt = (2.0 * rows[:, TAKER_BUY_VOLUME] / rows[:, VOLUME] - 1.0)[opened_at]
        self.interest = rows[:, OPEN_INTEREST]
        every, nearer = family.losses.shares_by_bin(
            family.losses.default_log_distances(), bin_width=width, spread=family.spread
        ).swapaxes(0, 1)
        # The outermost share of each side is too far for a bin.
        self.shares = ((every[0, 1:], nearer[0, 1:]), (every[1, :-1], nearer[1, :-1]))
        self.entries = np.floor(typical[opened_at] / width).astype(int)
        self.leans = 0.5 * tilt[:, None] * np.array([1.0, -1.0])
        self.stop_bins = self._stops(rows, low, high)
        self.typical = np.floor(typical / width).astype(int)
        self.floor, self.ceiling, self.here = (np.floor(x / width).astype(int) for x in (low, high, close))
        unit = rows[:, ATR_DAY]
        reach = np.minimum(np.array(family.reaches) * unit[:, None], 0.5)
        self.steps = np.maximum(np.floor(np.nan_to_num(reach) / width + 0.5), 1.0).astype(int)
        self.unit = unit
        halves = (*family.half_lives, family.stop_half_life)
        self.decays = np.array([[1.0 - decay_per_bar(half, BAR)] for half in halves])
        self.bins = map_bins(width)
        self.grid = np.zeros((2, N_LAYERS, self.bins))
        self.centre = self.typical[0]
        self.last = np.nan
        self.seen = 0
        n = len(rows)
        self.masses = np.zeros((n, 2, len(family.reaches), N_LAYERS))
        self.places = np.zeros((n, 2, N_LAYERS), dtype=int)
        self.most = np.zeros((n, 2, N_LAYERS))
        self.denser = np.zeros((n, 2, N_LAYERS))
        self.consumed = np.zeros((n, 2, N_LAYERS))

    def _stops(
        self, rows: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the bins of the stops of each bar and side; -1 until the hourly range is known."""
        behind = np.array(STOP_OFFSETS) * rows[:, ATR_HOUR, None]
        swings = [self.family.bars(w) for w in self.family.swing_windows]
        lows = np.stack([pd.Series(low).rolling(w, 1).min().to_numpy()[:, None] - behind for w in swings], 1)
        highs = np.stack([pd.Series(high).rolling(w, 1).max().to_numpy()[:, None] + behind for w in swings], 1)
        prices = np.stack([lows.reshape(len(rows), -1), highs.reshape(len(rows), -1)], axis=1)
        bins = np.floor(np.nan_to_num(prices) / self.family.bin_width).astype(int)
        return np.where(np.isnan(prices), -1, bins)

    def take(self, bars: int) -> None:
        """Advance by some bars."""
        grid, decays, layers = self.grid, self.decays, np.arange(N_LAYERS)
        both = np.array([[0], [1]])
        for i in range(self.seen, self.seen + bars):
            if abs(self.typical[i] - self.centre) * self.family.bin_width > REACH:
                self._recentre(self.typical[i])
            origin = self.centre - self.bins // 2
            interest, last = self.interest[i], self.last
            self.last = interest
            grid *= decays * (interest / last) if interest < last else decays
            if interest > last:
                opened = interest - last
                for side, (every, nearer) in enumerate(self.shares):
                    first = self.entries[i] - origin - (len(every) - 1 if side == 0 else 0)
                    added = opened * (every + self.leans[i, side] * nearer)
                    inside = slice(max(-first, 0), self.bins - first)
                    part = added[inside]
                    grid[side, :STOPS, first + inside.start : first + inside.start + len(part)] += part
                # Stops may share a bin.
                if self.stop_bins[i, 0, 0] >= 0:
                    stops = self.stop_bins[i] - origin
                    np.add.at(grid[:, STOPS], (both, stops), opened * STOP_SHARE / stops.shape[1])
            floor, ceiling, here = self.floor[i] - origin, self.ceiling[i] - origin, self.here[i] - origin
            crossed = grid[0, :, floor:]
            self.consumed[i, 0] = crossed.sum(axis=1)
            crossed[:] = 0.0
            crossed = grid[1, :, : ceiling + 1]
            self.consumed[i, 1] = crossed.sum(axis=1)
            crossed[:] = 0.0
            if i < WARM:
                continue
            steps = self.steps[i]
            ahead = (grid[0, :, here - steps[-1] : here][:, ::-1], grid[1, :, here + 1 : here + steps[-1] + 1])
            for side, bins in enumerate(ahead):
                self.masses[i, side] = bins.cumsum(axis=1)[:, steps - 1].T
                places = bins.argmax(axis=1)
                most = bins[layers, places]
                self.places[i, side] = places
                self.most[i, side] = most
                self.denser[i, side] = (ahead[1 - side] >= most[:, None]).sum(axis=1)
        self.seen += bars

    def _recentre(self, to: int) -> None:
        moved = np.zeros_like(self.grid)
        shift = to - self.centre
        if shift > 0:
            moved[:, :, :-shift] = self.grid[:, :, shift:]
        else:
            moved[:, :, -shift:] = self.grid[:, :, :shift]
        self.grid[:], self.centre = moved, to

    def outputs(self, start: int) -> NDArray[np.float64]:
        """Return the outputs of the bars from `start` to the last one taken, in the order of the family."""
        rows = slice(start, self.seen)
        interest, unit, n = self.interest[rows, None], self.unit[rows, None, None], self.seen - start
        masses = self.masses[rows].reshape(n, -1) / interest
        there = self.most[rows] > 0.0
        farthest = self.family.reaches[-1]
        away = (self.places[rows] + 1) * self.family.bin_width / unit
        distances = np.where(there, np.minimum(away, farthest), farthest)
        ranks = np.where(there, 1.0 - (1.0 + self.denser[rows]) / (2.0 * self.steps[rows, -1, None, None]), 0.0)
        window = self.family.bars(self.family.consumed_window)
        consumed = np.lib.stride_tricks.sliding_window_view(self.consumed[start - window + 1 : self.seen], window, 0)
        gone = consumed.sum(axis=-1).reshape(n, -1) / interest
        below, above = masses[:, masses.shape[1] // 2 - N_LAYERS : masses.shape[1] // 2], masses[:, -N_LAYERS:]
        ratios = np.log((above + 1e-3) / (below + 1e-3))
        return np.concatenate([masses, distances.reshape(n, -1), ranks.reshape(n, -1), gone, ratios], axis=1)


def measured_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of inputs and the intermediates of the volatility family."""
    rows = np.empty((len(values), FIRST_EXTRA))
    state, out = np.zeros(VOLATILITY.state_size()), np.empty(len(VOLATILITY.features()))
    measure(state, VOLATILITY.constants(), values, FIRST_US, STEP_US, rows, out)
    return rows


def test_map_against_numpy(record: Recorder) -> None:
    outputs, constants = len(FAMILY.features()), FAMILY.constants()
    # The last two, how far standing pools are, follow from distances and ranks, and are unknown where there is none.
    known = outputs - 2
    compared, timed, a_turn = 4_000, 40_000, 3_000
    symbols = [measured_rows(values) for values in synthetic_values(6, WARM + timed)]
    out = np.zeros((len(symbols), timed, outputs))
    unused = np.empty((WARM, outputs))
    states = np.zeros((len(symbols), FAMILY.state_size()))
    for rows, state in zip(symbols, states, strict=True):
        run(state, constants, rows[:WARM], unused)
    work = np.empty_like(states)

    def ours() -> None:
        work[:] = states
        for rows, state, made in zip(symbols, work, out, strict=True):
            run(state, constants, rows[WARM:], made)

    ours()
    assert not np.isnan(out[..., :known]).any()
    numpy_map = NumpyMap(FAMILY, symbols[0])
    numpy_map.take(WARM + compared)
    # Sums over a window are differences of totals, which leave specks of rounding.
    np.testing.assert_allclose(numpy_map.outputs(WARM), out[0, :compared, :known], rtol=1e-9, atol=1e-12)

    def theirs() -> NDArray[np.float64]:
        numpy_map.take(a_turn)
        return numpy_map.outputs(numpy_map.seen - a_turn)

    taken = cpu_seconds({"kernel": ours, "numpy": theirs}, repetitions=5)
    np.testing.assert_allclose(
        numpy_map.outputs(WARM), out[0, : numpy_map.seen - WARM, :known], rtol=1e-9, atol=1e-12, err_msg="timed bars"
    )
    kernel, peer = len(symbols) * timed / taken["kernel"], a_turn / taken["numpy"]
    record(name="liquidation map: kernel, bars a CPU-second", value=kernel, unit="bars/s", goal=1e6)
    record(
        name="liquidation map: kernel against numpy",
        value=kernel / peer,
        unit="times as fast",
        goal=40.0,
        peer="numpy, a bar at a time",
    )
    print(f"\nliquidation map, {outputs} outputs: kernel {kernel:,.0f} bars a CPU-second, numpy {peer:,.0f}")
