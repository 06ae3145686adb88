"""The canonical tables: columns, key, availability lag, join and the inputs that each feeds into the market frame.

Everything else about tables (`INPUTS`, `SCHEMAS`, the joins of a frame, the names in ``params.yaml``) is derived from
`TABLES`. A table from outside this library is one more `Table`, given to `slackwater.market.spec.FrameSpec`.

Every row carries `event_time` (what the venue stamps; for a bar its close) and `available_time` (the earliest time at
which it could be known). Joins, sorts and cuts use `available_time` alone. Prices are in quote currency, quantities in
coin, rates are fractions, times UTC. The side of a liquidation is that of the position, the side of a large trade that
of the aggressor. A row of ``liquidation_totals`` or ``exchange_flows`` sums a bucket of time that ends at its
`event_time`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from slackwater.errors import ParameterError
from slackwater.market.contracts import base_asset
from slackwater.times import DAY, HOUR, HOUR_US, MINUTE, SECOND
from slackwater.types import Bools, Floats

__all__ = ["LAGS", "STABLECOINS", "STAMP", "TABLES", "Column", "Join", "Table", "newest", "summed"]

Columns = Mapping[str, NDArray[Any]]
Split = Callable[[Columns], Sequence[NDArray[Any]]]

STABLECOINS: Final = ("USDT", "USDC", "DAI", "FDUSD", "TUSD", "BUSD", "USDE", "PYUSD", "USDD", "USDP", "GUSD", "USDS")
"""Assets whose flows onto exchanges count as inflow of stablecoins."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a canonical table.

    Parameters
    ----------
    name, unit
        Name, and unit or meaning.
    kind
        ``"text"``, ``"time"`` (``datetime64[us, UTC]``) or ``"number"`` (``float64``).
    minimum, positive
        Least value, and whether it is excluded.
    values
        The only values that a text may take; empty: any.
    optional, nullable
        Whether the column may be absent, and whether a value may be missing.
    """

    name: str
    kind: Literal["text", "time", "number"]
    unit: str = ""
    minimum: float | None = None
    positive: bool = False
    values: tuple[str, ...] = ()
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True, kw_only=True)
class Join:
    """How the rows of a table become inputs; made by `newest` or `summed`.

    Parameters
    ----------
    kind
        ``"newest"``: the row with the newest event time; NaN once that is stale. ``"summed"``: the sum of what became
        known within the last bar step; NaN while the table is silent. ``"summed_apart"``: the same, but each input is
        silent on its own, and a NaN amount means that the row reports nothing about that input.
    columns
        The columns that it reads. An optional one that a table lacks is NaN; `event_time` is
        in microseconds since 1970.
    split
        Turns those columns, arrays of shape (rows,), into amounts, one array of shape (rows,) for each input; None:
        the columns are the amounts.
    capped
        Whether each sum is followed by an estimate that corrects a feed with at most one event per slot
        (`slackwater.market.spec.FrameSpec`); there are then two inputs per amount.
    """

    kind: Literal["newest", "summed", "summed_apart"]
    columns: tuple[str, ...]
    split: Split | None
    capped: bool = False

    def amounts(self, columns: Columns) -> Floats:
        """Return the amounts of each row, shape (rows, amounts)."""
        return np.column_stack(self._split(columns)).astype(np.float64, copy=False)

    def amounts_of_row(self, row: Mapping[str, Any]) -> tuple[float, ...]:
        """Return the amounts of one row with canonical values; a column that it lacks is NaN."""
        if self.split is None:
            return tuple([row.get(name, math.nan) for name in self.columns])
        columns = {name: np.array([row.get(name, math.nan)]) for name in self.columns}
        return tuple([float(np.asarray(part, dtype=np.float64)[0]) for part in self.split(columns)])

    def _split(self, columns: Columns) -> Sequence[NDArray[Any]]:
        return [columns[name] for name in self.columns] if self.split is None else self.split(columns)


def newest(*columns: str, split: Split | None = None) -> Join:
    """Return a join that takes the row with the newest event time; `split` is by default the columns as they are."""
    return Join(kind="newest", columns=columns, split=split)


def summed(*columns: str, split: Split | None = None, apart: bool = False, capped: bool = False) -> Join:
    """Return a join that sums what became known within a bar step; `split` is by default the columns as they are."""
    kind: Literal["summed", "summed_apart"] = "summed_apart" if apart else "summed"
    return Join(kind=kind, columns=columns, split=split, capped=capped)


STAMP: Final = (
    Column(name="symbol", kind="text", unit="perpetual"),
    Column(name="event_time", kind="time", unit="UTC, what the venue stamps"),
    Column(name="available_time", kind="time", unit="UTC, the earliest time at which it could be known"),
)
"""The columns with which every table begins."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A canonical table.

    Parameters
    ----------
    name
        Name of the table and stem of its files: small letters, digits, underscores.
    columns
        `STAMP`, then its own columns.
    key
        The columns that identify a row (no two rows share them); empty: rows may repeat.
    lag
        Default time from the stamp of a row to its availability; sources override it where they measured another.
    inputs
        The inputs of the market frame that it feeds, side by side in this order; empty: the frame does not read it.
    signed
        Those of `inputs` that may be negative.
    join
        How rows become `inputs`. None for bars, which make the grid, and for tables that the frame does not read.
    staleness
        Default age of the newest row, at a decision, beyond which the table counts as silent; given with `join`.

    Raises
    ------
    ParameterError
        If these contradict each other; the message names the table.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    lag: timedelta
    inputs: tuple[str, ...] = ()
    signed: tuple[str, ...] = ()
    join: Join | None = None
    staleness: timedelta | None = None

    def __post_init__(self) -> None:
        """Check that the parts agree."""
        own = {column.name for column in self.columns}
        rules = {
            "`name` must be a lower-case identifier": self.name.isidentifier() and self.name == self.name.lower(),
            "`columns` must begin with STAMP": self.columns[: len(STAMP)] == STAMP,
            "`columns` must not repeat a name": len(own) == len(self.columns),
            "`key` must name columns": set(self.key) <= own,
            "`inputs` must be identifiers and must not repeat": all(map(str.isidentifier, self.inputs))
            and len(set(self.inputs)) == len(self.inputs),
            "`signed` must name inputs": set(self.signed) <= set(self.inputs),
            "`lag` must not be negative": self.lag >= timedelta(0),
            "`join` and `staleness` must be given together": (self.join is None) == (self.staleness is None),
        }
        if self.join is not None and self.staleness is not None:
            rules["a join needs `inputs`"] = bool(self.inputs)
            rules["`join` must read columns of the table"] = set(self.join.columns) <= own
            if self.join.split is None:
                read = [column for column in self.columns if column.name in self.join.columns]
                rules["a join without a `split` must read one number for each amount"] = len(
                    self.join.columns
                ) == self.width and all(column.kind != "text" for column in read)
            rules["`staleness` must be positive"] = self.staleness > timedelta(0)
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ParameterError(f"table {self.name!r}: {'; '.join(broken)}")

    @property
    def required(self) -> list[str]:
        """Names of the columns that must be there."""
        return [c.name for c in self.columns if not c.optional]

    @property
    def width(self) -> int:
        """Number of amounts that the join takes from a row."""
        return len(self.inputs) // 2 if self.join is not None and self.join.capped else len(self.inputs)


