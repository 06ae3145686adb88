"""The liquidation map: an estimate of where leveraged positions are forced out, on a grid of log prices.

Model and recursion: method, sections 4.1 and 4.3. The map has four **layers** on one grid: liquidations remembered with
three half-lives, and the stops behind swings (`slackwater.liquidity.stops`). They share what crosses them, so the
layers of a bin lie side by side and one pass serves all four. Sums and maxima of blocks of bins let a read skip most of
the grid.

The grid is absolute in log price: bin ``b`` spans ``[b, b + 1) * bin_width``. The map is a ranking, not an amount in
dollars.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from slackwater.operators import kernel, whole

__all__ = [
    "LAYERS",
    "N_LAYERS",
    "STOPS",
    "map_add",
    "map_advance",
    "map_bins",
    "map_denser",
    "map_erase",
    "map_forget_interest",
    "map_look",
    "map_slots",
]

N_LAYERS: Final = 4
"""Three half-lives of liquidations, and the stops."""
STOPS: Final = 3
"""The layer of the stops."""
LAYERS: Final = ("fast", "middle", "slow", "stops")

_BLOCK_BITS: Final = 4
BLOCK: Final = 1 << _BLOCK_BITS
"""Bins whose sum and maximum are kept."""
REACH: Final = 0.5
"""Log distance from the centre of the grid at which the grid is moved back under the price."""
SPAN: Final = 1.0
"""Log distance that the grid covers on each side of its centre, at least."""

# header of the state; the grids of longs and shorts follow, then the sums and the maxima of their blocks
_STARTED, _CENTRE, _LAST_INTEREST, _TOP_LONG, _BOTTOM_SHORT, _SCALES, _CONSUMED = 0, 1, 2, 3, 4, 5, 9
_GRIDS: Final = _CONSUMED + 2 * N_LAYERS


def map_bins(bin_width: float) -> int:
    """Return how many bins one side of the map has: a whole number of blocks, the price in the middle of them."""
    return 2 * BLOCK * math.ceil(SPAN / (bin_width * BLOCK))


def map_slots(bin_width: float) -> int:
    """Return how many state slots a map needs."""
    bins = map_bins(bin_width)
    return _GRIDS + 2 * N_LAYERS * (bins + 2 * (bins // BLOCK))


@kernel
def _rebuild_block(state, grid, sums, maxima, block):  # type: ignore[no-untyped-def]
    """Work out the sums and maxima of a block from its bins."""
    first = whole(grid + N_LAYERS * BLOCK * block)
    sums = whole(sums + N_LAYERS * block)
    maxima = whole(maxima + N_LAYERS * block)
    for layer in range(N_LAYERS):
        state[sums + layer] = state[first + layer]
        state[maxima + layer] = state[first + layer]
    for b in range(1, BLOCK):
        for layer in range(N_LAYERS):
            value = state[first + N_LAYERS * b + layer]
            state[sums + layer] += value
            state[maxima + layer] = max(state[maxima + layer], value)


@kernel
def _rebuild(state, at, bins):  # type: ignore[no-untyped-def]
    blocks = bins // BLOCK
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        sums = at + _GRIDS + 2 * N_LAYERS * bins + side * N_LAYERS * blocks
        for block in range(blocks):
            _rebuild_block(state, grid, sums, sums + 2 * N_LAYERS * blocks, block)


@kernel
def _recentre(state, at, bins, to):  # type: ignore[no-untyped-def]
    """Move both grids so that bin `to` is in the middle; what falls off the edge is forgotten."""
    shift = (to - int(state[at + _CENTRE])) * N_LAYERS
    size = bins * N_LAYERS
    for side in range(2):
        grid = at + _GRIDS + side * size
        if shift > 0:
            for i in range(size):
                state[grid + i] = state[grid + i + shift] if i + shift < size else 0.0
        else:
            for i in range(size - 1, -1, -1):
                state[grid + i] = state[grid + i + shift] if i + shift >= 0 else 0.0
    state[at + _CENTRE] = to
    state[at + _TOP_LONG] = bins - 1
    state[at + _BOTTOM_SHORT] = 0
    _rebuild(state, at, bins)


@kernel
def _rescale(state, at, bins, layer):  # type: ignore[no-untyped-def]
    """Write the scale of a layer into its bins, before it becomes too small a number."""
    scale = state[at + _SCALES + layer]
    for i in range(2 * (bins + 2 * (bins // BLOCK))):
        state[at + _GRIDS + N_LAYERS * i + layer] *= scale
    state[at + _SCALES + layer] = 1.0


@kernel
def map_add(state, at, bins, bin_width, side, price, layer, mass):  # type: ignore[no-untyped-def]
    """Put mass (coin) into one layer at a log price; side 0: longs, below; side 1: shorts, above."""
    b = int(math.floor(price / bin_width)) - (int(state[at + _CENTRE]) - bins // 2)
    if b < 0 or b >= bins:
        return
    blocks = bins // BLOCK
    where = at + _GRIDS + N_LAYERS * (side * bins + b) + layer
    sums = at + _GRIDS + N_LAYERS * (2 * bins + side * blocks + b // BLOCK) + layer
    maxima = sums + 2 * N_LAYERS * blocks
    added = mass / state[at + _SCALES + layer]
    state[where] += added
    state[sums] += added
    state[maxima] = max(state[maxima], state[where])
    if side == 0:
        state[at + _TOP_LONG] = max(state[at + _TOP_LONG], b)
    else:
        state[at + _BOTTOM_SHORT] = min(state[at + _BOTTOM_SHORT], b)


@kernel
def map_forget_interest(state, at):  # type: ignore[no-untyped-def]
    """Take the next open interest as a new beginning: nothing is opened or closed by its distance from the last."""
    state[at + _LAST_INTEREST] = np.nan


@kernel
def map_advance(  # type: ignore[no-untyped-def]
    state, at, bins, bin_width, decays, losses, shares, price, entry, interest, tilt
):
    """Age the map by one bar and add the positions that it opened; return how much was opened (coin).

    Parameters
    ----------
    state, at, bins, bin_width
        State buffer, where the map starts in it, its bins per side, and their width in log price.
    decays
        Factors that one bar leaves of all mass, one per layer.
    losses, shares
        Log distances, longs then shorts, shape (2 * n,), and shares of new open interest, shape (n,).
    price, entry
        Log price of the bar, under which the grid must stay, and that at which the new positions were opened.
    interest
        Open interest in coin; NaN when unknown, then nothing opens or closes.
    tilt
        Taker imbalance in [-1, 1], which moves mass to the near losses of the aggressor's side (method, section 4.3).
    """
    here = int(math.floor(price / bin_width))
    if state[at + _STARTED] == 0.0:
        state[at + _STARTED] = 1.0
        state[at + _CENTRE] = here
        state[at + _LAST_INTEREST] = np.nan
        state[at + _TOP_LONG] = -1
        state[at + _BOTTOM_SHORT] = bins
        for layer in range(N_LAYERS):
            state[at + _SCALES + layer] = 1.0
    if not abs(here - state[at + _CENTRE]) * bin_width <= REACH:
        _recentre(state, at, bins, here)
    kept = 1.0
    opened = 0.0
    if not math.isnan(interest):
        last = state[at + _LAST_INTEREST]
        if interest < last:
            kept = max(interest / last, 1e-12)
        elif interest > last:
            opened = interest - last
        state[at + _LAST_INTEREST] = interest
    for layer in range(N_LAYERS):
        scale = state[at + _SCALES + layer] * decays[layer] * kept
        state[at + _SCALES + layer] = scale
        if scale < 1e-100:
            _rescale(state, at, bins, layer)
    if not opened > 0.0:
        return 0.0
    fast = opened / state[at + _SCALES]
    middle = opened / state[at + _SCALES + 1]
    slow = opened / state[at + _SCALES + 2]
    origin = int(state[at + _CENTRE]) - bins // 2
    blocks = bins // BLOCK
    n = shares.size
    near = n // 2
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        sums = at + _GRIDS + N_LAYERS * (2 * bins + side * blocks)
        maxima = sums + 2 * N_LAYERS * blocks
        lean = 0.5 * tilt if side == 0 else -0.5 * tilt
        for j in range(n):
            b = int(math.floor((entry + losses[side * n + j]) / bin_width)) - origin
            if b < 0 or b >= bins:
                continue
            share = shares[j] * (1.0 + lean) if j < near else shares[j]
            where = whole(grid + N_LAYERS * b)
            block = N_LAYERS * (b >> _BLOCK_BITS)
            sum_at = whole(sums + block)
            top_at = whole(maxima + block)
            state[where] += fast * share
            state[where + 1] += middle * share
            state[where + 2] += slow * share
            state[sum_at] += fast * share
            state[sum_at + 1] += middle * share
            state[sum_at + 2] += slow * share
            for layer in range(STOPS):
                state[top_at + layer] = max(state[top_at + layer], state[where + layer])
            if side == 0:
                state[at + _TOP_LONG] = max(state[at + _TOP_LONG], b)
            else:
                state[at + _BOTTOM_SHORT] = min(state[at + _BOTTOM_SHORT], b)
    return opened


@kernel
def map_erase(state, at, bins, bin_width, low, high, consumed):  # type: ignore[no-untyped-def]
    """Erase what a bar crossed: longs at or above its low, shorts at or below its high (log prices).

    `consumed` is filled with the mass (coin) of longs, then of shorts, per layer; shape (2 * N_LAYERS,).
    """
    origin = int(state[at + _CENTRE]) - bins // 2
    blocks = bins // BLOCK
    for i in range(2 * N_LAYERS):
        consumed[i] = 0.0
    floor = max(int(math.floor(low / bin_width)) - origin, 0)
    ceiling = min(int(math.floor(high / bin_width)) - origin, bins - 1)
    top = min(int(state[at + _TOP_LONG]), bins - 1)
    bottom = max(int(state[at + _BOTTOM_SHORT]), 0)
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        sums = at + _GRIDS + N_LAYERS * (2 * bins + side * blocks)
        maxima = sums + 2 * N_LAYERS * blocks
        first = floor if side == 0 else bottom
        last = top if side == 0 else ceiling
        if first > last:
            continue
        for b in range(first, last + 1):
            for layer in range(N_LAYERS):
                consumed[side * N_LAYERS + layer] += state[grid + N_LAYERS * b + layer]
                state[grid + N_LAYERS * b + layer] = 0.0
        for block in range(first // BLOCK, last // BLOCK + 1):
            _rebuild_block(state, grid, sums, maxima, block)
        for layer in range(N_LAYERS):
            consumed[side * N_LAYERS + layer] *= state[at + _SCALES + layer]
    state[at + _TOP_LONG] = min(top, floor - 1)
    state[at + _BOTTOM_SHORT] = max(bottom, ceiling + 1)


@kernel
def map_look(state, at, bins, steps, here, unit, masses, pools, most):  # type: ignore[no-untyped-def]
    """Read all layers from a bin outwards.

    Parameters
    ----------
    state, at, bins
        As in `map_advance`; the bar of the price has been erased (`map_erase`).
    steps
        Bins within which the mass is summed, ascending, shape (n,); the last one also bounds the search.
    here, unit
        The bin (absolute) of the price, and the coin in one unit of the masses.
    masses
        Filled with the mass below, then above, within each step, per layer; shape (2 * n * N_LAYERS,).
    pools, most
        Filled with the bins between the price and the densest bin (0: all are empty), and with what these bins hold in
        units of the scale of their layer; below, then above, per layer, shape (2 * N_LAYERS,).
    """
    origin = int(state[at + _CENTRE]) - bins // 2
    blocks = bins // BLOCK
    n = steps.size
    start = here - origin
    factor0 = state[at + _SCALES] / unit
    factor1 = state[at + _SCALES + 1] / unit
    factor2 = state[at + _SCALES + 2] / unit
    factor3 = state[at + _SCALES + 3] / unit
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        sums = at + _GRIDS + N_LAYERS * (2 * bins + side * blocks)
        maxima = sums + 2 * N_LAYERS * blocks
        step = -1 if side == 0 else 1
        # 1. Begin at the nearest bin that the price has not crossed: nothing is left before it.
        nearest = min(start, int(state[at + _TOP_LONG])) if side == 0 else max(start, int(state[at + _BOTTOM_SHORT]))
        block = nearest >> _BLOCK_BITS
        # 2. Per reach, add whole blocks, then the bins up to the cut; written out per layer, so that the four advance
        # in one instruction.
        sum0, sum1, sum2, sum3 = 0.0, 0.0, 0.0, 0.0
        most0, most1, most2, most3 = 0.0, 0.0, 0.0, 0.0
        place0, place1, place2, place3 = -1, -1, -1, -1
        last = start
        edge = start
        for k in range(n):
            last = max(start - int(steps[k]), 0) if side == 0 else min(start + int(steps[k]), bins - 1)
            last_block = last >> _BLOCK_BITS
            while (last_block - block) * step > 0:
                where = whole(sums + N_LAYERS * block)
                tops = whole(maxima + N_LAYERS * block)
                sum0 += state[where]
                sum1 += state[where + 1]
                sum2 += state[where + 2]
                sum3 += state[where + 3]
                place0 = block if state[tops] > most0 else place0
                place1 = block if state[tops + 1] > most1 else place1
                place2 = block if state[tops + 2] > most2 else place2
                place3 = block if state[tops + 3] > most3 else place3
                most0 = max(most0, state[tops])
                most1 = max(most1, state[tops + 1])
                most2 = max(most2, state[tops + 2])
                most3 = max(most3, state[tops + 3])
                block += step
            part0, part1, part2, part3 = sum0, sum1, sum2, sum3
            if block == last_block:
                edge = (block << _BLOCK_BITS) + (BLOCK - 1 if side == 0 else 0)
                for i in range(abs(last - edge) + 1):
                    where = whole(grid + N_LAYERS * (edge + step * i))
                    part0 += state[where]
                    part1 += state[where + 1]
                    part2 += state[where + 2]
                    part3 += state[where + 3]
            to = (side * n + k) * N_LAYERS
            masses[to] = part0 * factor0
            masses[to + 1] = part1 * factor1
            masses[to + 2] = part2 * factor2
            masses[to + 3] = part3 * factor3
        # 3. Find the densest bin per layer; the block that the last reach cuts counts up to the cut.
        cut = block == last >> _BLOCK_BITS
        for layer in range(N_LAYERS):
            densest = most0 if layer == 0 else most1 if layer == 1 else most2 if layer == 2 else most3
            place = place0 if layer == 0 else place1 if layer == 1 else place2 if layer == 2 else place3
            found = -1
            if cut and state[maxima + N_LAYERS * block + layer] > densest:
                for i in range(abs(last - edge) + 1):
                    value = state[grid + N_LAYERS * (edge + step * i) + layer]
                    if value > densest:
                        densest = value
                        found = edge + step * i
            if found < 0 and place >= 0:
                found = (place << _BLOCK_BITS) + (BLOCK - 1 if side == 0 else 0)
                for _ in range(BLOCK - 1):
                    if state[grid + N_LAYERS * found + layer] == densest:
                        break
                    found += step
            most[side * N_LAYERS + layer] = densest
            pools[side * N_LAYERS + layer] = abs(found - start) if densest > 0.0 else 0.0


@kernel
def map_denser(state, at, bins, here, steps, side, limits, counts):  # type: ignore[no-untyped-def]
    """Fill `counts` with the bins of a side, `steps` from the price, that hold at least a limit, per layer.

    `state`, `at`, `bins` and `here` are as in `map_look`; `side` is 0 below, 1 above. `limits` are in units of the
    scale of the layer; a layer with an infinite limit costs nothing.
    """
    start = here - int(state[at + _CENTRE]) + bins // 2
    blocks = bins // BLOCK
    grid = at + _GRIDS + side * N_LAYERS * bins
    maxima = at + _GRIDS + N_LAYERS * (2 * bins + (2 + side) * blocks)
    # Nothing is left between the price and the nearest bin that it has not crossed.
    if side == 0:
        first, last = max(start - steps, 0), min(start - 1, int(state[at + _TOP_LONG]))
    else:
        first, last = max(start + 1, int(state[at + _BOTTOM_SHORT])), min(start + steps, bins - 1)
    limit0, limit1, limit2, limit3 = limits[0], limits[1], limits[2], limits[3]
    count0, count1, count2, count3 = 0, 0, 0, 0
    for block in range(first >> _BLOCK_BITS, (last >> _BLOCK_BITS) + 1):
        top = whole(maxima + N_LAYERS * block)
        dense = state[top] >= limit0 or state[top + 1] >= limit1 or state[top + 2] >= limit2
        if dense or state[top + 3] >= limit3:
            for b in range(max(first, block << _BLOCK_BITS), min(last, (block << _BLOCK_BITS) + BLOCK - 1) + 1):
                where = whole(grid + N_LAYERS * b)
                count0 += state[where] >= limit0
                count1 += state[where + 1] >= limit1
                count2 += state[where + 2] >= limit2
                count3 += state[where + 3] >= limit3
    counts[0], counts[1], counts[2], counts[3] = count0, count1, count2, count3
