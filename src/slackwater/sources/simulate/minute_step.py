"""One minute of the market, and the loop over all of them: the order in which its parts act."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.sources.simulate.crowd import (
    UNWIND,
    crowding,
    start_crowd,
    step_exhaustion,
    step_mood,
    trade_crowd,
)
from slackwater.sources.simulate.funding import (
    INTERVAL_MINUTES,
    funding_rate,
    start_funding_interval,
    step_premium,
)
from slackwater.sources.simulate.liquidation import (
    ORDER_COLUMNS,
    liquidated,
    print_orders,
    recover_from_forced_flow,
    settle_price,
)
from slackwater.sources.simulate.parameters import MarketParameters
from slackwater.sources.simulate.positions import (
    LONG,
    SHORT,
    Positions,
    empty_positions,
    held,
    leverage_tiers,
)
from slackwater.sources.simulate.price import (
    move_fundamental,
    press,
    remember_return,
    start_price_process,
    step_volatility,
)
from slackwater.sources.simulate.shocks import Streams, draw_shocks
from slackwater.sources.simulate.state import MINUTE, STATE, SUB_STEPS, Record
from slackwater.sources.simulate.tape import side_depth, step_depth, taker_buy_share, traded_volume
from slackwater.sources.simulate.whales import TRANSFER_COLUMNS, start_whales, step_whales, transfer

__all__ = ["BURN_IN_MINUTES", "SNAPSHOT_MINUTES", "MarketRun", "run_market"]

#: The market lives this long before its first recorded minute, so that it does not begin empty-handed.
BURN_IN_MINUTES = 10 * 1440
#: Open interest, premium and depth are recorded at whole multiples of this.
SNAPSHOT_MINUTES = 5


class MarketRun(NamedTuple):
    """What the market of one symbol did: float64 arrays, a row a minute unless it says otherwise.

    Attributes
    ----------
    log_price : shape (minutes, 4)
        Open, high, low, close, from an arbitrary origin.
    volume, taker_buy_volume : shape (minutes,)
        Coin.
    interest : shape (minutes, 2)
        Coin held long and coin held short by all participants at the close.
    liquidated : shape (minutes, 2)
        Coin of longs and of shorts.
    premium : shape (snapshots,)
        Fraction.
    depth : shape (snapshots, 2)
        Coin within 1 % of the mid, bid and ask.
    funding : shape (settlements, 2)
        Row of the minute that ends at the settlement, and the rate, a fraction per interval.
    orders : shape (liquidation orders, 5)
        Row of the minute, seconds into it, side (0 long, 1 short), log price, coin.
    transfers : shape (whale transfers, 4)
        Row of the minute, direction (+1 off the exchange), log price, coin.
    """

    log_price: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    taker_buy_volume: npt.NDArray[np.float64]
    interest: npt.NDArray[np.float64]
    liquidated: npt.NDArray[np.float64]
    premium: npt.NDArray[np.float64]
    depth: npt.NDArray[np.float64]
    funding: npt.NDArray[np.float64]
    orders: npt.NDArray[np.float64]
    transfers: npt.NDArray[np.float64]


def run_market(parameters: MarketParameters, streams: Streams, *, first_minute: int, minutes: int) -> MarketRun:
    """Run the market of one symbol.

    Parameters
    ----------
    parameters : MarketParameters
        Its economics.
    streams : Streams
        Its random generators; they are consumed.
    first_minute : int
        Open time of the first recorded minute, in minutes since 1970 UTC; a multiple of `SNAPSHOT_MINUTES`.
    minutes : int
        Recorded minutes; a multiple of `SNAPSHOT_MINUTES`.

    Returns
    -------
    MarketRun
        The same for every run from the same `first_minute`, up to the end of the shorter one.
    """
    snapshots = minutes // SNAPSHOT_MINUTES
    run = MarketRun(
        log_price=np.empty((minutes, 4)),
        volume=np.empty(minutes),
        taker_buy_volume=np.empty(minutes),
        interest=np.empty((minutes, 2)),
        liquidated=np.empty((minutes, 2)),
        premium=np.empty(snapshots),
        depth=np.empty((snapshots, 2)),
        funding=np.empty((minutes // INTERVAL_MINUTES + 1, 2)),
        orders=np.empty((1024, ORDER_COLUMNS)),
        transfers=np.empty((1024, TRANSFER_COLUMNS)),
    )
    state, minute = (np.zeros(1, dtype).view(np.recarray)[0] for dtype in (STATE, MINUTE))
    tiers = leverage_tiers(parameters)
    funding, orders, transfers = _run_minutes(
        run, state, minute, parameters.as_record(), empty_positions(), tiers, streams, first_minute
    )
    return run._replace(funding=funding, orders=orders, transfers=transfers)


@njit(cache=True)
def _run_minutes(
    run: MarketRun,
    state: Record,
    minute: Record,
    law: Record,
    positions: Positions,
    tiers: npt.NDArray[np.void],
    streams: Streams,
    first_minute: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fill the rows of `run`; return those arrays whose length was not known beforehand."""
    orders, transfers = run.orders, run.transfers
    start_price_process(state, streams.price)
    start_crowd(state, law, positions, tiers, streams.crowd)
    start_whales(state, streams.whales)
    for row in range(-BURN_IN_MINUTES, run.volume.shape[0]):
        if row == 0:
            state.orders = 0
            state.transfers = 0
            state.settlements = 0
        clock = first_minute + row
        draw_shocks(minute, law, streams.common, streams.price, streams.crowd)
        step_volatility(state, minute, law, clock)
        _decide(state, minute, law, positions, tiers, streams)
        _move_price(state, minute, law, positions)
        remember_return(state, minute, clock)
        step_premium(state, law, crowding(positions), streams.tape)
        step_depth(state, streams.tape)

        orders = print_orders(orders, state, minute, law, row, streams.orders)
        transfers = transfer(transfers, state, law, row, streams.whales)
        if (clock + 1) % INTERVAL_MINUTES == 0:
            _settle_funding(run, state, row)
        traded = traded_volume(state, minute, law, streams.tape)
        bought = traded * taker_buy_share(state, minute, traded, streams.tape)
        if row >= 0:
            run.volume[row], run.taker_buy_volume[row] = traded, bought
            _record(run, row, state, minute, law, positions)
    return run.funding[: state.settlements], orders[: state.orders], transfers[: state.transfers]