# -- how columns become amounts --------------------------------------------------------------------------------


def _with_their_time(*names: str) -> Split:
    return lambda columns: [*(columns[name] for name in names), columns["event_time"] / HOUR_US]


def _by_side(first: str, second: str) -> Split:
    def split(columns: Columns) -> list[NDArray[Any]]:
        side, quantity = columns["side"], columns["quantity"]
        unknown = np.isnan(quantity)
        return [np.where((side == name) | unknown, quantity, 0.0) for name in (first, second)]

    return split


def _transfers(columns: Columns) -> list[NDArray[Any]]:
    source, sink = columns["from_owner_type"] == "exchange", columns["to_owner_type"] == "exchange"
    return [np.where(sink & ~source, columns["amount"], 0.0), np.where(source & ~sink, columns["amount"], 0.0)]


def _flows(columns: Columns) -> list[NDArray[Any]]:
    """Part the flows of the symbol's own coin from those of stablecoins; a row of another asset reports neither."""
    assets = [str(asset).upper() for asset in columns["asset"]]
    coins = [_coin(str(symbol)) for symbol in columns["symbol"]]
    own: Bools = np.array([asset == coin for asset, coin in zip(assets, coins, strict=True)], dtype=np.bool_)
    stable: Bools = np.array([asset in STABLECOINS for asset in assets], dtype=np.bool_)
    flow = columns["netflow_usd"]
    return [np.where(own, flow, np.nan), np.where(stable & ~own, flow, np.nan)]


