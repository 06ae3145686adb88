"""Plausible ranges of the inputs of a decision; anything outside is refused as bad input rather than sized on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from slackwater.trading.reasons import Reason
from slackwater.trading.score import MarketContext, Score

__all__ = ["context_violations", "input_violations"]


class _Range(NamedTuple):
    """Range of a number, ends included; `unknown` is 1 where NaN is allowed."""

    low: float
    high: float
    unknown: float = 0.0


_ABOVE_ZERO: Final = math.ulp(0.0)
_PRICE: Final = _Range(_ABOVE_ZERO, 1e9)
_COINS: Final = _Range(_ABOVE_ZERO, 1e15)
_DISTANCE: Final = _Range(0.0, 3.0)  # log: a factor of twenty within three days
_LEVEL: Final = _Range(-3.0, 3.0, unknown=1.0)
_CONTEXT: Final = {
    "close": (_PRICE, "in (0, 1e+09]"),
    "volatility_daily": (_Range(_ABOVE_ZERO, 1.0), "in (0, 1]"),
    "atr_1h": (_Range(_ABOVE_ZERO, 0.5), "in (0, 0.5]"),
    "volume_24h": (_COINS, "in (0, 1e+15]"),
    "distance_to_high_24h": (_DISTANCE, "in [0, 3]"),
    "distance_to_low_24h": (_DISTANCE, "in [0, 3]"),
    "distance_to_high_72h": (_DISTANCE, "in [0, 3]"),
    "distance_to_low_72h": (_DISTANCE, "in [0, 3]"),
    "swept_extreme_distance_above": (_LEVEL, "in [-3, 3] or NaN"),
    "swept_extreme_distance_below": (_LEVEL, "in [-3, 3] or NaN"),
    "pool_distance_above": (_LEVEL, "in [-3, 3] or NaN"),
    "pool_distance_below": (_LEVEL, "in [-3, 3] or NaN"),
    "trend_efficiency_72h": (_Range(-1.0 - 1e-9, 1.0 + 1e-9, unknown=1.0), "in [-1, 1] or NaN"),
}
_RANGES: Final = np.array([range_ for range_, _ in _CONTEXT.values()])
_numbers: Final = attrgetter(*_CONTEXT)
_MAX_EDGE = 30.0  # log-odds: a probability within 1e-13 of 1


def input_violations(score: Score, price: float | None = None) -> Iterator[Reason]:
    """Yield a reason for each input of a decision outside of its plausible range.

    Parameters
    ----------
    score
        Any numbers, NaN and infinite ones included.
    price
        Market price at which the order would be sent, USDT; None: the close of the score.
    """
    yield from context_violations(score.context)
    edge, low_edge = score.trade_edge, score.trade_edge_low
    if not (abs(edge) <= _MAX_EDGE or math.isnan(edge)):
        yield _bad("trade_edge", edge, f"in [-{_MAX_EDGE:g}, {_MAX_EDGE:g}] or NaN")
    if not (-_MAX_EDGE <= low_edge <= edge or math.isnan(low_edge)):
        yield _bad("trade_edge_low", low_edge, f"in [-{_MAX_EDGE:g}, `trade_edge`], here {edge}, or NaN")
    if price is not None and not _PRICE.low <= price <= _PRICE.high:
        yield _bad("price", price, _CONTEXT["close"][1])
    for name, value in (("p_direction", score.p_direction), ("p_hit", score.p_hit)):
        if not (0.0 <= value <= 1.0 or math.isnan(value)):
            yield _bad(name, value, "in [0, 1] or NaN")


def context_violations(context: MarketContext) -> Iterator[Reason]:
    """Yield a reason for each number of a market context outside of its plausible range."""
    numbers = _numbers(context)
    if not _all_within(_RANGES, *numbers):
        for (name, (_, expected)), limits, value in zip(_CONTEXT.items(), _RANGES, numbers, strict=True):
            if not _within(limits, value):
                yield _bad(name, value, expected)
    bid, ask = context.depth_bid_1pct, context.depth_ask_1pct
    known = 0.0 <= bid <= _COINS.high and 0.0 <= ask <= _COINS.high
    if not (known or (math.isnan(bid) and math.isnan(ask))):
        message = f"depth must be known and not negative on both sides or unknown (NaN) on both, was {(bid, ask)}"
        yield Reason("bad_input", message)


@njit(cache=True, nogil=True)
def _all_within(ranges, *numbers):  # type: ignore[no-untyped-def]
    """Return whether every number is within its range: nearly always."""
    for place in range(len(numbers)):  # noqa: SIM110 -- compiled
        if not _within(ranges[place], numbers[place]):
            return False
    return True


@register_jitable
def _within(limits: Any, number: float) -> bool:
    return limits[0] <= number <= limits[1] or (limits[2] == 1.0 and math.isnan(number))


def _bad(name: str, value: float, expected: str) -> Reason:
    return Reason("bad_input", f"`{name}` must be {expected}, was {value}")
