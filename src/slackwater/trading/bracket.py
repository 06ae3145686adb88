"""Entry, stop and target of a trade against an extended move: three prices, set once.

They depend on levels that were known at the decision and on neither size nor account, so that labels measure the very
bracket that is traded. The types are frozen: no later change is possible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from slackwater.errors import ParameterError
from slackwater.market.rounding import round_down, round_up
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import BracketRules
from slackwater.trading.score import MarketContext

__all__ = ["Bracket", "Levels", "level_reasons", "trade_levels"]


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
    close, sd = context.close, context.sd_over(horizon)
    atr = context.atr_1h * close

    def before(distance: float, buffer_atr: float = 0.0) -> float:
        """Return the price on the losing side of a level, by a buffer; distances are log, toward the target."""
        return close * math.exp(side * distance) - side * buffer_atr * atr

    # Away from the entry at the stop, toward it at the target.
    rounded = round_down if side > 0 else round_up

    stops = {}
    if swept >= 0.0:
        stops["swept"] = before(-swept, rules.stop_buffer_atr)
    if rules.stop_sd is not None:
        stops["sd"] = before(-rules.stop_sd * sd)
    if not stops:
        stops["range_24h"] = before(-extreme, rules.stop_buffer_atr)
    levels = {"range_72h": before(boundary, rules.target_buffer_atr)}
    if pool > 0.0:
        levels["pool"] = before(pool, rules.target_buffer_atr)
    targets = {name: price for name, price in levels.items() if side * (rounded(price, tick_size) - close) > 0}
    if rules.target_sd is not None:
        targets["sd"] = before(rules.target_sd * sd)
    if not targets:
        targets = levels  # to be refused with the price of the nearest
    nearest = min if side > 0 else max
    stop_level = nearest(stops, key=stops.__getitem__)
    target_level = nearest(targets, key=targets.__getitem__)
    return Levels(
        side=side,
        stop=rounded(stops[stop_level], tick_size),
        target=rounded(targets[target_level], tick_size),
        stop_level=stop_level,
        target_level=target_level,
    )


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
        return self.side * (self.entry - self.stop)

    @property
    def target_distance(self) -> float:
        """Gain per coin at the target before costs, USDT, > 0."""
        return self.side * (self.target - self.entry)