def _coin(symbol: str) -> str | None:
    try:
        return base_asset(symbol.upper()).strip("/-_:")
    except ParameterError:  # without a known quote currency the coin is unknown, and so are its flows
        return None


# -- the tables ------------------------------------------------------------------------------------------------


def _number(name: str, unit: str) -> Column:
    return Column(name=name, kind="number", unit=unit)


def _amount(name: str, unit: str = "coin", **more: Any) -> Column:
    return Column(name=name, kind="number", unit=unit, minimum=0.0, **more)


def _price(name: str) -> Column:
    return _amount(name, "quote currency", positive=True)


def _text(name: str, *values: str, nullable: bool = False) -> Column:
    return Column(name=name, kind="text", values=values, nullable=nullable)


_ONE_PER_TIME: Final = ("symbol", "event_time")
_NETFLOWS: Final = ("exchange_netflow_coin_usd", "exchange_netflow_stable_usd")
_OWNERS: Final = ("exchange", "wallet", "defi", "miner", "issuer", "unknown")
_OTHERS: Final = ("others_return", "others_absolute_return", "others_breadth", "market_dispersion")
_PRICES: Final = (
    *STAMP,
    Column(name="open_time", kind="time", unit="UTC"),
    *(_price(name) for name in ("open", "high", "low", "close")),
)
_BARS: Final = (
    *_PRICES,
    _amount("volume"),
    _amount("taker_buy_volume", optional=True, nullable=True),
    _amount("trade_count", "trades", optional=True, nullable=True),
)

