"""Whales: large holders that trade against pressure; their coins move on chain before they trade.

They deal in blocks with market makers, so that their own flow adds no pressure. With `whale_signal` they use
what is not published: the displacement of the price by pressure, and whether a final push is on. Without it they trade
for reasons of their own, and their coins contain no information.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.simulation.crowd import FINAL_PUSH
from slackwater.simulation.rows import with_room
from slackwater.simulation.state import SUB_STEPS, Record

__all__ = ["LARGE_TRADE_COLUMNS", "TRANSFER_COLUMNS", "large_trade", "start_whales", "step_whales", "transfer"]

MINUTES_PER_DAY = 1440.0
TASTE_MEMORY_MINUTES = 720.0
#: They trade toward the position that they want over four hours.
TRADING_MINUTES = 240.0
#: A pressure of this many daily volatilities is one standard deviation of it; a final push weighs as much as this many.
PRESSURE_UNIT, FINAL_PUSH_WEIGHT = 0.5, 1.5
#: Share of the transfers that follow what is wanted, and of large trades that are whales'; others are uninformed.
INFORMED_TRANSFERS, INFORMED_TRADES = 0.85, 0.7
#: Sizes without an intention behind them: smallest as a share of the daily volume, and tail exponent.
SMALLEST_TRANSFER_SHARE, TRANSFER_TAIL_EXPONENT = 1e-5, 1.4
SMALLEST_TRADE_SHARE, TRADE_TAIL_EXPONENT = 2e-5, 1.5
#: Columns of a transfer: minute, direction (+1 off the exchange, to hold; -1 on to it, to sell), log price, coin.
TRANSFER_COLUMNS = 4
#: Columns of a large trade: minute, seconds into it, direction (+1 bought), log price, coin.
LARGE_TRADE_COLUMNS = 5


@njit(cache=True)
def start_whales(state: Record, whales: Record) -> None:
    """Draw the preference of whales from its stationary distribution."""
    state.whale_taste = whales.standard_normal()


@njit(cache=True)
def step_whales(state: Record, minute: Record, law: Record, whales: Record) -> None:
    """Trade for a minute toward the wanted position: against pressure by `whale_signal`, otherwise by taste."""
    taste_shock = math.sqrt(2.0 / TASTE_MEMORY_MINUTES) * whales.standard_normal()
    state.whale_taste += -state.whale_taste / TASTE_MEMORY_MINUTES + taste_shock
    insight = (state.crowd_pressure + state.forced_pressure) / (PRESSURE_UNIT * law.sigma_daily)
    if state.phase == FINAL_PUSH:
        insight += FINAL_PUSH_WEIGHT * state.phase_side
    conviction = law.whale_signal * insight + math.sqrt(1.0 - law.whale_signal**2) * state.whale_taste
    state.whale_wanted = -law.whale_share * law.open_interest * conviction
    minute.whale_net = (state.whale_wanted - state.whale_position) / TRADING_MINUTES
    state.whale_position += minute.whale_net
    state.whale_untold += minute.whale_net


@njit(cache=True)
def transfer(
    transfers: npt.NDArray[np.float64], state: Record, law: Record, row: int, whales: Record
) -> npt.NDArray[np.float64]:
    """Move coins between wallet and exchange at random times; return the rows, whose array may have grown.

    Coins move for the whole of what has come to be wanted, and so before most of it is traded.
    """
    if whales.random() >= law.whale_transfers_per_day / MINUTES_PER_DAY:
        return transfers
    intention = state.whale_wanted - state.whale_moved
    state.whale_moved = state.whale_wanted
    pareto = (1.0 - whales.random()) ** (-1.0 / TRANSFER_TAIL_EXPONENT)
    quantity = abs(intention) * (0.5 + whales.random()) + SMALLEST_TRANSFER_SHARE * law.average_daily_volume * pareto
    direction = _direction(intention, INFORMED_TRANSFERS, whales)
    if state.transfers == transfers.shape[0]:
        transfers = with_room(transfers)
    transfers[state.transfers, 0] = row
    transfers[state.transfers, 1] = direction
    transfers[state.transfers, 2] = state.log_price
    transfers[state.transfers, 3] = quantity
    state.transfers += 1
    return transfers


@njit(cache=True)
def large_trade(
    trades: npt.NDArray[np.float64], state: Record, minute: Record, law: Record, row: int, stream: Record
) -> npt.NDArray[np.float64]:
    """Print large trades at random times; return the rows, whose array may have grown."""
    if stream.random() >= law.large_trades_per_day / MINUTES_PER_DAY:
        return trades
    pareto = (1.0 - stream.random()) ** (-1.0 / TRADE_TAIL_EXPONENT)
    quantity = abs(state.whale_untold) * stream.random() + SMALLEST_TRADE_SHARE * law.average_daily_volume * pareto
    direction = _direction(state.whale_untold, INFORMED_TRADES, stream)
    state.whale_untold = 0.0
    second = 60.0 * stream.random()
    if state.large_trades == trades.shape[0]:
        trades = with_room(trades)
    trades[state.large_trades, 0] = row
    trades[state.large_trades, 1] = second
    trades[state.large_trades, 2] = direction
    trades[state.large_trades, 3] = minute.sub_step_close[int(second * SUB_STEPS / 60.0)]
    trades[state.large_trades, 4] = quantity
    state.large_trades += 1
    return trades


@njit(cache=True)
def _direction(intention: float, informed_share: float, stream: Record) -> float:
    """Return the sign of the intention if the mover is informed, otherwise a random sign."""
    toss = 1.0 if stream.random() < 0.5 else -1.0
    return math.copysign(1.0, intention) if stream.random() < informed_share else toss
