"""Entry, stop and target of a trade against an extended move: three prices, set once.

They depend on levels that were known at the decision and on neither size nor account, so that labels measure the very
bracket that is traded. The types are frozen: no later change is possible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from numba import njit
from numba.extending import register_jitable

from slackwater.errors import ParameterError
from slackwater.market.rounding import as_ratio, rounded
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import BracketRules
from slackwater.trading.score import MarketContext
from slackwater.unchecked import unchecked

__all__ = ["Bracket", "Levels", "level_reasons", "stop_distance", "target_distance", "trade_levels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Stop and target of a trade before its entry price is known, and the levels that they are placed at.

    Parameters
    ----------
    side
        +1 long, -1 short.
    stop, target
        USDT. Either may lie on the wrong side of the market: then there is no trade.
    stop_level
        ``"sd"``: `BracketRules.stop_sd` standard deviations from the close; ``"swept"``: the extreme of the last
        sweep on the losing side, where that is farther; ``"range_24h"``: the extreme of the last 24 h, where there is
        neither.
    target_level
        ``"sd"``: `BracketRules.target_sd` standard deviations from the close; ``"range_72h"``, ``"pool"``: the
        opposite boundary of the 72 h range, or a dense pool of liquidations, where that is ahead and nearer.
    """

    side: int
    stop: float
    target: float
    stop_level: str
    target_level: str

    def at(self, quote: float) -> Bracket | None:
        """Return the trade that is entered at a price, USDT; None where a level is on the wrong side of it."""
        ordered = self.side * (quote - self.stop) > 0 and self.side * (self.target - quote) > 0
        if not (ordered and min(self.stop, self.target) > 0):
            return None
        return Bracket(side=self.side, entry=quote, stop=self.stop, target=self.target)


def trade_levels(
    context: MarketContext, *, side: int, tick_size: float, rules: BracketRules, horizon: timedelta
) -> Levels:
    """Return stop and target of the trade against the move of an event (method, section 6.1).

    Parameters
    ----------
    context
        Close, volatility, true range and distances, positive and finite; NaN for a swept extreme or a pool that does
        not exist.
    side
        +1 long, -1 short.
    tick_size
        Price step, USDT.
    rules
        Distances in standard deviations, and the buffers at levels.
    horizon
        Time exit of the trade, > 0: the standard deviation is that of the log return over it.

    Notes
    -----
    A pool or a boundary that is nearer than the target buffer leaves no room before it, and is passed over. Where no
    target is left, the levels are those that `level_reasons` refuses.

    Examples
    --------
    >>> import math
    >>> context = MarketContext(close=100.0, volatility_daily=0.03, atr_1h=0.01,
    ...     distance_to_high_24h=math.log(1.05), distance_to_low_24h=math.log(100 / 98),
    ...     distance_to_high_72h=math.log(1.08), distance_to_low_72h=math.log(100 / 97),
    ...     volume_24h=1e4, depth_bid_1pct=300.0, depth_ask_1pct=300.0,
    ...     swept_extreme_distance_below=math.log(100 / 99), pool_distance_above=math.log(1.02))
    >>> fits = {"side": 1, "tick_size": 0.1, "horizon": timedelta(days=1)}
    >>> trade_levels(context, rules=BracketRules(), **fits)
    Levels(side=1, stop=97.0, target=101.9, stop_level='sd', target_level='pool')
    >>> trade_levels(context, rules=BracketRules(stop_sd=0.3, target_sd=0.5), **fits)
    Levels(side=1, stop=98.7, target=101.5, stop_level='swept', target_level='sd')
    """
    if side > 0:
        swept, extreme = context.swept_extreme_distance_below, context.distance_to_low_24h
        pool, boundary = context.pool_distance_above, context.distance_to_high_72h
    else:
        swept, extreme = context.swept_extreme_distance_above, context.distance_to_high_24h
        pool, boundary = context.pool_distance_below, context.distance_to_low_72h
    close = context.close
    stop, target, stop_level, target_level = _placed(
        int(side),
        close,
        context.sd_over(horizon),
        context.atr_1h * close,
        swept,
        extreme,
        pool,
        boundary,
        rules.numbers,
        float(tick_size),
        *as_ratio(tick_size),
    )
    return _levels((side, stop, target, _STOP_LEVELS[stop_level], _TARGET_LEVELS[target_level]))


_levels = unchecked(Levels, "side", "stop", "target", "stop_level", "target_level")
_STOP_LEVELS: Final = ("swept", "sd", "range_24h")
_TARGET_LEVELS: Final = ("range_72h", "pool", "sd")


