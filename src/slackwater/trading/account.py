"""State of the account that the gate decides on: equity, open positions, record and correlations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from slackwater.errors import ParameterError
from slackwater.numbers import brief, exact_number
from slackwater.trading.correlations import PairCorrelations
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


_NO_EXPOSURE = Exposure()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position that is open, or ordered and not yet filled.

    Numbers may be text or `Decimal`, as venues send them.

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
        If a value is outside of its range, or not a number.
    """

    symbol: str
    side: int
    quantity: float
    entry: float
    mark: float
    leverage: float
    risk_usd: float

    def __post_init__(self) -> None:
        if not (isinstance(self.symbol, str) and self.symbol):
            raise ParameterError(f"`symbol` of an open position must be a name, was {brief(self.symbol)}")
        if isinstance(self.side, bool) or not isinstance(self.side, Integral) or self.side not in (1, -1):
            raise ParameterError(f"`side` of an open position must be +1 or -1, was {brief(self.side)}")
        for name in ("quantity", "entry", "mark", "leverage", "risk_usd"):
            _take_number(self, name, "an open position")
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
        Account value with open positions at the mark, USDT; a number, or text or `Decimal` of one, as venues send it.
        Its range is not checked here: the gate refuses what it cannot size on.
    open_positions
        The gate allows at most one per symbol, but does not assume it.
    record
        History of the account; None: a fresh account without losses.
    correlations
        Of hourly returns over the last 30 days, by pair of symbols in either order, in [-1, 1]. A pair that is
        not listed counts as one cluster if both positions are on the same side.

    Raises
    ------
    ParameterError
        If a value is of another type.

    Examples
    --------
    >>> Account(equity=10_000).open_positions
    ()
    """

    equity: float
    open_positions: tuple[OpenPosition, ...] = ()
    record: TrackRecord | None = None
    correlations: Mapping[tuple[str, str], float] | None = None

    def __post_init__(self) -> None:
        _take_number(self, "equity", "an account")
        positions = self.open_positions
        if not isinstance(positions, Iterable) or isinstance(positions, (str, bytes, Mapping)):
            raise ParameterError(f"`open_positions` must list OpenPosition, was {brief(positions)}")
        object.__setattr__(self, "open_positions", positions if isinstance(positions, tuple) else tuple(positions))
        for position in self.open_positions:
            if not isinstance(position, OpenPosition):
                raise ParameterError(f"`open_positions` must list OpenPosition, one was a {type(position).__name__}")
        if not (self.record is None or isinstance(self.record, TrackRecord)):
            raise ParameterError(f"`record` must be a TrackRecord or None, was {brief(self.record)}")
        if self.correlations is not None:
            _check_correlations(self.correlations)

    def exposure(self, symbol: str, side: int) -> Exposure:
        """Return the sums over the open positions as seen by a new trade (method, section 6.5)."""
        positions = self.open_positions
        if not positions:
            return _NO_EXPOSURE
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
        known = {} if self.correlations is None else self.correlations
        pair = (one[0], other[0])
        correlation = 1.0 if one[0] == other[0] else known.get(pair, known.get(pair[::-1], math.nan))
        same_side = one[1] * other[1]
        return same_side > 0 if math.isnan(correlation) else same_side * correlation > _LINKED_ABOVE

    def holds(self, symbol: str) -> bool:
        """Return whether a position in this symbol is open."""
        return bool(self.open_positions) and any(position.symbol == symbol for position in self.open_positions)


def _take_number(instance: Any, name: str, owner: str) -> None:
    """Make a float of a field of a frozen instance, unless it is a float or an int."""
    value = getattr(instance, name)
    if type(value) is not float:
        try:
            number = exact_number(value)
        except ValueError as error:
            raise ParameterError(f"`{name}` of {owner} {error}") from None
        if type(value) is not int:
            object.__setattr__(instance, name, number)


def _check_correlations(correlations: Any) -> None:
    if not isinstance(correlations, Mapping):
        raise ParameterError(f"`correlations` must map pairs of symbols to numbers, was {brief(correlations)}")
    if isinstance(correlations, PairCorrelations):
        return  # to look at its pairs is to compute them
    for pair, value in correlations.items():
        named = isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(symbol, str) for symbol in pair)
        if not named or isinstance(value, bool) or not isinstance(value, Real):
            raise ParameterError(
                f"`correlations` must map pairs of symbols to numbers, had {brief(pair)}: {brief(value)}"
            )