TABLES: Final[tuple[Table, ...]] = (
    Table(name="fine_bars", columns=_BARS, key=_ONE_PER_TIME, lag=2 * SECOND),
    # The returns of the others are the mean of log(close / open), and of its absolute value, over the bars of all other
    # symbols that close at the same time; their breadth is the mean sign of log(close / close 24 h before), and the
    # dispersion of the market its standard deviation across all symbols.
    Table(
        name="bars",
        columns=_BARS,
        key=_ONE_PER_TIME,
        lag=2 * SECOND,
        inputs=("open", "high", "low", "close", "volume", "taker_buy_volume", *_OTHERS),
        signed=("others_return", "others_breadth"),
    ),
    Table(name="mark_price", columns=_PRICES, key=_ONE_PER_TIME, lag=2 * SECOND),
    Table(
        name="open_interest",
        columns=(*STAMP, _amount("open_interest")),
        key=_ONE_PER_TIME,
        lag=5 * MINUTE + 30 * SECOND,
        inputs=("open_interest", "open_interest_time_hours"),  # hours since 1970, as every time among the inputs
        join=newest("open_interest", "event_time", split=_with_their_time("open_interest")),
        staleness=3 * HOUR,
    ),
    Table(
        name="funding",
        columns=(
            *STAMP,
            _number("funding_rate", "fraction of notional per interval; positive: longs pay"),
            _amount("interval_hours", "hours", positive=True),
        ),
        key=_ONE_PER_TIME,
        lag=MINUTE,
        inputs=("funding_rate", "funding_interval_hours", "funding_time_hours"),
        signed=("funding_rate",),
        join=newest(
            "funding_rate", "interval_hours", "event_time", split=_with_their_time("funding_rate", "interval_hours")
        ),
        staleness=9 * HOUR,
    ),
    Table(
        name="premium_index",
        columns=(*STAMP, _number("premium_index", "fraction")),
        key=_ONE_PER_TIME,
        lag=2 * SECOND,
        inputs=("premium_index",),
        signed=("premium_index",),
        join=newest("premium_index"),
        staleness=HOUR,
    ),
    Table(
        name="liquidations",
        # A row without a quantity marks a time in which the feed is not to be trusted: both sides are unknown then.
        columns=(
            *STAMP,
            _text("side", "long", "short"),
            _price("price"),
            _amount("quantity", positive=True, nullable=True),
        ),
        key=(),
        lag=5 * SECOND,
        inputs=("liquidated_long", "liquidated_short", "liquidated_long_estimate", "liquidated_short_estimate"),
        join=summed("side", "quantity", split=_by_side("long", "short"), capped=True),
        staleness=3 * DAY,
    ),
    Table(
        name="liquidation_totals",
        columns=(*STAMP, _amount("long_quantity", nullable=True), _amount("short_quantity", nullable=True)),
        key=_ONE_PER_TIME,
        lag=5 * SECOND,
        inputs=("liquidated_long", "liquidated_short"),
        join=summed("long_quantity", "short_quantity"),
        staleness=3 * DAY,
    ),
    Table(
        name="whale_transfers",
        columns=(
            *STAMP,
            _text("chain"),
            _text("asset"),
            _amount("amount"),
            _amount("amount_usd", "USD"),
            _text("from_owner", nullable=True),
            _text("from_owner_type", *_OWNERS),
            _text("to_owner", nullable=True),
            _text("to_owner_type", *_OWNERS),
            _text("tx_hash"),
            Column(name="log_index", kind="number", minimum=0.0),
            _text("source"),
        ),
        key=("symbol", "chain", "tx_hash", "log_index", "source"),
        lag=10 * MINUTE,
        inputs=("whale_to_exchange", "whale_from_exchange"),
        join=summed("from_owner_type", "to_owner_type", "amount", split=_transfers),
        staleness=3 * DAY,
    ),
    Table(
        name="large_trades",
        columns=(*STAMP, _text("side", "buy", "sell"), _price("price"), _amount("quantity", positive=True)),
        key=(),
        lag=2 * SECOND,
        inputs=("large_buy", "large_sell"),
        join=summed("side", "quantity", split=_by_side("buy", "sell")),
        staleness=3 * DAY,
    ),
    Table(
        name="long_short_ratio",
        columns=(
            *STAMP,
            # Some venues publish the ratio of all accounts alone.
            _amount("top_trader_ratio", "positions, longs over shorts", positive=True, optional=True),
            _amount("top_trader_account_ratio", "accounts, longs over shorts", optional=True, nullable=True),
            _amount("account_ratio", "all accounts, longs over shorts", optional=True, nullable=True),
            _amount("taker_volume_ratio", "bought over sold by takers", optional=True, nullable=True),
        ),
        key=_ONE_PER_TIME,
        lag=5 * MINUTE + 30 * SECOND,
        inputs=("top_trader_ratio",),
        join=newest("top_trader_ratio"),
        staleness=3 * HOUR,
    ),
    Table(
        name="depth",
        columns=(
            *STAMP,
            _amount("bid_quantity_1pct"),
            _amount("ask_quantity_1pct"),
            _amount("bid_quantity_5pct", optional=True),
            _amount("ask_quantity_5pct", optional=True),
        ),
        key=_ONE_PER_TIME,
        lag=2 * SECOND,
        inputs=("depth_bid_1pct", "depth_ask_1pct"),
        join=newest("bid_quantity_1pct", "ask_quantity_1pct"),
        staleness=HOUR,
    ),
    # Coins and stablecoins stay apart, because their published signs differ. Rows of several sources are added up.
    Table(
        name="exchange_flows",
        columns=(
            *STAMP,
            Column(name="bucket_start", kind="time", unit="UTC; the bucket ends at event_time"),
            _text("asset"),
            _amount("inflow_usd", "USD", optional=True, nullable=True),
            _amount("outflow_usd", "USD", optional=True, nullable=True),
            _number("netflow_usd", "USD, positive: onto exchanges"),
            _text("source"),
        ),
        key=("symbol", "event_time", "asset", "source"),
        lag=HOUR,
        inputs=_NETFLOWS,
        signed=_NETFLOWS,
        join=summed("symbol", "asset", "netflow_usd", split=_flows, apart=True),
        staleness=3 * DAY,
    ),
)
"""The tables of this library. A new one goes to the end, so that the inputs before it keep their positions."""

LAGS: Final[dict[str, timedelta]] = {table.name: table.lag for table in TABLES}
"""Default availability lag of each table."""