@njit(cache=True, nogil=True)
def _placed(side, close, sd, atr, swept, extreme, pool, boundary, rules, tick_size, part, whole):  # type: ignore[no-untyped-def]
    """Return stop, target and the places of their levels in `_STOP_LEVELS` and `_TARGET_LEVELS`; `atr` is in USDT."""
    rule = rules[0]
    up = side < 0  # rounded away from the entry at the stop, toward it at the target

    # 1. The stop: the farthest of the levels.
    stop, stop_level = math.nan, -1
    if swept >= 0.0:
        stop, stop_level = _before(close, side, -swept, rule.stop_buffer_atr, atr), 0
    if not math.isnan(rule.stop_sd):
        at_sd = _before(close, side, -rule.stop_sd * sd, 0.0, atr)
        if stop_level < 0 or side * (at_sd - stop) < 0:
            stop, stop_level = at_sd, 1
    if stop_level < 0:
        stop, stop_level = _before(close, side, -extreme, rule.stop_buffer_atr, atr), 2

    # 2. The target: the nearest of those that are ahead.
    target, target_level, behind, behind_level = math.nan, -1, math.nan, -1
    for level, distance in enumerate((boundary, pool)):
        if level == 0 or distance > 0.0:
            price = _before(close, side, distance, rule.target_buffer_atr, atr)
            if side * (rounded(price, tick_size, part, whole, up) - close) > 0:
                if target_level < 0 or side * (price - target) < 0:
                    target, target_level = price, level
            elif behind_level < 0 or side * (price - behind) < 0:
                behind, behind_level = price, level
    if not math.isnan(rule.target_sd):
        at_sd = _before(close, side, rule.target_sd * sd, 0.0, atr)
        if target_level < 0 or side * (at_sd - target) < 0:
            target, target_level = at_sd, 2
    if target_level < 0:  # to be refused with the price of the nearest
        target, target_level = behind, behind_level
    stop = rounded(stop, tick_size, part, whole, up)
    return stop, rounded(target, tick_size, part, whole, up), stop_level, target_level


@njit(cache=True, nogil=True)
def _before(close, side, distance, buffer_atr, atr):  # type: ignore[no-untyped-def]
    """Return the price on the losing side of a level, by a buffer; distances are log, toward the target."""
    return close * math.exp(side * distance) - side * buffer_atr * atr


def level_reasons(
    levels: Levels, context: MarketContext, *, quote: float, tick_size: float, rules: BracketRules
) -> Iterator[Reason]:
    """Yield every reason in the levels not to enter at a price.

    Parameters
    ----------
    levels, context
        Result and argument of `trade_levels`.
    quote
        Market price at which the order would be sent, USDT, > 0.
    tick_size
        Price step, USDT.
    rules
        The smallest and the largest distance of the stop.
    """
    side, stop, target = levels.side, levels.stop, levels.target
    if side * (target - context.close) <= 0 or target <= 0:
        message = f"the target {target} (at {levels.target_level}) is not ahead of the price {context.close}"
        yield Reason("no_target", message)
    elif side * (target - quote) <= 0:
        message = f"the price {quote} has already passed the target {target}"
        yield Reason("price_moved_through", message)
    distance = side * (quote - stop)
    noise = max(rules.min_stop_ticks * tick_size, rules.min_stop_atr * context.atr_1h * context.close)
    if distance <= 0 and side * (context.close - stop) > 0:
        yield Reason("price_moved_through", f"the price {quote} has already passed the stop {stop}")
    elif distance <= 0 or distance < noise:
        message = f"the stop {stop} is {distance:.6g} USDT away, required is at least {noise:.6g}"
        yield Reason("stop_in_noise", message)
    if distance > rules.max_stop_distance * quote:
        message = f"the stop {stop} is {distance / quote:.2%} away, allowed is {rules.max_stop_distance:.2%}"
        yield Reason("stop_too_far", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The three prices of one trade, USDT.

    Parameters
    ----------
    side
        +1 long, -1 short.
    entry
        Market price at which the order is sent; the fill differs by slippage (`trading.costs`).
    stop
        Below the entry of a long, above that of a short; never negative.
    target
        On the other side of the entry.

    Raises
    ------
    ParameterError
        If a price is not finite, or on the wrong side.

    Examples
    --------
    >>> trade = Bracket(side=1, entry=100.0, stop=96.0, target=110.0)
    >>> trade.stop_distance, trade.target_distance
    (4.0, 10.0)
    """

    side: int
    entry: float
    stop: float
    target: float

    def __post_init__(self) -> None:
        low, high = (self.stop, self.target) if self.side == 1 else (self.target, self.stop)
        if self.side in (1, -1) and 0.0 <= low < self.entry < high < math.inf:
            return
        if self.side not in (1, -1):
            raise ParameterError(f"`side` must be +1 (long) or -1 (short), was {self.side!r}")
        for name in ("entry", "stop", "target"):
            price = getattr(self, name)
            if not (math.isfinite(price) and price >= 0):
                raise ParameterError(f"`{name}` must be a finite price of at least 0, was {price}")
        if not self.stop_distance > 0:
            raise ParameterError(f"`stop` must be beyond the entry {self.entry} on the losing side, was {self.stop}")
        if not self.target_distance > 0:
            raise ParameterError(
                f"`target` must be beyond the entry {self.entry} on the winning side, was {self.target}"
            )

    @property
    def stop_distance(self) -> float:
        """Loss per coin at the stop before costs, USDT, > 0."""
        return stop_distance(self)

    @property
    def target_distance(self) -> float:
        """Gain per coin at the target before costs, USDT, > 0."""
        return target_distance(self)


# The formulas, which Python and kernels share: a `Bracket`, or numbers with the same names.


@register_jitable
def stop_distance(bracket: Any) -> float:
    """Return the loss per coin at the stop before costs, USDT."""
    return bracket.side * (bracket.entry - bracket.stop)


@register_jitable
def target_distance(bracket: Any) -> float:
    """Return the gain per coin at the target before costs, USDT."""
    return bracket.side * (bracket.target - bracket.entry)