@njit(cache=True)
def _decide(
    state: Record,
    minute: Record,
    law: Record,
    positions: Positions,
    tiers: npt.NDArray[np.void],
    streams: Streams,
) -> None:
    """Let crowd and whales trade on what is known at the open; market makers take the other side of both."""
    step_mood(state, minute, law)
    trade_crowd(state, minute, law, positions, tiers, streams.crowd)
    step_exhaustion(state, law, crowding(positions), streams.crowd)
    step_whales(state, minute, law, streams.whales)
    net_flow = minute.crowd_net + minute.whale_net
    state.market_maker_position -= net_flow
    press(state, law, net_flow, law.unwind_speed if state.phase == UNWIND else 1.0)
    recover_from_forced_flow(state)


@njit(cache=True)
def _move_price(state: Record, minute: Record, law: Record, positions: Positions) -> None:
    """Let the price move through the minute, and force out the positions that it crosses."""
    minute.open = state.log_price
    minute.high = state.log_price
    minute.low = state.log_price
    for side in (LONG, SHORT):
        minute.stopped[side] = 0.0
    for sub_step in range(SUB_STEPS):
        for side in (LONG, SHORT):
            minute.liquidated[side, sub_step] = 0.0
        move_fundamental(state, minute, sub_step)
        settle_price(state, minute, law, positions, sub_step)


@njit(cache=True)
def _settle_funding(run: MarketRun, state: Record, row: int) -> None:
    """Settle the rate of the interval that ends with this minute, and begin the next."""
    if row >= 0:
        run.funding[state.settlements, 0] = row
        run.funding[state.settlements, 1] = funding_rate(state.premium_sum / state.premium_weight)
        state.settlements += 1
    start_funding_interval(state)


@njit(cache=True)
def _record(run: MarketRun, row: int, state: Record, minute: Record, law: Record, positions: Positions) -> None:
    """Write the minute's row, and a snapshot at every fifth."""
    run.log_price[row, 0] = minute.open
    run.log_price[row, 1] = minute.high
    run.log_price[row, 2] = minute.low
    run.log_price[row, 3] = state.log_price
    hedged = law.hedged_share * law.open_interest
    longs, shorts = held(positions)
    whales, makers = state.whale_position, state.market_maker_position
    run.interest[row, LONG] = hedged + longs + max(whales, 0.0) + max(makers, 0.0)
    run.interest[row, SHORT] = hedged + shorts + max(-whales, 0.0) + max(-makers, 0.0)
    for side in (LONG, SHORT):
        run.liquidated[row, side] = liquidated(minute, side)
    if (row + 1) % SNAPSHOT_MINUTES == 0:
        snapshot = row // SNAPSHOT_MINUTES
        run.premium[snapshot] = state.premium
        run.depth[snapshot, 0] = side_depth(state, law, -1.0)
        run.depth[snapshot, 1] = side_depth(state, law, 1.0)
