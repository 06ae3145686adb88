"""Whales: large holders who lean against pressure, and whose coins move on chain as they do so."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from slackwater.sources.simulate.rows import with_room
from slackwater.sources.simulate.state import Record

__all__ = ["TRANSFER_COLUMNS", "start_whales", "step_whales", "transfer"]

MINUTES_PER_DAY = 1440.0
TASTE_MEMORY_MINUTES = 720.0
#: They trade toward the position that they want over four hours.
TRADING_MINUTES = 240.0
#: A pressure of this many daily volatilities is one standard deviation of it.
PRESSURE_UNIT = 0.5
#: Share of the transfers that follow what was traded; the others have a random direction.
INFORMED_SHARE = 0.8
#: Transfers without a trade behind them: smallest size as a share of the daily volume, and tail exponent.
SMALLEST_TRANSFER_SHARE = 1e-5
TRANSFER_TAIL_EXPONENT = 1.4
#: Columns of a transfer: minute, direction (+1 off the exchange, after buying; -1 on to it, to sell), log price, coin.
TRANSFER_COLUMNS = 4


@njit(cache=True)
def start_whales(state: Record, whales: Record) -> None:
    """Draw what whales like from its stationary law."""
    state.whale_taste = whales.standard_normal()


@njit(cache=True)
def step_whales(state: Record, minute: Record, law: Record, whales: Record) -> None:
    """Trade for a minute toward the wanted position: against pressure by `whale_signal`, and else by taste."""
    taste_shock = math.sqrt(2.0 / TASTE_MEMORY_MINUTES) * whales.standard_normal()
    state.whale_taste += -state.whale_taste / TASTE_MEMORY_MINUTES + taste_shock
    pressure = (state.crowd_pressure + state.forced_pressure) / (PRESSURE_UNIT * law.sigma_daily)
    conviction = law.whale_signal * pressure + math.sqrt(1.0 - law.whale_signal**2) * state.whale_taste
    wanted = -law.whale_share * law.open_interest * conviction
    minute.whale_net = (wanted - state.whale_position) / TRADING_MINUTES
    state.whale_position += minute.whale_net
    state.whale_backlog += minute.whale_net


@njit(cache=True)
def transfer(
    transfers: npt.NDArray[np.float64], state: Record, law: Record, row: int, whales: Record
) -> npt.NDArray[np.float64]:
    """Now and then move coins between wallet and exchange; return the rows, which may have grown."""
    if whales.random() >= law.whale_transfers_per_day / MINUTES_PER_DAY:
        return transfers
    pareto = (1.0 - whales.random()) ** (-1.0 / TRANSFER_TAIL_EXPONENT)
    quantity = abs(state.whale_backlog) * (0.5 + whales.random())
    quantity += SMALLEST_TRANSFER_SHARE * law.average_daily_volume * pareto
    direction = 1.0 if whales.random() < 0.5 else -1.0
    if whales.random() < INFORMED_SHARE:
        direction = math.copysign(1.0, state.whale_backlog)
    state.whale_backlog = 0.0
    if state.transfers == transfers.shape[0]:
        transfers = with_room(transfers)
    transfers[state.transfers, 0] = row
    transfers[state.transfers, 1] = direction
    transfers[state.transfers, 2] = state.log_price
    transfers[state.transfers, 3] = quantity
    state.transfers += 1
    return transfers
