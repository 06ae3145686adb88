"""What the gate has to know of the account: its equity and what it already holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from slackwater.errors import ParameterError

__all__ = ["Account", "Exposure", "OpenPosition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What the account already carries, USDT.

    Parameters
    ----------
    notional_usd
        Sum of the open positions' notionals at the mark.
    margin_usd
        Sum of the margins posted for them.
    risk_usd
        Sum of what they lose at their stops.
    cluster_risk_usd
        The part of it that stands in the direction of the trade to be sized.
    """

    notional_usd: float = 0.0
    margin_usd: float = 0.0
    risk_usd: float = 0.0
    cluster_risk_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position that is open, or ordered and not yet filled.

    Parameters
    ----------
    symbol
        E.g. ``"BTCUSDT"``.
    side
        +1 long, -1 short.
    quantity
        Coins, > 0.
    entry, mark
        Entry price and present mark price, USDT, > 0.
    leverage
        Margin leverage, >= 1.
    risk_usd
        What it loses at its stop with fees and slippage, counted from its entry, USDT, >= 0.

    Raises
    ------
    ParameterError
        If a value is outside of its range or not finite.
    """

    symbol: str
    side: int
    quantity: float
    entry: float
    mark: float
    leverage: float
    risk_usd: float

    def __post_init__(self) -> None:
        if self.side not in (1, -1):
            raise ParameterError(f"`side` of an open position must be +1 or -1, was {self.side!r}")
        for name, low in (
            ("quantity", 0.0),
            ("entry", 0.0),
            ("mark", 0.0),
            ("leverage", 1.0),
            ("risk_usd", 0.0),
        ):
            value = getattr(self, name)
            zero_allowed = name in ("leverage", "risk_usd")
            if not (math.isfinite(value) and (value >= low if zero_allowed else value > low)):
                bracket = "[" if zero_allowed else "("
                raise ParameterError(f"`{name}` of an open position must be in {bracket}{low:g}, inf), was {value}")

    @property
    def notional_usd(self) -> float:
        """Value at the mark, USDT."""
        return self.quantity * self.mark

    @property
    def margin_usd(self) -> float:
        """Margin posted at entry, USDT."""
        return self.quantity * self.entry / self.leverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Equity and open positions.

    Parameters
    ----------
    equity
        Account value with open positions at the mark, USDT. Not checked here: the gate refuses what it cannot
        size on.
    open_positions
        At most one a symbol is what the gate allows; it does not assume it.

    Examples
    --------
    >>> Account(equity=10_000).open_positions
    ()
    """

    equity: float
    open_positions: tuple[OpenPosition, ...] = ()

    def exposure(self, side: int) -> Exposure:
        """Sum up the open positions as seen by a new trade on this side.

        Notes
        -----
        All open positions of one direction count as one cluster, whatever their correlation: the conservative
        reading of "correlated above .5", which holds for the majors most of the time.
        """
        positions = self.open_positions
        return Exposure(
            notional_usd=math.fsum(position.notional_usd for position in positions),
            margin_usd=math.fsum(position.margin_usd for position in positions),
            risk_usd=math.fsum(position.risk_usd for position in positions),
            cluster_risk_usd=math.fsum(position.risk_usd for position in positions if position.side == side),
        )

    def holds(self, symbol: str) -> bool:
        """Whether a position in this symbol is open."""
        return any(position.symbol == symbol for position in self.open_positions)
