"""Entry, stop and target of a trade against an extended move: three prices, set once.

They are arithmetic on levels that were known at the decision, and know neither size nor account, so that
labels can be made from the very geometry that is traded. The type offers no way to change them afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from slackwater.errors import ParameterError
from slackwater.market.rounding import round_down, round_up

__all__ = ["Geometry", "stop_price", "target_price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The three prices of one trade, USDT.

    Parameters
    ----------
    side
        +1 long, -1 short.
    entry
        Market price at which the order is sent; what the fill costs beyond it is slippage (`trading.costs`).
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
    >>> trade = Geometry(side=1, entry=100.0, stop=96.0, target=110.0)
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


def stop_price(*, side: int, extreme: float, atr_1h_usd: float, tick_size: float, buffer_atr: float) -> float:
    """Stop beyond the swept extreme, rounded away from the entry, USDT.

    Parameters
    ----------
    side
        +1 long, -1 short.
    extreme
        Price of the swept level; for an event without one the 24 h low (long) or high (short), USDT.
    atr_1h_usd
        Mean true range of an hour, USDT.
    tick_size
        Price step, USDT.
    buffer_atr
        Distance beyond the extreme, in hourly true ranges, >= 0.

    Returns
    -------
    float
        Long: ``floor(extreme - buffer)``; short: ``ceil(extreme + buffer)``. May be negative for a long in a
        market whose range exceeds its price: the caller refuses it.

    Examples
    --------
    >>> stop_price(side=1, extreme=100.0, atr_1h_usd=1.0, tick_size=0.1, buffer_atr=0.25)
    99.7
    """
    raw = extreme - side * buffer_atr * atr_1h_usd
    return round_down(raw, tick_size) if side > 0 else round_up(raw, tick_size)


def target_price(*, side: int, boundary: float, atr_1h_usd: float, tick_size: float, buffer_atr: float) -> float:
    """Target short of the opposite range boundary, rounded toward the entry, USDT.

    Parameters
    ----------
    side
        +1 long, -1 short.
    boundary
        High (long) or low (short) of the range, USDT.
    atr_1h_usd
        Mean true range of an hour, USDT.
    tick_size
        Price step, USDT.
    buffer_atr
        Distance before the boundary, in hourly true ranges, >= 0.

    Returns
    -------
    float
        Long: ``floor(boundary - buffer)``; short: ``ceil(boundary + buffer)``. On the wrong side of the price
        where the market stands at the boundary: there is no target then, and the caller refuses.

    Examples
    --------
    >>> target_price(side=1, boundary=110.0, atr_1h_usd=1.0, tick_size=0.1, buffer_atr=0.1)
    109.9
    """
    raw = boundary - side * buffer_atr * atr_1h_usd
    return round_down(raw, tick_size) if side > 0 else round_up(raw, tick_size)
