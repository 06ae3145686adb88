"""External shocks per minute: partly common to all symbols, partly the symbol's own.

The common generator is consumed by the same draws in every symbol and every minute, whatever the state, so that
all symbols see the same common shocks however many of them are simulated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numba import njit

from slackwater.simulation.state import SUB_STEPS, Record

__all__ = ["Streams", "draw_shocks", "random_streams"]

MINUTES_PER_DAY = 1440.0
#: Share of jumps and news that strikes all symbols at once.
COMMON_EVENT_SHARE = 0.5
#: Correlation of a fall with the volatility that follows it, at skew 1.
LEVERAGE_EFFECT = 0.45


class Streams(NamedTuple):
    """Random generators of a symbol, one per purpose, so that one parameter does not move the draws of another."""

    common: np.random.Generator
    price: np.random.Generator
    crowd: np.random.Generator
    whales: np.random.Generator
    orders: np.random.Generator
    tape: np.random.Generator
    sweeps: np.random.Generator
    large_trades: np.random.Generator


def random_streams(symbol: str, seed: int) -> Streams:
    """Return the PCG64 generators of a symbol, keyed by (seed, name of the symbol, name of the stream).

    The stream ``common`` is keyed by the seed alone.
    """
    owners = [symbol if name != "common" else "" for name in Streams._fields]
    return Streams(*(_generator(seed, (o, name)) for o, name in zip(owners, Streams._fields, strict=True)))


def _generator(seed: int, names: Sequence[str]) -> np.random.Generator:
    # sha256 and not hash(): the latter is salted anew in every process.
    spawn_key = tuple(int.from_bytes(sha256(name.encode()).digest()[:8], "big") for name in names)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=spawn_key)))


@njit(cache=True)
def draw_shocks(minute: Record, law: Record, common: Record, own: Record, crowd: Record) -> None:
    """Fill the shocks of one minute; all are standardised except the news, which is a log return.

    With `skew`, a fall of the minute before raises volatility and a rise lowers it: returns of hours are then skewed,
    but the price stays a martingale, since volatility is set before the shock that it scales.
    """
    shared = math.sqrt(law.common_volatility_share)
    alone = math.sqrt(1.0 - law.common_volatility_share)
    leverage = LEVERAGE_EFFECT * law.skew
    fresh = math.sqrt(1.0 - leverage * leverage)
    for i in range(4):
        shock = shared * common.standard_normal() + alone * own.standard_normal()
        minute.volatility_shock[i] = fresh * shock - leverage * minute.diffusion

    shared, alone = math.sqrt(law.common_price_share), math.sqrt(1.0 - law.common_price_share)
    minute.diffusion = 0.0
    for i in range(SUB_STEPS):
        minute.price_shock[i] = shared * common.standard_normal() + alone * own.standard_normal()
        minute.diffusion += minute.price_shock[i] / math.sqrt(SUB_STEPS)

    shared, alone = math.sqrt(law.common_mood_share), math.sqrt(1.0 - law.common_mood_share)
    minute.mood_shock = shared * common.standard_normal() + alone * crowd.standard_normal()
    minute.regime_shock = shared * common.standard_normal() + alone * crowd.standard_normal()

    minute.news = 0.0
    minute.news_sub_step = -1
    _draw_event(minute, law, common, COMMON_EVENT_SHARE)
    _draw_event(minute, law, own, 1.0 - COMMON_EVENT_SHARE)


@njit(cache=True)
def _draw_event(minute: Record, law: Record, stream: Record, share: float) -> None:
    """Let a jump (in volatilities of the minute) or news (in daily volatilities) strike at a random sub-step."""
    chance = stream.random()
    jump_chance = share * law.jumps_per_day / MINUTES_PER_DAY
    news_chance = share * law.news_per_day / MINUTES_PER_DAY
    if chance >= jump_chance + news_chance:
        return
    # Drawn only when an event strikes: the rates must be those of all symbols, or the common stream falls out of step.
    sub_step = int(SUB_STEPS * stream.random())
    size = stream.standard_normal()
    if chance < jump_chance:
        minute.price_shock[sub_step] += law.jump_size * math.sqrt(SUB_STEPS) * size
    else:
        minute.news += law.news_size * law.sigma_daily * size
        minute.news_sub_step = sub_step
