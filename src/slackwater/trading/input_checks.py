"""Plausible ranges of the inputs of a decision; anything outside is refused as bad input rather than sized on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from slackwater.trading.reasons import Reason
from slackwater.trading.score import MarketContext, Score

__all__ = ["context_violations", "input_violations"]

_PLAUSIBLE = {
    "close": (0.0, 1e9),
    "volatility_daily": (0.0, 1.0),
    "atr_1h": (0.0, 0.5),
    "volume_24h": (0.0, 1e15),
}
_DISTANCES = ("distance_to_high_24h", "distance_to_low_24h", "distance_to_high_72h", "distance_to_low_72h")
_LEVELS = ("swept_extreme_distance_above", "swept_extreme_distance_below", "pool_distance_above", "pool_distance_below")
_MAX_DISTANCE = 3.0  # a factor of twenty within three days
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
    low, high = _PLAUSIBLE["close"]
    if price is not None and not low < price <= high:
        yield _bad("price", price, f"in ({low:g}, {high:g}]")
    for name in ("p_direction", "p_hit"):
        value = getattr(score, name)
        if not (0.0 <= value <= 1.0 or math.isnan(value)):
            yield _bad(name, value, "in [0, 1] or NaN")


def context_violations(context: MarketContext) -> Iterator[Reason]:
    """Yield a reason for each number of a market context outside of its plausible range."""
    for name, (low, high) in _PLAUSIBLE.items():
        value = getattr(context, name)
        if not low < value <= high:
            yield _bad(name, value, f"in ({low:g}, {high:g}]")
    for name in _DISTANCES:
        value = getattr(context, name)
        if not 0.0 <= value <= _MAX_DISTANCE:
            yield _bad(name, value, f"in [0, {_MAX_DISTANCE:g}]")
    for name in _LEVELS:
        value = getattr(context, name)
        if not (abs(value) <= _MAX_DISTANCE or math.isnan(value)):
            yield _bad(name, value, f"in [-{_MAX_DISTANCE:g}, {_MAX_DISTANCE:g}] or NaN")
    trend = context.trend_efficiency_72h
    if not (abs(trend) <= 1.0 + 1e-9 or math.isnan(trend)):
        yield _bad("trend_efficiency_72h", trend, "in [-1, 1] or NaN")
    depths = (context.depth_bid_1pct, context.depth_ask_1pct)
    known = [depth for depth in depths if not math.isnan(depth)]
    if len(known) == 1 or any(not 0.0 <= depth <= _PLAUSIBLE["volume_24h"][1] for depth in known):
        message = f"depth must be known and not negative on both sides or unknown (NaN) on both, was {depths}"
        yield Reason("bad_input", message)


def _bad(name: str, value: float, expected: str) -> Reason:
    return Reason("bad_input", f"`{name}` must be {expected}, was {value}")
