"""State of the account that the gate decides on: equity, open positions, record and correlations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from slackwater.errors import ParameterError
from slackwater.trading.drawdown_control import TrackRecord

__all__ = ["Account", "Exposure", "OpenPosition"]

_LINKED_ABOVE = 0.5
_MOST = 1e15  # coins or USDT: nobody has more


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Sums over the open positions, as seen by a new trade, USDT.

    Parameters
    ----------
    notional_usd, margin_usd, unrealised_usd, risk_usd
        Notionals at the mark, margins posted, gains at the mark since the entries, and losses at the stops.
    cluster_risk_usd, cluster
        Part of `risk_usd` in the correlated cluster of the new trade, and the symbols of its positions.
    """

    notional_usd: float = 0.0
    margin_usd: float = 0.0
    unrealised_usd: float = 0.0
    risk_usd: float = 0.0
    cluster_risk_usd: float = 0.0
    cluster: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position that is open, or ordered and not yet filled.

    Parameters
    ----------
    symbol
        For example ``"BTCUSDT"``.
    side
        +1 long, -1 short.
    quantity
        Coins, > 0.
    entry, mark
        Entry price and present mark price, USDT, > 0.
    leverage
        Margin leverage, >= 1.
    risk_usd
        Loss at its stop with fees and slippage, counted from its entry, USDT, >= 0.

    Raises
    ------
    ParameterError
        If a value is outside of its range.
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
        for name in ("quantity", "entry", "mark"):
            self._require(name, 0.0 < getattr(self, name) <= _MOST, "(0")
        self._require("leverage", 1.0 <= self.leverage <= _MOST, "[1")
        self._require("risk_usd", 0.0 <= self.risk_usd <= _MOST, "[0")

    def _require(self, name: str, holds: bool, low: str) -> None:
        if not holds:
            raise ParameterError(
                f"`{name}` of an open position must be in {low}, {_MOST:g}], was {getattr(self, name)}"
            )

    @property
    def notional_usd(self) -> float:
        """Value at the mark, USDT."""
        return self.quantity * self.mark

    @property
    def unrealised_usd(self) -> float:
        """Gain at the mark since the entry, USDT."""
        return self.side * self.quantity * (self.mark - self.entry)

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
        Account value with open positions at the mark, USDT. Not checked here: the gate refuses what it cannot size on.
    open_positions
        The gate allows at most one per symbol, but does not assume it.
    record
        History of the account; None: a fresh account without losses.
    correlations
        Of hourly returns over the last 30 days, by pair of symbols in either order, in [-1, 1]. A pair that is
        not listed counts as one cluster if both positions are on the same side.

    Examples
    --------
    >>> Account(equity=10_000).open_positions
    ()
    """

    equity: float
    open_positions: tuple[OpenPosition, ...] = ()
    record: TrackRecord | None = None
    correlations: Mapping[tuple[str, str], float] | None = None

    def exposure(self, symbol: str, side: int) -> Exposure:
        """Return the sums over the open positions as seen by a new trade (method, section 6.5)."""
        positions = self.open_positions
        cluster: list[OpenPosition] = []
        reached = [(symbol, side)]
        while reached:
            here = reached.pop()
            linked = [p for p in positions if p not in cluster and self._linked(here, (p.symbol, p.side))]
            cluster += linked
            reached += [(p.symbol, p.side) for p in linked]
        return Exposure(
            notional_usd=math.fsum(position.notional_usd for position in positions),
            margin_usd=math.fsum(position.margin_usd for position in positions),
            unrealised_usd=math.fsum(position.unrealised_usd for position in positions),
            risk_usd=math.fsum(position.risk_usd for position in positions),
            cluster_risk_usd=math.fsum(position.risk_usd for position in cluster),
            cluster=tuple(sorted(position.symbol for position in cluster)),
        )

    def _linked(self, one: tuple[str, int], other: tuple[str, int]) -> bool:
        known = self.correlations or {}
        pair = (one[0], other[0])
        correlation = 1.0 if one[0] == other[0] else known.get(pair, known.get(pair[::-1], math.nan))
        same_side = one[1] * other[1]
        return same_side > 0 if math.isnan(correlation) else same_side * correlation > _LINKED_ABOVE

    def holds(self, symbol: str) -> bool:
        """Return whether a position in this symbol is open."""
        return any(position.symbol == symbol for position in self.open_positions)
