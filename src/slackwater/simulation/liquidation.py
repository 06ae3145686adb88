"""The liquidation engine: price moves force positions out, and their orders move the price on.

Forced orders of one side are a metaorder: the impact of its decaying total follows the square-root law, and each
order adds only the increment, so that splitting an order changes nothing. Forced trades also empty the book,
which makes the next order cost more, and excite volatility alike in both directions.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.simulation.positions import LONG, SHORT, Positions, force_out
from slackwater.simulation.price import excite, priced_in
from slackwater.simulation.rows import with_room
from slackwater.simulation.state import SUB_STEPS, Record

__all__ = ["ORDER_COLUMNS", "liquidated", "print_orders", "recover_from_forced_flow", "settle_price"]

FORCED_FLOW_KEPT_PER_MINUTE = 0.97
DEPLETION_KEPT_PER_MINUTE = 0.93
DEPLETION_PER_DAILY_VOLUME = 60.0
DEPLETION_CAP = 0.6
LONGEST_CASCADE = 60

#: Sizes of liquidation orders are Pareto: smallest size as a share of the daily volume, and tail exponent.
SMALLEST_ORDER_SHARE = 2.5e-7
ORDER_TAIL_EXPONENT = 0.75
#: Columns of a printed order: minute, seconds into it, side (0 long, 1 short), log price, coin.
ORDER_COLUMNS = 5


@njit(cache=True)
def recover_from_forced_flow(state: Record) -> None:
    """Let the metaorder fade and the book refill for a minute."""
    state.forced_flow *= FORCED_FLOW_KEPT_PER_MINUTE
    state.depletion *= DEPLETION_KEPT_PER_MINUTE


@njit(cache=True)
def liquidated(minute: Record, side: int) -> float:
    """Return the coin of a side that was liquidated in the minute."""
    quantity = 0.0
    for sub_step in range(SUB_STEPS):
        quantity += minute.liquidated[side, sub_step]
    return quantity


@njit(cache=True)
def settle_price(state: Record, minute: Record, law: Record, positions: Positions, sub_step: int) -> None:
    """Move the price to the level implied by fundamental and pressure, until no more positions are forced out."""
    for _ in range(LONGEST_CASCADE):
        before = state.log_price
        state.log_price = priced_in(state, law)
        minute.high = max(minute.high, state.log_price)
        minute.low = min(minute.low, state.log_price)
        side, sign = (LONG, -1.0) if state.log_price < before else (SHORT, 1.0)
        liquidation, stop = force_out(positions, side, before, state.log_price)
        forced = sign * (liquidation + stop)
        if forced == 0.0:
            break
        minute.liquidated[side, sub_step] += liquidation
        minute.stopped[side] += stop
        state.market_maker_position -= forced
        _press_by_force(state, law, forced)
    minute.sub_step_close[sub_step] = state.log_price


@njit(cache=True)
def _press_by_force(state: Record, law: Record, forced: float) -> None:
    """Add the impact of `forced` coin (signed) to the forced pressure."""
    volumes = abs(forced) / law.average_daily_volume
    impact_before = _square_root_law(state.forced_flow / law.average_daily_volume)
    state.forced_flow += forced
    impact_after = _square_root_law(state.forced_flow / law.average_daily_volume)
    state.depletion = min(DEPLETION_CAP, state.depletion + DEPLETION_PER_DAILY_VOLUME * volumes)
    state.forced_pressure += (
        law.forced_impact * law.sigma_daily * (impact_after - impact_before) / (1.0 - state.depletion)
    )
    excite(state, law.excitation * volumes)


@njit(cache=True)
def _square_root_law(volumes: float) -> float:
    return math.copysign(math.sqrt(abs(volumes)), volumes)


@njit(cache=True)
def print_orders(
    printed: npt.NDArray[np.float64],
    state: Record,
    minute: Record,
    law: Record,
    row: int,
    orders: Record,
) -> npt.NDArray[np.float64]:
    """Append the liquidations of a minute as single orders; return the rows, which may have grown.

    What is too small for an order waits for the next one, so that the printed orders add up to what was liquidated.
    """
    smallest = SMALLEST_ORDER_SHARE * law.average_daily_volume
    for sub_step in range(SUB_STEPS):
        for side in (LONG, SHORT):
            if minute.liquidated[side, sub_step] == 0.0:
                continue
            waiting = state.unprinted[side] + minute.liquidated[side, sub_step]
            while waiting >= smallest:
                size = min(waiting, smallest * (1.0 - orders.random()) ** (-1.0 / ORDER_TAIL_EXPONENT))
                if state.orders == printed.shape[0]:
                    printed = with_room(printed)
                printed[state.orders, 0] = row
                printed[state.orders, 1] = (sub_step + orders.random()) * 60.0 / SUB_STEPS
                printed[state.orders, 2] = side
                printed[state.orders, 3] = minute.sub_step_close[sub_step]
                printed[state.orders, 4] = size
                state.orders += 1
                waiting -= size
            state.unprinted[side] = waiting
    return printed
