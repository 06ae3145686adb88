"""Paper trading at one moment as a person sees it, in plain values: screens draw them and know nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Candle", "PoolView", "PositionView", "StreamView", "SymbolView", "View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Bar of a chart: its open in seconds since 1970 (UTC), and prices in USDT."""

    time: int
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """Dense pool of estimated liquidations: price in USDT, log distance from the price, > 0."""

    price: float
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolView:
    """State of one symbol; None is unknown.

    Parameters
    ----------
    symbol
        Canonical name.
    price, time
        Last price in USDT, and when it was known: seconds since 1970, UTC.
    pool_above, pool_below
        Densest pool on each side.
    swept_above, swept_below
        Extreme of the last sweep within 24 h that the price has not passed again, USDT.
    direction
        +1 the last event followed a rise, -1 a fall; 0: there was no event so far.
    triggers
        Triggers of the last event.
    event_time
        Its bar close, seconds since 1970.
    p_direction, trade_edge, trade_edge_low
        What the models said of it: calibrated probability of a reversal; log-odds added to the fair odds of the trade,
        and their lower bound.
    decision
        What the gate said of it, in one sentence.
    bar_time
        Close of the last bar that was scored, seconds since 1970.
    quality
        What its data lack, one short sentence each; empty: nothing.
    """

    symbol: str
    price: float | None = None
    time: float | None = None
    pool_above: PoolView | None = None
    pool_below: PoolView | None = None
    swept_above: float | None = None
    swept_below: float | None = None
    direction: int = 0
    triggers: tuple[str, ...] = ()
    event_time: float | None = None
    p_direction: float | None = None
    trade_edge: float | None = None
    trade_edge_low: float | None = None
    decision: str = ""
    bar_time: float | None = None
    quality: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """Order or open position; prices in USDT, times in seconds since 1970 (UTC).

    `state` is ``ordered`` or ``open``; `side` is +1 long, -1 short; `r` is the result at the mark before the costs of
    the exit, in R, None before the fill.
    """

    trade: str
    symbol: str
    side: int
    state: str
    quantity: float
    entry: float
    stop: float
    target: float
    liquidation_price: float
    opened: float | None
    expires: float
    r: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamView:
    """Health of a table of one symbol: seconds since its newest row (None: none so far), and whether that is fine."""

    symbol: str
    table: str
    age: float | None
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything that a screen shows.

    Parameters
    ----------
    time
        Seconds since 1970, UTC, by the clock of the feed.
    venue, account
        Names.
    synthetic
        Whether the market is simulated.
    verdict, sentence
        Verdict of the bundle, and its sentence.
    equity, drawdown
        Account value with open positions at the market, USDT; fraction below the peak.
    symbols, positions, streams
        By name of the symbol.
    recent
        What was journalled last, newest first: seconds since 1970, and one sentence each.
    faults
        What went wrong with the data last, newest first, in the same form.
    """

    time: float
    venue: str
    account: str
    synthetic: bool
    verdict: str
    sentence: str
    equity: float
    drawdown: float
    symbols: tuple[SymbolView, ...]
    positions: tuple[PositionView, ...]
    streams: tuple[StreamView, ...]
    recent: tuple[tuple[float, str], ...] = ()
    faults: tuple[tuple[float, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it in types of JSON."""
        return asdict(self)
