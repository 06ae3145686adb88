"""One minute of the market, in the order in which its parts act, and the loop over minutes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.errors import DataError
from slackwater.simulation.crowd import (
    UNWIND,
    crowding,
    start_crowd,
    step_exhaustion,
    step_mood,
    trade_crowd,
)
from slackwater.simulation.funding import (
    SHORTEST_INTERVAL_HOURS,
    funding_rate,
    interval_hours,
    start_funding_interval,
    step_premium,
)
from slackwater.simulation.liquidation import (
    ORDER_COLUMNS,
    liquidated,
    print_orders,
    recover_from_forced_flow,
    settle_price,
)
from slackwater.simulation.parameters import MarketParameters
from slackwater.simulation.positions import (
    LONG,
    SHORT,
    Positions,
    empty_positions,
    held,
    leverage_tiers,
)
from slackwater.simulation.price import (
    move_fundamental,
    press,
    remember_return,
    start_price_process,
    step_volatility,
)
from slackwater.simulation.shocks import Streams, draw_shocks
from slackwater.simulation.state import MINUTE, STATE, SUB_STEPS, Record
from slackwater.simulation.sweeps import step_sweeps
from slackwater.simulation.tape import (
    outer_side_depth,
    side_depth,
    step_depth,
    taker_buy_share,
    trade_count,
    traded_volume,
)
from slackwater.simulation.whales import (
    LARGE_TRADE_COLUMNS,
    TRANSFER_COLUMNS,
    large_trade,
    start_whales,
    step_whales,
    transfer,
)

__all__ = ["LATENT", "SNAPSHOT_MINUTES", "MarketRun", "run_market"]

#: Length of the market before its first recorded minute, so that it does not start without positions.
_BURN_IN_MINUTES = 10 * 1440
#: Open interest, premium, depth and the latent state are recorded at whole multiples of this.
SNAPSHOT_MINUTES = 5
#: Latent state, invisible to participants, in the order of `_record_latent`.
LATENT = (
    "fundamental",
    "crowd_pressure",
    "forced_pressure",
    "eagerness",
    "net_long_share",
    "phase",
    "phase_side",
    "sweep_side",
    "relative_volatility",
    "whale_position",
    "hunter_position",
)
#: Longs and shorts are summed in another order; this is a share of open interest.
ROUNDING = 1e-9


class MarketRun(NamedTuple):
    """History of the market of one symbol: float64 arrays, one row per minute unless stated otherwise.

    Attributes
    ----------
    log_price : shape (minutes, 4)
        Open, high, low, close, from an arbitrary origin.
    volume, taker_buy_volume : shape (minutes,)
        Coin.
    trades : shape (minutes,)
        Number of trades.
    mark_gap : shape (minutes,)
        Mark price above the traded one, log price.
    interest : shape (minutes, 2)
        Coin held long and coin held short by all participants at the close.
    liquidated : shape (minutes, 2)
        Coin of longs and of shorts.
    premium : shape (snapshots,)
        Fraction.
    depth : shape (snapshots, 4)
        Coin within 1 % of the mid, bid and ask, and within 5 % of it, bid and ask.
    latent : shape (snapshots, len(LATENT))
        The latent state.
    funding : shape (settlements, 3)
        Row of the minute that ends at the settlement, the rate (a fraction per interval), and the interval in hours.
    orders : shape (liquidation orders, 5)
        Row of the minute, seconds into it, side (0 long, 1 short), log price, coin.
    transfers : shape (whale transfers, 4)
        Row of the minute, direction (+1 off the exchange), log price, coin.
    large_trades : shape (large trades, 5)
        Row of the minute, seconds into it, direction (+1 bought), log price, coin.
    """

    log_price: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    taker_buy_volume: npt.NDArray[np.float64]
    trades: npt.NDArray[np.float64]
    mark_gap: npt.NDArray[np.float64]
    interest: npt.NDArray[np.float64]
    liquidated: npt.NDArray[np.float64]
    premium: npt.NDArray[np.float64]
    depth: npt.NDArray[np.float64]
    latent: npt.NDArray[np.float64]
    funding: npt.NDArray[np.float64]
    orders: npt.NDArray[np.float64]
    transfers: npt.NDArray[np.float64]
    large_trades: npt.NDArray[np.float64]


def run_market(
    parameters: MarketParameters,
    streams: Streams,
    *,
    first_minute: int,
    minutes: int,
    unlisted_minutes: int = 0,
) -> MarketRun:
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
    unlisted_minutes : int, default 0
        Minutes that the market lives before its first recorded one, on top of the burn-in: its listing is late, but
        its shocks fall in step with those of the other symbols.

    Returns
    -------
    MarketRun
        The same for every run from the same `first_minute`, up to the end of the shorter one.

    Raises
    ------
    DataError
        If the coin held long and held short differ at any minute: a trade without a counterparty, and a mistake of
        this package.
    """
    snapshots = minutes // SNAPSHOT_MINUTES
    run = MarketRun(
        log_price=np.empty((minutes, 4)),
        volume=np.empty(minutes),
        taker_buy_volume=np.empty(minutes),
        trades=np.empty(minutes),
        mark_gap=np.empty(minutes),
        interest=np.empty((minutes, 2)),
        liquidated=np.empty((minutes, 2)),
        premium=np.empty(snapshots),
        depth=np.empty((snapshots, 4)),
        latent=np.empty((snapshots, len(LATENT))),
        funding=np.empty((minutes // (60 * SHORTEST_INTERVAL_HOURS) + 1, 3)),
        orders=np.empty((1024, ORDER_COLUMNS)),
        transfers=np.empty((1024, TRANSFER_COLUMNS)),
        large_trades=np.empty((1024, LARGE_TRADE_COLUMNS)),
    )
    state, minute = (np.zeros(1, dtype).view(np.recarray)[0] for dtype in (STATE, MINUTE))
    tiers = leverage_tiers(parameters)
    first_row = -(_BURN_IN_MINUTES + unlisted_minutes)
    funding, orders, transfers, large_trades = _run_minutes(
        run, state, minute, parameters.as_record(), empty_positions(), tiers, streams, first_minute, first_row
    )
    _refuse_unequal_sides(run.interest)
    return run._replace(funding=funding, orders=orders, transfers=transfers, large_trades=large_trades)


def _refuse_unequal_sides(interest: npt.NDArray[np.float64]) -> None:
    """Raise DataError at the first minute in which longs and shorts differ."""
    longs, shorts = interest[:, LONG], interest[:, SHORT]
    unequal = np.flatnonzero(~(np.abs(longs - shorts) <= ROUNDING * longs))
    if len(unequal):
        row = unequal[0]
        raise DataError(
            f"the simulated longs hold {longs[row]} coin and the shorts {shorts[row]} at minute {row}: a trade without "
            "a counterparty; please report it"
        )


@njit(cache=True, nogil=True)
def _run_minutes(
    run: MarketRun,
    state: Record,
    minute: Record,
    law: Record,
    positions: Positions,
    tiers: npt.NDArray[np.void],
    streams: Streams,
    first_minute: int,
    first_row: int,
) -> tuple[
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
]:
    """Fill the rows of `run`; return those arrays whose length was not known beforehand."""
    orders, transfers, large_trades = run.orders, run.transfers, run.large_trades
    start_price_process(state, streams.price)
    start_crowd(state, law, positions, tiers, streams.crowd)
    start_whales(state, streams.whales)
    for row in range(first_row, run.volume.shape[0]):
        if row == 0:
            state.orders = 0
            state.transfers = 0
            state.large_trades = 0
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
        large_trades = large_trade(large_trades, state, minute, law, row, streams.large_trades)
        hours = interval_hours(law, clock)
        if (clock + 1) % (60 * hours) == 0:
            _settle_funding(run, state, row, hours)
        traded = traded_volume(state, minute, law, streams.tape)
        bought = traded * taker_buy_share(state, minute, traded, streams.tape)
        trades = trade_count(law, traded, streams.tape)
        if row >= 0:
            run.volume[row], run.taker_buy_volume[row], run.trades[row] = traded, bought, trades
            _record(run, row, state, minute, law, positions)
    return (
        run.funding[: state.settlements],
        orders[: state.orders],
        transfers[: state.transfers],
        large_trades[: state.large_trades],
    )


@njit(cache=True)
def _decide(
    state: Record,
    minute: Record,
    law: Record,
    positions: Positions,
    tiers: npt.NDArray[np.void],
    streams: Streams,
) -> None:
    """Trade for crowd, whales and hunters on what is known at the open; market makers take the other side."""
    step_mood(state, minute, law)
    trade_crowd(state, minute, law, positions, tiers, streams.crowd)
    step_exhaustion(state, law, crowding(positions), streams.crowd)
    step_whales(state, minute, law, streams.whales)
    step_sweeps(state, minute, law, positions, streams.sweeps)
    pressing = minute.crowd_net + minute.hunter_net
    state.market_maker_position -= pressing + minute.whale_net
    press(state, law, pressing, law.unwind_speed if state.phase == UNWIND else 1.0)
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
def _settle_funding(run: MarketRun, state: Record, row: int, hours: int) -> None:
    """Settle the rate of the interval that ends with this minute, and begin the next."""
    if row >= 0:
        run.funding[state.settlements, 0] = row
        run.funding[state.settlements, 1] = funding_rate(state.premium_sum / state.premium_weight, hours)
        run.funding[state.settlements, 2] = hours
        state.settlements += 1
    start_funding_interval(state)


@njit(cache=True)
def _record(run: MarketRun, row: int, state: Record, minute: Record, law: Record, positions: Positions) -> None:
    """Write the minute's row, and a snapshot at every fifth."""
    run.log_price[row, 0] = minute.open
    run.log_price[row, 1] = minute.high
    run.log_price[row, 2] = minute.low
    run.log_price[row, 3] = state.log_price
    run.mark_gap[row] = state.mark_premium - state.premium
    hedged = law.hedged_share * law.open_interest
    longs, shorts = held(positions)
    whales, hunter, makers = state.whale_position, state.hunter_position, state.market_maker_position
    run.interest[row, LONG] = hedged + longs + max(whales, 0.0) + max(hunter, 0.0) + max(makers, 0.0)
    run.interest[row, SHORT] = hedged + shorts + max(-whales, 0.0) + max(-hunter, 0.0) + max(-makers, 0.0)
    for side in (LONG, SHORT):
        run.liquidated[row, side] = liquidated(minute, side)
    if (row + 1) % SNAPSHOT_MINUTES == 0:
        snapshot = row // SNAPSHOT_MINUTES
        run.premium[snapshot] = state.premium
        outer = outer_side_depth(state, law)
        for side, sign in ((0, -1.0), (1, 1.0)):
            near = side_depth(state, law, sign)
            run.depth[snapshot, side], run.depth[snapshot, 2 + side] = near, near + outer
        _record_latent(run, snapshot, state, crowding(positions))


@njit(cache=True)
def _record_latent(run: MarketRun, snapshot: int, state: Record, net_long_share: float) -> None:
    """Write the latent state in the order of `LATENT`."""
    latent = run.latent[snapshot]
    latent[0] = state.fundamental
    latent[1] = state.crowd_pressure
    latent[2] = state.forced_pressure
    latent[3] = state.eagerness
    latent[4] = net_long_share
    latent[5] = state.phase
    latent[6] = state.phase_side
    latent[7] = state.sweep_side
    latent[8] = state.relative_volatility
    latent[9] = state.whale_position
    latent[10] = state.hunter_position
