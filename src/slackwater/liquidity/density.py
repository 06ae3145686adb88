"""The liquidation map: an estimate of where leveraged positions are forced out, on a grid of log prices.

Model and recursion: method, sections 4.1 and 4.3. The map has four **layers** on one grid: liquidations remembered with
three half-lives, and the stops behind swings (`slackwater.liquidity.stops`). They share what crosses them, so the
layers of a bin lie side by side and one pass serves all four.

The grid is absolute in log price: bin ``b`` spans ``[b, b + 1) * bin_width``. What would be forced out beyond it is
kept beside it as too far, so that all that was opened is in a bin, too far, or was erased. The map is a ranking, not an
amount in dollars.
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
    "map_too_far",
]

N_LAYERS: Final = 4
"""Three half-lives of liquidations, and the stops."""
STOPS: Final = 3
"""The layer of the stops."""
LAYERS: Final = ("fast", "middle", "slow", "stops")

REACH: Final = 0.5
"""Log distance from the centre of the grid at which the grid is moved back under the price."""
SPAN: Final = 1.0
"""Log distance that the grid covers on each side of its centre, at least."""
_FARTHEST_PRICE: Final = 1e6
"""Log price beyond which a number is not one."""

# header of the state, which ends with what is too far, per side and layer; the grids of longs and shorts follow
_STARTED, _CENTRE, _LAST_INTEREST, _TOP_LONG, _BOTTOM_SHORT, _SCALES, _TOO_FAR = 0, 1, 2, 3, 4, 5, 9
_GRIDS: Final = _TOO_FAR + 2 * N_LAYERS


def map_bins(bin_width: float) -> int:
    """Return how many bins one side of the map has, the price in the middle of them."""
    return 2 * math.ceil(SPAN / bin_width)


def map_slots(bin_width: float) -> int:
    """Return how many state slots a map needs."""
    return _GRIDS + 2 * N_LAYERS * map_bins(bin_width)


# A saved state may come from anywhere: a stored position is bounded before it becomes an index, NaN and infinity too.
@kernel
def _stored_bin(value, bins):  # type: ignore[no-untyped-def]
    """Return a stored bin of the grid, -1 below it and `bins` above it."""
    return int(value) if -1.0 <= value <= bins else bins


@kernel
def _recentre(state, at, bins, to):  # type: ignore[no-untyped-def]
    """Move both grids so that bin `to` is in the middle; what falls off the edge behind the price is too far."""
    moved = to - state[at + _CENTRE]
    if not abs(moved) <= bins:
        moved = float(bins) if moved > 0.0 else -float(bins)
    shift = int(moved) * N_LAYERS
    size = bins * N_LAYERS
    falling = min(abs(shift), size)
    behind = 0 if shift > 0 else 1
    edge = at + _GRIDS + (0 if shift > 0 else 2 * size - falling)
    for i in range(falling):
        state[at + _TOO_FAR + behind * N_LAYERS + i % N_LAYERS] += state[edge + i]
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


@kernel
def _rescale(state, at, bins, layer):  # type: ignore[no-untyped-def]
    """Write the scale of a layer into its masses, before it becomes too small a number."""
    scale = state[at + _SCALES + layer]
    for i in range(2 + 2 * bins):
        state[at + _TOO_FAR + N_LAYERS * i + layer] *= scale
    state[at + _SCALES + layer] = 1.0


@kernel
def map_add(state, at, bins, bin_width, side, price, layer, mass):  # type: ignore[no-untyped-def]
    """Put mass (coin) into one layer at a log price; side 0: longs, below; side 1: shorts, above."""
    if not abs(price) <= _FARTHEST_PRICE:
        return
    b = int(math.floor(price / bin_width)) - (int(state[at + _CENTRE]) - bins // 2)
    if b < 0 or b >= bins:
        state[at + _TOO_FAR + N_LAYERS * side + layer] += mass / state[at + _SCALES + layer]
        return
    state[at + _GRIDS + N_LAYERS * (side * bins + b) + layer] += mass / state[at + _SCALES + layer]
    if side == 0:
        state[at + _TOP_LONG] = max(state[at + _TOP_LONG], b)
    else:
        state[at + _BOTTOM_SHORT] = min(state[at + _BOTTOM_SHORT], b)


@kernel
def map_too_far(state, at, mass):  # type: ignore[no-untyped-def]
    """Fill `mass` (coin, shape (2, N_LAYERS)) with what is too far below and above to have a bin."""
    for side in range(2):
        for layer in range(N_LAYERS):
            mass[side, layer] = state[at + _TOO_FAR + N_LAYERS * side + layer] * state[at + _SCALES + layer]


@kernel
def map_forget_interest(state, at):  # type: ignore[no-untyped-def]
    """Take the next open interest as a new beginning: nothing is opened or closed by its distance from the last."""
    state[at + _LAST_INTEREST] = np.nan


@kernel
def _open_side(state, at, bins, side, start, opened, shares, lean):  # type: ignore[no-untyped-def]
    """Add positions opened (coin) in the bin `start` of the grid to one side, and what has no bin to what is too far.

    `shares` are those of `map_advance`; those of the nearer losses count ``1 + lean`` times.
    """
    size = shares.size // 4
    every = shares[2 * side * size : (2 * side + 1) * size]
    nearer = shares[(2 * side + 1) * size : (2 * side + 2) * size]
    # The outermost share, the first of longs and the last of shorts, is too far by itself.
    first = start - size + 1 if side == 0 else start
    end = first + size
    low = min(max(first + 1 - side, 0), end)
    high = max(min(end - side, bins), low)
    fast = opened / state[at + _SCALES]
    middle = opened / state[at + _SCALES + 1]
    slow = opened / state[at + _SCALES + 2]
    # 1. Add to the bins. The stops take nothing here; with them the layers advance in one instruction.
    cells = state[at + _GRIDS + N_LAYERS * (side * bins + low) : at + _GRIDS + N_LAYERS * (side * bins + high)]
    inside, inside_nearer = every[low - first : high - first], nearer[low - first : high - first]
    for i in range(high - low):
        share = inside[i] + lean * inside_nearer[i]
        cells[N_LAYERS * i] += fast * share
        cells[N_LAYERS * i + 1] += middle * share
        cells[N_LAYERS * i + 2] += slow * share
        cells[N_LAYERS * i + 3] += 0.0 * share
    # 2. Keep the rest as too far.
    far = 0.0
    for i in range(low - first):
        far += every[i] + lean * nearer[i]
    for i in range(high - first, size):
        far += every[i] + lean * nearer[i]
    too_far = at + _TOO_FAR + N_LAYERS * side
    state[too_far] += fast * far
    state[too_far + 1] += middle * far
    state[too_far + 2] += slow * far
    # 3. Keep where a crossing has to begin.
    if low < high and side == 0:
        state[at + _TOP_LONG] = max(state[at + _TOP_LONG], high - 1)
    elif low < high:
        state[at + _BOTTOM_SHORT] = min(state[at + _BOTTOM_SHORT], low)


@kernel
def map_advance(state, at, bins, bin_width, decays, shares, price, entry, interest, tilt):  # type: ignore[no-untyped-def]
    """Age the map by one bar and add the positions that it opened; return how much was opened (coin).

    Parameters
    ----------
    state, at, bins, bin_width
        State buffer, where the map starts in it, its bins per side, and their width in log price.
    decays
        Factors that one bar leaves of all mass, one per layer.
    shares
        Shares of new open interest by bin, shape (4 * n,): those of `LiquidationDistances.shares_by_bin`, flat.
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
    if not abs(entry) <= _FARTHEST_PRICE:
        return 0.0
    start = int(math.floor(entry / bin_width)) - (int(state[at + _CENTRE]) - bins // 2)
    _open_side(state, at, bins, 0, start, opened, shares, 0.5 * tilt)
    _open_side(state, at, bins, 1, start, opened, shares, -0.5 * tilt)
    return opened


@kernel
def map_erase(state, at, bins, bin_width, low, high, consumed):  # type: ignore[no-untyped-def]
    """Erase what a bar crossed: longs at or above its low, shorts at or below its high (log prices).

    `consumed` is filled with the mass (coin) of longs, then of shorts, per layer; shape (2 * N_LAYERS,).
    """
    origin = int(state[at + _CENTRE]) - bins // 2
    for i in range(2 * N_LAYERS):
        consumed[i] = 0.0
    floor = max(int(math.floor(low / bin_width)) - origin, 0)
    ceiling = min(int(math.floor(high / bin_width)) - origin, bins - 1)
    top = min(_stored_bin(state[at + _TOP_LONG], bins), bins - 1)
    bottom = max(_stored_bin(state[at + _BOTTOM_SHORT], bins), 0)
    for side in range(2):
        grid = at + _GRIDS + side * N_LAYERS * bins
        first = floor if side == 0 else bottom
        last = top if side == 0 else ceiling
        if first > last:
            continue
        for b in range(first, last + 1):
            for layer in range(N_LAYERS):
                consumed[side * N_LAYERS + layer] += state[grid + N_LAYERS * b + layer]
                state[grid + N_LAYERS * b + layer] = 0.0
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
    start = here - int(state[at + _CENTRE]) + bins // 2
    n = steps.size
    factor0 = state[at + _SCALES] / unit
    factor1 = state[at + _SCALES + 1] / unit
    factor2 = state[at + _SCALES + 2] / unit
    factor3 = state[at + _SCALES + 3] / unit
    for side in range(2):
        grid = at + _GRIDS + N_LAYERS * (side * bins + start)
        step = -N_LAYERS if side == 0 else N_LAYERS
        # Nothing is left between the price and the nearest bin that it has not crossed.
        if side == 0:
            away, edge = start - _stored_bin(state[at + _TOP_LONG], bins), start
        else:
            away, edge = _stored_bin(state[at + _BOTTOM_SHORT], bins) - start, bins - 1 - start
        away = max(away, 1)
        # Written out per layer: four independent sums and searches keep the processor busy.
        sum0, sum1, sum2, sum3 = 0.0, 0.0, 0.0, 0.0
        most0, most1, most2, most3 = 0.0, 0.0, 0.0, 0.0
        pool0, pool1, pool2, pool3 = 0, 0, 0, 0
        for k in range(n):
            last = min(int(steps[k]), edge)
            for bin_away in range(away, last + 1):
                where = whole(grid + step * bin_away)
                held0, held1, held2, held3 = state[where], state[where + 1], state[where + 2], state[where + 3]
                sum0 += held0
                sum1 += held1
                sum2 += held2
                sum3 += held3
                if held0 > most0:
                    most0, pool0 = held0, bin_away
                if held1 > most1:
                    most1, pool1 = held1, bin_away
                if held2 > most2:
                    most2, pool2 = held2, bin_away
                if held3 > most3:
                    most3, pool3 = held3, bin_away
            away = max(away, last + 1)
            to = (side * n + k) * N_LAYERS
            masses[to] = sum0 * factor0
            masses[to + 1] = sum1 * factor1
            masses[to + 2] = sum2 * factor2
            masses[to + 3] = sum3 * factor3
        to = side * N_LAYERS
        pools[to], pools[to + 1], pools[to + 2], pools[to + 3] = pool0, pool1, pool2, pool3
        most[to], most[to + 1], most[to + 2], most[to + 3] = most0, most1, most2, most3


@kernel
def map_denser(state, at, bins, here, steps, side, limits, counts):  # type: ignore[no-untyped-def]
    """Fill `counts` with the bins of a side, `steps` from the price, that hold at least a limit, per layer.

    `state`, `at`, `bins` and `here` are as in `map_look`; `side` is 0 below, 1 above. `limits` are in units of the
    scale of the layer; a layer with an infinite limit costs nothing.
    """
    start = here - int(state[at + _CENTRE]) + bins // 2
    grid = at + _GRIDS + side * N_LAYERS * bins
    # Nothing is left between the price and the nearest bin that it has not crossed.
    if side == 0:
        first, last = max(start - steps, 0), min(start - 1, _stored_bin(state[at + _TOP_LONG], bins))
    else:
        first, last = max(start + 1, _stored_bin(state[at + _BOTTOM_SHORT], bins)), min(start + steps, bins - 1)
    limit0, limit1, limit2, limit3 = limits[0], limits[1], limits[2], limits[3]
    count0, count1, count2, count3 = 0, 0, 0, 0
    for b in range(first, last + 1):
        where = whole(grid + N_LAYERS * b)
        count0 += state[where] >= limit0
        count1 += state[where + 1] >= limit1
        count2 += state[where + 2] >= limit2
        count3 += state[where + 3] >= limit3
    counts[0], counts[1], counts[2], counts[3] = count0, count1, count2, count3
